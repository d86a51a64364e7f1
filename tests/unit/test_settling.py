"""Who leads annotators settles a tie: once, for good, blind, and with their name."""

import json
import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from click.testing import CliRunner, Result
from httpx import Response
from starlette.testclient import TestClient

from labelloop.cli.main import group
from labelloop.core.annotation import SETTLED, Standing
from labelloop.core.task import TaskState
from labelloop.errors import ArgumentError
from labelloop.ledger import annotations, events
from labelloop.ledger.rounds import DrawWithLabel
from labelloop.web import links
from tests.served import refused
from tests.unit.test_looks_void import HTML, one, remote, seen_by, standings, turn
from tests.unit.test_samples import PNG, Seen
from tests.world import ACCURACY, HEAD, LOW, World

PAIR = ACCURACY + "annotators_per_sample = 2\n" + LOW
CLASSES = HEAD.replace('"cat", "dog"', '"cat", "dog", "bird"')


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    world = World(tmp_path, PAIR, head=CLASSES)
    for n in range(8):
        world.put(f"{n}.png", PNG + bytes([n]), predicted_class="bird", confidence="0.5")
    world.loop.run(now=True)
    tie(world, one(world))
    turn(world)
    yield world
    world.loop.close()


@pytest.fixture
def service(world: World) -> Iterator[Seen]:
    made = Seen(world)
    yield made
    made.site.close()


def tie(world: World, draw: DrawWithLabel) -> None:
    for choice, by in (("cat", "ana"), ("dog", "ben")):
        world.annotator.answer(remote(world, draw), choice, by=by)


def settle(client: TestClient, draw: DrawWithLabel, answer: str, **more: str) -> Response:
    """Send a form of the page of ties."""
    proof = re.search(r'name="csrf" content="([^"]+)"', client.get("/queues?show=tied").text)
    assert proof is not None
    fields = {"csrf": proof[1], "answer": answer, "next": "/queues?show=tied", **more}
    return client.post(f"/do/ties/{draw.task_key}/settle", data=fields)


def test_a_decision_is_an_answer_that_holds_whatever_others_say_later(world: World) -> None:
    draw = one(world)
    assert world.task(draw.sample_id, "evaluation").state is TaskState.TIED
    found = world.loop.settle(draw.sample_id, "dog", by="lead")
    assert (found.answer, found.by, found.anew) == ("dog", "lead", True)
    again = world.loop.settle(draw.sample_id, "dog", by="other")
    assert (again.by, again.anew) == ("lead", False)
    assert one(world).label == "dog"
    with world.loop.project.ledger_to_read.read() as tx:
        label = annotations.labels(tx, [draw.task_key])[draw.task_key]
        said = [(e.actor, e.verb, e.detail) for e in events.of(tx, draw.task_key)][-2:]
    assert (label.method, label.annotator) == (SETTLED, "lead")
    assert ("lead", "resolved", "dog") in said
    assert ("lead", "settle", "dog, in place of cat by ana, dog by ben") in said
    turn(world)
    offered = world.annotator.offered(world.project_ref("accuracy"), by="eve")
    assert remote(world, draw) not in offered, "nobody is asked any more"
    world.annotator.answer(remote(world, draw), "cat", by="eve")
    turn(world)
    assert one(world).label == "dog"
    assert sorted(standings(world, draw.task_key)) == [Standing.DECISION, *[Standing.VOTE] * 3]
    assert world.loop.measure().last_seven_days.n_labelled == 1
    assert [p.annotator for p in world.loop.people()] == ["ana", "ben", "eve"]
    world.assert_counts()


def test_a_tie_that_others_settled_meanwhile_says_so(world: World) -> None:
    draw = one(world)
    world.annotator.answer(remote(world, draw), "cat", by="eve")
    world.loop.collect()
    with pytest.raises(ArgumentError, match="there is no disagreement"):
        world.loop.settle(draw.sample_id, "dog", by="lead")
    assert one(world).label == "cat"


def test_a_decision_is_changed_knowingly_alone(world: World) -> None:
    draw = one(world)
    world.loop.settle(draw.sample_id, "dog", by="lead")
    with pytest.raises(ArgumentError, match="lead has settled this tie meanwhile: dog"):
        world.loop.settle(draw.sample_id, "cat", by="other")
    world.clock.pass_(minutes=-1)
    world.loop.settle(draw.sample_id, "bird", by="other", instead_of="dog")
    assert one(world).label == "bird"
    with world.loop.project.ledger_to_read.read() as tx:
        kept = annotations.revisions(tx, [draw.task_key])[draw.task_key]
    assert [a.answer for a in kept if a.standing is Standing.DECISION] == ["dog", "bird"]
    turn(world)
    assert one(world).label == "bird"


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["7.png", "dog"], "there is no disagreement on a sample '7.png'"),
        (["{}", "wolf"], "'wolf' is no class of the project"),
        (["{}", "dog", "--queue", "low"], "in queue 'low'"),
    ],
)
def test_what_is_no_tie_or_no_class_is_refused(
    world: World, arguments: list[str], says: str
) -> None:
    done = settled(world, *[each.format(one(world).sample_id) for each in arguments])
    assert isinstance(done.exception, ArgumentError)
    assert says in str(done.exception)


