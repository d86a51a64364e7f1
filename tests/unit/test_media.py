"""The gateway shows the images of open tasks, under names that say nothing, and nothing else."""

import gzip
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from hashlib import md5
from typing import Any

import pytest
from starlette.testclient import TestClient

from labelloop.core.task import TaskState
from labelloop.errors import ConfigError, StoreUnavailable
from labelloop.ledger import media_links
from labelloop.loop import Loop
from labelloop.project import Project
from labelloop.service.journal import Journal
from labelloop.settings.file import load
from labelloop.web.app import application
from labelloop.web.site import Site
from tests.unit.conftest import MakeWorld
from tests.world import HEAD, World

QUEUES = """
[[queue]]
name = "accuracy"
purpose = "evaluation"
budget = 2
images = "gateway"

[[queue]]
name = "low"
purpose = "training"
where = "confidence < 0.7"
budget = 2
images = "gateway"
"""
PNG = b"\x89PNG\r\n\x1a\n"
BODY = PNG + bytes(range(256)) * 1_000
HERE = "http://127.0.0.1:8500"
LABEL_STUDIO = "http://127.0.0.1:9"


class Gateway:
    """A world whose images the service shows."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.site = Site(self._open, tell=lambda _: None, journal=Journal())
        self.app = application(self.site, worker_is_alive=lambda: True)
        self.client = TestClient(
            self.app,
            base_url=HERE,
            client=("127.0.0.1", 50_000),
            raise_server_exceptions=False,
        )

    def _open(self) -> Loop:
        world = self.world
        settings = load(world.folder / "labelloop.toml", {})
        return Loop(Project(settings, clock=world.clock, log=world.log, store=world.store))

    def links(self) -> list[str]:
        return [str(d["image"]) for q in ("accuracy", "low") for d in self.world.data(q)]

    def get(self, link: str, **headers: str) -> Any:
        assert link.startswith(f"{HERE}/media/")
        return self.client.get(link.removeprefix(HERE), headers=headers)


@pytest.fixture
def make(make_world: MakeWorld) -> Iterator[Callable[..., Gateway]]:
    made: list[Gateway] = []

    def one(body: bytes = BODY) -> Gateway:
        world = make_world(QUEUES, head=HEAD.replace('blind_uri = "s3://blind"\n', ""))
        for i in range(4):
            world.put(f"class_07/{i}.png", body + bytes([i]), confidence="0.5")
        assert world.loop.run().failures == {}
        made.append(Gateway(world))
        return made[-1]

    yield one
    for gateway in made:
        gateway.site.close()


@pytest.fixture
def gateway(make: Callable[..., Gateway]) -> Gateway:
    return make()


def test_images_of_open_tasks_are_shown_without_copies(gateway: Gateway) -> None:
    links = gateway.links()
    assert len(links) == len(set(links)) == 4
    assert all("class_07" not in link for link in links)
    for link in links:
        answer = gateway.get(link)
        assert answer.status_code == 200
        assert answer.content[:-1] == BODY
        assert answer.headers["content-type"] == "image/png"
    assert all(t.media_uri is None for t in gateway.world.tasks().values()), "blind without copies"


def test_a_second_send_changes_nothing(gateway: Gateway) -> None:
    before = gateway.links()
    gateway.world.clock.pass_(days=5)
    assert gateway.world.loop.send().n_refreshed == 0
    assert gateway.links() == before
    assert gateway.world.loop.send(refresh=True).n_refreshed == 4
    after = gateway.links()
    assert not set(before) & set(after)
    tags = {gateway.get(link).headers["etag"] for link in before + after}
    assert len(tags) == 8, "the same image behind another link can't be told"


def test_another_address_of_the_service_renews_the_links(gateway: Gateway) -> None:
    before = gateway.links()
    gateway.world.configure(QUEUES + "\n[service]\nport = 8600\n")
    gateway.world.loop.send()
    after = gateway.links()
    assert {link.partition("/media/")[0] for link in after} == {"http://127.0.0.1:8600"}
    assert not {link[-32:] for link in before} & {link[-32:] for link in after}


def test_links_die_a_week_after_the_answer(gateway: Gateway) -> None:
    world = gateway.world
    links = gateway.links()
    world.answer_all()
    world.loop.collect()
    assert set(world.states()) == {TaskState.RESOLVED}
    world.clock.pass_(days=6.9)
    assert [gateway.get(link).status_code for link in links] == [200] * 4
    world.clock.pass_(days=0.2)
    assert [gateway.get(link).status_code for link in links] == [404] * 4
    world.loop.send()
    with world.loop.project.ledger.read() as tx:
        assert media_links.find(tx, links[0][-32:]) is None


def test_what_was_forgotten_is_not_shown(gateway: Gateway) -> None:
    links = gateway.links()
    gateway.world.loop.forget([f"class_07/{i}.png" for i in range(4)])
    assert [gateway.get(link).status_code for link in links] == [404] * 4


@pytest.mark.parametrize(
    "token",
    [
        *("", "0" * 32, "x", "0" * 31, "0" * 33, "A" * 32, "../../etc/passwd", "%2e%2e%2fa"),
        *("0" * 5_000, "%00", "%ff", "'; DROP TABLE tasks; --"),
    ],
)
def test_forged_tokens_lead_nowhere(gateway: Gateway, token: str) -> None:
    answer = gateway.client.get(f"/media/{token}")
    assert answer.status_code == 404
    assert answer.json()["kind"] == "error"


def test_no_token_stands_in_the_ledger(gateway: Gateway) -> None:
    files = [f for f in gateway.world.state.iterdir() if f.name.startswith("ledger.db")]
    held = b"".join(f.read_bytes() for f in files)
    assert all(link[-32:].encode() not in held for link in gateway.links())


ALLOWED = {
    *("content-type", "content-length", "etag", "accept-ranges", "cache-control", "vary"),
    *("x-content-type-options", "content-security-policy", "referrer-policy"),
    *("content-disposition", "content-range", "access-control-allow-origin"),
}


def test_headers_say_nothing_of_the_object(gateway: Gateway) -> None:
    answer = gateway.get(gateway.links()[0])
    assert set(answer.headers) <= ALLOWED
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert answer.headers["content-security-policy"].startswith("sandbox")
    assert "class_07" not in str(answer.headers)
    assert md5(answer.content, usedforsecurity=False).hexdigest() not in str(answer.headers)


@pytest.mark.parametrize(
    "body",
    [
        b"<html><script>alert(1)</script></html>",
        b'<svg xmlns="http://www.w3.org/2000/svg" onload="alert(1)"/>',
        b"%!PS",
        b"GIF",
        b"",
    ],
)
def test_what_is_no_raster_image_is_not_shown(gateway: Gateway, body: bytes) -> None:
    for uri, held in list(gateway.world.store.objects_by_uri.items()):
        gateway.world.store.put(uri.removeprefix("s3://production/"), body, tags=held.tags)
    for headers in ({}, {"Range": "bytes=0-3"}):
        answer = gateway.get(gateway.links()[0], **headers)
        assert answer.status_code == 415
        assert body not in answer.content or not body


def test_label_studio_s_pages_may_read_it_and_no_others(gateway: Gateway) -> None:
    link = gateway.links()[0]
    allowed = gateway.get(link, Origin=LABEL_STUDIO).headers
    assert allowed["access-control-allow-origin"] == LABEL_STUDIO
    for origin in ("http://evil.example", "null", "http://127.0.0.1:90"):
        assert "access-control-allow-origin" not in gateway.get(link, Origin=origin).headers


@pytest.mark.parametrize(
    ("wanted", "status", "part"),
    [
        ("bytes=0-9", 206, slice(10)),
        ("bytes=70000-", 206, slice(70_000, None)),
        ("bytes=-5", 206, slice(-5, None)),
        ("bytes=0-99999999", 206, slice(None)),
        ("bytes=999999999-", 416, slice(0)),
        ("bytes=-0", 416, slice(0)),
        ("bytes=5-2", 416, slice(0)),
        ("bytes=0-1,4-5", 200, slice(None)),
        ("lines=1-2", 200, slice(None)),
        ("bytes=a-b", 200, slice(None)),
    ],
)
def test_ranges(gateway: Gateway, wanted: str, status: int, part: slice) -> None:
    link = gateway.links()[0]
    whole = gateway.get(link).content
    answer = gateway.get(link, Range=wanted)
    assert (answer.status_code, answer.content) == (status, whole[part])
    if status != 200:
        assert answer.headers["content-range"].endswith(f"/{len(whole)}")


def test_a_known_image_is_not_sent_again(gateway: Gateway) -> None:
    link = gateway.links()[0]
    whole = gateway.get(link)
    known = gateway.get(link, **{"If-None-Match": whole.headers["etag"]})
    assert (known.status_code, known.content) == (304, b"")
    assert gateway.get(link, **{"If-None-Match": '"other"'}).content == whole.content
    changed = gateway.get(link, **{"Range": "bytes=0-9", "If-Range": '"other"'})
    assert (changed.status_code, changed.content) == (200, whole.content)
    head = gateway.client.head(link.removeprefix(HERE))
    assert (head.headers["content-length"], head.content) == (str(len(whole.content)), b"")


def test_an_encoded_image_is_shown_without_its_encoding(gateway: Gateway) -> None:
    store = gateway.world.store
    for uri, held in list(store.objects_by_uri.items()):
        encoded = replace(held, body=gzip.compress(held.body), content_encoding="gzip")
        store.objects_by_uri[uri] = encoded
    for headers in ({}, {"Range": "bytes=0-9"}):
        answer = gateway.get(gateway.links()[0], **headers)
        assert (answer.status_code, answer.content[:-1]) == (200, BODY)
        assert "content-encoding" not in answer.headers


def test_a_store_that_is_down_is_said(gateway: Gateway) -> None:
    def down(call: str, uri: str) -> None:
        raise StoreUnavailable("secret-host is down")

    gateway.world.store.before = down  # type: ignore[method-assign, assignment]
    answer = gateway.get(gateway.links()[0])
    assert answer.status_code == 503
    assert "secret-host" not in answer.text
    assert answer.headers["retry-after"]


def test_an_input_that_is_gone_is_said(gateway: Gateway) -> None:
    gateway.world.store.objects_by_uri.clear()
    answer = gateway.get(gateway.links()[0])
    assert answer.status_code == 404
    assert "gone" in answer.json()["result"]["error"]


def test_a_store_that_hangs_holds_up_images_alone(
    gateway: Gateway, monkeypatch: pytest.MonkeyPatch
) -> None:
    go_on = threading.Event()
    gateway.world.store.before = lambda _call, _uri: go_on.wait(30)  # type: ignore[method-assign, assignment]
    link = gateway.links()[0].removeprefix(HERE)
    with gateway.client as client:
        waiting = [threading.Thread(target=client.get, args=(link,)) for _ in range(60)]
        for each in waiting:
            each.start()
        began = time.monotonic()
        assert client.get("/api/v1/status").status_code == 200
        assert client.get("/healthz").status_code == 200
        took_s = time.monotonic() - began
        go_on.set()
        for each in waiting:
            each.join()
    assert took_s < 5


def test_a_gateway_without_an_address_is_refused(make_world: MakeWorld) -> None:
    world = make_world()
    for service in ('host = "0.0.0.0"', "port = 0"):
        with pytest.raises(ConfigError, match=r"'gateway' needs \[service\] public_url"):
            world.configure(QUEUES, head=HEAD + f"\n[service]\n{service}\n")


# --- behind nginx ---------------------------------------------------------------------------------

BEHIND = """
[service]
x_accel = "/labelloop-images/"
[service.auth]
trusted_proxies = ["10.0.0.1"]
"""


def test_nginx_sends_the_images_of_a_folder_and_nobody_else_learns_where_they_lie(
    gateway: Gateway,
) -> None:
    world = gateway.world
    links = gateway.links()
    file = world.folder / "labelloop.toml"
    file.write_text(file.read_text() + BEHIND)
    gateway.site.reload()
    proxy = TestClient(gateway.app, base_url=HERE, client=("10.0.0.1", 50_000))
    path = links[0].removeprefix(HERE)
    assert proxy.get(path).content[:-1] == BODY, "a bucket's images are sent from here"
    world.store.inline = True  # as a folder is
    told = proxy.get(path, headers={"Range": "bytes=0-9"})
    assert told.headers["x-accel-redirect"].startswith("/labelloop-images/class_07/")
    assert (told.content, told.headers["content-type"]) == (b"", "image/png")
    known = proxy.get(path, headers={"If-None-Match": told.headers["etag"]})
    assert known.status_code == 304
    assert "x-accel-redirect" not in known.headers
    for answer in (gateway.get(links[0]), proxy.head(path)):
        assert "x-accel-redirect" not in answer.headers
        assert answer.headers["content-length"] == str(len(BODY) + 1)
    unknown = proxy.get("/media/" + "0" * 32)
    assert (unknown.status_code, "open the page" in unknown.json()["result"]["remedy"]) == (
        404,
        True,
    )


def test_x_accel_needs_a_trusted_proxy(gateway: Gateway) -> None:
    file = gateway.world.folder / "labelloop.toml"
    file.write_text(file.read_text() + '\n[service]\nx_accel = "/images/"\n')
    with pytest.raises(ConfigError, match="trusted_proxies is empty"):
        load(file, {})


def test_what_no_raster_image_is_isn_t_handed_to_nginx(make: Callable[..., Gateway]) -> None:
    gateway = make(b"<svg>")
    file = gateway.world.folder / "labelloop.toml"
    file.write_text(file.read_text() + BEHIND)
    gateway.site.reload()
    gateway.world.store.inline = True
    proxy = TestClient(gateway.app, base_url=HERE, client=("10.0.0.1", 50_000))
    assert proxy.get(gateway.links()[0].removeprefix(HERE)).status_code == 415
