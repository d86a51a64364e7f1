"""Exports: a dataset version as images by class, as one table, and what resuming one does."""

import csv
import errno
import fcntl
import gzip
import json
import os
import re
import tarfile
from collections.abc import Callable
from dataclasses import asdict, replace
from pathlib import Path

import pytest

from labelloop.adapters.folder.files import uri_of
from labelloop.core.dataset import Row
from labelloop.errors import DatasetError, StoreDenied, StoreUnavailable
from labelloop.exports import huggingface, manifest, webdataset
from labelloop.exports.csv_file import FORMULA
from labelloop.exports.exported import Exported
from labelloop.exports.imagefolder import FolderKind
from labelloop.exports.names import file_name, folder_names, folder_numbers
from labelloop.exports.target import whole, writing
from labelloop.ledger import datasets
from labelloop.ports.clock import silent
from tests.unit.conftest import MakeWorld
from tests.unit.released import ROW, Released, release
from tests.world import LOW

ODD = 'a/b "<é>'


@pytest.fixture
def built(tmp_path: Path) -> Released:
    """A training set of four people's labels, one with a class that no file system takes."""
    made = Released(tmp_path / "datasets", ["dog", "cat", ODD])
    labels = [ODD, "cat", "cat", "dog"]
    made.release([made.put(f"class_01/{i}.png", label) for i, label in enumerate(labels)])
    return made


def rows_of(built: Released) -> list[Row]:
    return list(manifest.rows(built.version))


def counts(done: Exported) -> tuple[int, int, int]:
    return done.n_written, done.n_there, done.n_gone


def images(target: Path) -> dict[str, Path]:
    """Each image below an export by its sample."""
    with (target / "samples.csv").open(encoding="utf-8", newline="") as file:
        return {row["sample_id"]: target / row["file"] for row in csv.DictReader(file)}


def test_a_folder_a_class_holds_each_image(built: Released, tmp_path: Path) -> None:
    target = tmp_path / "out"
    done = built.export("imagefolder", target)
    assert counts(done) == (4, 0, 0)
    assert done.target == str(target)
    names = json.loads((target / "classes.json").read_text())
    assert set(names.values()) == {"cat", "dog", ODD}
    found = images(target)
    for row in rows_of(built):
        path = found[row.sample_id]
        assert names[path.parent.name] == row.label
        assert path.read_bytes() == built.store.objects_by_uri[row.uri].body
    assert sorted(p.name for p in target.iterdir() if p.is_dir()) == sorted(names)


@pytest.mark.parametrize("kind", ["names", "numbers"])
def test_class_numbers_are_the_models_in_every_version(
    built: Released, tmp_path: Path, kind: FolderKind
) -> None:
    built.classes = ["dog", "zebra", ODD, "cat"]
    first = built.version
    second = built.release([built.put("d.png", "dog"), built.put("u.png", "unclear")])
    one, two = tmp_path / "one", tmp_path / "two"
    built.export("imagefolder", one, first, folder_kind=kind, others=["unclear", "old"])
    built.export("imagefolder", two, second, folder_kind=kind, others=["unclear", "old"])
    numbers = [json.loads((t / "class_to_idx.json").read_text()) for t in (one, two)]
    folders = [json.loads((t / "classes.json").read_text()) for t in (one, two)]
    assert list(folders[0].values()) == built.classes
    assert list(numbers[0].values()) == [0, 1, 2, 3]
    assert list(folders[1].values()) == [*built.classes, "unclear"]
    assert numbers[1] == {**numbers[0], list(folders[1])[-1]: 4}
    for target, found in zip((one, two), numbers, strict=True):
        assert {p.name for p in target.iterdir() if p.is_dir()} == set(found)
    if kind == "numbers":
        assert sorted(numbers[1]) == list(numbers[1]) == [f"class_0{i}" for i in range(5)]


def test_more_than_a_hundred_classes_sort_as_their_numbers() -> None:
    named = folder_numbers([str(i) for i in range(101)])
    assert sorted(named.values()) == list(named.values())


