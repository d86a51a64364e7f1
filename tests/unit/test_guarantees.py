"""Guarantees in the loop: registered and audited with rounds, decided as answers come in."""

import json
from datetime import timedelta
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from labelloop.core.certificate import RegisteredCertificate
from labelloop.core.dataset import Origin, Row
from labelloop.exports import manifest
from labelloop.ledger import certificates, risks
from tests.learning import QUEUE, day, night
from tests.unit.conftest import MakeWorld
from tests.world import ACCURACY, HEAD, World

PLAIN = HEAD.replace("confidence = 0.9", "")
LOW = """
[[queue]]
name = "low"
purpose = "training"
where = "confidence < 0.5"
"""


def queues(budget: int, draw: str = "uniform") -> str:
    return ACCURACY.replace("budget = 5", f'draw = "{draw}"\nbudget = {budget}') + LOW


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
    assert (state.rounds, state.closed, state.n_audits, state.n_answered) == ((1,), False, 250, 250)
    found = model_rows(world)
    assert len(found) == state.n_accepted == built.training.n_certified == 400 - 250 - n_low(world)
    assert {(r.certificate, r.label, r.confidence) for r in found} == {(1, "cat", 0.95)}
    assert not {r.sample_id for r in found} & {d.sample_id for d in world.draws()}
    assert built.guarantee == (
        "guarantee (95.0% confidence, if people's labels are right): at most 5% of these "
        f"{state.n_accepted} labels are wrong. They are the surest model labels of round 1"
    )
    described = json.loads((Path(world.loop.dataset("training").uri) / "dataset.json").read_text())
    assert described["guarantee"] == built.guarantee
    assert described["counts"]["certified"] == state.n_accepted


def n_low(world: World) -> int:
    """Samples that people label for training: the unsure ones that evaluation left."""
    return len(world.draws("low"))


def test_until_it_is_answered_an_audit_counts_as_wrong(make_world: MakeWorld) -> None:
    world = make_world(queues(250), head=PLAIN)
    round_of(world, 400, answer=False)
    built = world.loop.build()
    assert built.certificates[0].n_accepted == 0
    assert built.guarantee == (
        "no model-made labels; round 1: no checked label has an answer: about 72 more right answers are "
        "missing, 250 checks are open"
    )
    world.answer_all("cat")
    world.loop.collect()
    assert world.loop.build().certificates[0].n_accepted == 150
    assert len(model_rows(world)) == 150


def test_every_count_of_answers_shows_the_error_of_the_surest_labels(make_world: MakeWorld) -> None:
    world = make_world(queues(60), head=PLAIN)
    round_of(world, 300)
    (state,) = world.loop.build().certificates
    assert (state.wrong, state.wrong_low, state.n_surest) == (0.0, 0.0, 60)
    assert state.wrong_high == pytest.approx(0.0596, abs=1e-4)
    assert state.n_missing is not None
    assert state.reason == (
        "of the surest 20% of the traffic an estimated 0.0% are wrong (0.0–6.0%, 95% interval, 60 checked "
        f"labels): about {state.n_missing} more right answers are missing: `labelloop select --top-up 1 "
        f"--labels {state.n_missing} --checks` draws them, and `labelloop run --now` the next round's"
    )
    world.clock.pass_(days=1)
    round_of(world, 300)
    (state,) = world.loop.build().certificates
    assert state.n_accepted == 600 - 120
    assert state.rounds == (1, 2)


def test_answers_that_come_late_never_take_away_what_was_kept(make_world: MakeWorld) -> None:
    world = make_world(queues(300), head=PLAIN)
    round_of(world, 500, answer=False)
    kept: list[int] = []
    pending = open_tasks(world)
    for start in range(0, len(pending), 60):
        for task in pending[start : start + 60]:
            world.annotator.answer(task, "cat", by="ana")
        world.loop.collect()
        kept.append(world.loop.build().certificates[0].n_accepted)
    assert kept == sorted(kept)
    assert kept[-1] == 200


def open_tasks(world: World) -> list[str]:
    pages = [
        page for p in world.annotator.projects() for page in world.annotator.tasks(p.project_ref)
    ]
    return [task.remote_id for page in pages for task in page]


def test_a_round_that_people_label_whole_is_not_audited(make_world: MakeWorld) -> None:
    world = make_world(queues(300), head=PLAIN)
    round_of(world, 40)
    assert registered(world) == []
    assert world.loop.build().guarantee == "no model-made labels"


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
    assert "the model is too often wrong even where it is surest" in built.guarantee


