"""Links to a report as it was at a moment: what they show, to whom, and for how long."""

import json
import re
from datetime import timedelta

import pytest
from click.testing import CliRunner
from starlette.testclient import TestClient

from labelloop.cli.main import group
from labelloop.errors import ArgumentError
from labelloop.ledger import events, snapshots
from labelloop.pages import report
from labelloop.web.api import PREFIX
from labelloop.web.attempts import N_ATTEMPTS
from tests.served import HERE, PROXIED, Service
from tests.unit.conftest import MakeService, MakeWorld
from tests.world import QUEUES

HTML = {"Accept": "text/html"}


def link(service: Service, *, days: float = 7, note: str = "") -> str:
    """The path of a new link."""
    with service.site.own_loop() as loop:
        made = loop.make_snapshot(timedelta(days=days), note=note, by="ann")
    return "/s/" + made.url.rpartition("/")[2]


def by_form(service: Service, client: TestClient, **fields: str) -> str:
    proof = re.search(r'name="csrf" value="(\w+)"', client.get("/snapshots").text)
    assert proof
    answer = client.post("/snapshots", data={"csrf": proof[1], "days": "3", **fields})
    assert answer.status_code == 200, answer.text
    found = re.search(r"/s/[0-9a-f]{32}", answer.text)
    assert found
    return found[0]


def test_a_link_shows_the_numbers_of_its_moment_to_anybody(service: Service) -> None:
    client = service.bearer("ann", "read", "operate")
    path = by_form(service, client, note="the board")
    anybody = service.client(**HTML)
    assert anybody.get("/report").status_code == 401
    first = anybody.get(path)
    assert first.status_code == 200
    assert "<svg" in first.text
    assert "don't change" in first.text
    service.world.clock.pass_(days=1)
    service.world.traffic(30)
    service.world.loop.run()
    service.world.answer_all("dog")
    service.world.loop.run()
    service.site.forget_results()
    assert client.get("/report").text != first.text
    assert anybody.get(path).content == first.content


def test_the_answer_keeps_out_of_caches_and_search_engines(service: Service) -> None:
    answer = service.client().get(link(service))
    assert answer.headers["cache-control"] == "no-store"
    assert answer.headers["referrer-policy"] == "no-referrer"
    assert answer.headers["x-robots-tag"] == "noindex, nofollow"
    assert '<meta name="robots" content="noindex, nofollow">' in answer.text
    policy = answer.headers["content-security-policy"]
    assert "script-src" not in policy
    assert "default-src 'none'" in policy
    assert "set-cookie" not in answer.headers


def test_a_snapshot_tells_of_no_sample_person_or_slice(make_world: MakeWorld) -> None:
    world = make_world(QUEUES.replace("budget = 5", "budget = 150"))
    world.traffic(100, predicted_class="dog", site="ward of Dr. Bovary")
    world.traffic(100, predicted_class="cat", site="elsewhere")
    world.loop.run()
    world.answer_all("cat", by="emma.bovary@example.com")
    world.loop.run()
    quality = world.loop.report()
    told = report.page(quality)
    assert "emma.bovary" in told
    assert "Dr. Bovary" in told, "else the test below says nothing"
    service = Service(world)
    client = service.bearer("ann", "read", "operate")
    text = service.client().get(by_form(service, client, note="Charles")).text
    assert f"{quality.measured.last_seven_days.n_labelled:,}" in text
    keys = [d.sample_id for d in world.draws("accuracy")]
    assert len(keys) > 100
    for secret in (*keys, "class_01", ".png", "bovary", "Bovary", "ann", "Charles", "s3://"):
        assert not re.search(rf"\b{re.escape(secret)}\b", text), secret
    for tag in ("<img", "<image", "<script", "<a ", "<link", "url("):
        assert tag not in text
    service.site.close()


@pytest.mark.parametrize("accept", ["text/html", "application/json"])
def test_links_that_open_nothing_are_all_alike(service: Service, accept: str) -> None:
    expired, revoked, late = link(service, days=1), link(service), link(service)
    service.world.clock.pass_(days=1)
    with service.site.own_loop() as loop:
        assert loop.revoke_snapshot(2, by="ann")
        assert not loop.revoke_snapshot(2, by="ann")
    service.add("ann", "read")
    client = service.client(Accept=accept)
    token = late.rpartition("/")[2]
    forged = [f"/s/{said}" for said in ("0" * 32, "x", "é" * 32, token[:-1], token.upper() + "0")]
    found = [client.get(path) for path in (expired, revoked, *forged)]
    assert {a.status_code for a in found} == {404}
    assert len({re.sub(r"<time.*?</time>", "", a.text) for a in found}) == 1
    assert len({str(sorted(a.headers.items())) for a in found}) == 1
    assert "expired, or was revoked" in found[0].text
    assert found[0].headers["x-robots-tag"] == "noindex, nofollow"
    assert found[0].headers["referrer-policy"] == "no-referrer"
    assert client.get(late).status_code == 200


def test_wrong_links_are_limited_by_address(make_service: MakeService) -> None:
    service = make_service(PROXIED)
    right = link(service)
    proxy = service.client("https://loop.example.com", peer="10.1.2.3")
    guesser = {"X-Forwarded-For": "9.9.9.9"}
    for n in range(N_ATTEMPTS):
        assert proxy.get(f"/team/s/{n:032x}", headers=guesser).status_code == 404
    answer = proxy.get(f"/team{right}", headers=guesser)
    assert answer.status_code == 429
    assert int(answer.headers["retry-after"]) > 0
    assert proxy.get(f"/team{right}", headers={"X-Forwarded-For": "9.9.9.8"}).status_code == 200