def test_a_file_keeps_its_ending_or_gets_that_of_its_content(
    built: Released, tmp_path: Path
) -> None:
    avif = b"\0\0\0\x1cftypavif..."
    bodies = {"a.avif": avif, "b.jp2": b"?", "c.heic": b"?", "d.dcm": b"?", "e": avif, "f": b"?"}
    built.release([built.put(key, "cat", body) for key, body in bodies.items()])
    built.export("imagefolder", tmp_path / "out")
    built.export("webdataset", tmp_path / "tar")
    found = {sample: path.name for sample, path in images(tmp_path / "out").items()}
    endings = {"avif", "jp2", "heic", "dcm", "bin"}
    wanted = {**{name: name for name in bodies}, "e": "e.avif", "f": "f.bin"}
    assert {key: name.partition("-")[2] for key, name in found.items()} == wanted
    with tarfile.open(next((tmp_path / "tar").glob("*.tar"))) as tar:
        assert {name.split(".")[1] for name in tar.getnames()} == {*endings, "cls", "json"}
    assert counts(built.export("imagefolder", tmp_path / "out")) == (0, 6, 0)


def test_an_input_that_was_stored_compressed_is_exported_as_people_saw_it(
    built: Released, tmp_path: Path
) -> None:
    stored = built.store.put("a.png", gzip.compress(b"pixels"), content_encoding="gzip")
    unread = built.store.put("b.png", b"...", content_encoding="br")
    rows = [
        replace(ROW, sample_id=o.sample_id, uri=o.uri, content_hash=o.content_hash)
        for o in (stored, unread)
    ]
    built.release(rows)
    done = built.export("imagefolder", tmp_path / "out")
    assert images(tmp_path / "out")["a.png"].read_bytes() == b"pixels"
    assert (counts(done), done.gone) == ((1, 0, 1), ("b.png",))


def test_folders_of_names_and_of_numbers_arent_mixed(built: Released, tmp_path: Path) -> None:
    built.export("imagefolder", tmp_path / "out", folder_kind="numbers")
    with pytest.raises(DatasetError, match="already contains another export"):
        built.export("imagefolder", tmp_path / "out")
    built.classes = ["cat", "dog", ODD]
    with pytest.raises(DatasetError, match="already contains another export"):
        built.export("imagefolder", tmp_path / "out", folder_kind="numbers")


@pytest.mark.parametrize("to", ["csv", "jsonl", "huggingface", "webdataset"])
def test_every_format_carries_the_numbers_of_the_classes(
    built: Released, tmp_path: Path, to: str
) -> None:
    target = tmp_path / "out"
    if to in {"csv", "jsonl"}:
        built.export(to, target / f"t.{to}")
        index = target / "t.class_to_idx.json"
    else:
        built.export(to, target)
        index = target / "class_to_idx.json"
    assert json.loads(index.read_text()) == {"dog": 0, "cat": 1, ODD: 2}


def test_a_second_export_writes_only_what_is_missing(built: Released, tmp_path: Path) -> None:
    target = tmp_path / "out"
    built.export("imagefolder", target)
    next(target.glob("cat/*")).unlink()
    assert counts(built.export("imagefolder", target)) == (1, 3, 0)
    assert all(path.stat().st_size for path in images(target).values())


def test_an_empty_file_that_a_power_cut_left_is_written_again(
    built: Released, tmp_path: Path
) -> None:
    target = tmp_path / "out"
    built.export("imagefolder", target)
    path = next(target.glob("cat/*"))
    path.write_bytes(b"")
    assert counts(built.export("imagefolder", target)) == (1, 3, 0)
    assert path.stat().st_size


@pytest.mark.parametrize("to", ["imagefolder", "huggingface", "webdataset"])
def test_an_export_that_was_interrupted_is_carried_on(
    built: Released, tmp_path: Path, to: str
) -> None:
    target = tmp_path / "out"
    built.store.before = fail_on(3)
    with pytest.raises(StoreUnavailable):
        built.export(to, target)
    standing = [p for p in target.rglob("*") if p.is_file() and not p.name.startswith(".")]
    assert not [p for p in standing if not p.stat().st_size]
    built.store.before = lambda _call, _uri: None
    done = built.export(to, target)
    assert done.n_written + done.n_there == 4
    assert not list(target.rglob("*.partial"))
    whole_one = tmp_path / "at-once"
    built.export(to, whole_one)
    assert files(target) == files(whole_one)


def files(folder: Path) -> dict[str, bytes]:
    found = (p for p in folder.rglob("*") if p.is_file())
    return {str(p.relative_to(folder)): p.read_bytes() for p in found}


def fail_on(at: int) -> Callable[[str, str], None]:
    left = [at]

    def before(call: str, _uri: str) -> None:
        if call == "read":
            left[0] -= 1
            if left[0] == 0:
                raise StoreUnavailable("the store is down", remedy="run again")

    return before


