"""Certificates in the loop: registered with rounds, closed by counts, decided as answers come in."""

import json
from datetime import timedelta
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from labelloop.core.certificate import RegisteredCertificate
from labelloop.core.dataset import Origin, Row
from labelloop.exports import manifest
from labelloop.ledger import certificates, risks
from tests.unit.conftest import MakeWorld
from tests.world import ACCURACY, HEAD, World

PLAIN = HEAD.replace("confidence = 0.9", "")
LOW = """
[[queue]]
name = "low"
purpose = "training"
where = "confidence < 0.5"
"""


def queues(budget: int) -> str:
    return ACCURACY.replace("budget = 5", f'draw = "uniform"\nbudget = {budget}') + LOW


def serve(world: World, n: int, *, n_wrong: int) -> None:
    """Traffic of cats; the model is sure and right but for n_wrong unsure ones it calls dogs."""
    world.traffic(n - n_wrong, predicted_class="cat", confidence="0.95")
    world.traffic(n_wrong, predicted_class="dog", confidence="0.4")


def round_of(world: World, n: int, *, n_wrong: int = 0, answer: bool = True) -> None:
    serve(world, n, n_wrong=n_wrong)
    world.loop.index()
    world.loop.select(now=True)
    world.loop.send()
    if answer:
        world.answer_all("cat")
        world.loop.collect()


def model_rows(world: World) -> list[Row]:
    return [r for r in manifest.rows(world.loop.dataset("training")) if r.origin is Origin.MODEL]


def registered(world: World) -> list[RegisteredCertificate]:
    with world.loop.project.ledger.read() as tx:
        return certificates.every(tx)


def test_enough_audits_of_a_good_model_keep_its_labels_under_a_promise(
    make_world: MakeWorld,
) -> None:
    world = make_world(queues(250), head=PLAIN)
    round_of(world, 400, n_wrong=20)
    built = world.loop.build()
    (state,) = built.certificates
    assert (state.rounds, state.closed, state.n_audits, state.n_answered) == ((1,), True, 250, 250)
    found = model_rows(world)
    assert len(found) == state.n_accepted == built.training.n_certified == 400 - 250 - n_low(world)
    assert {(r.certificate, r.label, r.confidence) for r in found} == {(1, "cat", 0.95)}
    assert not {r.sample_id for r in found} & {d.sample_id for d in world.draws()}
    n = state.n_accepted + state.human_labels
    assert built.guarantee == (
        f"guarantee (97.0% confidence): at most 5% of these {n} labels are wrong: certified model "
        "labels and people's labels of the same rounds"
    )
    described = json.loads((Path(world.loop.dataset("training").uri) / "dataset.json").read_text())
    assert described["guarantee"] == built.guarantee
    assert described["certificates"][0]["promise"] == "training-set"
    assert described["counts"]["certified"] == state.n_accepted


def n_low(world: World) -> int:
    """Samples that people label for training: the unsure ones that evaluation left."""
    return len(world.draws("low"))


def test_until_it_is_answered_an_audit_counts_as_wrong(make_world: MakeWorld) -> None:
    world = make_world(queues(250), head=PLAIN)
    round_of(world, 400, answer=False)
    built = world.loop.build()
    assert built.certificates[0].n_accepted == 0
    assert built.guarantee.startswith("no model-made labels; round 1: 250 of 250 audits wait")
    world.answer_all("cat")
    world.loop.collect()
    assert world.loop.build().certificates[0].n_accepted == 150
    assert len(model_rows(world)) == 150


def test_answers_that_come_late_never_take_away_what_was_kept(make_world: MakeWorld) -> None:
    world = make_world(queues(300), head=PLAIN)
    round_of(world, 500, answer=False)
    kept: list[int] = []
    pending = [t for p in world.annotator.projects() for page in world.annotator.tasks(p.project_ref)
               for t in page]  # fmt: skip
    for start in range(0, len(pending), 60):
        for task in pending[start : start + 60]:
            world.annotator.answer(task.remote_id, "cat", by="ana")
        world.loop.collect()
        kept.append(world.loop.build().certificates[0].n_accepted)
    assert kept == sorted(kept)
    assert kept[-1] == 200


def test_a_round_too_small_for_any_bound_asks_for_rounds_and_not_for_no_audits(
    make_world: MakeWorld,
) -> None:
    world = make_world(queues(300), head=PLAIN)
    round_of(world, 40)  # all of them are audits
    assert world.loop.build().guarantee.endswith(
        "round 1: 40 audit labels are too few for a bound, more rounds are needed"
    )


