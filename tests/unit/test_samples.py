"""/samples and /samples/{id}: what people look for, and the story of one sample."""

import re
from collections.abc import Iterator
from urllib.parse import quote

import pytest
from httpx import Response
from starlette.testclient import TestClient

from labelloop.ledger import events, seen
from labelloop.loop import Loop
from labelloop.project import Project
from labelloop.settings.file import load
from labelloop.views.samples import PAGE
from labelloop.web import links
from labelloop.web.pages_samples import asked_for
from tests.served import Service
from tests.unit.conftest import MakeWorld
from tests.world import HEAD, QUEUES, World

HTML = {"Accept": "text/html"}
PNG = b"\x89PNG\r\n\x1a\n" + b"\0" * 40


class Seen(Service):
    """A service whose store can be reached."""

    def _open(self) -> Loop:
        settings = load(self.world.folder / "labelloop.toml", {})
        world = self.world
        return Loop(
            Project(
                settings,
                clock=world.clock,
                log=world.log,
                store=world.store,
                annotator=world.annotator,
            )
        )


@pytest.fixture
def world(make_world: MakeWorld) -> World:
    return make_world(QUEUES, head=HEAD)


@pytest.fixture
def service(world: World) -> Iterator[Seen]:
    made = Seen(world)
    yield made
    made.site.close()


def ids(text: str) -> list[str]:
    """The samples that a page shows, in their order."""
    return re.findall(r'<img src="/samples/([^"?]+)\?image=small"', text)


def labelled(world: World) -> None:
    world.traffic(30)
    world.loop.run()
    world.answer_all("cat")
    world.loop.run()


def test_traffic_is_paged_by_place_and_misses_nothing(world: World, service: Seen) -> None:
    keys = world.traffic(PAGE * 2 + 5)
    world.loop.index()
    client = service.client()
    found: list[str] = []
    path: str | None = "/samples"
    while path:
        text = client.get(path).text
        found += ids(text)
        older = re.search(r'rel="next" href="([^"]+)"', text)
        path = older[1].replace("&amp;", "&") if older else None
    assert sorted(found) == sorted(quote(key, safe="") for key in keys)
    assert "SampleFilter" not in client.get("/samples").text
    assert f"{len(keys)} predictions in all traffic" in client.get("/samples").text


def test_picks_are_found_by_what_people_said_of_them(world: World, service: Seen) -> None:
    labelled(world)
    client = service.client()
    draws = world.draws()
    for asked, expected in (
        ("among=picks", draws),
        ("queue=accuracy", [d for d in draws if d.queue == "accuracy"]),
        ("round=1", draws),
        ("round=7", []),
        ("outcome=wrong", [d for d in draws if d.label and d.label != d.predicted_class]),
        (
            "outcome=right&queue=low",
            [d for d in draws if d.queue == "low" and d.label == d.predicted_class],
        ),
        ("class=cat&predicted=dog", [d for d in draws if d.label and d.predicted_class == "dog"]),
        ("class=dog", []),
        (
            "queue=low&where=confidence+<+0.4",
            [
                d
                for d in draws
                if d.queue == "low" and d.confidence is not None and d.confidence < 0.4
            ],
        ),
        ("among=picks&from=2026-03-02&to=2026-03-02", draws),
        ("among=picks&to=2026-03-01", []),
    ):
        text = client.get(f"/samples?{asked}").text
        assert sorted(ids(text)) == sorted(quote(d.sample_id, safe="") for d in expected), asked
        assert (f"{len(expected)} picks" in text) == bool(expected), asked


@pytest.mark.parametrize(
    ("asked", "says"),
    [
        ("where=confidence", "not a condition"),
        ("where=exists(select+1)", "where"),
        ("where=secret+=+1", "unknown column"),
        ("where='", "isn&#39;t a condition"),
        ("confidence_from=2", "a number from 0 to 1"),
        ("confidence_from=nan", "a number from 0 to 1"),
        ("round=-1", "the number of a round"),
        ("round=" + "9" * 40, "the number of a round"),
        ("from=yesterday", "write a day"),
        ("to=9999-12-31", "write a day"),
        ("outcome=perhaps", "right, wrong or open"),
        ("among=%3Cscript%3E", "traffic or picks"),
        ("queue=low&where=size_bytes+>+3", "kept of picks"),
    ],
)
def test_what_is_no_filter_is_said_beside_its_field(service: Seen, asked: str, says: str) -> None:
    answer = service.client().get(f"/samples?{asked}", headers=HTML)
    assert answer.status_code in {200, 400}
    assert says in answer.text
    assert 'aria-invalid="true"' in answer.text
    assert "<script>" not in answer.text


