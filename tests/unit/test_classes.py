"""The life of a class: added, renamed, merged, retired; and answers that are no class."""

from collections.abc import Callable
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from labelloop.adapters.label_studio.labelling_config import labelling_config, with_choices
from labelloop.core.estimate import Estimate
from labelloop.core.task import TaskState
from labelloop.errors import ConfigError
from labelloop.exports import manifest
from labelloop.ledger import classes
from labelloop.loop import Loop
from labelloop.ports.annotator import ProjectSpec
from labelloop.project import Project
from labelloop.settings.file import load
from tests.unit.conftest import MakeWorld
from tests.world import ACCURACY, HEAD, LOW, World

PLAIN = 'classes = ["cat", "dog"]'
THREE = HEAD.replace(PLAIN, 'classes = ["cat", "dog", "puppy"]')
FOOD = HEAD.replace(PLAIN, f'{PLAIN}\nextra_answers = ["no pet"]')
MERGED = (
    HEAD.replace(PLAIN, "")
    + """
[[class]]
name = "cat"

[[class]]
name = "hound"
was = ["dog", "puppy"]
"""
)
WITH_CAT = HEAD.replace(PLAIN, 'classes = ["cat", "hound"]')


def accuracy(world: World) -> float:
    [measured] = world.loop.measure().rounds
    assert isinstance(measured.estimate, Estimate)
    return measured.estimate.value


def blind_task(world: World, sample_id: str) -> int:
    key = world.task(sample_id, "evaluation").task_key
    ids = world.annotator.task_ids(world.project_ref("accuracy"))
    return next(i for i in ids if world.annotator.data_of(i)["labelloop"] == key)


def rows(world: World, name: str) -> list[manifest.Row]:  # type: ignore[name-defined]
    world.loop.build()
    return list(manifest.rows(world.loop.dataset(name)))


# --- extra answers --------------------------------------------------------------------------


def test_an_extra_answer_is_offered_counts_as_wrong_and_trains_nothing(
    make_world: MakeWorld,
) -> None:
    world = make_world(ACCURACY + LOW, head=FOOD)
    world.traffic(9, predicted_class="cat", confidence="0.5")
    world.loop.run(now=True)
    for queue in ("accuracy", "low"):
        assert list(world.annotator.choices(world.project_ref(queue))) == ["cat", "dog", "no pet"]
    world.answer_all(iter(["no pet", "cat", "cat", "cat", "cat", "no pet", "cat"] * 2).__next__)
    assert world.loop.collect().n_labels == 9
    assert accuracy(world) == pytest.approx(4 / 5)
    evaluation = rows(world, "evaluation")
    assert sorted((r.label, r.extra_answer) for r in evaluation) == [
        *[("cat", False)] * 4,
        ("no pet", True),
    ]
    assert {r.label for r in rows(world, "training")} == {"cat"}


def test_a_prediction_of_an_extra_answer_is_set_aside(make_world: MakeWorld) -> None:
    world = make_world(ACCURACY, head=FOOD)
    world.put("a.png", predicted_class="no pet")
    assert world.loop.index().n_set_aside == 1


def test_an_answer_may_become_extra_and_a_class_again(make_world: MakeWorld) -> None:
    world = make_world(LOW, head=THREE)
    world.traffic(3, confidence="0.4")
    world.loop.run(now=True)
    world.answer_all("puppy")
    world.loop.collect()
    assert {r.label for r in rows(world, "training")} == {"puppy"}
    world.configure(LOW, head=HEAD.replace(PLAIN, f'{PLAIN}\nextra_answers = ["puppy"]'))
    world.loop.collect()
    assert rows(world, "training") == []
    world.configure(LOW, head=THREE)
    assert {r.label for r in rows(world, "training")} == {"puppy"}


# --- renamed and merged ---------------------------------------------------------------------


