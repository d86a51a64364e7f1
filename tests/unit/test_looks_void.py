"""Who saw what the model said of a sample gives no blind answer to it any more."""

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from labelloop.core.annotation import Standing
from labelloop.core.task import TaskState
from labelloop.ledger import annotations
from labelloop.ledger.rounds import DrawWithLabel
from labelloop.loop import Loop
from labelloop.project import Project
from labelloop.settings.file import load
from labelloop.web import links
from tests.served import Service
from tests.unit.test_labelling_page import PAGE, desk_of, label
from tests.unit.test_samples import Seen, look
from tests.world import ACCURACY, World

LOOKS = ACCURACY.replace("5", "20") + "second_look = true\n"
HTML = {"Accept": "text/html"}


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    world = World(tmp_path, LOOKS)
    world.annotator.members = ["ana", "ben", "eve"]
    world.traffic(20, predicted_class="dog")
    world.loop.run()
    yield world
    world.loop.close()


@pytest.fixture
def service(world: World) -> Iterator[Seen]:
    made = Seen(world)
    yield made
    made.site.close()


def one(world: World, at: int = 0) -> DrawWithLabel:
    return sorted(world.draws("accuracy"), key=lambda d: d.task_key)[at]


def remote(world: World, draw: DrawWithLabel) -> str:
    remote_id = world.task(draw.sample_id, "evaluation").remote_id
    assert remote_id is not None
    return remote_id


def turn(world: World) -> None:
    world.clock.pass_(minutes=5)
    world.loop.collect()
    world.loop.send()


def standings(world: World, task_key: str) -> list[Standing]:
    with world.loop.project.ledger.read() as tx:
        return [a.standing for a in annotations.latest(tx, [task_key]).get(task_key, [])]


def seen_by(world: World, service: Service, draw: DrawWithLabel, name: str, **said: str) -> None:
    client = service.bearer(name, "read", "operate")
    assert look(client, links.sample(draw.sample_id), **said).status_code == 200
    world.clock.pass_(minutes=5)


def test_an_answer_after_a_look_counts_as_none_and_somebody_else_is_asked(
    world: World, service: Seen
) -> None:
    draw = one(world)
    seen_by(world, service, draw, "Ana@labelloop.invalid")
    task = remote(world, draw)
    world.annotator.answer(task, "dog", by="ana")
    world.clock.pass_(minutes=5)
    collected = world.loop.collect()
    assert (collected.n_labels, collected.n_void) == (0, 1)
    world.loop.send()
    assert one(world).label is None
    assert standings(world, draw.task_key) == [Standing.VOID]
    assert world.task(draw.sample_id, "evaluation").state is TaskState.SENT
    offered = world.annotator.offered(world.project_ref("accuracy"), by="ben")
    assert task in offered
    assert world.loop.measure().last_seven_days.n_labelled == 0
    assert world.loop.status().n_void == {"ana": 1}
    client = service.bearer("lead", "read", "operate")
    assert "had looked at what the model said" in client.get("/people", headers=HTML).text
    assert "looked at what the model said" in client.get("/activity", headers=HTML).text
    world.annotator.answer(task, "cat", by="ben")
    turn(world)
    assert one(world).label == "cat"
    assert sorted(standings(world, draw.task_key)) == [Standing.VOID, Standing.VOTE]
    look(client, links.sample(draw.sample_id), annotator="-")
    assert "counts as none" in client.get(links.sample(draw.sample_id), headers=HTML).text
    world.assert_counts()


def test_an_answer_before_the_look_stands_and_an_edit_after_it_does_not(
    world: World, service: Seen
) -> None:
    draw = one(world)
    answer = world.annotator.answer(remote(world, draw), "cat", by="ana")
    turn(world)
    assert one(world).label == "cat"
    assert world.looks(), "it differs, so somebody looks again, and it is still hidden"
    seen_by(world, service, draw, "ana")
    turn(world)
    assert one(world).label == "cat"
    world.annotator.edit(answer, "dog")
    turn(world)
    assert one(world).label is None
    assert standings(world, draw.task_key) == [Standing.VOID]