@pytest.mark.parametrize("after", ["x", "-1", "1.", "9" * 30, "1.2.3", "../..", "7"])
def test_a_place_that_no_page_gave_is_refused(service: Seen, after: str) -> None:
    assert service.client().get(f"/samples?after={after}").status_code in {400, 200}
    assert service.client().get(f"/samples?among=picks&after={after}").status_code in {400, 200}


def test_the_story_of_a_sample_is_whole(world: World, service: Seen) -> None:
    labelled(world)
    draw = next(d for d in world.draws("low") if d.label)
    world.retag(draw.sample_id, corrected_class="dog")
    text = service.client().get(links.sample(draw.sample_id), headers=HTML).text
    for said in (draw.sample_id, draw.model, "low", "cat", "ana@labelloop.invalid", "resolved"):
        assert said in text, said
    held = re.sub(r"<[^>]+>", "", text.partition("Datasets that hold it")[2])
    assert "training v2: cat, by people" in held
    read = service.bearer("reader", "read").get(links.sample(draw.sample_id)).text
    assert "person 1" in read
    assert "ana@" not in read
    assert "Open the task" in text
    assert "Open the task" not in read


@pytest.mark.parametrize(
    "sample_id", ["nothing", "../../etc/passwd", "..", "%00", "a\x00b", "'; drop table", "é" * 500]
)
def test_an_unknown_sample_is_not_found(service: Seen, sample_id: str) -> None:
    for end in ("", "?image=1"):
        answer = service.client().get(f"/samples/{quote(sample_id, safe='')}{end}")
        assert answer.status_code in {200, 404}
        assert "root:" not in answer.text


def test_a_forgotten_sample_is_gone(world: World, service: Seen) -> None:
    labelled(world)
    sample_id = world.draws("low")[0].sample_id
    world.loop.forget([sample_id])
    answer = service.client().get(links.sample(sample_id))
    assert answer.status_code == 410
    assert sample_id not in answer.text
    assert quote(sample_id, safe="") not in service.client().get("/samples?among=picks").text


def test_an_image_is_bytes_that_can_do_nothing(world: World, service: Seen) -> None:
    world.put("a.png", PNG)
    world.put("b.svg", b"<svg xmlns='http://www.w3.org/2000/svg'><script>1</script></svg>")
    world.loop.index()
    client = service.client()
    answer = client.get("/samples/a.png?image=1")
    assert answer.content == PNG
    assert answer.headers["content-type"] == "image/png"
    assert "sandbox" in answer.headers["content-security-policy"]
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert "private" in answer.headers["cache-control"]
    assert not [name for name in answer.headers if name.startswith("x-amz")]
    assert client.get("/samples/b.svg?image=1").status_code == 415
    world.store.objects_by_uri.clear()
    assert client.get("/samples/a.png?image=1").status_code == 404
    assert client.get("/samples").status_code == 200, "the numbers show all the same"


def look(client: TestClient, path: str, **fields: str) -> Response:
    """Send the form by which an operator looks at a sample."""
    proof = re.search(r'name="csrf" content="([^"]+)"', client.get(path).text)
    assert proof is not None
    return client.post(path, data={"csrf": proof[1], **fields})


def test_an_operators_look_is_recorded_before_it_shows_anything(
    world: World, service: Seen
) -> None:
    world.traffic(30, predicted_class="dog")
    world.loop.run()
    (draw, *_) = world.draws("accuracy")
    path = links.sample(draw.sample_id)
    client = service.bearer("ann@example.com", "read", "operate")
    assert client.get(f"{path}?image=1").status_code == 404
    before = client.get(path).text
    assert "check the sample_id" in client.get(links.sample("nosuch.png")).text
    assert "waits for a blind answer" in before
    assert "dog" not in before
    assert client.post(path).status_code == 403, "the form of another page"
    assert look(client, path).history[0].status_code == 303
    assert "dog" in client.get(path).text
    with world.loop.project.ledger.read() as tx:
        (looked,) = [e for e in events.of(tx, draw.task_key) if e.verb == seen.LOOKED]
    assert looked.actor == "ann@example.com"
    other = service.bearer("bob@example.com", "read", "operate")
    assert "dog" not in other.get(path).text, "each looks for themselves"
    reader = service.bearer("rita", "read")
    assert reader.get(path).status_code == 404
    assert reader.post(path).status_code == 403


def test_a_day_is_one_of_the_project() -> None:
    found = asked_for({"from": "2026-03-01", "to": "2026-03-01"}, "Europe/Zurich").wanted
    assert found.since is not None
    assert found.until is not None
    assert (found.since.isoformat(), found.until.isoformat()) == (
        "2026-02-28T23:00:00+00:00",
        "2026-03-01T23:00:00+00:00",
    )