@pytest.fixture
def merged(make_world: MakeWorld) -> World:
    """Five blind labels under old names: predicted dog, dog, cat, puppy, puppy."""
    world = make_world(ACCURACY, head=THREE)
    for i, predicted in enumerate(["dog", "dog", "cat", "puppy", "puppy"]):
        world.put(f"{i}.png", predicted_class=predicted, confidence="0.95")
    world.loop.run(now=True)
    for i, said in enumerate(["dog", "puppy", "cat", "dog", "cat"]):
        world.annotator.answer(blind_task(world, f"{i}.png"), said, by="ana")
    world.loop.collect()
    assert accuracy(world) == pytest.approx(2 / 5)
    world.configure(ACCURACY, head=MERGED)
    return world


def test_old_predictions_and_labels_count_as_the_new_class(merged: World) -> None:
    assert accuracy(merged) == pytest.approx(4 / 5)
    assert {(c.predicted_class, c.label) for c in merged.loop.measure().confusion} == {
        ("hound", "hound"),
        ("cat", "cat"),
        ("hound", "cat"),
    }
    assert {r.label for r in rows(merged, "evaluation")} == {"hound", "cat"}


def test_nothing_of_the_past_is_rewritten(merged: World) -> None:
    import sqlalchemy as sa

    from labelloop.ledger import tables as t

    merged.loop.run()
    with merged.loop.project.ledger.read() as tx:
        assert set(tx.execute(sa.select(t.draws.c.predicted_class)).scalars()) == {
            "dog",
            "cat",
            "puppy",
        }
        assert set(tx.execute(sa.select(t.labels.c.label)).scalars()) == {"dog", "puppy", "cat"}
        assert set(tx.execute(sa.select(t.annotations.c.answer)).scalars()) == {
            "dog",
            "puppy",
            "cat",
        }
        kept = {
            r.name: (r.merged_into, r.retired_at is None) for r in tx.execute(sa.select(t.classes))
        }
    assert kept == {
        "cat": (None, True),
        "hound": (None, True),
        "dog": ("hound", False),
        "puppy": ("hound", False),
    }


def test_an_old_name_stays_merged_until_it_is_a_class_again(merged: World) -> None:
    assert accuracy(merged) == pytest.approx(4 / 5)
    merged.loop.collect()  # a verb that writes tells the ledger
    merged.configure(ACCURACY, head=WITH_CAT)
    assert accuracy(merged) == pytest.approx(4 / 5)
    with merged.loop.project.ledger.read() as tx:
        assert classes.renamed(tx) == {"dog": "hound", "puppy": "hound"}
    merged.configure(ACCURACY, head=THREE)
    assert accuracy(merged) == pytest.approx(2 / 5)


def test_a_chain_of_names_ends_at_the_present_one(merged: World) -> None:
    assert accuracy(merged) == pytest.approx(4 / 5)
    head = MERGED.replace(
        'name = "hound"\nwas = ["dog", "puppy"]', 'name = "canine"\nwas = ["hound"]'
    )
    merged.loop.collect()  # a verb that writes tells the ledger
    merged.configure(ACCURACY, head=head)
    with merged.loop.project.ledger.read() as tx:
        assert set(classes.renamed(tx).values()) == {"canine"}
    assert accuracy(merged) == pytest.approx(4 / 5)


def test_the_application_may_go_on_saying_the_old_name(merged: World) -> None:
    merged.put("new.png", predicted_class="puppy", confidence="0.2", corrected_class="dog")
    assert merged.loop.index().n_new == 1
    assert merged.loop.index().n_feedback == 0, "heard once"
    assert merged.loop.index().n_set_aside == 0, "what was said under an old name isn't a change"
    known = merged.log.samples(["new.png", "3.png"])
    assert {k.predicted_class for k in known.values()} == {"hound"}
    assert known["new.png"].corrected_class == "hound"


