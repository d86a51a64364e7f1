"""draw = "uncertainty" by a risk that learned from margin and attributes: scored row by row."""

from dataclasses import replace

import pyarrow as pa
import pytest

from labelloop.core.line import LINE_END
from labelloop.core.round import FrameRange, Span
from labelloop.core.where import Where
from labelloop.ledger import risks, rounds
from labelloop.measuring.learned_risk import learn, learn_for
from labelloop.sampling import draw, inclusion_probabilities
from labelloop.statistics import RiskModel
from labelloop.steps.select.frame import framed
from tests.learning import QUEUE, answer, blind, day, night, serve, write
from tests.unit.conftest import MakeWorld
from tests.world import LOW, Killed, World, kill_at_write

NIGHTS = LOW.replace("confidence < 0.7", "attributes.light = 'night'").replace("= 4", "= 20")


@pytest.fixture
def world(make_world: MakeWorld) -> World:
    """Two labelled rounds that teach that the model errs at night."""
    world = make_world(QUEUE.format(budget=150) + NIGHTS)
    for number in (1, 2):
        day(world, night(0.05, 0.6), n=800, seed=number)
    return world


def model_of(world: World, number: int) -> RiskModel:
    with world.loop.project.ledger.read() as tx:
        version = rounds.every(tx)[number - 1].risk_version
        assert version is not None
        return RiskModel.from_json(risks.get(tx, version).params)


def test_what_is_learned_of_attributes_decides_whom_to_ask_and_how_often(world: World) -> None:
    truth = serve(world, night(0.05, 0.6), n=1_000, seed=3)
    world.loop.select(now=True)
    model = model_of(world, 3)
    assert model.features is not None
    assert model.features.columns == ("attributes.light",)

    # the draw is the one that the arrays define, by the risk that the ledger froze
    batches = list(world.log.scan(FrameRange(batch_after=2, batch_to=3), [], ["light"]))
    table = pa.Table.from_batches(batches)
    risk = model.predict([0.9] * 1_000, table)
    found = [d for d in blind(world, 3) if not d.audit_only]
    with world.loop.project.ledger.read() as tx:
        cells = [c for c in rounds.cells_of(tx, 3) if c.queue == "accuracy"]
    budget = round(sum(c.n * (c.inclusion or 0) for c in cells))  # less what pays for checks
    n_uniform = round(0.3 * budget)
    inclusion = inclusion_probabilities(risk, budget=budget, n_uniform=n_uniform)
    drawn = draw(inclusion, table["line"].to_numpy(), n_uniform=n_uniform)
    wanted = {
        sample_id: (chance, uniform)
        for sample_id, chance, uniform, picked in zip(
            table["sample_id"].to_pylist(), inclusion, drawn.uniform, drawn.picked, strict=True
        )
        if picked
    }
    assert {d.sample_id: (d.inclusion, d.uniform) for d in found} == wanted
    assert sum(c.n for c in cells) == 1_000
    assert 75 <= budget <= 150
    assert {(d.risk, d.inclusion) for d in found} <= {(c.risk, c.inclusion) for c in cells}
    assert all(c.risk == (c.risk_bin + 0.5) / 1024 for c in cells)

    # the training queue behind it takes what is left, nothing twice
    with world.loop.project.ledger.read() as tx:
        every = list(rounds.draws_with_labels(tx, of=3))
    trained = [d for d in every if d.queue == "low"]
    assert len(trained) == 20
    assert len({d.sample_id for d in every}) == len(every) == 20 + len(blind(world, 3))
    assert {d.risk for d in trained} == {None}
    assert all(truth[d.sample_id] for d in every)


def test_killed_while_drawing_and_run_again_it_draws_the_same(
    make_world: MakeWorld, world: World
) -> None:
    serve(world, night(0.05, 0.6), n=500, seed=3)
    kill_at_write(world, 2)
    with pytest.raises(Killed):
        world.loop.select(now=True)
    world.restart()
    world.clock.pass_(hours=1)
    world.loop.select(now=True)

    other = make_world(QUEUE.format(budget=150) + NIGHTS)
    for number in (1, 2):
        day(other, night(0.05, 0.6), n=800, seed=number)
    serve(other, night(0.05, 0.6), n=500, seed=3)
    other.loop.select(now=True)
    assert model_of(world, 3) == model_of(other, 3)
    assert world.draws() == other.draws()


def test_a_later_round_learns_nothing_from_the_traffic_that_it_draws_from(world: World) -> None:
    with world.loop.project.ledger.read() as tx:
        middle = blind(world, 2)[0].predicted_at.replace(hour=0, minute=0)
        assert learn_for(tx, FrameRange(batch_after=2, batch_to=3)) is not None
        assert learn_for(tx, FrameRange(batch_to=2)) is None
        half = learn_for(tx, FrameRange(batch_to=2, since=middle))
        whole = learn(tx)
    assert half is not None
    assert whole is not None
    assert (half.rounds, whole.rounds) == ((1,), (1, 2))
    assert half.model.n == len([d for d in blind(world, 1) if d.label])