def test_too_few_audits_wait_for_more_rounds_and_say_how_many(make_world: MakeWorld) -> None:
    world = make_world(queues(60), head=PLAIN)
    round_of(world, 300)
    built = world.loop.build()
    (state,) = built.certificates
    assert (state.closed, state.n_accepted) == (False, 0)
    assert state.n_audits_needed is not None
    assert f"about {state.n_audits_needed - 60} more would do" in built.guarantee
    while not registered(world)[0].closed:
        world.clock.pass_(days=1)
        round_of(world, 300)
    (closed,) = registered(world)
    assert closed.rounds == tuple(range(1, len(closed.rounds) + 1))
    assert sum(closed.audits) >= state.n_audits_needed
    assert sum(closed.audits) < state.n_audits_needed + 60
    built = world.loop.build()
    assert {r.certificate for r in model_rows(world)} == {1}
    assert built.training.n_certified == built.certificates[0].n_accepted > 0


def test_each_certificate_spends_less_of_the_failure_probability(make_world: MakeWorld) -> None:
    world = make_world(queues(360), head=PLAIN)
    for _ in range(3):
        round_of(world, 500)
        world.clock.pass_(days=1)
    spent = [c.failure_probability for c in registered(world)]
    assert len(spent) == 3
    assert spent == pytest.approx([0.05 * 6 / 9.8696 / j**2 for j in (1, 2, 3)], rel=1e-3)
    world.loop.build()
    assert {r.certificate for r in model_rows(world)} == {1, 2, 3}


def test_where_the_model_is_too_wrong_none_is_kept_and_it_says_so(make_world: MakeWorld) -> None:
    world = make_world(queues(250), head=PLAIN)
    world.traffic(300, predicted_class="dog", confidence="0.99")
    world.traffic(30, predicted_class="dog", confidence="0.3")
    world.loop.index()
    world.loop.select()
    world.loop.send()
    world.answer_all("cat")
    world.loop.collect()
    built = world.loop.build()
    assert built.training.n_human == n_low(world) > 0
    assert built.training.n_model == 0
    assert (
        "none can be kept, the model is too often wrong even where it is surest" in built.guarantee
    )


def test_a_threshold_stands_in_without_guarantee_until_a_certificate_takes_over(
    make_world: MakeWorld,
) -> None:
    world = make_world(queues(60), head=HEAD)
    round_of(world, 300)
    built = world.loop.build()
    assert built.guarantee.startswith(
        "no guarantee: model labels at confidence 0.9 or above; round 1: 60 audit labels are too few"
    )
    assert {r.certificate for r in model_rows(world)} == {None}
    assert (built.training.n_model, built.training.n_certified) == (240, 0)
    world.configure(queues(300), head=HEAD)
    world.clock.pass_(days=1)
    round_of(world, 300)
    while not registered(world)[0].closed:
        world.clock.pass_(days=1)
        round_of(world, 600)
    built = world.loop.build()
    assert built.training.n_model == built.training.n_certified
    assert "no guarantee" not in built.guarantee


def test_terms_are_fixed_when_a_certificate_opens(make_world: MakeWorld) -> None:
    world = make_world(queues(60), head=PLAIN)
    round_of(world, 300)
    terms = '[training]\nmax_error = 0.5\npromise = "frame"'
    world.configure(queues(400), head=PLAIN.replace("[training]", terms))
    for _ in range(2):
        world.clock.pass_(days=1)
        round_of(world, 500)
    terms = [(c.max_error, c.promise) for c in registered(world)]
    assert terms[0] == (0.05, "training-set")
    assert set(terms[1:]) <= {(0.5, "frame")}


def test_the_risk_that_orders_learned_from_earlier_rounds_only(make_world: MakeWorld) -> None:
    world = make_world(queues(250), head=PLAIN)
    for _ in range(2):
        round_of(world, 400, n_wrong=60)
        world.clock.pass_(days=1)
    found = registered(world)
    assert len(found) > 1
    assert found[0].risk_version is None
    with world.loop.project.ledger.read() as tx:
        for c in found[1:]:
            assert c.risk_version is not None
            assert max(risks.get(tx, c.risk_version).rounds) < min(c.rounds)