def test_queues_and_model_labels_know_old_rows_by_the_new_name(make_world: MakeWorld) -> None:
    hounds = LOW.replace("confidence < 0.7", "predicted_class = 'hound' and confidence < 0.7")
    world = make_world(ACCURACY.replace("5", "1"), head=THREE)
    for i in range(8):
        world.put(f"{i}.png", predicted_class="dog" if i % 2 else "cat", confidence="0.95")
    world.loop.run(now=True)
    for i in range(4):
        world.put(f"low-{i}.png", predicted_class="puppy", confidence="0.3")
    world.loop.index()
    world.configure(ACCURACY.replace("5", "1") + hounds, head=MERGED)
    world.loop.run(now=True)
    assert len(world.draws("low")) in {3, 4}, "all but what evaluation took"
    assert {d.predicted_class for d in world.draws("low")} == {"hound"}
    shown = {d["predicted_class"] for d in world.data("low")}
    assert shown == {"hound"}
    assert {r.label for r in rows(world, "training")} == {"hound", "cat"}


def test_a_tie_between_merged_classes_is_none(make_world: MakeWorld) -> None:
    world = make_world(ACCURACY + "annotators_per_sample = 2\n", head=THREE)
    world.put("a.png", predicted_class="dog")
    world.loop.run(now=True)
    for said, by in (("dog", "ana"), ("puppy", "ben")):
        world.annotator.answer(blind_task(world, "a.png"), said, by=by)
    world.loop.collect()
    assert world.task("a.png", "evaluation").state is TaskState.TIED
    world.configure(ACCURACY + "annotators_per_sample = 2\n", head=MERGED)
    assert world.loop.collect().n_labels == 1
    assert world.task("a.png", "evaluation").state is TaskState.RESOLVED
    assert world.labels().popitem()[1] == "hound"
    assert world.loop.collect().n_labels == 0


def test_a_candidate_may_answer_under_old_names(merged: World, tmp_path: Path) -> None:
    file = tmp_path / "candidate.parquet"
    said = ["dog", "hound", "cat", "puppy", "cat"]
    pq.write_table(
        pa.table(
            {
                "sample_id": [f"{i}.png" for i in range(5)],
                "predicted_class": said,
                "confidence": [0.9] * 5,
            }
        ),
        file,
    )
    found = merged.loop.compare(file).candidate
    assert isinstance(found, Estimate)
    assert found.value > 0.8


# --- Label Studio's choices -----------------------------------------------------------------


@pytest.mark.mistake("class-retired")
def test_choices_follow_the_settings_and_answers_stay(merged: World) -> None:
    project = merged.project_ref("accuracy")
    assert list(merged.annotator.choices(project)) == ["cat", "dog", "puppy"]
    merged.loop.send()
    assert list(merged.annotator.choices(project)) == ["cat", "hound"]
    merged.loop.collect()
    assert accuracy(merged) == pytest.approx(4 / 5)


def test_an_answer_under_the_old_name_counts_until_the_choices_have_changed(
    merged: World,
) -> None:
    merged.annotator.edit("a5", "puppy")
    assert merged.loop.collect().n_edited == 1
    assert accuracy(merged) == pytest.approx(5 / 5)


@pytest.mark.mistake("class-retired")
def test_a_retired_class_leaves_old_labels_and_sets_new_ones_aside(
    make_world: MakeWorld,
) -> None:
    world = make_world(ACCURACY, head=THREE)
    for i in range(5):
        world.put(f"{i}.png", predicted_class="puppy")
    world.loop.run(now=True)
    world.annotator.answer(blind_task(world, "0.png"), "puppy", by="ana")
    world.loop.collect()
    world.configure(ACCURACY)
    world.annotator.answer(blind_task(world, "1.png"), "puppy", by="ana")
    collected = world.loop.collect()
    assert [s.value for s in collected.strays] == ["puppy"]
    assert collected.n_labels == 0
    assert [r.label for r in rows(world, "evaluation")] == ["puppy"]
    assert world.loop.index().n_set_aside == 0, "what is in the log stays there"
    world.put("late.png", predicted_class="puppy")
    assert world.loop.index().n_set_aside == 1, "a prediction of it is unknown now"
    world.configure(ACCURACY, head=THREE)
    assert world.loop.index().n_new == 1, "and read again when the class is back"
    assert world.loop.collect().n_labels == 1


# --- the settings ---------------------------------------------------------------------------