def settled(world: World, *arguments: str) -> Result:
    config = str(world.folder / "labelloop.toml")
    return CliRunner().invoke(group, ["people", "settle", *arguments, "--config", config])


def test_a_command_settles_a_tie(world: World) -> None:
    sample_id = one(world).sample_id
    done = settled(world, sample_id, "cat", "--by", "lead")
    assert (done.exit_code, done.stdout) == (
        0,
        f"{sample_id} in accuracy is cat now, by decision of lead\n",
    )
    again = settled(world, sample_id, "cat", "--json")
    assert json.loads(again.stdout)["result"]["anew"] is False


@pytest.mark.parametrize("show", ["waiting", "skipped", "tied"])
def test_no_queue_names_a_sample_that_waits_for_a_blind_answer(
    world: World, service: Seen, show: str
) -> None:
    skipped = next(d for d in world.draws("accuracy") if d.task_key != one(world).task_key)
    for person in ("ana", "ben"):
        world.annotator.skip(remote(world, skipped), by=person)
    turn(world)
    text = service.bearer("lead", "read", "operate").get(f"/queues?show={show}", headers=HTML).text
    assert "blind sample" in text
    assert not [d.sample_id for d in world.draws("accuracy") if d.sample_id in text]


def test_the_page_of_ties_shows_answers_and_never_what_the_model_said(
    world: World, service: Seen
) -> None:
    draw = one(world)
    lead = service.bearer("lead", "read", "operate")
    text = lead.get("/queues?show=tied", headers=HTML).text
    card = text.partition(f'id="{draw.task_key}"')[2].partition("</li>")[0]
    assert re.findall(r'<button name="answer" value="(\w+)"', card) == ["cat", "dog"]
    assert draw.sample_id not in text, "a key may hold what the model said"
    assert "<option>bird</option>" in card, "a class of the project, as any other"
    image = lead.get(f"/queues/ties/{draw.task_key}")
    assert image.content.startswith(PNG)
    assert "sandbox" in image.headers["content-security-policy"]
    reader = service.bearer("rita", "read")
    assert "cat" not in reader.get("/queues?show=tied", headers=HTML).text.partition("<main")[2]
    assert reader.get(f"/queues/ties/{draw.task_key}").status_code == 403
    done = settle(lead, draw, "cat")
    assert done.history[0].headers["location"] == "/queues?show=tied&asked=settle"
    assert "The tie is settled" in done.text
    assert one(world).label == "cat"
    assert lead.get(f"/queues/ties/{draw.task_key}").status_code == 404
    assert "settled a tie" in lead.get("/activity", headers=HTML).text
    assert "settles the tie" in lead.get(links.sample(draw.sample_id), headers=HTML).text
    late = settle(service.bearer("late", "read", "operate"), draw, "dog")
    assert late.status_code == 409
    assert "lead has settled this tie meanwhile: cat" in late.json()["result"]["error"]
    assert settle(lead, draw, "cat").status_code == 200, "the same again is harmless"
    assert settle(lead, draw, "bird", instead_of="cat").status_code == 200
    assert one(world).label == "bird"


def test_the_api_settles_a_tie_for_who_may(world: World, service: Seen) -> None:
    draw = one(world)
    path = f"/api/v1/ties/{draw.task_key}/settle"
    assert service.bearer("rita", "read").post(f"{path}?answer=cat").status_code == 403
    lead = service.bearer("lead", "read", "operate")
    assert lead.get("/api/v1/ties").json()["result"][0]["task_key"] == draw.task_key
    assert "no class" in refused(lead.post(path))
    assert "there is no task" in refused(lead.post("/api/v1/ties/x/settle?answer=cat"))
    assert lead.post(f"{path}?answer=cat").json()["result"] == {"action": "settle", "done": True}
    assert one(world).label == "cat"


def test_who_looked_at_what_the_model_said_settles_no_blind_tie(
    world: World, service: Seen
) -> None:
    draw = one(world)
    seen_by(world, service, draw, "lead", annotator="-")
    lead = service.client(Authorization=f"Bearer {service.add('lead2', 'read', 'operate')}")
    with pytest.raises(ArgumentError, match="wouldn't be blind"):
        world.loop.settle(draw.sample_id, "bird", by="lead")
    assert one(world).label is None
    assert settle(lead, draw, "cat").status_code == 200
