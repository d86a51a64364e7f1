"""Whole old rounds may train: their evaluation labels move, their accuracy stays, they judge no more."""

from datetime import timedelta
from pathlib import Path

import pytest

from labelloop.core.estimate import Estimate
from labelloop.core.queue import Purpose
from labelloop.errors import ConfigError
from labelloop.exports import manifest
from labelloop.ledger import certificates, events, rounds
from labelloop.views.verbs import build_line
from tests.unit.conftest import MakeWorld
from tests.world import ACCURACY, HEAD, LOW, World

RELEASING = HEAD.replace("confidence = 0.9", 'release_evaluation_after = "90 days"')
QUEUES = ACCURACY.replace("budget = 5", "budget = 30") + LOW


def round_of(world: World) -> None:
    world.traffic(60, predicted_class="cat", confidence="0.95")
    world.loop.index()
    world.loop.select(now=True)
    world.loop.send()
    world.answer_all("cat")
    world.loop.collect()


def held(world: World, name: str) -> set[str]:
    return {row.sample_id for row in manifest.rows(world.loop.dataset(name))}


def drawn(world: World, number: int) -> set[str]:
    with world.loop.project.ledger.read() as tx:
        return {d.sample_id for d in rounds.draws_with_labels(tx, Purpose.EVALUATION, number)}


@pytest.fixture
def world(make_world: MakeWorld) -> World:
    """A round that is a hundred days old, and one of today."""
    world = make_world(QUEUES, head=RELEASING)
    round_of(world)
    world.loop.build()
    world.clock.pass_(days=100)
    round_of(world)
    return world


def test_an_old_round_moves_as_a_whole_and_its_accuracy_stays(world: World) -> None:
    old, new = drawn(world, 1), drawn(world, 2)
    before = world.loop.measure()
    built = world.loop.build()
    assert built.released == (1,)
    assert "round 1 released: evaluation labels may train now" in build_line(built)
    assert held(world, "training") == old
    assert held(world, "evaluation") == new
    after = world.loop.measure()
    assert [a.name for a in after.rounds] == ["round 1 (released)", "round 2"]
    assert [a.estimate for a in after.rounds] == [a.estimate for a in before.rounds]
    assert [p.number for p in world.loop.report().rounds] == [1, 2]
    with world.loop.project.ledger.read() as tx:
        [event] = [e for e in events.of(tx, "round 1") if e.verb == "release"]
    assert "judge no more" in event.detail
    again = world.loop.build()
    assert (again.released, again.training.is_new, again.evaluation.is_new) == ((), False, False)


def test_released_rounds_judge_no_candidate_and_fill_no_slice(world: World, tmp_path: Path) -> None:
    period = {"since": world.clock.at - timedelta(days=200)}
    before = world.loop.measure(**period)
    assert sum(c.n for c in before.confusion) == 60
    world.loop.build()
    assert world.loop.write_judges(tmp_path / "judges.csv") == 30
    assert set((tmp_path / "judges.csv").read_text().split()[1:]) == drawn(world, 2)
    after = world.loop.measure(**period)
    assert sum(c.n for c in after.confusion) == 30
    assert [r.precision.n for r in after.by_class.rows if isinstance(r.precision, Estimate)] == [30]
    lines = ["sample_id,predicted_class", *(f"{s},cat" for s in drawn(world, 2))]
    (tmp_path / "c.csv").write_text("\n".join(lines))
    trained = [("training", world.loop.dataset("training").version)]
    assert world.loop.compare(tmp_path / "c.csv", trained_on=trained).rounds == (2,)
    on_judges = [("evaluation", world.loop.dataset("evaluation").version)]
    refused = world.loop.compare(tmp_path / "c.csv", trained_on=on_judges)
    assert "was trained on 30 of these 30" in str(refused.difference)


def test_a_sample_that_a_later_round_drew_too_stays_in_evaluation(world: World) -> None:
    world.loop.select(since=world.clock.at - timedelta(days=200))  # extra: all traffic
    shared = drawn(world, 1) & drawn(world, 3)
    assert shared
    world.loop.build()
    assert held(world, "training") == drawn(world, 1) - shared
    assert shared <= held(world, "evaluation")


def test_the_newest_round_stays_a_judge_and_young_rounds_too(make_world: MakeWorld) -> None:
    world = make_world(QUEUES, head=RELEASING)
    round_of(world)
    world.clock.pass_(days=80)
    round_of(world)
    world.clock.pass_(days=5)
    assert world.loop.build().released == ()
    world.clock.pass_(days=300)
    assert world.loop.build().released == (1,)
    assert held(world, "evaluation") == drawn(world, 2)
    world.configure(QUEUES)  # what is released stays so
    assert held(world, "evaluation") == drawn(world, 2)
    assert world.loop.build().evaluation.is_new is False


def test_a_twin_of_what_still_judges_does_not_train(make_world: MakeWorld) -> None:
    world = make_world(ACCURACY.replace("budget = 5", "budget = 2"), head=RELEASING)
    world.put("a.png", b"same", predicted_class="cat")
    world.put("b.png", b"other", predicted_class="cat")
    round_of_given(world)
    world.clock.pass_(days=100)
    world.put("twin.png", b"same", predicted_class="cat")
    round_of_given(world)
    world.loop.build()
    assert held(world, "training") == {"b.png"}


def round_of_given(world: World) -> None:
    world.loop.index()
    world.loop.select(now=True)
    world.loop.send()
    world.answer_all("cat")
    world.loop.collect()


def test_a_release_after_less_than_a_week_is_refused(make_world: MakeWorld) -> None:
    with pytest.raises(ConfigError, match="release_evaluation_after"):
        make_world(QUEUES, head=RELEASING.replace("90 days", "3 days"))


def test_an_open_guarantee_keeps_no_round_that_was_released(make_world: MakeWorld) -> None:
    world = make_world(QUEUES, head=RELEASING.replace("90 days", "20 days"))
    round_of(world)
    world.loop.build()
    world.clock.pass_(days=10)
    round_of(world)
    with world.loop.project.ledger.read() as tx:
        before = certificates.open_one(tx)
    assert before is not None
    assert (before.rounds, before.audits) == ((1, 2), (30, 30))
    world.clock.pass_(days=15)
    built = world.loop.build()
    assert built.released == (1,)
    with world.loop.project.ledger.read() as tx:
        after = certificates.open_one(tx)
    assert after is not None
    assert (after.id, after.rounds, after.audits) == (before.id, (2,), (30,))
    round_of(world)
    world.loop.build()
    with world.loop.project.ledger.read() as tx:
        assert all(1 not in c.rounds for c in certificates.every(tx))
