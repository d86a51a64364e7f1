"""Exports: a dataset version as a folder of images, or as one CSV file."""

import csv
import json
from collections.abc import Callable
from pathlib import Path

import pytest

from labelloop.core.dataset import DatasetVersion
from labelloop.errors import DatasetError, StoreUnavailable
from labelloop.exports import manifest
from labelloop.exports.imagefolder import Exported, file_name, folder_name
from labelloop.testing import MemoryStore
from tests.unit.conftest import MakeWorld
from tests.world import HEAD, LOW, World

ODD = 'a/b "<é>'


@pytest.fixture
def built(make_world: MakeWorld) -> World:
    """A training set of four people's labels, one with a class that no file system takes."""
    classes = HEAD.replace('"dog"]', f'"dog", {json.dumps(ODD)}]')
    world = make_world(LOW, head=classes)
    world.traffic(4, confidence="0.1")
    world.loop.index()
    world.loop.select()
    world.loop.send()
    said = iter([ODD, "cat", "cat", "dog"])
    world.answer_all(lambda: next(said))
    world.loop.collect()
    world.loop.build()
    return world


def training(world: World) -> DatasetVersion:
    return world.loop.dataset("training")


def test_a_folder_a_class_holds_each_image(built: World, tmp_path: Path) -> None:
    target = tmp_path / "out"
    assert built.loop.export(training(built), "imagefolder", target) == Exported(4, 0, 0)
    names = json.loads((target / "classes.json").read_text())
    assert set(names.values()) == {"cat", "dog", ODD}
    for row in manifest.rows(training(built)):
        (folder,) = (f for f, label in names.items() if label == row.label)
        path = target / folder / file_name(row.sample_id)
        assert path.read_bytes() == built.store.objects_by_uri[row.uri].body
    assert sorted(p.name for p in target.iterdir() if p.is_dir()) == sorted(names)


def test_a_second_export_writes_only_what_is_missing(built: World, tmp_path: Path) -> None:
    target = tmp_path / "out"
    built.loop.export(training(built), "imagefolder", target)
    next(target.glob("cat/*")).unlink()
    built.clock.pass_(minutes=1)
    assert built.loop.export(training(built), "imagefolder", target) == Exported(1, 3, 0)


def test_an_export_that_was_interrupted_is_carried_on(built: World, tmp_path: Path) -> None:
    target = tmp_path / "out"
    before: Callable[[str, str], None] = fail_on_third(built.store)
    built.store.before = before
    with pytest.raises(StoreUnavailable):
        built.loop.export(training(built), "imagefolder", target)
    built.store.before = lambda _call, _uri: None
    done = built.loop.export(training(built), "imagefolder", target)
    assert isinstance(done, Exported)
    assert done.n_written + done.n_there == 4
    assert len([p for p in target.glob("*/*") if not p.name.startswith(".")]) == 4


def fail_on_third(_store: MemoryStore) -> Callable[[str, str], None]:
    left = [3]

    def before(call: str, _uri: str) -> None:
        if call == "read":
            left[0] -= 1
            if left[0] == 0:
                raise StoreUnavailable("the store is down", remedy="run again")

    return before


def test_inputs_that_are_gone_are_counted(built: World, tmp_path: Path) -> None:
    row = next(manifest.rows(training(built)))
    del built.store.objects_by_uri[row.uri]
    assert built.loop.export(training(built), "imagefolder", tmp_path / "out") == Exported(3, 0, 1)


def test_two_versions_are_not_mixed_in_one_folder(built: World, tmp_path: Path) -> None:
    target = tmp_path / "out"
    built.loop.export(training(built), "imagefolder", target)
    page = next(iter(built.annotator.tasks(built.project_id("low"))))
    built.annotator.edit(page[1].annotations[0].annotation_id, "dog")
    built.loop.collect()
    built.loop.build()
    with pytest.raises(DatasetError, match="holds another version: training v1"):
        built.loop.export(training(built), "imagefolder", target)


def test_a_folder_with_something_else_in_it_is_refused(built: World, tmp_path: Path) -> None:
    (tmp_path / "mine.txt").write_text("")
    with pytest.raises(DatasetError, match="holds something else"):
        built.loop.export(training(built), "imagefolder", tmp_path)


@pytest.mark.parametrize("to", ["csv", "imagefolder"])
def test_a_target_that_cannot_be_written_is_named(built: World, tmp_path: Path, to: str) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(DatasetError, match="can't be written"):
        built.loop.export(training(built), to, tmp_path / "file" / "out")


def test_a_csv_holds_the_manifest(built: World, tmp_path: Path) -> None:
    target = tmp_path / "deep" / "training.csv"
    assert built.loop.export(training(built), "csv", target) == 4
    with target.open(encoding="utf-8", newline="") as file:
        found = list(csv.DictReader(file))
    wanted = list(manifest.rows(training(built)))
    assert [r["sample_id"] for r in found] == [r.sample_id for r in wanted]
    assert [r["label"] for r in found] == [r.label for r in wanted]
    assert {r["origin"] for r in found} == {"human"}
    assert [p.name for p in target.parent.iterdir()] == ["training.csv"]


def test_every_class_and_sample_has_a_safe_name_of_its_own() -> None:
    labels = [
        "cat",
        "Cat dog",
        "a/b",
        "a_b",
        "..",
        ".",
        "",
        "x" * 300,
        "x" * 301,
        "con:",
        "é",
        "猫" * 200,
        "a.",
    ]
    folders = [folder_name(label) for label in labels]
    assert len(set(folders)) == len(labels)
    assert not any("/" in f or f in {"", ".", ".."} or len(f.encode()) > 200 for f in folders)
    samples = ["a/x.png", "b/x.png", "a/b/", "../x.png", "猫" * 400 + ".png"]
    files = [file_name(s) for s in samples]
    assert len(set(files)) == len(samples)
    assert not any("/" in f or len(f.encode()) > 200 for f in files)
    assert files[-1].endswith(".png")
