"""build: two datasets, a wall between them, and the same hash for the same state."""

import json
from collections.abc import Sequence
from datetime import timedelta
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from labelloop.core.dataset import DatasetVersion, Origin, Row
from labelloop.errors import DatasetError
from labelloop.exports import manifest
from labelloop.views.verbs import build_line
from tests.unit.conftest import MakeWorld
from tests.unit.test_content_hash import plain_hash
from tests.world import ACCURACY, FLAGGED, HEAD, LOW, Killed, World, kill_at_write


def rows(world: World, name: str, version: int | None = None) -> list[Row]:
    return list(manifest.rows(world.loop.dataset(name, version)))


def ids(found: Sequence[Row]) -> set[str]:
    return {r.sample_id for r in found}


def round_trip(world: World, choice: str = "cat") -> None:
    world.loop.index()
    world.loop.select(now=True)
    world.loop.send()
    world.answer_all(choice)
    world.loop.collect()


def test_nothing_labelled_releases_nothing(world: World) -> None:
    built = world.loop.build()
    assert (built.evaluation.version, built.training.version) == (None, None)
    assert world.loop.datasets() == []
    with pytest.raises(DatasetError, match="no dataset version 'training'"):
        world.loop.dataset("training")


def test_a_version_holds_every_label_with_where_it_came_from(world: World) -> None:
    world.traffic(20, confidence="0.95")
    world.traffic(20, confidence="0.3", model="v2")
    round_trip(world, "dog")
    built = world.loop.build()
    evaluation, training = rows(world, "evaluation"), rows(world, "training")
    assert (built.evaluation.n_human, built.evaluation.n_model) == (5, 0)
    assert {(r.label, r.origin, r.queue, r.inclusion, r.round) for r in evaluation} == {
        ("dog", Origin.HUMAN, "accuracy", 5 / 40, 1)
    }
    human = [r for r in training if r.origin is Origin.HUMAN]
    model = [r for r in training if r.origin is Origin.MODEL]
    assert {(r.queue, r.annotator, r.label) for r in human} == {("low", "ana", "dog")}
    assert all(r.annotation_revision and r.inclusion for r in human)
    n_confident = 20 - sum(r.confidence == 0.95 for r in evaluation)
    assert (built.training.n_human, built.training.n_model) == (len(human), len(model))
    assert (len(human), len(model)) == (4, n_confident)
    assert {(r.queue, r.annotator, r.inclusion, r.round) for r in model} == {
        (None, None, None, None)
    }
    assert all(r.confidence == 0.95 for r in model)
    assert [r.sample_id for r in training] == sorted(r.sample_id for r in training)


def test_a_version_describes_itself(world: World) -> None:
    world.traffic(30)
    round_trip(world)
    world.loop.build()
    version = world.loop.dataset("training")
    folder = Path(version.uri)
    assert sorted(p.name for p in folder.iterdir()) == ["dataset.json", "manifest.parquet"]
    described = json.loads((folder / "dataset.json").read_text())
    assert described["content_hash"] == version.content_hash
    assert described["counts"]["rows"] == version.n_human + version.n_model
    assert described["settings"] == {"confidence": 0.9}
    assert "no guarantee" in described["guarantee"]
    found = sorted(
        (r.sample_id, r.content_hash, r.label, r.origin) for r in rows(world, "training")
    )
    assert plain_hash((a, b, c, d.value) for a, b, c, d in found) == version.content_hash
    assert pq.read_table(folder / "manifest.parquet").column_names == [
        "sample_id", "uri", "content_hash", "label", "origin", "confidence", "model", "round",
        "queue", "inclusion", "annotator", "annotation_revision", "certificate",
        "text", "extra_answer",
    ]  # fmt: skip


def test_the_same_state_builds_no_new_version(world: World) -> None:
    world.traffic(30)
    round_trip(world)
    first = world.loop.build()
    again = world.restart().build()
    assert (first.training.is_new, again.training.is_new, again.evaluation.is_new) == (
        True,
        False,
        False,
    )
    assert again.training.version == 1
    assert len(world.loop.datasets()) == 2


def test_a_changed_label_makes_a_new_version_that_names_its_parent(world: World) -> None:
    world.traffic(30)
    round_trip(world)
    world.loop.build()
    page = next(iter(world.annotator.tasks(world.project_ref("accuracy"))))
    world.annotator.edit(page[0].annotations[0].remote_id, "dog")
    world.loop.collect()
    built = world.loop.build()
    assert (built.evaluation.version, built.evaluation.is_new) == (2, True)
    assert (built.evaluation.added_human, built.training.is_new) == (0, False)
    assert "evaluation v2: 5 human, some changed" in build_line(built)
    second = world.loop.dataset("evaluation")
    assert second.parent == 1
    assert [r.label for r in rows(world, "evaluation", 1)] == ["cat"] * 5
    assert sorted(r.label for r in rows(world, "evaluation")) == ["cat"] * 4 + ["dog"]


