"""Nobody learns by the way what the model said of a sample that is still to be answered blind."""

import io
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from itertools import count
from typing import Any
from urllib.parse import quote

import pyarrow.parquet as pq
import pytest
from httpx import Response
from starlette.routing import Route
from starlette.testclient import TestClient

from labelloop.core.task import TaskState
from labelloop.ledger import blindness
from labelloop.ledger.blindness import Hidden
from labelloop.web.api import PREFIX, READINGS
from tests.served import Service
from tests.unit.conftest import MakeWorld
from tests.world import HEAD, LOW, World

CLASSES = HEAD.replace('"cat", "dog"', '"cat", "dog", "bird"')
ACCURACY = """
[[queue]]
name = "accuracy"
purpose = "evaluation"
budget = 6
second_look = true
"""
QUEUES = ACCURACY + LOW


def hidden(world: World) -> Hidden:
    with world.loop.project.ledger_to_read.read() as tx:
        return blindness.hidden(tx)


def blind(world: World) -> set[str]:
    return {d.sample_id for d in world.draws("accuracy")}


def test_a_sample_is_hidden_until_its_blind_answer_is_in(make_world: MakeWorld) -> None:
    world = make_world(QUEUES, head=CLASSES)
    world.traffic(30, predicted_class="cat")
    world.loop.index()
    assert hidden(world) == Hidden(frozenset(), frozenset())
    world.loop.select()
    assert hidden(world).sample_ids == blind(world), "drawn, and not sent yet"
    world.loop.send()
    assert hidden(world).sample_ids == blind(world)
    assert hidden(world).content_hashes == {d.content_hash for d in world.draws("accuracy")}
    world.answer_all("cat")
    world.loop.collect()
    asked_again = {sample_id for sample_id, _ in world.looks()}
    assert hidden(world).sample_ids == asked_again


def test_a_sample_is_hidden_again_while_it_is_looked_at_again(make_world: MakeWorld) -> None:
    world = make_world(QUEUES, head=CLASSES)
    world.annotator.members = ["ana", "bob"]
    world.traffic(30, predicted_class="dog")
    world.loop.run()
    world.answer_all("cat")
    world.loop.collect()
    assert all(task.state is TaskState.DRAWN for task in world.looks().values())
    assert hidden(world).sample_ids == blind(world)


def test_a_twin_of_a_hidden_sample_is_hidden_too(make_world: MakeWorld) -> None:
    world = make_world(QUEUES, head=CLASSES)
    for n in range(3):
        world.put(f"{n}.png", b"the same picture")
    world.loop.run()
    found = hidden(world)
    assert {d.sample_id for d in world.draws("accuracy")} <= found.sample_ids
    (same,) = found.content_hashes
    assert found.has("another.png", same)
    assert not found.has("another.png", "")
    with world.loop.project.ledger_to_read.read() as tx:
        for sample_id in found.sample_ids:
            assert blindness.open_tasks_of(tx, sample_id)


# --- a secret, and the same with another ----------------------------------------------------------

PATHS = (
    *("/", "/now", "/report", "/queues", "/rounds", "/rounds/1", "/models", "/datasets"),
    *("/rounds/1?queue=accuracy", "/rounds/1?queue=low", "/rounds/2"),
    *("/activity", "/activity/rejected", "/metrics"),
    *("/datasets/training/1/manifest.parquet", "/datasets/evaluation/1/manifest.parquet"),
    f"{PREFIX}/service",
    *(PREFIX + r.path for r in READINGS if r.scope == "read"),
    f"{PREFIX}/measure?since=2026-03-02",
    f"{PREFIX}/measure?since=2026-03-02&until=2026-03-03",
    "/samples",
    *(
        f"/samples?{asked}"
        for asked in (
            "among=picks",
            "predicted=dog",
            "predicted=bird&among=picks",
            "outcome=open",
            "outcome=wrong",
            "outcome=right",
            "class=cat",
            "queue=accuracy",
            "round=1",
            "from=2026-03-01&to=2026-03-03",
            "confidence_from=0.5&confidence_to=0.95",
            "flagged=1",
            "where=predicted_class+=+'dog'",
            "where=predicted_class+=+'dog'&among=picks",
            "where=sample_id+like+'%25'+and+predicted_class+<>+'cat'",
        )
    ),
)
"""All that a reader may ask; with every filter."""


TELLS_NOTHING = re.compile(
    r"/(healthz|readyz|login|static/.*|media/.*|s/.*|webhooks/.*|label.*|join.*)|.*/openapi.json"
)
"""Not of samples, or not to who may read: people who label are given blind items, which have a test.

A snapshot shows less than /report does, which is asked for.
"""

NUMBERS = count()