@pytest.mark.parametrize("to", ["imagefolder", "huggingface", "webdataset"])
def test_inputs_that_are_gone_or_another_are_counted_and_named(
    built: Released, tmp_path: Path, to: str
) -> None:
    gone, changed, *_ = rows_of(built)
    del built.store.objects_by_uri[gone.uri]
    built.store.put(changed.sample_id, b"another picture")
    done = built.export(to, tmp_path / "out")
    assert counts(done) == (2, 0, 2)
    assert set(done.gone) == {gone.sample_id, changed.sample_id}
    listed = [json.loads(li) for li in (tmp_path / "out" / "gone.jsonl").read_text().splitlines()]
    assert {row["uri"]: row["why"].partition(":")[0] for row in listed} == {
        gone.uri: "gone",
        changed.uri: "overwritten",
    }


def test_what_has_come_back_is_no_longer_listed_as_gone(built: Released, tmp_path: Path) -> None:
    row = rows_of(built)[0]
    held = built.store.objects_by_uri.pop(row.uri)
    built.export("imagefolder", tmp_path / "out")
    built.store.objects_by_uri[row.uri] = held
    assert counts(built.export("imagefolder", tmp_path / "out")) == (1, 3, 0)
    assert not (tmp_path / "out" / "gone.jsonl").exists()


def test_a_later_export_links_the_images_of_an_earlier_one(built: Released, tmp_path: Path) -> None:
    one = tmp_path / "one"
    built.export("imagefolder", one)
    built.store.before = fail_on(1)
    done = built.export("imagefolder", tmp_path / "two", earlier=[tmp_path / "no", one])
    assert (done.n_written, done.n_linked) == (4, 4)
    for sample, path in images(tmp_path / "two").items():
        assert path.samefile(images(one)[sample])
    done = built.export("imagefolder", tmp_path / "three", earlier=[one], link=False)
    assert (done.n_written, done.n_linked) == (4, 0)
    for sample, path in images(tmp_path / "three").items():
        assert not path.samefile(images(one)[sample])
        assert path.read_bytes() == images(one)[sample].read_bytes()


def test_an_image_that_was_edited_since_is_not_linked(built: Released, tmp_path: Path) -> None:
    built.export("imagefolder", tmp_path / "one")
    edited = next(iter(images(tmp_path / "one").values()))
    edited.write_bytes(b"cropped")
    done = built.export("imagefolder", tmp_path / "two", earlier=[tmp_path / "one"])
    assert (done.n_written, done.n_linked) == (4, 3)
    assert b"cropped" not in [p.read_bytes() for p in images(tmp_path / "two").values()]


def test_images_of_a_folder_are_linked_from_there(tmp_path: Path) -> None:
    source = tmp_path / "a 100% é#1.png"
    source.write_bytes(b"picture")
    made = Released(tmp_path / "datasets", ["cat"])
    made.release([made.put("a.png", "cat", b"picture", uri=uri_of(str(source)))])
    assert made.export("imagefolder", tmp_path / "out").n_linked == 1
    assert images(tmp_path / "out")["a.png"].samefile(source)


def test_a_symbolic_link_in_a_folder_is_not_linked(tmp_path: Path) -> None:
    real = tmp_path / "real.png"
    real.write_bytes(b"picture")
    (tmp_path / "link.png").symlink_to(real)
    made = Released(tmp_path / "datasets", ["cat"])
    row = made.put("link.png", "cat", b"picture", uri=uri_of(str(tmp_path / "link.png")))
    made.release([row])
    with pytest.raises(StoreDenied):  # it is asked for instead, and this store is another
        made.export("imagefolder", tmp_path / "out")


@pytest.mark.parametrize("to", ["huggingface", "webdataset"])
def test_shards_are_bounded_and_one_that_is_lost_is_written_again(
    built: Released, tmp_path: Path, to: str
) -> None:
    def run() -> Exported:
        version, store, classes = built.version, built.store, built.classes
        more = {"classes": classes, "shard_bytes": 10, "progress": silent}
        if to == "webdataset":
            return webdataset.export(version, target, store, **more)
        return huggingface.export([version], target, store, **more)

    target = tmp_path / "out"
    assert counts(run()) == (4, 0, 0)
    shards = sorted(p for p in target.rglob("*") if p.suffix in {".tar", ".parquet"})
    assert len(shards) == 4
    before = files(target)
    shards[2].unlink()
    shards[3].write_bytes(shards[3].read_bytes()[:-100])
    assert counts(run()) == (2, 2, 0)
    assert files(target) == before
    assert counts(run()) == (0, 4, 0)