def test_openings_are_counted_and_listed_and_links_revoked(service: Service) -> None:
    client = service.bearer("ann", "read", "operate")
    path = by_form(service, client, note="<b>the board</b>")
    anybody = service.client()
    for _ in range(3):
        assert anybody.get(path).status_code == 200
    assert anybody.head(path).status_code == 200
    [listed] = client.get(f"{PREFIX}/snapshots").json()["result"]
    assert (listed["n_opened"], listed["made_by"]) == (3, "ann")
    assert path.rpartition("/")[2] not in json.dumps(listed)
    page = client.get("/snapshots", headers=HTML).text
    assert "&lt;b&gt;the board" in page
    proof = re.search(r'name="csrf" value="(\w+)"', page)
    assert proof
    sent = {"csrf": proof[1], "next": "/snapshots"}
    answer = client.post(f"/do/snapshots/{listed['id']}/revoke", data=sent)
    assert "opens nothing any more" in answer.text
    assert "revoked " in answer.text
    assert anybody.get(path).status_code == 404
    with service.world.loop.project.ledger.read() as tx:
        found = [(e.actor, e.verb) for e in events.of(tx, f"snapshot:{listed['id']}")]
        assert snapshots.every(tx)[0].n_opened == 3
    assert found == [("ann", "make"), ("ann", "revoke")]


def test_of_a_link_only_the_hash_is_kept(service: Service) -> None:
    path = by_form(service, service.client(), note="x")
    token = path.rpartition("/")[2].encode()
    files = [f for f in service.world.state.iterdir() if f.name.startswith("ledger.db")]
    assert all(token not in f.read_bytes() for f in files)
    assert token.decode() not in "".join(service.lines)


def test_the_page_of_a_revoked_or_expired_link_is_deleted(service: Service) -> None:
    from labelloop.ledger import tables as t

    link(service, days=1)
    link(service)
    with service.site.own_loop() as loop:
        loop.revoke_snapshot(2, by="ann")
    service.world.clock.pass_(days=1)
    link(service)
    with service.world.loop.project.ledger.read() as tx:
        pages = [bool(r.page) for r in tx.execute(t.snapshots.select().order_by(t.snapshots.c.id))]
    assert pages == [False, False, True]


@pytest.mark.parametrize("scopes", [("read",), ("label",), ()])
def test_who_may_not_operate_makes_no_link(service: Service, scopes: tuple[str, ...]) -> None:
    service.add("ann", "read", "operate")
    client = service.bearer("bob", *scopes) if scopes else service.client()
    expected = 403 if scopes else 401
    assert client.get("/snapshots").status_code == expected
    assert client.get(f"{PREFIX}/snapshots").status_code == expected
    assert client.post("/snapshots", data={"days": "1"}).status_code == expected
    assert client.post(f"{PREFIX}/snapshots/1/revoke").status_code == expected
    with service.world.loop.project.ledger.read() as tx:
        assert snapshots.every(tx) == []


@pytest.mark.parametrize(
    "days", ["0", "367", "-1", "x", "", "1e2", "9" * 400, "0" * 8 + "1" * 20, "１"]
)
def test_a_link_lasts_a_year_at_most(service: Service, days: str) -> None:
    client = service.client(**HTML)
    proof = re.search(r'name="csrf" value="(\w+)"', client.get("/snapshots").text)
    assert proof
    answer = client.post("/snapshots", data={"csrf": proof[1], "days": days})
    assert answer.status_code == 400
    assert "1 to 366" in answer.text


def test_a_link_to_nothing_is_not_made(make_world: MakeWorld) -> None:
    with pytest.raises(ArgumentError, match="nothing to show yet"):
        make_world().loop.make_snapshot(timedelta(days=1), by="ann")
    for days, said in ((0, "can't last 0 days"), (367, "can't last 367 days")):
        with pytest.raises(ArgumentError, match=said) as caught:
            make_world().loop.make_snapshot(timedelta(days=days), by="ann")
        assert caught.value.remedy == "choose more than 0 seconds, and at most 366 days"


@pytest.mark.parametrize("snapshot", ["7", "x", "9" * 30, "0", "-1"])
def test_a_snapshot_that_is_not_there_is_not_revoked(service: Service, snapshot: str) -> None:
    answer = service.client().post(f"{PREFIX}/snapshots/{snapshot}/revoke")
    assert answer.status_code in {400, 404}
    assert "no snapshot" in answer.text


def test_links_are_made_listed_and_revoked_by_command(
    service: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = ["--config", str(service.world.folder / "labelloop.toml")]
    service.world.loop.close()

    def call(*arguments: str) -> str:
        done = CliRunner().invoke(group, ["snapshot", *arguments, *config])
        assert done.exit_code == 0, done.output
        return done.stdout

    assert "no snapshots" in call("list")
    url = call("make", "--note", "board", "--expires", "3 days").strip()
    assert re.fullmatch(rf"{HERE}/s/[0-9a-f]{{32}}", url)
    made = json.loads(call("make", "--json"))["result"]
    assert made["url"].startswith(f"{HERE}/s/")
    assert "board" in call("list")
    assert "is revoked" in call("revoke", "1")
    assert "revoked before" in call("revoke", "1")
    assert [s["revoked_at"] is None for s in json.loads(call("list", "--json"))["result"]] == [
        True,
        False,
    ]
    done = CliRunner().invoke(group, ["snapshot", "make", "--expires", "soon", *config])
    assert done.exit_code == 1