def test_extra_rounds_and_empty_ones_join_no_certificate(make_world: MakeWorld) -> None:
    world = make_world(queues(250), head=PLAIN)
    round_of(world, 400)
    world.loop.select(since=world.clock.at - timedelta(days=1))
    world.clock.pass_(days=2)
    world.loop.select()
    assert [c.rounds for c in registered(world)] == [(1,)]


def test_what_is_contested_later_leaves_the_list(make_world: MakeWorld) -> None:
    world = make_world(queues(250), head=PLAIN)
    round_of(world, 400)
    world.loop.build()
    before = model_rows(world)
    world.retag(before[0].sample_id, flagged="true")
    audited = world.draws("accuracy")[0].sample_id
    world.retag(audited, corrected_class="dog")
    world.clock.pass_(minutes=5)
    world.loop.index()
    built = world.loop.build()
    assert built.certificates[0].n_listed == 398
    assert {r.sample_id for r in before} - {r.sample_id for r in model_rows(world)} == {
        before[0].sample_id
    }


def test_the_ledger_keeps_what_was_decided(make_world: MakeWorld) -> None:
    world = make_world(queues(250), head=PLAIN)
    round_of(world, 400)
    built = world.loop.build()
    with world.loop.project.ledger.read() as tx:
        kept = certificates.results(tx)
    assert json.loads(kept[1])["n_accepted"] == built.certificates[0].n_accepted
    table = pq.read_table(Path(world.loop.dataset("training").uri) / "manifest.parquet")
    assert table["certificate"].type == "int64"


def test_a_forgotten_audit_leaves_the_list_and_the_others_decide(make_world: MakeWorld) -> None:
    world = make_world(queues(250), head=PLAIN)
    round_of(world, 400, n_wrong=20)
    (before,) = world.loop.build().certificates
    audited = [d for d in world.draws("accuracy") if d.predicted_class == "dog"][:2]
    kept = model_rows(world)[0]
    world.loop.forget([kept.sample_id, *(d.sample_id for d in audited)])
    assert len(audited) == 2
    (after,) = world.loop.build().certificates
    assert (after.n_audits, after.n_answered) == (248, 248)
    assert after.n_wrong == before.n_wrong - 2
    assert after.n_accepted == before.n_accepted - 1
    assert len(model_rows(world)) == after.n_accepted


def test_skipped_audits_dont_wait_for_an_answer(make_world: MakeWorld) -> None:
    world = make_world(queues(250), head=PLAIN)
    round_of(world, 400, answer=False)
    ids = [t.remote_id for p in world.annotator.projects() for page in world.annotator.tasks(p.project_ref)
               for t in page]  # fmt: skip
    for task in ids[:100]:
        world.annotator.skip(task, by="ana")
    world.loop.collect()
    assert "150 of 250 audits wait for an answer, 100 were skipped" in world.loop.build().guarantee
    for task in ids[100:]:
        world.annotator.answer(task, "cat", by="ana")
    world.loop.collect()
    said = world.loop.build().guarantee
    assert "100 of 250 audits were skipped or can't be answered and count as wrong" in said
    assert "wait" not in said
    assert "too often wrong" not in said


@pytest.mark.mistake("no-guarantee")
def test_a_model_that_is_too_often_wrong_is_told_so_while_answers_and_rounds_are_missing(
    make_world: MakeWorld,
) -> None:
    world = make_world(queues(250), head=PLAIN)
    world.traffic(330, predicted_class="dog", confidence="0.99")
    world.loop.index()
    world.loop.select()
    world.loop.send()
    ids = [t.remote_id for p in world.annotator.projects() for page in world.annotator.tasks(p.project_ref)
               for t in page]  # fmt: skip
    for task in ids[:-3]:
        world.annotator.answer(task, "cat", by="ana")
    world.loop.collect()
    wrong = "the model is too often wrong even where it is surest"
    assert f"round 1: none can be kept, {wrong}" in world.loop.build().guarantee
    world.configure(queues(40), head=PLAIN)
    world.clock.pass_(days=1)
    world.traffic(200, predicted_class="dog", confidence="0.99")
    world.loop.index()
    world.loop.select()
    world.loop.send()
    world.answer_all("cat")
    world.loop.collect()
    built = world.loop.build()
    assert [s.closed for s in built.certificates] == [True, False]
    assert f"round 1: none can be kept, {wrong}" in built.guarantee
    assert f"round 2: {wrong}: 20 errors in the 20 checked labels" in built.guarantee
    assert built.certificates[1].n_audits_needed is None