def test_a_second_look_by_who_saw_the_prediction_is_asked_again(
    world: World, service: Seen
) -> None:
    draw = one(world)
    world.annotator.answer(remote(world, draw), "cat", by="ana")
    turn(world)
    seen_by(world, service, draw, "ben")
    task = world.looks()[draw.sample_id, 1]
    assert task.remote_id is not None
    world.annotator.answer(task.remote_id, "dog", by="ben")
    turn(world)
    assert world.looks()[draw.sample_id, 1].state is TaskState.SENT
    assert world.loop.status().n_void == {"ben": 1}
    assert world.loop.status().n_wasted == {}
    assert task.remote_id in world.annotator.offered(world.project_ref("accuracy"), by="eve")
    world.annotator.answer(task.remote_id, "cat", by="eve")
    turn(world)
    assert world.looks()[draw.sample_id, 1].state is TaskState.RESOLVED


def test_who_has_another_name_there_says_whose_answers_are_theirs(
    world: World, service: Seen
) -> None:
    draw, other = one(world), one(world, 1)
    path = links.sample(draw.sample_id)
    client = service.bearer("ops", "read", "operate")
    asked = client.get(path, headers=HTML).text
    assert "nobody has that name where people answer" in asked
    for wrong in ({}, {"annotator": ""}, {"annotator": "somebody"}):
        assert look(client, path, **wrong).status_code == 400
        assert "dog" not in client.get(path, headers=HTML).text
    assert look(client, path, annotator="eve").status_code == 200
    assert look(client, links.sample(other.sample_id), annotator="-").status_code == 200
    world.clock.pass_(minutes=5)
    for each in (draw, other):
        world.annotator.answer(remote(world, each), "dog", by="eve")
    turn(world)
    assert standings(world, draw.task_key) == [Standing.VOID]
    assert standings(world, other.task_key) == [Standing.VOTE]


def test_without_the_place_where_people_answer_nothing_is_shown(
    world: World, service: Seen
) -> None:
    path = links.sample(one(world).sample_id)
    client = service.bearer("ops", "read", "operate")
    world.annotator.fail_next("accounts", carried_out=False)
    answer = client.get(path, headers=HTML)
    assert answer.status_code == 503
    assert "dog" not in answer.text


def test_an_operator_sees_no_hidden_prediction_on_the_page_of_a_round(
    world: World, service: Seen
) -> None:
    client = service.bearer("ops", "read", "operate")
    text = client.get("/rounds/1", headers=HTML).text
    assert one(world).sample_id in text
    rows = re.findall(r"<tr><td class=\"n\">.*?</tr>", text, re.DOTALL)
    assert len(rows) == 20
    assert not [row for row in rows if "dog" in row]


class OnPage(Service):
    """A service whose people label on the labelling page."""

    def _open(self) -> Loop:
        settings = load(self.world.folder / "labelloop.toml", {})
        world = self.world
        return Loop(Project(settings, clock=world.clock, log=world.log, store=world.store))


def test_on_the_labelling_page_an_account_is_the_person(tmp_path: Path) -> None:
    world = World(tmp_path, LOOKS, head=PAGE)
    world.traffic(20, predicted_class="dog")
    service = OnPage(world)
    with service._open() as loop:
        loop.run(now=True)
        desk = desk_of(loop)
        for person in ("ana", "ben"):
            desk.assign(person, None)
        draw = one(world)
        seen_by(world, service, draw, "ana")
        assert label(desk, "accuracy", "ana", "dog") == 20
        world.clock.pass_(minutes=5)
        loop.collect()
        loop.send()
        assert standings(world, draw.task_key) == [Standing.VOID]
        assert sum(d.label is not None for d in world.draws("accuracy")) == 19
        assert label(desk, "accuracy", "ana", "dog") == 0
        # the first look at this sample, and second looks at some that agree
        assert label(desk, "accuracy", "ben", "dog") >= 1
        world.clock.pass_(minutes=5)
        loop.collect()
        assert one(world).label == "dog"
        assert loop.status().n_void == {"ana": 1}
    service.site.close()
    world.loop.close()