def test_the_hash_does_not_depend_on_the_order_of_uploads(make_world: MakeWorld) -> None:
    keys = [f"{n:02d}.png" for n in range(30)]
    hashes = []
    for order in (keys, keys[::-1]):
        world = make_world()
        for key in order:
            world.put(key, confidence="0.95" if key < "15" else "0.4")
        round_trip(world)
        if order == keys:
            world.loop.send()
        world.loop.build()
        hashes.append([v.content_hash for v in world.loop.datasets()])
    assert hashes[0] == hashes[1]


def test_a_sample_of_several_rounds_stands_with_its_first_draw(world: World) -> None:
    world.traffic(20)
    world.loop.index()
    world.loop.select()
    world.clock.pass_(days=1)
    world.traffic(30)
    world.loop.index()
    world.loop.select()
    world.loop.select(since=world.clock.at - timedelta(days=2))
    world.loop.send()
    world.answer_all()
    world.loop.collect()
    world.loop.build()
    found = rows(world, "evaluation")
    assert len(found) == len(ids(found))
    first = {d.sample_id: d for d in reversed(world.draws("accuracy"))}
    assert {(r.sample_id, r.round, r.inclusion) for r in found} == {
        (d.sample_id, d.round, d.inclusion) for d in first.values()
    }
    assert {r.round for r in found} >= {1, 2}


# --- the wall -------------------------------------------------------------------------------


def assert_wall(world: World) -> None:
    evaluation, training = rows(world, "evaluation"), rows(world, "training")
    assert not ids(evaluation) & ids(training)
    assert not {r.content_hash for r in evaluation} & {r.content_hash for r in training}


def test_twins_of_an_evaluation_draw_are_in_no_training_set(make_world: MakeWorld) -> None:
    world = make_world(ACCURACY + LOW.replace("budget = 4", ""))
    for n in range(40):
        body = f"{n // 2}".encode()  # each content twice
        confidence = "0.95" if n % 4 < 2 else "0.3"
        world.put(f"{n:02d}.png", body, confidence=confidence)
    round_trip(world)
    world.loop.build()
    assert len(rows(world, "evaluation")) == 5
    assert_wall(world)
    walled = {d.content_hash for d in world.draws("accuracy")}
    in_training = {r.content_hash for r in rows(world, "training")}
    everything = {o.content_hash for page in world.store.objects() for o in page}
    assert in_training == everything - walled


def test_a_twin_drawn_later_takes_its_older_sibling_out_of_training(
    make_world: MakeWorld,
) -> None:
    world = make_world(LOW)
    world.put("old.png", b"same", confidence="0.1")
    world.put("sure.png", b"likewise", confidence="0.99")
    round_trip(world)
    world.loop.build()
    assert ids(rows(world, "training")) == {"old.png", "sure.png"}
    world.configure(ACCURACY)
    world.put("new.png", b"same", confidence="0.1")
    world.put("new2.png", b"likewise", confidence="0.1")
    world.clock.pass_(hours=1)
    round_trip(world)
    built = world.loop.build()
    assert ids(rows(world, "evaluation")) == {"new.png", "new2.png"}
    assert (built.training.is_new, rows(world, "training")) == (True, [])
    assert built.n_walled == 1
    said = "1 label left out: its input is a copy of what evaluation drew"
    assert said in build_line(built).split("\n")


def test_an_evaluation_draw_without_an_answer_is_walled_too(make_world: MakeWorld) -> None:
    world = make_world(ACCURACY)
    world.traffic(20, confidence="0.99")
    world.loop.index()
    world.loop.select()
    world.loop.build()
    drawn = {d.sample_id for d in world.draws("accuracy")}
    assert len(rows(world, "training")) == 15
    assert not ids(rows(world, "training")) & drawn


def test_what_evaluation_and_training_both_drew_is_evaluations(make_world: MakeWorld) -> None:
    world = make_world(LOW)
    world.traffic(4, confidence="0.1")
    round_trip(world)
    world.loop.build()
    world.configure(ACCURACY + LOW)
    world.loop.select(since=world.clock.at - timedelta(days=1))
    world.loop.send()
    world.answer_all("dog")
    world.loop.collect()
    world.loop.build()
    assert {r.label for r in rows(world, "evaluation")} == {"dog"}
    assert len(rows(world, "evaluation")) == 4
    assert rows(world, "training") == []


# --- model labels ---------------------------------------------------------------------------


def test_only_framed_undrawn_unflagged_confident_predictions_are_model_labels(
    make_world: MakeWorld,
) -> None:
    world = make_world(LOW)
    world.put("at.png", confidence="0.9")
    world.put("below.png", confidence="0.899")
    world.put("missing.png", confidence="-")
    world.put("flagged.png", confidence="0.99", flagged="true")
    world.put("corrected.png", confidence="0.99", corrected_class="dog")
    world.put("unflagged.png", confidence="0.99", flagged="false")
    world.put("old.png", confidence="0.99", timestamp="2026-01-01")
    world.loop.index()
    world.loop.select()
    world.put("unframed.png", confidence="0.99")
    world.loop.index()
    world.loop.build()
    assert ids(rows(world, "training")) == {"at.png", "unflagged.png"}


