"""Labels of a training set that a model contradicts are listed, and asked about again, blind."""

import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import sqlalchemy as sa
from click.testing import CliRunner

from labelloop.cli.main import group
from labelloop.core.dataset import Origin
from labelloop.core.sample import Prediction, Role
from labelloop.core.task import TaskState
from labelloop.errors import ArgumentError
from labelloop.exports import manifest
from labelloop.ledger import blindness, events
from labelloop.ledger import tables as t
from labelloop.settings.file import load
from labelloop.web import links
from tests.unit.conftest import MakeWorld
from tests.unit.test_samples import Seen, look
from tests.unit.test_training_picks import log_rows, said
from tests.world import HEAD, World

ASK = '[[queue]]\nname = "again"\npurpose = "training"\nbudget = {n}\npick = "suspects"\n'
TRAIN = '[[queue]]\nname = "train"\npurpose = "training"\nshow = ["predicted_class"]\n'
WITHOUT_MODEL_LABELS = HEAD.replace("[training]\nconfidence = 0.9\n", "")
PLANTED = ("s03", "s04")
"""People say the other class of these, although the model is sure."""


def labelled(make_world: MakeWorld, more: str = ASK.format(n=5)) -> World:
    """Twelve labels, two of them wrong; the model is 90% sure, of s01 and s02 60% and wrong."""
    world = make_world(TRAIN + more, head=WITHOUT_MODEL_LABELS)
    rows = [
        said(world, f"s{i:02d}", [0.6, 0.4] if i in {1, 2} else [0.9, 0.1] if i % 2 else [0.1, 0.9])
        for i in range(12)
    ]
    log_stored(world, rows)
    world.loop.select()
    world.loop.send()
    answer(
        world, {row.sample_id: row.predicted_class for row in rows} | {"s01": "dog", "s02": "dog"}
    )
    for sample_id in PLANTED:
        answer(world, {sample_id: "dog" if sample_id == "s03" else "cat"}, by="cleo")
    world.loop.collect()
    world.loop.build()
    return world


def log_stored(world: World, rows: Sequence[Prediction]) -> None:
    """Log predictions of objects that are in the store."""
    hashes = {row.sample_id: world.store.put(row.sample_id, row.sample_id.encode()) for row in rows}
    log_rows(world, [replace(row, content_hash=hashes[row.sample_id].content_hash) for row in rows])


def answer(world: World, truth: dict[str, str], *, by: str = "ana", queue: str = "train") -> None:
    """Answer the tasks of a queue; a person's later answer replaces the earlier one."""
    for page in world.annotator.tasks(world.project_ref(queue)):
        for task in page:
            sample_id = sample_of(world, str(task.task_key))
            if sample_id in truth and not (
                queue == "train" and by == "ana" and sample_id in PLANTED
            ):
                world.annotator.answer(task.remote_id, truth[sample_id], by=by)


def sample_of(world: World, key: str) -> str:
    with world.loop.project.ledger.read() as tx:
        return str(
            tx.execute(sa.select(t.tasks.c.sample_id).where(t.tasks.c.task_key == key)).scalar_one()
        )


def training(world: World) -> dict[str, str]:
    return {row.sample_id: row.label for row in manifest.rows(world.loop.dataset("training"))}


def test_labels_that_the_model_surely_contradicts_are_listed(make_world: MakeWorld) -> None:
    world = labelled(make_world)
    found = world.loop.suspects()
    assert (found.version, found.n_labels, found.n_judged, found.n_by_confidence) == (
        *("training v1", 12),
        *(12, 0),
    )
    assert [(s.sample_id, s.label, s.said, s.by, s.origin) for s in found.first] == [
        ("s03", "dog", "cat", "cleo", Origin.HUMAN),
        ("s04", "cat", "dog", "cleo", Origin.HUMAN),
    ]
    assert [round(s.label_probability, 6) for s in found.first] == [0.1, 0.1]
    assert found.n == len(found.first) == 2  # s01 and s02 are doubted, and not surely


