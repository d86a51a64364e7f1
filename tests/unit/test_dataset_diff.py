"""datasets diff: what changed between two versions, and by whom."""

import random
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pytest

from labelloop.core.dataset import Origin, Row
from labelloop.errors import AnnotatorUnavailable
from labelloop.ports.clock import silent
from labelloop.views.dataset_diff import NAMED, ChangeKind, DatasetDiff, diff, named
from tests.unit.released import MODEL, NOBODY, ROW, release
from tests.world import World


def human(sample: str, label: str = "cat", by: str = "ana", content: str = "h") -> Row:
    return replace(ROW, sample_id=sample, label=label, annotator=by, content_hash=content)


def model(sample: str, label: str = "cat", by: str = "m1") -> Row:
    return replace(human(sample, label), model=by, **MODEL, **NOBODY)  # type: ignore[arg-type]


def compared(
    folder: Path, old: Sequence[Row], new: Sequence[Row], *, page: int = 100
) -> DatasetDiff:
    versions = [
        release(folder, "training", rows, version=v) for v, rows in enumerate([old, new], 1)
    ]
    return diff(*versions, page=page, progress=silent)


def shown(found: DatasetDiff) -> list[tuple[str, str | None, str | None, str, int]]:
    return [(c.kind.name, c.before, c.now, c.by, c.n) for c in found.changes]


def test_every_change_is_told_with_who_made_it(tmp_path: Path) -> None:
    old = [
        human("a-same"),
        human("b-edited"),
        model("c-corrected"),
        model("d-confirmed"),
        human("e-gone", by="ben"),
        human("f-again-model"),
        model("g-other-model"),
        human("h-other-content"),
        model("i-same"),
    ]
    new = [
        human("a-same", by="ben"),
        human("b-edited", "dog", by="cid"),
        human("c-corrected", "dog"),
        human("d-confirmed"),
        model("f-again-model", by="m2"),
        model("g-other-model", "dog", by="m2"),
        human("h-other-content", content="other"),
        model("i-same", by="m2"),
        human("j-new", by="ben"),
        model("k-new"),
    ]
    found = compared(tmp_path, old, new)
    assert (found.old, found.new, found.n_same) == ("training v1", "training v2", 2)
    assert shown(found) == [
        ("ADDED", None, "human", "ben", 1),
        ("ADDED", None, "model", "m1", 1),
        ("REMOVED", "human", None, "ben", 1),
        ("RELABELLED", "model", "human", "ana", 1),
        ("RELABELLED", "human", "human", "cid", 1),
        ("RELABELLED", "model", "model", "m2", 1),
        ("OTHER_CONTENT", "human", "human", "ana", 1),
        ("CONFIRMED", "model", "human", "ana", 1),
        ("UNCONFIRMED", "human", "model", "m2", 1),
    ]
    assert found.classes == (("cat", "dog", 3),)
    assert [(r.sample_id, r.before, r.now, r.by) for r in found.relabelled] == [
        ("b-edited", "cat", "dog", "cid"),
        ("c-corrected", "cat", "dog", "ana"),
        ("g-other-model", "cat", "dog", "m2"),
    ]


def test_the_same_people_are_one_line_whoever_answered_first(tmp_path: Path) -> None:
    new = [human("a", by="ana + ben"), human("b", by="ben + ana"), model("c", by="y + x")]
    assert shown(compared(tmp_path, [], new)) == [
        ("ADDED", None, "human", "ana + ben", 2),
        ("ADDED", None, "model", "y + x", 1),
    ]


def test_versions_that_are_alike_differ_in_nothing(tmp_path: Path) -> None:
    rows = [human("a"), model("b")]
    assert shown(compared(tmp_path / "same", rows, rows)) == []
    assert shown(compared(tmp_path / "empty", [], [])) == []
    assert shown(compared(tmp_path / "first", [], [human("a")])) == [
        ("ADDED", None, "human", "ana", 1)
    ]
    assert shown(compared(tmp_path / "last", [human("a")], [])) == [
        ("REMOVED", "human", None, "ana", 1)
    ]


@pytest.mark.parametrize("page", [1, 3, 1000])
def test_the_pages_in_which_manifests_are_read_change_nothing(tmp_path: Path, page: int) -> None:
    rng = random.Random(page)
    names = ["", "a", "a/b", "é", "z", "狐", "\U0001f98a", *(f"{i:03}" for i in range(60))]

    def some() -> dict[str, Row]:
        made = (rng.choice([human, model])(n, rng.choice(["cat", "dog"])) for n in names)
        return {row.sample_id: row for row in made if rng.random() < 0.6}

    old, new = some(), some()
    found = compared(tmp_path, list(old.values()), list(new.values()), page=page)
    wanted: Counter[str] = Counter()
    for name in old.keys() | new.keys():
        before, now = old.get(name), new.get(name)
        if before is None or now is None:
            wanted["ADDED" if before is None else "REMOVED"] += 1
        elif before.label != now.label:
            wanted["RELABELLED"] += 1
        elif before.origin != now.origin:
            wanted["CONFIRMED" if now.origin is Origin.HUMAN else "UNCONFIRMED"] += 1
        else:
            wanted["SAME"] += 1
    assert found.n_same == wanted.pop("SAME")
    assert {kind.name: found.n(kind) for kind in ChangeKind if found.n(kind)} == wanted
    named = [r.sample_id for r in found.relabelled]
    assert named == sorted(named)


def test_the_first_relabelled_samples_are_named_and_all_are_counted(tmp_path: Path) -> None:
    names = [f"{i:03}" for i in range(50)]
    found = compared(tmp_path, [human(n) for n in names], [human(n, "dog") for n in names])
    assert [r.sample_id for r in found.relabelled] == names[:NAMED]
    assert found.n(ChangeKind.RELABELLED) == 50


def test_people_are_named_and_models_and_strangers_stay_as_they_are(tmp_path: Path) -> None:
    old = [human("a", by="1"), model("b", by="1")]
    new = [human("a", "dog", by="2 + 1 + 9"), model("b", "dog", by="1"), human("c", by="2")]
    found = named(compared(tmp_path, old, new), {"1": "zoe@x.org", "2": "ben@x.org"})
    assert shown(found) == [
        ("ADDED", None, "human", "ben@x.org", 1),
        ("RELABELLED", "model", "model", "1", 1),
        ("RELABELLED", "human", "human", "9 + ben@x.org + zoe@x.org", 1),
    ]
    assert [r.by for r in found.relabelled] == ["9 + ben@x.org + zoe@x.org", "1"]


def test_a_label_studio_that_is_down_leaves_people_their_numbers(world: World) -> None:
    world.traffic(30)
    world.loop.run()
    world.answer_all()
    world.loop.run()
    version = world.loop.dataset("evaluation")
    empty = release(world.folder, "evaluation", [], version=9)
    [told] = world.loop.diff(version, empty).changes
    assert told.by == "ana@labelloop.invalid"
    world.annotator.fail_next("accounts", AnnotatorUnavailable("no answer", remedy="start it"))
    [told] = world.loop.diff(version, empty).changes
    assert told.by == "ana"