def test_without_a_threshold_there_are_no_model_labels(make_world: MakeWorld) -> None:
    world = make_world(LOW, head=HEAD.replace("confidence = 0.9", ""))
    world.traffic(10, confidence="0.99")
    world.traffic(2, confidence="0.2")
    round_trip(world)
    built = world.loop.build()
    assert (built.training.n_human, built.training.n_model) == (2, 0)
    assert built.guarantee == "no model-made labels"


def test_a_persons_label_wins_over_the_models_also_for_its_twins(make_world: MakeWorld) -> None:
    world = make_world(FLAGGED)
    world.put("flagged.png", b"same", confidence="0.99", flagged="true")
    world.put("twin.png", b"same", confidence="0.99")
    world.put("other.png", b"other", confidence="0.99")
    round_trip(world, "dog")
    world.loop.build()
    found = {(r.sample_id, r.label, r.origin) for r in rows(world, "training")}
    assert found == {
        ("flagged.png", "dog", Origin.HUMAN),
        ("other.png", "cat", Origin.MODEL),
    }


def test_several_rounds_are_one_training_set_without_repeats(world: World) -> None:
    for _ in range(3):
        world.traffic(20)
        round_trip(world)
        world.clock.pass_(days=1)
    world.loop.select(since=world.clock.at - timedelta(days=2))
    world.loop.build()
    found = rows(world, "training")
    assert len(found) == len(ids(found))
    assert_wall(world)
    expected = {
        key
        for page in world.store.objects()
        for o, tags in world.store.tags(page)
        for key in [o.sample_id]
        if float(tags["confidence"]) >= 0.9
    } - {d.sample_id for d in world.draws()}
    assert {r.sample_id for r in found if r.origin is Origin.MODEL} == expected


# --- killed ---------------------------------------------------------------------------------


@pytest.mark.parametrize("at", range(1, 6))
def test_a_build_killed_at_any_write_to_the_ledger_ends_in_the_same_state(
    make_world: MakeWorld, at: int
) -> None:
    killed, whole = make_world(), make_world()
    for world in (killed, whole):
        world.traffic(30)
        round_trip(world)
    whole.loop.build()
    kill_at_write(killed, at)
    with pytest.raises(Killed):
        killed.loop.build()
    killed.restart().build()

    def seen(world: World) -> list[tuple[str, int, str]]:
        return [(v.name, v.version, v.content_hash) for v in world.loop.datasets()]

    assert seen(killed) == seen(whole)
    for version in killed.loop.datasets():
        assert_whole(version)
    home = killed.settings.state.datasets
    assert sorted(p.name for p in home.glob("*/*")) == ["v0001", "v0001"]


def assert_whole(version: DatasetVersion) -> None:
    assert len(list(manifest.rows(version))) == version.n_human + version.n_model
    described = json.loads((Path(version.uri) / "dataset.json").read_text())
    assert described["content_hash"] == version.content_hash


def test_a_folder_that_cannot_be_written_is_named(world: World) -> None:
    world.traffic(10)
    round_trip(world)
    home = world.settings.state.datasets
    home.parent.mkdir(exist_ok=True)
    home.write_text("in the way")
    with pytest.raises(DatasetError, match="can't be written"):
        world.loop.build()
    home.unlink()
    assert world.loop.build().evaluation.version == 1


def test_a_version_whose_folder_is_gone_says_so(world: World) -> None:
    world.traffic(10)
    round_trip(world)
    world.loop.build()
    version = world.loop.dataset("evaluation")
    (Path(version.uri) / "manifest.parquet").unlink()
    with pytest.raises(DatasetError, match="evaluation v1 can't be read"):
        list(manifest.rows(version))


def test_an_unknown_version_is_answered_with_those_there_are(world: World) -> None:
    world.traffic(10)
    round_trip(world)
    world.loop.build()
    with pytest.raises(DatasetError, match="evaluation@7") as caught:
        world.loop.dataset("evaluation", 7)
    assert "evaluation@1" in caught.value.remedy


def test_a_label_of_an_input_that_was_overwritten_stays_out(make_world: MakeWorld) -> None:
    world = make_world(LOW.replace("budget = 4\n", ""))
    for name in ("a", "b", "c"):
        world.put(f"{name}.png", confidence="0.3")
    world.loop.run(now=True)
    world.clock.pass_(hours=1)
    world.put("b.png", b"another picture", confidence="0.3")
    world.answer_all("dog")
    done = world.loop.run()
    assert done.built is not None
    assert done.built.n_overwritten == 1
    assert "1 label left out: another content stands where the input was" in build_line(done.built)
    held = [row.sample_id for row in manifest.rows(world.loop.dataset("training"))]
    assert sorted(held) == ["a.png", "c.png"]
    world.put("b.png", confidence="0.3")
    world.loop.index()
    built = world.loop.build()
    assert (built.n_overwritten, built.training.n_human) == (0, 3)
