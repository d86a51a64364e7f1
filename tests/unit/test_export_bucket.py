"""An imagefolder in a bucket: copied by the server, carried on after a kill, removed only if asked."""

import csv
import io
import json
from dataclasses import replace
from pathlib import Path

import pytest

from labelloop.errors import DatasetError, StoreUnavailable
from labelloop.exports import formats
from labelloop.exports.exported import Exported
from labelloop.ports.clock import silent
from labelloop.testing import MemoryStore
from tests.odd_keys import ODD_KEYS
from tests.unit.released import Released, release

ROOT = "s3://noisy/food"
KEPT = {"predicted_class": "cat", "confidence": "0.5"}


@pytest.fixture
def built(tmp_path: Path) -> Released:
    """A version of odd keys, each with tags."""
    store = MemoryStore(buckets=["noisy"], page_size=3)
    made = Released(tmp_path / "datasets", ["dog", "zebra", "cat"], store)
    rows = [made.put(key, "cat" if i % 2 else "dog") for i, key in enumerate(ODD_KEYS)]
    for key in ODD_KEYS:
        store.put_tags(key, KEPT)
    made.release(rows)
    return made


def export(built: Released, *, remove_old: bool = False, root: str = ROOT) -> Exported:
    return formats.export(
        [built.version],
        "imagefolder",
        root,
        store=lambda: built.store,
        classes=built.classes,
        folder_kind="numbers",
        remove_old=remove_old,
        progress=silent,
    )


def index(built: Released, name: str) -> bytes:
    return built.store.objects_by_uri[f"{ROOT}/{name}"].body


def images(built: Released) -> dict[str, str]:
    """The uri of each sample's image, as samples.csv has it."""
    rows = csv.DictReader(io.StringIO(index(built, "samples.csv").decode(), newline=""))
    return {row["sample_id"]: f"{ROOT}/{row['file']}" for row in rows}


def test_each_image_is_copied_with_its_tags_to_the_folder_of_its_class(built: Released) -> None:
    read: list[str] = []
    built.store.before = lambda call, uri: read.append(uri) if call == "read" else None
    done = export(built)
    n = len(ODD_KEYS)
    assert (done.n_written, done.n_there, done.n_gone, done.n_old) == (n, 0, 0, 0)
    assert read == [built.store.uri_of("ends-in-dot.")]
    there = images(built)
    assert len(set(there.values())) == n
    for i, key in enumerate(ODD_KEYS):
        assert there[key].startswith(f"{ROOT}/class_0{2 if i % 2 else 0}/")
        made = built.store.objects_by_uri[there[key]]
        assert (made.body, made.tags) == (key.encode(), KEPT)
    assert json.loads(index(built, "class_to_idx.json")) == {f"class_0{i}": i for i in range(3)}
    assert f"{ROOT}/class_01/" in built.store.objects_by_uri  # no zebra yet


def test_an_export_that_was_killed_is_carried_on(built: Released) -> None:
    left = [5]

    def before(call: str, _uri: str) -> None:
        left[0] -= call == "copy"
        if left[0] < 0:
            raise StoreUnavailable("the store is down", remedy="run again")

    built.store.before = before
    with pytest.raises(StoreUnavailable):
        export(built)
    built.store.before = lambda _call, _uri: None
    done = export(built)
    assert (done.n_written, done.n_there) == (len(ODD_KEYS) - 5, 5)
    assert export(built).n_there == len(ODD_KEYS)


def test_what_left_the_version_is_removed_only_if_asked(built: Released) -> None:
    export(built)
    before = images(built)
    built.store.objects_by_uri[f"{ROOT}/notes/mine.txt"] = built.store.objects_by_uri[
        before[ODD_KEYS[0]]
    ]
    kept = [built.put(key, "cat") for key in ODD_KEYS[1:4]]  # one has another label now
    built.release(kept)
    done = export(built)
    n_old = len(ODD_KEYS) - 2
    assert (done.n_written, done.n_there, done.n_old, done.n_removed) == (1, 2, n_old, 0)
    assert all(uri in built.store.objects_by_uri for uri in before.values())
    assert export(built, remove_old=True).n_removed == n_old
    assert export(built, remove_old=True).n_removed == 0
    there = {
        u for u in built.store.objects_by_uri if u.startswith(f"{ROOT}/class_0") and u[-1] != "/"
    }
    assert there == set(images(built).values())
    assert f"{ROOT}/notes/mine.txt" in built.store.objects_by_uri


def test_what_is_gone_or_another_is_left_out_and_named(built: Released) -> None:
    del built.store.objects_by_uri[built.store.uri_of(ODD_KEYS[0])]
    built.store.put(ODD_KEYS[1], b"another picture")
    done = export(built)
    assert set(done.gone) == set(ODD_KEYS[:2])
    assert len(index(built, "gone.jsonl").splitlines()) == 2
    built.release([built.put(ODD_KEYS[2], "cat")])
    export(built)
    assert f"{ROOT}/gone.jsonl" not in built.store.objects_by_uri


def test_a_place_that_holds_something_else_is_refused(built: Released, tmp_path: Path) -> None:
    built.store.objects_by_uri["s3://noisy/x/theirs.png"] = built.store.objects_by_uri[
        built.store.uri_of(ODD_KEYS[0])
    ]
    with pytest.raises(DatasetError, match="no export wrote"):
        export(built, root="s3://noisy/x")
    export(built)
    built.version = release(tmp_path, "evaluation", [built.put("e.png", "cat")])
    with pytest.raises(DatasetError, match="already contains another export: training"):
        export(built)
    built.version = replace(built.version, name="training")
    built.classes = ["cat", "dog", "zebra"]
    with pytest.raises(DatasetError, match=r"the order of .* has changed"):
        export(built)


@pytest.mark.parametrize(
    ("target", "to", "says"),
    [
        ("gs://bucket/x", "imagefolder", "can't write an export to gs://bucket/x"),
        ("s3:/typo", "imagefolder", "can't write an export to s3:/typo"),
        ("https://host/x", "csv", "can't write an export to https://host/x"),
        (Path("s3://noisy"), "imagefolder", "isn't a path"),
        ("s3://noisy", "csv", "can't write csv to a bucket"),
        ("s3://noisy/x", "webdataset", "can't write webdataset to a bucket"),
        ("s3://production/in/out", "imagefolder", "overlap"),
        ("s3://production/", "imagefolder", "overlap"),
        ("s3://blind/x", "imagefolder", "overlap"),
    ],
)
def test_a_target_that_cant_be_written_is_an_error(target: str | Path, to: str, says: str) -> None:
    with pytest.raises(DatasetError, match=says):
        formats.export_target(target, to, inputs=["s3://production/in"], apart_from=["s3://blind"])


def test_inputs_in_a_folder_are_exported_to_a_folder() -> None:
    with pytest.raises(DatasetError, match="inputs are in a folder"):
        formats.export_target("s3://noisy", "imagefolder", inputs=["file:///in"], apart_from=[])


def test_paths_and_prefixes_beside_the_inputs_are_taken(tmp_path: Path) -> None:
    for target in (tmp_path, str(tmp_path), tmp_path.as_uri()):
        assert formats.export_target(target, "csv", inputs=["s3://p"], apart_from=[]) == tmp_path
    beside = "s3://production/out"
    inputs = ["s3://production/in"]
    assert formats.export_target(beside, "imagefolder", inputs=inputs, apart_from=[]) == beside