def test_a_plan_reckons_with_the_risk_that_the_round_went_by(world: World) -> None:
    day(world, night(0.05, 0.6), n=800, seed=3)
    plan = world.loop.plan(0.04)
    with world.loop.project.ledger.read() as tx:
        cells = [c for c in rounds.cells_of(tx, 3) if c.queue == "accuracy"]
    assert (plan.risk_rounds, plan.n_traffic) == ((1, 2), 800)
    # one confidence, two risks: only the learned bins tell that uneven draws save labels here
    assert len({c.risk_bin for c in cells}) == 2
    assert isinstance(plan.needs[0].uneven, int)
    assert isinstance(plan.needs[0].uniform, int)
    assert plan.needs[0].uneven < 0.9 * plan.needs[0].uniform


def test_an_extra_round_over_what_taught_goes_by_the_confidence_alone(world: World) -> None:
    world.loop.select(since=world.clock.at.replace(year=2020))
    with world.loop.project.ledger.read() as tx:
        extra = rounds.every(tx)[-1]
    assert (extra.extra, extra.risk_version, extra.n_frame) == (True, None, 1_600)


def test_an_attribute_that_is_gone_or_new_and_values_never_seen_are_no_trouble(
    world: World,
) -> None:
    truth: dict[str, str] = {}
    for seed, attributes in [(3, {}), (4, {"light": "dusk", "speed": "fast"}), (5, {"light": ""})]:
        rows = serve(world, night(0.05, 0.6), n=1, seed=seed)
        truth |= rows
        truth |= _served(world, attributes, seed=seed)
    world.loop.select(now=True)
    answer(world, truth)
    world.clock.pass_(days=1)
    assert {d.attributes.get("light") for d in blind(world, 3)} >= {None, "dusk", ""}
    assert {d.attributes.get("speed") for d in blind(world, 3)} == {None, "fast"}
    serve(world, night(0.05, 0.6), n=300, seed=6)
    assert world.loop.select(now=True).n_frame == 300
    assert model_of(world, 4).features is not None


def _served(world: World, attributes: dict[str, str], *, seed: int) -> dict[str, str]:
    one = next(p for _, p in world.log._predictions())
    rows = [
        replace(one, sample_id=f"odd-{seed}-{i}", line=one.line + i, attributes=attributes)
        for i in range(20)
    ]
    write(world, rows)
    return {r.sample_id: "cat" for r in rows}


def test_a_uniform_queue_keeps_its_risk_and_its_chances(make_world: MakeWorld) -> None:
    world = make_world(QUEUE.format(budget=150).replace('"uncertainty"', '"uniform"') + NIGHTS)
    for number in (1, 2):
        day(world, night(0.05, 0.6), n=800, seed=number)
    with world.loop.project.ledger.read() as tx:
        assert [r.risk_version for r in rounds.every(tx)] == [None, None]
        assert learn(tx) is not None
    found = blind(world, 2)
    assert len(found) == 150
    assert {(d.uniform, d.inclusion, d.risk) for d in found} == {(True, 150 / 800, 102.5 / 1024)}
    # what later rounds may learn from is there, should the queue turn to uneven draws
    assert {d.attributes["light"] for d in found} == {"day", "night"}
    assert {round(d.margin or 0, 6) for d in found} == {0.8}


def test_a_scored_frame_answers_as_the_plain_reading_of_it_does(world: World) -> None:
    serve(world, night(0.05, 0.6), n=2_500, seed=3)
    frame = FrameRange(batch_after=2, batch_to=3)
    conditions = [Where.parse("attributes.camera = 'c1'"), Where.parse("attributes.light = 'day'")]
    with world.loop.project.ledger.read() as tx:
        risk = learn_for(tx, frame)
    assert risk is not None
    table = pa.Table.from_batches(list(world.log.scan(frame, conditions, risk.attributes)))
    bins = (risk.model.predict(table["confidence"].to_numpy(), table) * 1024).astype(int).tolist()
    plain = sorted(
        zip(
            table["line"].to_pylist(),
            table["sample_id"].to_pylist(),
            table["pattern"].to_pylist(),
            bins,
            strict=True,
        )
    )
    with framed(world.log, frame, conditions, risk) as traffic:
        counts = traffic.counts()
        assert {(c.predicted_class, c.risk_bin, c.pattern): c.n for c in counts} == {
            ("cat", b, p): sum((b, p) == (row[3], row[2]) for row in plain)
            for _, _, p, b in set(plain)
        }
        half = LINE_END // 2
        one = counts[0]
        spans = [
            Span(pattern=0, above=-1, up_to=half),
            Span(pattern=3, above=half, up_to=LINE_END - 1),
            *(
                Span(
                    pattern=p,
                    above=half // 2,
                    up_to=half,
                    predicted_class=name,
                    risk_bin=one.risk_bin,
                )
                for p in (1, 2)
                for name in ("cat", "dog")
            ),
        ]
        found = [(r.line, r.sample_id, r.pattern, r.risk_bin) for r in traffic.rows(spans)]
        assert traffic.rows([]) == []
    assert found == [
        (place, sample_id, p, b)
        for place, sample_id, p, b in plain
        if (p == 0 and place <= half)
        or (p == 3 and place > half)
        or (p in (1, 2) and b == one.risk_bin and half // 2 < place <= half)
    ]
    assert found