def test_a_threshold_stands_in_without_guarantee_until_a_guarantee_takes_over(
    make_world: MakeWorld,
) -> None:
    world = make_world(queues(60), head=HEAD)
    round_of(world, 300)
    built = world.loop.build()
    assert built.guarantee.startswith(
        "no guarantee: model labels at confidence 0.9 or above; round 1: of the surest"
    )
    assert {r.certificate for r in model_rows(world)} == {None}
    assert (built.training.n_model, built.training.n_certified) == (240, 0)
    world.clock.pass_(days=1)
    round_of(world, 300)
    built = world.loop.build()
    assert built.training.n_model == built.training.n_certified == 480
    assert "no guarantee" not in built.guarantee


def test_terms_are_fixed_when_a_guarantee_begins(make_world: MakeWorld) -> None:
    world = make_world(queues(60), head=PLAIN)
    round_of(world, 300)
    terms = "[training]\nmax_error = 0.5"
    world.configure(queues(60), head=PLAIN.replace("[training]", terms))
    world.clock.pass_(days=1)
    round_of(world, 300)
    world.clock.pass_(days=31)
    round_of(world, 300)
    found = [(c.max_error, c.promise, c.rounds) for c in registered(world)]
    assert found == [(0.05, "model-labels", (1, 2)), (0.5, "model-labels", (3,))]


def test_a_new_model_ends_a_guarantee_and_a_new_one_begins(make_world: MakeWorld) -> None:
    world = make_world(queues(60), head=PLAIN)
    round_of(world, 300)
    world.clock.pass_(days=1)
    world.traffic(300, predicted_class="cat", confidence="0.95", model="v2")
    world.loop.index()
    world.loop.select(now=True)
    first, second = registered(world)
    assert (first.closed, first.rounds, first.ended) == (True, (1,), "a new model serves: v2")
    assert (second.closed, second.rounds) == (False, (2,))
    assert second.failure_probability == first.failure_probability == 0.05


def test_a_guarantee_of_a_learned_risk_was_not_taught_by_its_own_audits(
    make_world: MakeWorld,
) -> None:
    world = make_world(queues(250), head=PLAIN)
    round_of(world, 400, n_wrong=60)
    world.clock.pass_(days=31)
    round_of(world, 400, n_wrong=60)
    first, second = registered(world)
    assert first.risk_version is None
    assert second.risk_version is not None
    with world.loop.project.ledger.read() as tx:
        assert risks.get(tx, second.risk_version).rounds == (1,)


def test_up_to_one_place_every_sample_of_the_prefix_is_checked_and_asked_about_once(
    make_world: MakeWorld,
) -> None:
    world = make_world(QUEUE.replace('"uncertainty"', '"auto"').format(budget=150), head=PLAIN)
    for seed in (1, 2):
        day(world, night(0.05, 0.6), n=800, seed=seed)
    (found,) = registered(world)
    assert found.rounds == (1, 2)
    assert found.plan is not None
    second = [d for d in world.draws("accuracy") if d.round == 2]
    audits = [d for d in second if d.within is not None]
    alone = [d for d in second if d.audit_only]
    # one confidence: the first part of the traffic is all of it
    served = [p for _, p in world.log._predictions() if p.sample_id.startswith("000002")]
    smallest = sorted(served, key=lambda p: p.line)[:150]
    assert {d.sample_id for d in audits} == {p.sample_id for p in smallest}
    assert len({d.task_key for d in second}) == len(second)
    assert len(audits) == found.audits[1]
    assert {d.within for d in audits} == {found.within[1]} == {1.0}
    # what the round's own draw didn't take: samples by day, each with the chance of an audit
    assert alone
    assert {d.attributes["light"] for d in alone} == {"day"}
    assert {d.inclusion for d in alone} == {150 / 800}
    # they are paid from the budget, and no part of the accuracy
    assert len(second) == pytest.approx(150, abs=40)
    assert world.loop.measure().rounds[1].n_drawn == len(second) - len(alone)


def test_extra_rounds_and_empty_ones_join_no_guarantee(make_world: MakeWorld) -> None:
    world = make_world(queues(250), head=PLAIN)
    round_of(world, 400)
    world.loop.select(since=world.clock.at - timedelta(days=1))
    world.clock.pass_(days=2)
    world.loop.select()
    assert [c.rounds for c in registered(world)] == [(1,)]


def test_what_is_contested_later_is_not_kept(make_world: MakeWorld) -> None:
    world = make_world(queues(250), head=PLAIN)
    round_of(world, 400)
    world.loop.build()
    before = model_rows(world)
    world.retag(before[0].sample_id, flagged="true")
    world.clock.pass_(minutes=5)
    world.loop.index()
    built = world.loop.build()
    assert built.certificates[0].n_listed == 399
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


def test_a_forgotten_audit_leaves_the_test_and_the_others_decide(make_world: MakeWorld) -> None:
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


