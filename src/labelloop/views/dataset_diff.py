"""What changed between two dataset versions: added, removed, relabelled, and by whom."""

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import TYPE_CHECKING, Any

from labelloop.core.dataset import DatasetVersion, Origin
from labelloop.exports import manifest
from labelloop.ports.clock import Progress

if TYPE_CHECKING:
    import pyarrow as pa

NAMED = 20
"""So many relabelled samples are named."""
_PAGE = 100_000
_COLUMNS = ("sample_id", "content_hash", "label", "origin", "annotator", "model")


class ChangeKind(StrEnum):
    """What happened to a sample; of several things that did, the first of these."""

    ADDED = "added"
    REMOVED = "removed"
    RELABELLED = "relabelled"
    OTHER_CONTENT = "other content"
    CONFIRMED = "same label, now by a person"
    UNCONFIRMED = "same label, now by the model"


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """How many samples changed alike. `before` and `now` say who labelled: "human" or "model".

    `by` is who did: the annotators, or the model, whose label stands now; for a removed sample, whose
    label it was.
    """

    kind: ChangeKind
    before: str | None
    now: str | None
    by: str
    n: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Relabelled:
    """One sample whose label differs. `origin` is who gave the label that it has now."""

    sample_id: str
    before: str
    now: str
    by: str
    origin: str


@dataclass(frozen=True, slots=True, kw_only=True)
class DatasetDiff:
    """What changed from `old` to `new`, as "training v3"; `n_same` samples didn't.

    `relabelled` names the first samples whose label differs, by sample_id; `changes` counts all.
    """

    old: str
    new: str
    n_same: int
    changes: tuple[Change, ...]
    classes: tuple[tuple[str, str, int], ...]
    relabelled: tuple[Relabelled, ...]

    @property
    def by_people(self) -> bool:
        """Whether anybody is named in it."""
        return any(Origin.HUMAN.value in (c.before, c.now) for c in self.changes)

    def n(self, kind: ChangeKind) -> int:
        """How many samples changed in this way."""
        return sum(change.n for change in self.changes if change.kind is kind)


def diff(
    old: DatasetVersion, new: DatasetVersion, *, page: int = _PAGE, progress: Progress
) -> DatasetDiff:
    """What changed from one version to another.

    Both manifests are read once, side by side: they are sorted by sample_id. A `page` of rows of each
    is in memory at a time.

    Raises:
        DatasetError: the folder of one is gone or damaged.
    """
    import pyarrow.compute as pc

    counts: Counter[tuple[str, str | None, str | None, str]] = Counter()
    classes: Counter[tuple[str, str]] = Counter()
    relabelled: list[Relabelled] = []
    n_same = done = 0
    for before, now in _side_by_side(old, new, page):
        both = _joined(before, now)
        done += len(both)
        progress("samples compared", done, None)
        changed = both.filter(pc.is_valid(both["kind"]))
        n_same += len(both) - len(changed)
        for kind, origin_old, origin, by, n in _counted(
            changed, "kind", "origin_old", "origin", "by"
        ):
            counts[kind, origin_old, origin, _whose(origin or origin_old, by)] += n
        differ = changed.filter(pc.equal(changed["kind"], ChangeKind.RELABELLED.value))
        for was, is_, n in _counted(differ, "label_old", "label"):
            classes[was, is_] += n
        if len(relabelled) < NAMED:
            first = differ.sort_by("sample_id").slice(0, NAMED - len(relabelled))
            relabelled += [
                Relabelled(
                    sample_id=r["sample_id"],
                    before=r["label_old"],
                    now=r["label"],
                    by=_whose(r["origin"], r["by"]),
                    origin=r["origin"],
                )
                for r in first.to_pylist()
            ]
    order = [kind.value for kind in ChangeKind]
    return DatasetDiff(
        old=f"{old.name} v{old.version}",
        new=f"{new.name} v{new.version}",
        n_same=n_same,
        changes=tuple(
            Change(kind=ChangeKind(kind), before=was, now=is_, by=by, n=n)
            for (kind, was, is_, by), n in sorted(
                counts.items(), key=lambda c: (order.index(c[0][0]), -c[1], c[0][3], str(c[0]))
            )
        ),
        classes=tuple(
            (was, is_, n) for (was, is_), n in sorted(classes.items(), key=lambda c: (-c[1], c[0]))
        ),
        relabelled=tuple(relabelled),
    )