def test_classes_by_themselves_are_the_classes_of_the_project(make_world: MakeWorld) -> None:
    world = make_world(ACCURACY, head=MERGED)
    assert world.settings.project.classes == ["cat", "hound"]


@pytest.mark.parametrize(
    ("edit", "message"),
    [
        (lambda _text: HEAD + '[[class]]\nname = "cat"\n', "write them once"),
        (lambda _text: HEAD.replace(PLAIN, ""), "project.classes is missing"),
        (lambda text: text.replace('"dog", "puppy"', '"cat"'), "an answer and an old name"),
        (lambda text: text.replace('name = "cat"', 'name = "cat"\nwas = ["dog"]'), "two classes"),
        (lambda text: text.replace("was", "were"), "unknown key class.1.were"),
        (lambda _text: FOOD.replace('"no pet"', '"cat"'), "listed twice"),
    ],
)
def test_says_what_is_wrong_with_classes(
    tmp_path: Path, edit: Callable[[str], str], message: str
) -> None:
    path = tmp_path / "labelloop.toml"
    path.write_text(edit(MERGED) + ACCURACY)
    with pytest.raises(ConfigError, match=message):
        load(path, {})


# --- the labelling config -------------------------------------------------------------------

SPEC = ProjectSpec(
    title="pets", marker="labelloop:l/q", classes=("cat", "$dog"), show=(), blind=True
)


def test_new_choices_leave_what_people_changed() -> None:
    own = (
        labelling_config(SPEC)
        .replace('value="cat"', 'value="cat" hotkey="c"')
        .replace("<View>", '<View><Header value="Look twice"/>')
    )
    changed = with_choices(own, ["$dog", "cow", "cat"])
    assert changed is not None
    assert 'hotkey="c"' in changed
    assert "Look twice" in changed
    assert [changed.index(f'"{name}"') for name in ("$dog", "cow", "cat")] == sorted(
        changed.index(f'"{name}"') for name in ("$dog", "cow", "cat")
    )
    assert with_choices(changed, ["$dog", "cow", "cat"]) == changed


@pytest.mark.parametrize("config", ["<View/>", "<View>", '<View><Choices name="x"/></View>'])
def test_a_config_without_our_control_takes_no_choices(config: str) -> None:
    assert with_choices(config, ["cat"]) is None


# --- what is likely not meant ---------------------------------------------------------------


@pytest.mark.mistake("class-dropped")
@pytest.mark.parametrize(
    ("now", "told"),
    [
        ('classes = ["cat", "dogs"]', "2 labels hold the class 'dog', which [project] no longer"),
        ('classes = ["cat", "cow"]', "2 labels hold the class 'dog', which [project] no longer"),
        (
            '[[class]]\nname = "cat"\n[[class]]\nname = "hound"\nwas = ["dog"]',
            None,
        ),
        ('classes = ["cat", "dog", "cow"]', None),
    ],
)
def test_a_class_that_labels_hold_and_the_settings_drop_is_told_once(
    make_world: MakeWorld, now: str, told: str | None
) -> None:
    world = make_world(LOW)
    world.traffic(5, confidence="0.4")
    world.loop.run(now=True)
    world.answer_all(iter(["dog", "cat", "dog", "cat", "dog"]).__next__)
    world.loop.collect()
    head = HEAD.replace(PLAIN, "") + now if now.startswith("[[") else HEAD.replace(PLAIN, now)
    (world.folder / "labelloop.toml").write_text(head + LOW)
    warned: list[str] = []
    for _ in range(2):
        project = Project(
            load(world.folder / "labelloop.toml", {}),
            clock=world.clock,
            warn=warned.append,
            store=world.store,
            log=world.log,
            annotator=world.annotator,
        )
        with Loop(project) as loop:
            loop.index()
    assert [told in text for text in warned] == ([True] if told else [])  # type: ignore[operator]
    if told:
        name = "dogs" if "dogs" in now else "ITS NEW NAME"
        assert f"[[class]] name = '{name}', was = ['dog']" in warned[0]
