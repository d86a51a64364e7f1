"""The loop around the verbs, over a project in memory."""

import io
import json
import resource
from collections.abc import Callable
from datetime import timedelta

import pytest

from labelloop.core.due import VERBS, VerbState
from labelloop.core.task import TaskState
from labelloop.errors import ArgumentError, Stopped, StoreUnavailable
from labelloop.ledger import pauses, rounds, verb_states
from labelloop.loop import Loop
from labelloop.project import Project
from labelloop.service.journal import Journal
from labelloop.service.schedule import Schedule
from tests.unit.conftest import MakeWorld
from tests.world import HEAD, QUEUES, World


class Service:
    """A schedule over a world, and what it wrote."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.written = io.StringIO()
        journal = Journal(as_json=True, to=lambda: self.written, now=world.clock.now)
        self.schedule = Schedule(world.loop, journal)

    def turn(self, *, hinted: bool = False) -> tuple[str, ...]:
        verbs = self.schedule.due(hinted=hinted)
        self.schedule.do(verbs)
        return verbs

    def lines(self) -> list[dict[str, object]]:
        return [json.loads(line) for line in self.written.getvalue().splitlines()]

    def states(self) -> dict[str, VerbState]:
        with self.world.loop.project.ledger.read() as tx:
            return verb_states.every(tx)


@pytest.fixture
def service(world: World) -> Service:
    world.traffic(20)
    return Service(world)


def n_rounds(world: World) -> int:
    with world.loop.project.ledger.read() as tx:
        return len(rounds.every(tx))


def test_it_does_the_whole_loop_and_then_waits(service: Service) -> None:
    assert service.turn() == VERBS
    assert service.world.states()[TaskState.SENT] > 5
    assert service.turn() == ()
    service.world.clock.pass_(minutes=15)
    assert service.turn() == tuple(v for v in VERBS if v != "select")
    assert n_rounds(service.world) == 1


def test_each_line_carries_the_id_of_its_run(service: Service) -> None:
    service.turn()
    lines = service.lines()
    assert [line["verb"] for line in lines] == list(VERBS)
    assert {line["what"] for line in lines} == {"done"}
    assert len({line["run"] for line in lines}) == 1


def test_rounds_follow_their_own_time(service: Service) -> None:
    world = service.world
    service.turn()
    for _ in range(3):
        world.traffic(20)
        world.clock.pass_(days=1)
        assert "select" in service.turn()
    assert n_rounds(world) == 4


def test_a_clock_that_jumps_a_month_ahead_draws_one_round(service: Service) -> None:
    service.turn()
    service.world.traffic(20)
    service.world.clock.pass_(days=30)
    assert "select" in service.turn()
    assert "select" not in service.turn()
    assert n_rounds(service.world) == 2


def test_two_instances_draw_each_round_once(service: Service) -> None:
    other = Service(service.world)
    service.turn()
    assert other.turn() == ()
    service.world.traffic(20)
    service.world.clock.pass_(days=1)
    both = (service.schedule.due(), other.schedule.due())
    assert both[0] == both[1], "both look before either begins"
    service.schedule.do(both[0])
    other.schedule.do(both[1])
    assert n_rounds(service.world) == 2


def test_a_verb_that_another_process_does_is_no_failure(service: Service) -> None:
    service.turn()
    service.world.clock.pass_(minutes=15)
    with service.world.loop.project.ledger.lease("send"):
        # of this process, so a new holder: as another one would be
        service.schedule.do(("send", "build"))
    assert service.states()["send"].n_failures == 0
    assert any(line["what"] == "elsewhere" for line in service.lines())
    assert service.states()["build"].succeeded_at == service.world.clock.now()


def break_store(world: World) -> Callable[[], None]:
    """Let the store be down; returns what brings it back."""
    listed = world.store.objects

    def down() -> object:
        raise StoreUnavailable("the store is down", remedy="start it")

    world.store.objects = down  # type: ignore[method-assign, assignment]

    def up() -> None:
        world.store.objects = listed  # type: ignore[method-assign]

    return up


def test_without_index_no_round_is_drawn_and_the_others_go_on(service: Service) -> None:
    up = break_store(service.world)
    service.turn()
    states = service.states()
    assert states["index"].n_failures == 1
    assert "the store is down" in states["index"].error
    assert "select" not in states
    assert states["build"].succeeded_at is not None
    assert n_rounds(service.world) == 0
    assert service.turn() == ()
    service.world.clock.pass_(seconds=15)
    assert service.turn() == ("index", "select", "send", "notify")
    assert service.states()["index"].n_failures == 2
    up()
    service.world.clock.pass_(seconds=30)
    assert "select" in service.turn()
    assert n_rounds(service.world) == 1
    assert service.states()["index"] == VerbState(
        succeeded_at=service.world.clock.now(),
        failed_at=service.world.clock.now() - timedelta(seconds=30),
    )


def test_an_error_that_nobody_expected_stops_nothing(service: Service) -> None:
    def broken() -> object:
        raise RuntimeError("secret-key-123")

    service.world.annotator.projects = broken  # type: ignore[method-assign, assignment]
    service.turn()
    assert service.states()["build"].succeeded_at is not None
    assert service.states()["send"].error.startswith("RuntimeError at test_schedule.py:")
    assert "secret-key-123" not in service.written.getvalue()


def test_what_ends_a_process_is_no_failure(service: Service) -> None:
    service.turn()
    told = False
    service.world.loop.project._stop_when = lambda: told
    service.world.traffic(20)
    service.world.clock.pass_(days=1)

    def progress(what: str, done: int, total: int | None) -> None:
        nonlocal told
        told = True

    service.world.progress = progress
    verbs = service.schedule.due()
    with pytest.raises(Stopped):
        service.schedule.do(verbs)
    assert service.lines()[-1]["what"] == "stopped"
    told = False
    service.world.progress = lambda _w, _d, _t: None
    assert all(state.n_failures == 0 for state in service.states().values())
    service.turn()
    assert n_rounds(service.world) == 2
    assert len(set(service.world.remote_keys())) == len(service.world.remote_keys())


def test_the_annotator_is_told_whom_to_call(service: Service) -> None:
    world = service.world
    journal = Journal(as_json=True, to=lambda: service.written)
    schedule = Schedule(world.loop, journal, own_url="http://127.0.0.1:8500")
    schedule.do(schedule.due())
    called = {url for url, _ in world.annotator.announced.values()}
    assert called == {"http://127.0.0.1:8500/webhooks/label-studio"}
    assert len(world.annotator.announced) == len(world.annotator.projects())


# --- pauses, quiet hours, budgets a day -----------------------------------------------------------


def pause(world: World, queue: str) -> None:
    with world.loop.project.ledger.write_at_once() as tx:
        assert pauses.pause(tx, queue, by="ann", at=world.clock.now())


def test_a_paused_evaluation_queue_holds_rounds_back(service: Service) -> None:
    world = service.world
    service.turn()
    pause(world, "accuracy")
    world.traffic(20)
    world.clock.pass_(days=1)
    assert "select" not in service.turn()
    world.traffic(20)
    world.clock.pass_(days=1)
    with pytest.raises(ArgumentError, match="'accuracy' is paused"):
        world.loop.select(now=True)
    assert world.loop.select().held_by == "accuracy"
    [block] = [b for b in world.loop.status().blocks if b.kind == "paused"]
    assert block.says.startswith("Queue 'accuracy' is paused by ann")
    with world.loop.project.ledger.write_at_once() as tx:
        assert pauses.resume(tx, "accuracy", by="ann", at=world.clock.now())
    service.turn()
    with world.loop.project.ledger.read() as tx:
        assert [r.n_frame for r in rounds.every(tx)] == [20, 40], "its frame has grown"


def test_a_paused_training_queue_is_left_out_and_sent_nothing(service: Service) -> None:
    world = service.world
    world.loop.index()
    world.loop.select()
    pause(world, "low")
    service.turn()
    assert {p.marker.rpartition("/")[2] for p in world.annotator.projects()} == {"accuracy"}
    world.traffic(20, confidence="0.1")
    world.clock.pass_(days=1)
    service.turn()
    assert n_rounds(world) == 2
    assert {d.round for d in world.draws("low")} == {1}


def test_at_night_nothing_new_reaches_people(make_world: MakeWorld) -> None:
    world = make_world(QUEUES, head=HEAD + '\n[service]\nquiet_hours = "22:00-06:00"\n')
    service = Service(world)
    world.clock.pass_(hours=11)  # 23:00
    world.traffic(20)
    service.turn()
    assert n_rounds(world) == 1
    assert world.remote_keys() == []
    world.clock.pass_(hours=7)
    service.turn()
    assert len(world.remote_keys()) == len(world.tasks())


def test_a_budget_a_day_spreads_a_round_over_days(make_world: MakeWorld) -> None:
    queue = '[[queue]]\nname = "accuracy"\npurpose = "evaluation"\nbudget = 7\nbudget_per_day = 3\n'
    world = make_world(queue)
    service = Service(world)
    world.traffic(20)
    sent = []
    for _ in range(3):
        service.turn()
        service.turn()
        sent.append(len(world.remote_keys()))
        world.clock.pass_(hours=23)
    assert sent == [3, 6, 7]
    assert n_rounds(world) == 1


def test_a_full_disk_stops_what_writes_and_is_left_by_itself(service: Service) -> None:
    world = service.world
    service.turn()
    web = Loop(Project(world.settings, clock=world.clock, log=world.log))
    assert web.status().last_round == 1
    world.clock.pass_(minutes=15)
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (0, hard))  # no file grows any more
    try:
        assert "collect" in service.turn()
        assert service.turn() == (), "not without end"
        assert web.status().last_round == 1, "and reading goes on"
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
        web.close()
    failed = [line for line in service.lines() if line["what"] == "failed"]
    assert {line["verb"] for line in failed} >= {"index", "collect", "send"}
    world.clock.pass_(seconds=15)
    assert service.turn() != ()
    assert all(state.n_failures == 0 for state in service.states().values())