def test_people_are_asked_again_blind_and_their_answer_holds(make_world: MakeWorld) -> None:
    world = labelled(make_world)
    (plan,) = [p for p in world.loop.select(now=True).plans if p.queue == "again"]
    assert (plan.n_matching, plan.n_drawn, plan.inclusion, plan.chosen) == (2, 2, None, True)
    world.loop.send()
    remote = world.annotator.task_ids(world.project_ref("again"))
    sent = [world.annotator.data_of(remote_id) for remote_id in remote]
    assert [set(data) for data in sent] == [{"labelloop", "image"}] * 2
    assert all("blind" in str(data["image"]) and "s0" not in str(data["image"]) for data in sent)
    with world.loop.project.ledger.read() as tx:
        hidden = blindness.hidden(tx)
        assert hidden.sample_ids >= set(PLANTED)
        told = events.newest(tx, before=None, hidden=hidden).groups
        own = tx.scalars(sa.select(t.tasks.c.task_key).where(t.tasks.c.sample_id.in_(PLANTED)))
        assert {group.subject for group in told}.isdisjoint(own)
    answer(world, {"s03": "cat", "s04": "cat"}, queue="again", by="ana")
    world.loop.collect()
    world.loop.build()
    assert {s: label for s, label in training(world).items() if s in PLANTED} == {
        "s03": "cat",
        "s04": "cat",
    }
    assert world.loop.dataset("training").n_human == 12
    (left,) = world.loop.suspects().first
    assert (left.sample_id, left.asked_again, left.answer) == ("s04", TaskState.RESOLVED, "cat")
    plans = world.loop.select(now=True).plans
    assert [p.n_drawn for p in plans if p.queue == "again"] == [0]  # each is asked about once


def test_who_looked_at_what_the_model_said_answers_no_question_asked_again(
    make_world: MakeWorld,
) -> None:
    world = labelled(make_world)
    world.annotator.members = ["ana", "ben", "cleo"]
    world.loop.select(now=True)
    world.loop.send()
    service = Seen(world)
    client = service.bearer("ana", "read", "operate")
    page = look(client, links.sample("s03"))
    assert "waits for a blind answer" not in page.text
    assert "90" in page.text
    service.site.close()
    world.clock.pass_(minutes=5)
    answer(world, {"s03": "cat", "s04": "dog"}, queue="again", by="ana")
    world.clock.pass_(minutes=5)
    found = world.loop.collect()
    assert (found.n_void, found.n_labels) == (1, 1)
    world.loop.send()
    answer(world, {"s03": "cat"}, queue="again", by="ben")
    assert world.loop.collect().n_labels == 1


def test_the_budget_takes_the_surest_contradictions_first(make_world: MakeWorld) -> None:
    world = labelled(make_world, ASK.format(n=1))
    world.loop.select(now=True)
    d = t.draws.c
    with world.loop.project.ledger.read() as tx:
        rows = tx.execute(
            sa.select(d.sample_id, d.pick, d.rank, d.score, d.reason).where(d.queue == "again")
        ).all()
    ((sample_id, pick, rank, score, reason),) = rows
    assert (sample_id, pick, rank, round(score, 6)) == ("s03", "suspects", 1, 0.9)
    assert reason == (
        "suspects 1 of the training set's labels: rank 1 of 1 from 2, labelled 'dog'; m1 says 'cat' "
        "with probability 0.9"
    )


def test_what_was_evaluated_is_never_asked_about_here(make_world: MakeWorld) -> None:
    world = labelled(make_world)
    evaluation = replace(world.loop.dataset("training"), name="evaluation")
    from labelloop.steps.suspects import from_log, suspects

    with (
        world.loop.project.ledger.read() as tx,
        pytest.raises(ArgumentError, match="isn't a training set: second looks check the labels"),
    ):
        suspects(tx, evaluation, from_log(world.log), ["cat", "dog"])


def test_a_shadow_model_contradicts_what_the_served_one_labelled(make_world: MakeWorld) -> None:
    world = make_world(TRAIN.replace("show", 'where = "confidence < 0.5"\nshow') + ASK.format(n=5))
    served = [said(world, f"m{i}", [0.95, 0.05] if i % 2 else [0.05, 0.95]) for i in range(8)]
    shadows = [replace(row, role=Role.SHADOW, model="m2") for row in served]
    shadows[3] = replace(shadows[3], predicted_class="dog", probabilities=[0.01, 0.99])
    log_stored(world, [*served, *shadows])
    world.loop.select()
    world.loop.build()
    (suspect,) = world.loop.suspects().first
    assert (suspect.sample_id, suspect.label, suspect.said) == ("m3", "cat", "dog")
    assert (suspect.origin, suspect.model, suspect.by) == (Origin.MODEL, "m2", None)
    assert world.loop.suspects(model="m1").n == 0
    world.loop.select(now=True)
    world.loop.send()
    world.loop.build()
    assert "m3" not in training(world)  # it waits for a person
    answer(world, {"m3": "dog"}, queue="again")
    world.loop.collect()
    world.loop.build()
    assert training(world)["m3"] == "dog"