def test_splits_that_share_a_sample_or_its_twin_are_refused(
    built: Released, tmp_path: Path
) -> None:
    rows = rows_of(built)
    apart = built.put("e.png", "cat")
    twin = built.put("twin.png", "cat", rows[3].uri.removeprefix("s3://production/").encode())
    for i, (evaluated, shared) in enumerate(
        [([apart], None), ([apart, rows[2]], rows[2]), ([apart, twin], rows[3])], 1
    ):
        evaluation = release(tmp_path / "datasets", "evaluation", evaluated, version=i)
        target = tmp_path / f"out{i}"
        if shared is None:
            done = built.export("huggingface", target, built.version, evaluation)
            assert counts(done) == (5, 0, 0)
        else:
            with pytest.raises(DatasetError, match=r"share samples.*png"):
                built.export("huggingface", target, built.version, evaluation)
            assert not target.exists()


def test_two_versions_are_not_mixed_in_one_folder(built: Released, tmp_path: Path) -> None:
    target = tmp_path / "out"
    built.export("imagefolder", target)
    built.release(rows_of(built)[1:])
    with pytest.raises(
        DatasetError, match="already contains another export: training v2 as imagefolder"
    ):
        built.export("imagefolder", target)


def test_a_folder_with_something_else_in_it_is_refused(built: Released, tmp_path: Path) -> None:
    (tmp_path / "mine.txt").write_text("")
    with pytest.raises(DatasetError, match="no export wrote"):
        built.export("imagefolder", tmp_path)


def test_two_exports_into_one_folder_do_not_meet(built: Released, tmp_path: Path) -> None:
    target = tmp_path / "out"
    built.export("imagefolder", target)
    other = os.open(target, os.O_RDONLY)
    fcntl.flock(other, fcntl.LOCK_EX)
    with pytest.raises(DatasetError, match="another export is writing"):
        built.export("imagefolder", target)
    os.close(other)


@pytest.mark.parametrize("to", ["csv", "jsonl", "imagefolder", "huggingface", "webdataset"])
def test_a_target_that_cannot_be_written_is_named(built: Released, tmp_path: Path, to: str) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(DatasetError, match="file/out can't be written"):
        built.export(to, tmp_path / "file" / "out")


@pytest.mark.parametrize(
    ("number", "remedy"),
    [(errno.ENOSPC, "free space"), (errno.EROFS, "mend the rights"), (errno.EACCES, "mend the")],
)
def test_a_full_or_read_only_target_comes_with_its_remedy(
    tmp_path: Path, number: int, remedy: str
) -> None:
    with (
        pytest.raises(DatasetError, match="can't be written") as raised,
        writing(tmp_path),
        whole(tmp_path / "a"),
    ):
        raise OSError(number, os.strerror(number))
    assert remedy in raised.value.remedy
    assert not list(tmp_path.iterdir())


def _cell(value: object) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    return "" if value is None else str(value)


def test_a_csv_holds_the_manifest(built: Released, tmp_path: Path) -> None:
    target = tmp_path / "deep" / "training.csv"
    assert counts(built.export("csv", target)) == (4, 0, 0)
    with target.open(encoding="utf-8", newline="") as file:
        found = list(csv.DictReader(file))
    wanted = [
        {k: _cell(v) for k, v in asdict(row).items() if k != "text"} for row in rows_of(built)
    ]
    assert [without_numbers(row) for row in found] == [without_numbers(row) for row in wanted]
    assert [float(r["confidence"]) for r in found] == [0.1] * 4
    assert sorted(p.name for p in target.parent.iterdir()) == [
        "training.class_to_idx.json",
        "training.croissant.json",
        "training.csv",
    ]


def without_numbers(row: dict[str, str]) -> dict[str, str]:
    return {k: v for k, v in row.items() if k not in {"confidence", "inclusion"}}


FORMULAS = ["=1+1", "+1", "-1", "@a", "\t=1", "\r=1", "\n=1", "'=1", "''@a"]
HARMLESS = ["a=b", "'a", "0-1", 'say "=1"', "line\nend", "x,y;z", "naïve 狐", "'"]