def test_skipped_audits_count_as_wrong_and_dont_wait_for_an_answer(make_world: MakeWorld) -> None:
    world = make_world(queues(250), head=PLAIN)
    round_of(world, 400, answer=False)
    tasks = open_tasks(world)
    for task in tasks[:100]:
        world.annotator.skip(task, by="ana")
    world.loop.collect()
    said = world.loop.build().guarantee
    assert "150 checks are open" in said
    assert "100 were skipped or can't be answered, and count as wrong" in said
    for task in tasks[100:]:
        world.annotator.answer(task, "cat", by="ana")
    world.loop.collect()
    said = world.loop.build().guarantee
    assert "100 were skipped or can't be answered, and count as wrong" in said
    assert "open" not in said


@pytest.mark.mistake("no-guarantee")
def test_a_model_that_is_too_often_wrong_is_told_so_while_answers_and_rounds_are_missing(
    make_world: MakeWorld,
) -> None:
    world = make_world(queues(250), head=PLAIN)
    world.traffic(330, predicted_class="dog", confidence="0.99")
    world.loop.index()
    world.loop.select()
    world.loop.send()
    for task in open_tasks(world)[:-3]:
        world.annotator.answer(task, "cat", by="ana")
    world.loop.collect()
    assert world.loop.build().guarantee.endswith(
        "247 checked labels): the model is too often wrong even where it is surest"
    )


def serve_graded(world: World, n: int) -> None:
    """Traffic of cats in twenty equal steps of confidence; the model is right but in the last two."""
    for step in range(20):
        said = "dog" if step >= 18 else "cat"
        world.traffic(n // 20, predicted_class=said, confidence=f"{0.99 - 0.03 * step:.2f}")


def day_of(world: World, n: int) -> None:
    serve_graded(world, n)
    world.loop.index()
    world.loop.select(now=True)
    world.loop.send()
    world.answer_all("cat")
    world.loop.collect()


def test_half_of_a_days_budget_gives_a_guarantee_the_same_day_and_the_next_one_reaches_further(
    make_world: MakeWorld,
) -> None:
    world = make_world(queues(160).replace("confidence < 0.5", "confidence < 0.01"), head=PLAIN)
    day_of(world, 1_200)
    (found,) = registered(world)
    assert found.plan is not None
    assert found.plan.closer
    draws = [d for d in world.draws("accuracy") if d.round == 1]
    assert len(draws) == 160
    alone = [d for d in draws if d.audit_only]
    assert 40 <= len(alone) <= 80
    # each prefix has as many audits as prove it, and they are its smallest places
    for i, g in enumerate((0.2, 0.3, 0.4)):
        if g > found.within[0]:
            break
        served = [
            p for _, p in world.log._predictions() if p.confidence >= 0.99 - 0.06 * (2 + i) + 0.02
        ]
        most = round(found.plan.shares[i] * len(served))
        assert most in (79, 80)
        smallest = {p.sample_id for p in sorted(served, key=lambda p: p.line)[:most]}
        assert {d.sample_id for d in draws if d.within is not None and d.within >= g} >= smallest
    (state,) = world.loop.build().certificates
    assert state.prefix >= 0.2
    assert state.n_accepted > 100
    assert {d.inclusion for d in alone} <= set(found.plan.shares)
    world.clock.pass_(days=1)
    day_of(world, 1_200)
    first, second = registered(world)
    assert (
        first.ended
        == "a first part of the traffic is guaranteed; the next guarantee reaches further"
    )
    assert second.plan is not None
    assert not second.plan.closer
    assert (first.rounds, second.rounds) == ((1,), (2,))
    assert len([d for d in world.draws("accuracy") if d.round == 2]) == pytest.approx(160, abs=40)
    assert world.loop.build().certificates[0].n_accepted == state.n_accepted


def test_where_referees_are_named_a_check_counts_by_a_referees_answer(
    make_world: MakeWorld,
) -> None:
    referees = '\n[people]\nreferees = ["ref@labelloop.invalid", "rob@labelloop.invalid"]\n'
    looks = queues(250).replace("budget = 250", "budget = 250\nsecond_look = true")
    world = make_world(looks + referees, head=PLAIN)
    world.annotator.members = ["ana", "ref", "rob"]
    round_of(world, 400, answer=False)
    for task in open_tasks(world):
        world.annotator.answer(task, "cat", by="ana")
    world.loop.collect()
    (state,) = world.loop.build().certificates
    assert (state.n_answered, state.n_accepted) == (0, 0)
    before = set(open_tasks(world))
    world.loop.send()
    again = [task for task in open_tasks(world) if task not in before]
    assert len(again) == state.n_audits == 250
    said = {
        world.annotator.offered(world.project_ref("accuracy"), by=who)[0] for who in ("ref", "rob")
    }
    assert said <= set(again)
    for task in again:
        world.annotator.answer(task, "cat", by="ref")
    world.loop.collect()
    built = world.loop.build()
    (state,) = built.certificates
    assert (state.n_answered, state.n_accepted, state.by_referees) == (250, 150, True)
    assert "guarantee (95.0% confidence, checked by referees)" in str(built.guarantee)