@pytest.mark.parametrize("suffix", ["parquet", "csv"])
def test_a_file_of_predictions_made_out_of_fold_can_judge(
    make_world: MakeWorld, tmp_path: Path, suffix: str
) -> None:
    world = labelled(make_world)
    own = training(world)
    path = tmp_path / f"out_of_fold.{suffix}"
    if suffix == "csv":
        said_of = own | {"s05": "dog"}
        lines = [f"{s},{c},{0.99 if s == 's05' else 0.8}" for s, c in said_of.items()]
        path.write_text("\n".join(["sample_id,predicted_class,confidence", *lines]) + "\n")
    else:
        table = pa.table(
            {
                "sample_id": list(own),
                "predicted_class": ["dog" if s == "s05" else c for s, c in own.items()],
                "probabilities": [
                    [0.01, 0.99] if s == "s05" else [0.8, 0.2] if c == "cat" else [0.2, 0.8]
                    for s, c in own.items()
                ],
            }
        )
        pq.write_table(table, path)
    found = world.loop.suspects(predictions=path)
    assert [(s.sample_id, s.label, s.said, s.model) for s in found.first] == [
        ("s05", "cat", "dog", path.name)
    ]
    assert found.n_by_confidence == (12 if suffix == "csv" else 0)


@pytest.mark.parametrize(
    ("lists", "usable"),
    [
        ([0.9, 0.1], True),
        ([9.0, 1.0], True),
        ([0.1, 0.9], False),  # another order of the classes
        ([0.9, 0.05, 0.05], False),
        ([float("nan"), 0.1], False),
        ([-0.1, -1.1], False),
        ([0.0, 0.0], False),
        (None, False),
    ],
)
def test_lists_in_another_order_give_way_to_the_confidence(
    make_world: MakeWorld, lists: Sequence[float] | None, usable: bool
) -> None:
    world = make_world(TRAIN, head=WITHOUT_MODEL_LABELS)
    rows = [said(world, f"s{i}", [0.8, 0.2]) for i in range(4)]
    rows[0] = replace(rows[0], probabilities=lists, confidence=0.9)
    log_stored(world, rows)
    world.loop.select()
    world.loop.send()
    answer(world, {row.sample_id: "dog" if row.sample_id == "s0" else "cat" for row in rows})
    world.loop.collect()
    world.loop.build()
    found = world.loop.suspects()
    assert found.n_by_confidence == (not usable)
    assert [s.sample_id for s in found.first] == ["s0"]
    assert found.first[0].label_probability == pytest.approx(0.1)


@pytest.mark.parametrize(
    ("more", "message"),
    [
        (
            'show = ["confidence"]',
            "show isn't allowed with pick = 'suspects': its labels must be given",
        ),
        (
            "prefill = true",
            "prefill isn't allowed with pick = 'suspects': its labels must be given",
        ),
        ('where = "confidence < 1"', "where isn't allowed with pick = 'suspects': it picks labels"),
        ('balance = "predicted_class"', "balance isn't allowed with pick = 'suspects'"),
    ],
)
def test_what_a_blind_question_cannot_have_is_refused(
    tmp_path: Path, more: str, message: str
) -> None:
    path = tmp_path / "labelloop.toml"
    path.write_text(HEAD + ASK.format(n=5) + more + "\n")
    with pytest.raises(Exception, match=message):
        load(path, {})


def test_predictions_of_no_label_are_an_error(make_world: MakeWorld) -> None:
    world = labelled(make_world)
    with pytest.raises(
        ArgumentError, match=r"none of the 12 labels .* has an answer in model 'm9'"
    ):
        world.loop.suspects(model="m9")


def test_the_command_lists_them_as_a_table_and_as_json(
    make_world: MakeWorld, monkeypatch: pytest.MonkeyPatch
) -> None:
    world = labelled(make_world)
    monkeypatch.setattr("labelloop.project.Project.open", lambda *_a, **_k: world.loop.project)
    run = CliRunner().invoke
    shown = run(group, ["datasets", "suspects"], env={"COLUMNS": "120"})
    assert shown.exit_code == 0, shown.output
    assert "training v1: 2 of 12 labels contradicted" in shown.output
    assert "s03" in shown.output
    result = run(group, ["datasets", "suspects", "training@1", "--limit", "1", "--json"])
    document = json.loads(result.output)
    assert (document["kind"], document["result"]["n"]) == ("suspects", 2)
    assert [s["sample_id"] for s in document["result"]["first"]] == ["s03"]