def test_no_cell_of_a_csv_is_a_formula_and_each_can_be_had_back(
    built: Released, tmp_path: Path
) -> None:
    built.release([built.put(key, "cat") for key in FORMULAS + HARMLESS])
    built.export("csv", tmp_path / "t.csv")
    with (tmp_path / "t.csv").open(encoding="utf-8", newline="") as file:
        shown = [row["sample_id"] for row in csv.DictReader(file)]
    assert not [text for text in shown if text[0] in "=+-@\t\r\n"]
    assert {text for text in shown if not re.match(FORMULA, text)} == {*HARMLESS}
    back = [text[1:] if re.match(FORMULA, text) else text for text in shown]
    assert back == [row.sample_id for row in rows_of(built)]


def test_jsonl_holds_an_object_a_row(built: Released, tmp_path: Path) -> None:
    target = tmp_path / "training.jsonl"
    assert counts(built.export("jsonl", target)) == (4, 0, 0)
    assert "text" not in json.loads(target.read_text("utf-8").splitlines()[0])
    found = [Row(**json.loads(line)) for line in target.read_text("utf-8").splitlines()]
    assert found == list(rows_of(built))


def test_what_a_format_cannot_hold_is_refused(built: Released, tmp_path: Path) -> None:
    both = [built.version, built.version]
    with pytest.raises(DatasetError, match="no format 'xlsx'"):
        built.export("xlsx", tmp_path / "out")
    with pytest.raises(DatasetError, match="webdataset holds only one version"):
        built.export("webdataset", tmp_path / "out", *both)
    with pytest.raises(DatasetError, match="training is named twice"):
        built.export("huggingface", tmp_path / "out", *both)
    assert not (tmp_path / "out").exists()


LABELS = [
    "cat",
    "Cat",
    "dog house",
    "a/b",
    "a_b",
    "..",
    ".",
    "",
    "../../etc/passwd",
    "/etc/passwd",
    "a\nb",
    "a\x00b",
    "x" * 300,
    "x" * 301,
    "con:",
    "NUL",
    "com1.txt",
    "~root",
    "-rf",
    "é",
    "e\u0301",
    "猫" * 200,
    "a.",
    "a ",
    "classes.json",
    "SAMPLES.CSV",
]


def test_every_class_has_a_safe_folder_of_its_own() -> None:
    taken = ["classes.json", "samples.csv"]
    names = folder_names([*LABELS, folder_names(["a/b"])["a/b"]], taken=taken)
    assert len(names) == len(LABELS) + 1
    assert len({f.casefold() for f in names.values()} | {*taken}) == len(LABELS) + 3
    for folder in names.values():
        assert "/" not in folder
        assert folder.isprintable()
        assert folder not in {"", ".", ".."}
        assert folder[0] not in "~-. "
        assert len(folder.encode()) <= 200
    assert [x for x in LABELS if names[x] == x] == ["dog house", "a_b"]


def test_every_sample_has_a_safe_file_of_its_own() -> None:
    samples = ["a/x.png", "b/x.png", "a/b/", "../x.png", "猫" * 400 + ".png", "a/..", "a\nb.png"]
    names = [file_name(s) for s in samples]
    assert len(set(names)) == len(samples)
    assert not any("/" in f or len(f.encode()) > 200 or not f.isprintable() for f in names)
    assert names[4].endswith(".png")
    assert file_name("x.png", "one content") != file_name("x.png", "another")


def test_the_loop_records_its_exports_and_links_what_they_hold(
    make_world: MakeWorld, tmp_path: Path
) -> None:
    world = make_world(LOW)
    world.traffic(4, confidence="0.1")
    for step in (world.loop.index, world.loop.select, world.loop.send):
        step()
    world.answer_all()
    world.loop.collect()
    world.loop.build()
    version = world.loop.dataset("training")
    for target in ("one", "two", "one"):
        done = world.loop.export([version], "imagefolder", tmp_path / target)
    assert counts(done) == (0, 4, 0)
    assert images(tmp_path / "two").keys() == images(tmp_path / "one").keys()
    for sample, path in images(tmp_path / "two").items():
        assert path.samefile(images(tmp_path / "one")[sample])
    with world.loop.project.ledger.read() as tx:
        assert sorted(datasets.export_targets(tx, "imagefolder")) == [
            str(tmp_path / "one"),
            str(tmp_path / "two"),
        ]
        assert datasets.export_targets(tx, "csv") == []
