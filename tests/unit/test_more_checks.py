"""select --top-up --checks: more checked labels for a guarantee, in proportion, where they are needed."""

import pytest

from labelloop.core.certificate import RegisteredCertificate
from labelloop.core.queue import Purpose
from labelloop.errors import ArgumentError
from labelloop.ledger import rounds
from labelloop.ledger.rounds import DrawWithLabel
from labelloop.measuring.audit_ranks import bins_of, prefix
from labelloop.measuring.guarantees import cell_of, replayed
from labelloop.statistics.sequential_bound import GRID
from tests.unit.conftest import MakeWorld
from tests.unit.test_guarantees import PLAIN, queues, registered, round_of
from tests.world import World


def audits(world: World, number: int) -> list[DrawWithLabel]:
    with world.loop.project.ledger.read() as tx:
        found = rounds.draws_with_labels(tx, Purpose.EVALUATION, number)
        return [d for d in found if d.within is not None]


def spread(world: World, n: int, seed: int) -> None:
    """A round of n right predictions, the surer the higher their number."""
    for i in range(n):
        sure = f"{0.5 + 0.499 * ((i * 37 + seed) % n) / n:.3f}"
        world.put(f"{seed}-{i:04d}.png", predicted_class="cat", confidence=sure)
    world.loop.index()
    world.loop.select(now=True)
    answer(world)


def answer(world: World) -> None:
    world.loop.send()
    world.answer_all("cat")
    world.loop.collect()


def open_guarantee(world: World) -> RegisteredCertificate:
    return next(c for c in registered(world) if not c.closed)


def test_the_number_that_is_missing_is_enough_if_the_answers_are_right(
    make_world: MakeWorld,
) -> None:
    world = make_world(queues(60), head=PLAIN)
    spread(world, 600, 1)
    (state,) = world.loop.build().certificates
    assert state.n_accepted == 0
    assert state.n_missing
    command = f"labelloop select --top-up 1 --labels {state.n_missing} --checks"
    assert f"`{command}` draws them" in state.reason
    before = world.loop.measure().rounds[0]
    found = world.loop.top_up(1, labels=state.n_missing, checks=True)
    assert found.plans[0].n_drawn == state.n_missing
    assert world.loop.top_up(1, labels=state.n_missing, checks=True).repeated
    assert world.loop.build().certificates[0].n_accepted == 0, "without an answer a check is wrong"
    answer(world)
    (state,) = world.loop.build().certificates
    assert (state.prefix, state.rounds) == (pytest.approx(0.2), (1,))
    assert state.n_accepted > 0
    after = world.loop.measure().rounds[0]
    assert (after.estimate, after.n_drawn) == (before.estimate, before.n_drawn)
    world.loop.top_up(1, labels=20)
    assert world.loop.measure().rounds[0].n_drawn == before.n_drawn + 20


def test_checks_of_several_rounds_rise_in_proportion_and_continue_the_line(
    make_world: MakeWorld,
) -> None:
    world = make_world(queues(60), head=PLAIN)
    spread(world, 600, 1)
    world.clock.pass_(days=1)
    spread(world, 300, 2)
    assert open_guarantee(world).rounds == (1, 2)
    with world.loop.project.ledger.read() as tx:
        tested = replayed(tx, open_guarantee(world)).part.bound.next_prefix
    held = {n: {d.sample_id for d in audits(world, n)} for n in (1, 2)}
    world.loop.top_up(2, labels=40, checks=True)
    plan = open_guarantee(world).plan
    assert plan is not None
    for number, size in ((1, 600), (2, 300)):
        found = audits(world, number)
        assert held[number] <= {d.sample_id for d in found}
        assert all(d.within == tested for d in found if d.sample_id not in held[number])
        with world.loop.project.ledger.read() as tx:
            every = [r for r in rounds.every(tx) if r.round == number]
        counts = world.log.counts(every[0].frame, ())
        bins = bins_of(None, ((c.predicted_class, c.risk_bin) for c in counts))
        inside = sum(
            c.n for c in counts if prefix(bins[c.predicted_class, c.risk_bin], plan) <= tested
        )
        own = bins_of(None, map(cell_of, found))
        checked = [d for d in found if prefix(own[cell_of(d)], plan) <= tested]
        assert len(checked) == round(inside * plan.shares[0])
        rows = sorted(
            (p for _, p in world.log._predictions() if p.sample_id.startswith(f"{number}-")),
            key=lambda p: p.line,
        )
        surest = [
            p.sample_id
            for p in rows
            if prefix(bins[p.predicted_class, int((1 - (p.confidence or 0)) * 1024)], plan)
            <= tested
        ]
        assert {d.sample_id for d in checked} == set(surest[: len(checked)])
        assert size == every[0].n_frame
    assert float(GRID[0]) == tested
    world.clock.pass_(days=1)
    answer(world)
    spread(world, 300, 3)
    assert {1, 2} < set(open_guarantee(world).rounds) or len(registered(world)) > 1


def test_once_a_part_is_proven_longer_parts_are_checked_with_the_next_round(
    make_world: MakeWorld,
) -> None:
    world = make_world(queues(100), head=PLAIN)
    spread(world, 600, 1)
    (state,) = world.loop.build().certificates
    assert state.n_missing
    world.loop.top_up(1, labels=state.n_missing, checks=True)
    answer(world)
    kept = world.loop.build().certificates[0].n_accepted
    assert kept > 0
    with pytest.raises(ArgumentError, match="its last top-up drew checks from a smaller part"):
        world.loop.top_up(1, labels=3, checks=True)
    world.clock.pass_(days=1)
    spread(world, 600, 2)
    assert world.loop.build().certificates[0].n_accepted == kept


def test_a_round_without_an_open_guarantee_has_no_checks_to_add(make_world: MakeWorld) -> None:
    world = make_world(queues(60), head=PLAIN)
    round_of(world, 40)  # all of it is drawn, so nothing is audited
    with pytest.raises(ArgumentError, match="isn't part of an open guarantee") as caught:
        world.loop.top_up(1, labels=5, checks=True)
    assert "without --checks" in caught.value.remedy
    world.clock.pass_(days=1)
    spread(world, 600, 1)
    with pytest.raises(ArgumentError, match="weren't checked yet"):
        world.loop.top_up(2, labels=5_000, checks=True)
    with pytest.raises(ArgumentError, match="labels = 0"):
        world.loop.top_up(2, labels=0, checks=True)
    assert world.loop.top_up(2, labels=7, checks=True, dry_run=True).plans[0].n_drawn == 7
    assert len([d for d in audits(world, 2) if d.drawn_in != 2]) == 0