@contextmanager
def service_of(world: World) -> Iterator[tuple[Service, TestClient]]:
    service = Service(world)
    try:
        yield service, service.bearer(f"reader {next(NUMBERS)}", "read")
    finally:
        service.site.close()


def answers(world: World, paths: tuple[str, ...]) -> dict[str, Any]:
    with service_of(world) as (_, client):
        found = {path: client.get(path) for path in paths}
        assert {answer.status_code for answer in found.values()} <= {
            200,
            404,
            503,
        }  # no store, in the end
        said = {path: _said(answer) for path, answer in found.items()}
        return {path: _same_everywhere(repr(each), world) for path, each in said.items()}


def _said(answer: Response) -> tuple[object, ...]:
    """An answer; of a manifest its rows, since the file holds the place of the project, compressed."""
    if answer.content.startswith(b"PAR1"):
        return (answer.status_code, pq.read_table(io.BytesIO(answer.content)).to_pylist())
    return (answer.status_code, dict(answer.headers), answer.text)


def _same_everywhere(said: str, world: World) -> str:
    """What was said, without the place of the project and without random ids of events."""
    chance = r'evt_[0-9a-f]{24}|reader \d+|name="csrf" (value|content)="[^"]*"'
    return re.sub(chance, "", said.replace(str(world.folder), ""))


def test_everything_that_a_reader_may_ask_is_asked(make_world: MakeWorld) -> None:
    world = make_world(QUEUES, head=CLASSES)
    world.loop.index()
    asked = {path.partition("?")[0] for path in PATHS} | {"/samples/a"}
    with service_of(world) as (service, client):
        unasked = [
            route.path
            for route in service.app.routes
            if isinstance(route, Route) and "GET" in (route.methods or ())
            if not TELLS_NOTHING.fullmatch(route.path)
            if not any(route.path_regex.match(path) for path in asked)
        ]
        assert [path for path in unasked if client.get(path).status_code != 403] == []


@pytest.fixture
def make_twice(make_world: MakeWorld) -> Callable[..., tuple[World, World, str, str]]:
    """Makes two projects that differ in which of two samples drawn blind was called dog, and which bird."""

    def make(begin: Callable[[World], None]) -> tuple[World, World, str, str]:
        made = make_world(QUEUES, head=CLASSES)
        made.traffic(30, predicted_class="cat", confidence="0.9")
        made.loop.run()
        a, b, *_ = sorted(blind(made))
        worlds = []
        for said in (("dog", "bird"), ("bird", "dog")):
            world = make_world(QUEUES, head=CLASSES)
            world.traffic(30, predicted_class="cat", confidence="0.9")
            world.retag(a, predicted_class=said[0])
            world.retag(b, predicted_class=said[1])
            begin(world)
            assert {a, b} <= hidden(world).sample_ids
            worlds.append(world)
        return worlds[0], worlds[1], a, b

    return make


def run(world: World) -> None:
    world.loop.run()


def run_and_answer(world: World) -> None:
    world.annotator.members = ["ana", "bob"]
    world.loop.run()
    world.answer_all("cat")
    world.loop.run()


@pytest.mark.parametrize(
    "begin", [run, run_and_answer], ids=["unanswered", "to be looked at again"]
)
def test_readers_are_told_nothing_of_a_hidden_prediction(
    make_twice: Any, begin: Callable[[World], None]
) -> None:
    one, other, a, b = make_twice(begin)
    own = [f"/samples/{quote(s, safe='')}{end}" for s in (a, b) for end in ("", "?image=1")]
    paths = (*PATHS, *own)
    first, second = answers(one, paths), answers(other, paths)
    assert first == second
    for path in own:
        assert first[path].startswith("(404")
    for world in (one, other):  # and once they are answered, it can be seen that they differ
        settle(world)
        assert not {a, b} & hidden(world).sample_ids
    told = (own[0], "/samples?predicted=dog", "/samples?where=predicted_class+=+'dog'")
    first, second = answers(one, told), answers(other, told)
    for path in told:
        assert first[path] != second[path]


def settle(world: World) -> None:
    """Everybody answers until nobody is asked any more."""
    for who in ("bob", "eve", "dan") if world.looks() else ("ana", "bob", "eve", "dan"):
        world.answer_all("cat", by=who)
        world.loop.run()


def test_a_reader_measures_whole_days_only(make_world: MakeWorld) -> None:
    world = make_world(QUEUES, head=CLASSES)
    world.traffic(30)
    world.loop.run()
    with service_of(world) as (service, client):
        path = f"{PREFIX}/measure?since=2026-03-02T11:59:59Z"
        answer = client.get(path)
        assert answer.status_code == 403
        assert "whole days" in answer.json()["result"]["remedy"]
        assert client.get(f"{PREFIX}/measure?since=2026-03-02").status_code == 200
        assert service.bearer("ann", "read", "operate").get(path).status_code == 200