def named(found: DatasetDiff, accounts: Mapping[str, str]) -> DatasetDiff:
    """The same with people's e-mail addresses, by the ids of their accounts; an unknown id stays."""

    def named_by(by: str) -> str:
        return " + ".join(sorted(accounts.get(one, one) for one in by.split(" + ")))

    def is_persons(change: Change) -> bool:
        return (change.now or change.before) == Origin.HUMAN.value

    return replace(
        found,
        changes=tuple(replace(c, by=named_by(c.by)) if is_persons(c) else c for c in found.changes),
        relabelled=tuple(
            replace(r, by=named_by(r.by)) if r.origin == Origin.HUMAN.value else r
            for r in found.relabelled
        ),
    )


def _whose(origin: str, by: str) -> str:
    """Several annotators in one order, whoever of them answered first."""
    return " + ".join(sorted(by.split(" + "))) if origin == Origin.HUMAN.value else by


def _side_by_side(
    old: DatasetVersion, new: DatasetVersion, page: int
) -> "Iterator[tuple[pa.Table, pa.Table]]":
    """The rows of both versions in pieces: each sample_id is in one piece only."""
    left, right = _Ahead(old, page), _Ahead(new, page)
    while left.fill() | right.fill():
        lasts = [side.rows["sample_id"][-1].as_py() for side in (left, right) if len(side.rows)]
        up_to = min(lasts)
        yield left.take(up_to), right.take(up_to)


class _Ahead:
    """The next rows of a manifest."""

    def __init__(self, version: DatasetVersion, page: int) -> None:
        import pyarrow as pa

        self._batches = manifest.batches(version, _COLUMNS, size=page)
        self._schema = pa.schema([(name, pa.string()) for name in _COLUMNS])
        self.rows: pa.Table = self._schema.empty_table()

    def fill(self) -> bool:
        """Have rows, unless the manifest has ended; returns whether there are any."""
        import pyarrow as pa

        while not len(self.rows) and (batch := next(self._batches, None)) is not None:
            self.rows = pa.Table.from_batches([batch]).select(_COLUMNS).cast(self._schema)
        return len(self.rows) > 0

    def take(self, up_to: str) -> "pa.Table":
        """The rows up to that sample_id, which are no longer ahead."""
        import pyarrow.compute as pc

        n = pc.sum(pc.less_equal(self.rows["sample_id"], up_to)).as_py() or 0
        taken, self.rows = self.rows.slice(0, n), self.rows.slice(n)
        return taken


def _joined(before: "pa.Table", now: "pa.Table") -> "pa.Table":
    """Each sample once, with `kind` (null: unchanged) and `by` beside what both versions say."""
    import pyarrow.compute as pc

    renamed = before.rename_columns(
        [name if name == "sample_id" else f"{name}_old" for name in _COLUMNS]
    )
    both = renamed.join(now, keys="sample_id", join_type="full outer")
    absent, gone = pc.is_null(both["origin_old"]), pc.is_null(both["origin"])
    other_origin = pc.not_equal(both["origin_old"], both["origin"])
    human = pc.equal(both["origin"], Origin.HUMAN.value)
    cases = {
        ChangeKind.ADDED: absent,
        ChangeKind.REMOVED: gone,
        ChangeKind.RELABELLED: pc.not_equal(both["label_old"], both["label"]),
        ChangeKind.OTHER_CONTENT: pc.not_equal(both["content_hash_old"], both["content_hash"]),
        ChangeKind.CONFIRMED: pc.and_(other_origin, human),
        ChangeKind.UNCONFIRMED: other_origin,
    }
    conditions = pc.make_struct(*(pc.fill_null(c, False) for c in cases.values()))
    kind = pc.case_when(conditions, *(kind.value for kind in cases))
    annotator = pc.if_else(gone, both["annotator_old"], both["annotator"])
    model = pc.if_else(gone, both["model_old"], both["model"])
    by_human = pc.equal(pc.coalesce(both["origin"], both["origin_old"]), Origin.HUMAN.value)
    by = pc.if_else(by_human, annotator, model)
    return both.append_column("kind", kind).append_column("by", pc.fill_null(by, ""))


def _counted(rows: "pa.Table", *columns: str) -> Iterator[tuple[Any, ...]]:
    """Each combination of the columns' values with its count."""
    for found in rows.group_by(columns).aggregate([([], "count_all")]).to_pylist():
        yield *(found[name] for name in columns), found["count_all"]
