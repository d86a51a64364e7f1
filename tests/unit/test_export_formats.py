"""Exports as the libraries that they are for read them: datasets, webdataset, mlcroissant."""

import json
import os
import sys
from dataclasses import asdict, replace
from io import BytesIO
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from labelloop.core.dataset import Row
from labelloop.errors import DatasetError
from tests.programs import output_of
from tests.unit.released import MODEL, NOBODY, Released, release

CLASSES = ["dog", "cat", "not seen", "a/b é"]
LABELS = ["cat", "dog", "a/b é", "cat", "an old class", "cat", "dog"]

pytestmark = pytest.mark.xdist_group("exports")
"""One process imports what they share, and makes it."""


def picture(number: int) -> bytes:
    """A PNG of its own size."""
    held = BytesIO()
    Image.new("RGB", (number + 1, 2), (number, 0, 0)).save(held, "PNG")
    return held.getvalue()


class Exports:
    """A training and an evaluation version, in every format, as the real libraries read them."""

    def __init__(self, folder: Path) -> None:
        made = Released(folder / "datasets", CLASSES)
        self.rows = [
            made.put(
                f"class_0{i}/=odd key.{i}", label, picture(i), **(MODEL | NOBODY if i % 2 else {})
            )
            for i, label in enumerate(LABELS)
        ]
        self.training = made.release(self.rows)
        tests = [
            made.put(f"e{i}.png", label, picture(20 + i)) for i, label in enumerate(LABELS[:3])
        ]
        self.tests = tests
        self.evaluation = release(folder / "datasets", "evaluation", tests)
        self.folder = folder / "exports"
        self.made = made
        made.export("huggingface", self.folder / "hf", self.training, self.evaluation)
        made.export("webdataset", self.folder / "wds")
        made.export("imagefolder", self.folder / "images")
        made.export("csv", self.folder / "csv" / "t.csv")
        made.export("jsonl", self.folder / "jsonl" / "t.jsonl")
        texts = [f'text {i}, "quoted"' for i in range(len(LABELS))]
        made.release([replace(r, text=t) for r, t in zip(self.rows, texts, strict=True)])
        made.export("huggingface", self.folder / "hf-text")
        self.read: Any = json.loads(
            output_of(
                [
                    sys.executable,
                    str(Path(__file__).with_name("read_exports.py")),
                    str(self.folder),
                ],
                env={**os.environ, "HF_HUB_OFFLINE": "1", "HF_HOME": str(folder / "home")},
            )
        )


@pytest.fixture(scope="module")
def exports(tmp_path_factory: pytest.TempPathFactory) -> Exports:
    return Exports(tmp_path_factory.mktemp("exports"))


def plain(row: Row) -> dict[str, Any]:
    held = {**asdict(row), "origin": row.origin.value}
    return {name: value for name, value in held.items() if name != "text"}


def test_datasets_loads_images_classes_and_splits(exports: Exports) -> None:
    read = exports.read["huggingface"]
    assert set(read) == {"train", "test"}
    names = [*CLASSES, "an old class"]
    for split, rows, first in (("train", exports.rows, 0), ("test", exports.tests, 20)):
        found = read[split]
        assert found["classes"] == names
        assert found["kinds"]["image"] == "Image"
        assert found["kinds"]["label"] == "ClassLabel"
        wanted = [
            {"image": [first + i + 1, 2], **plain(row), "label": names.index(row.label)}
            for i, row in enumerate(rows)
        ]
        assert found["rows"] == wanted


def test_datasets_loads_text(exports: Exports) -> None:
    read = exports.read["text"]
    assert list(read) == ["train"]
    assert "image" not in read["train"]["kinds"]
    texts = [row["text"] for row in read["train"]["rows"]]
    assert texts == [f'text {i}, "quoted"' for i in range(len(LABELS))]


def test_webdataset_reads_every_sample_in_a_mixed_order(exports: Exports) -> None:
    read = exports.read["webdataset"]
    names = json.loads((exports.folder / "wds" / "classes.json").read_text("utf-8"))
    by_id = {row.sample_id: (i, row) for i, row in enumerate(exports.rows)}
    assert len(read) == len({found["key"] for found in read}) == len(by_id)
    for found in read:
        i, row = by_id[found["row"]["sample_id"]]
        assert found["size"] == [i + 1, 2]
        assert found["row"] == plain(row)
        assert names[found["cls"]] == row.label
    assert [found["row"]["sample_id"] for found in read] != sorted(by_id)


@pytest.mark.parametrize("where", ["hf", "hf-text", "wds", "images", "csv", "jsonl"])
def test_croissant_is_valid_beside_every_export(exports: Exports, where: str) -> None:
    found = exports.read["croissant"][where]
    assert found["errors"] == []
    assert not [w for w in found["warnings"] if "recommended" not in w]
    assert found["name"].startswith("training-v")


def test_croissant_reads_back_what_was_exported(exports: Exports) -> None:
    read = exports.read["croissant"]
    wanted = [plain(row) for row in exports.rows]
    for where in ("csv", "jsonl"):
        assert read[where]["records"]["samples"] == wanted, where
    sizes = {tuple(r["image"]): r["key"] for r in read["wds"]["records"]["image"]}
    places = {r["key"]: int(r["class"]) for r in read["wds"]["records"]["class"]}
    names = [*CLASSES, "an old class"]
    assert [names[places[sizes[i + 1, 2]]] for i in range(len(LABELS))] == LABELS
    images = {tuple(r["image"]): r["label"] for r in read["images"]["records"]["images"]}
    assert [images[i + 1, 2] for i in range(len(LABELS))] == LABELS
    hf = read["hf"]["records"]
    assert [r["sample_id"] for r in hf["train"]] == [row["sample_id"] for row in wanted]
    assert [r["image"] for r in hf["test"]] == [[20 + i + 1, 2] for i in range(3)]


def test_formats_of_images_refuse_text_and_say_what_holds_it(
    exports: Exports, tmp_path: Path
) -> None:
    for to in ("imagefolder", "webdataset"):
        with pytest.raises(DatasetError, match="contains texts, and") as raised:
            exports.made.export(to, tmp_path / "out")
        assert "csv, jsonl or huggingface" in raised.value.remedy
    assert not (tmp_path / "out").exists()
    exports.made.export("jsonl", tmp_path / "t.jsonl")
    first = (tmp_path / "t.jsonl").read_text("utf-8").splitlines()[0]
    assert json.loads(first)["text"] == 'text 0, "quoted"'
