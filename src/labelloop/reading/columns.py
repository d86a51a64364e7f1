"""Rows of a prediction table -> predictions in columns and feedback, or the reason why not.

The same rules as for tags (`labelloop.reading.tags`), for many rows at once.
"""

import json
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from hashlib import sha256
from typing import Any
from urllib.parse import quote

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from labelloop.core.line import line
from labelloop.core.sample import (
    HASH_OF_TEXT,
    HASH_OF_URI,
    NO_CLASS,
    UNUSABLE,
    Reject,
    RejectReason,
    Role,
)
from labelloop.core.tombstone import Tombstones
from labelloop.reading.column_values import confidences, instants, probabilities, texts, truths
from labelloop.reading.tags import NO_MODEL

_PLACEHOLDER = re.compile(r"\{([^{}]+)\}")
_SHOWN = 200
"""Characters of a value that stands in the way."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ColumnNames:
    """How a table calls its columns; None: it has none of that kind.

    uri
        a column, or a template such as `s3://bucket/{request_id}.png`; None: the sample's id is
        its key in the store
    text
        the text that people label; None: it is the object at the uri
    attributes
        columns to keep for slices; None: all others
    explicit
        the fields whose names the user wrote
    """

    sample_id: str = "sample_id"
    predicted_class: str = "predicted_class"
    predicted_at: str = "predicted_at"
    confidence: str | None = "confidence"
    model: str | None = "model"
    role: str | None = "role"
    probabilities: str | None = "probabilities"
    flagged: str | None = "flagged"
    corrected_class: str | None = "corrected_class"
    content_hash: str | None = None
    uri: str | None = None
    text: str | None = None
    attributes: tuple[str, ...] | None = ()
    explicit: frozenset[str] = frozenset()

    def known(self) -> frozenset[str]:
        """Every column that has a meaning of its own; the others may be attributes."""
        named = {getattr(self, f.name) for f in fields(self) if f.name not in _NO_COLUMN}
        return frozenset(str(n) for n in named - {None}) | frozenset(self.in_uri())

    def needed(self) -> list[tuple[str, str]]:
        """The columns that the table must have, each with the setting that names it."""
        required = {"sample_id", "predicted_class", "predicted_at"}
        named = [
            (f.name, getattr(self, f.name))
            for f in fields(self)
            if f.name in (required | self.explicit) - _NO_COLUMN
        ]
        named += [("uri", name) for name in self.in_uri()]
        named += [("attributes", name) for name in self.attributes or ()]
        return named

    def wanted(self) -> list[str] | None:
        """The columns to read; None: all of them."""
        if self.attributes is None:
            return None
        return sorted(self.known() | set(self.attributes))

    def in_uri(self) -> tuple[str, ...]:
        """The columns that the uri is made of."""
        if self.uri is None:
            return ()
        return tuple(_PLACEHOLDER.findall(self.uri)) or (self.uri,)


_NO_COLUMN = frozenset({"uri", "attributes", "explicit"})


@dataclass(frozen=True, slots=True, kw_only=True)
class TableRules:
    """What a row must meet to be a prediction.

    unusable_is_wrong
        an answer that is no class stays, and is wrong, instead of being set aside
    store_uri
        where a sample's object lies if the table doesn't say; uris must be of its kind
    max_text_bytes
        longer texts are set aside
    """

    classes: frozenset[str]
    store_uri: str
    renamed: Mapping[str, str] = field(default_factory=dict)
    unusable_is_wrong: bool = False
    confidence_divisor: float = 1.0
    predicted_at_unit: str | None = None
    max_text_bytes: int = 100_000


@dataclass(frozen=True, slots=True)
class HowToRead:
    """How a table's rows are read."""

    names: ColumnNames
    rules: TableRules


@dataclass(frozen=True, slots=True)
class TableReading:
    """What rows say. `table` has the fields of Prediction, without `line` and `content_hash`.

    table
        one row a prediction; its column `hash` is the content hash where the table has one
    where
        the uri that a reject of each row has
    flags
        (N,) int8: 1 flagged, 0 not, -1 not said
    corrections
        the class that a user says is right, "" where one was taken back, None where nothing is said
    """

    table: Any
    where: Sequence[str]
    flags: Any
    corrections: Sequence[str | None]
    rejects: tuple[Reject, ...]

    @classmethod
    def empty(cls) -> "TableReading":
        """What no row says."""
        return cls(_SCHEMA.empty_table(), (), np.zeros(0, np.int8), (), ())

    def without(self, forgotten: Tombstones) -> "TableReading":
        """The same without the rows of forgotten samples."""
        if not forgotten.hashes:
            return self
        gone = forgotten.among(self.table.column("sample_id").unique().to_pylist())
        listed = pa.array(sorted(gone), pa.string())
        kept = pc.invert(pc.is_in(self.table.column("sample_id"), listed))
        places = np.flatnonzero(kept.to_numpy()).tolist()
        return replace(
            self,
            table=self.table.filter(kept),
            where=[self.where[i] for i in places],
            flags=self.flags[places],
            corrections=[self.corrections[i] for i in places],
        )


_SCHEMA = pa.schema(
    {
        "sample_id": pa.string(),
        "uri": pa.string(),
        "predicted_at": pa.timestamp("us", tz="UTC"),
        "model": pa.string(),
        "role": pa.string(),
        "predicted_class": pa.string(),
        "confidence": pa.float64(),
        "probabilities": pa.list_(pa.float32()),
        "attributes": pa.map_(pa.string(), pa.string()),
        "size_bytes": pa.int64(),
        "text": pa.string(),
        "hash": pa.string(),
    }
)


class _Faults:
    """The first fault of each row."""

    def __init__(self, where: Sequence[str]) -> None:
        self.ok = np.ones(len(where), bool)
        self.rejects: list[Reject] = []
        self._where = where

    def note(self, bad: Any, reason: RejectReason, values: Callable[[int], object]) -> None:
        for i in np.flatnonzero(np.asarray(bad) & self.ok):
            self.rejects.append(self._reject(int(i), reason, values(int(i))))
        self.ok &= ~np.asarray(bad)

    def beside(self, bad: Any, reason: RejectReason, values: Callable[[int], object]) -> None:
        """A fault that leaves the prediction as it is."""
        for i in np.flatnonzero(np.asarray(bad) & self.ok):
            self.rejects.append(self._reject(int(i), reason, values(int(i))))

    def _reject(self, i: int, reason: RejectReason, value: object) -> Reject:
        text = "" if value is None else str(value)
        return Reject(uri=self._where[i], reason=reason, value=text[:_SHOWN])


def read_rows(
    batch: Any, numbers: Sequence[int], *, file_uri: str, names: ColumnNames, rules: TableRules
) -> TableReading:
    """What the rows of a pyarrow RecordBatch say; `numbers` are their places in the file.

    Raises:
        ConfigError: a column is of a kind that can't mean what it is said to mean.
    """
    n = batch.num_rows
    where = [f"{file_uri}#{number}" for number in numbers]
    faults = _Faults(where)
    columns = _Columns(batch)

    ids = columns.text(names.sample_id)
    faults.note(_empty(ids), RejectReason.NO_SAMPLE_ID, lambda _: "")
    faults.note(_with_nul(ids), RejectReason.BAD_ROW, lambda i: f"a NUL in {ids[i].as_py()}")
    at, missing, bad = instants(
        columns.of(names.predicted_at), names.predicted_at, rules.predicted_at_unit
    )
    shown = columns.shown(names.predicted_at)
    faults.note(missing, RejectReason.NO_TIMESTAMP, lambda _: "")
    faults.note(bad, RejectReason.BAD_TIMESTAMP, shown)
    answers = _present(columns.text(names.predicted_class), rules.renamed)
    usable = pc.fill_null(pc.is_in(answers, pa.array(sorted(rules.classes))), False).to_numpy(False)
    if not rules.unusable_is_wrong:
        faults.note(_empty(answers), RejectReason.NO_CLASS, lambda _: "")
        faults.note(~usable, RejectReason.UNKNOWN_CLASS, columns.shown(names.predicted_class))
    confidence, bad = confidences(
        columns.of(names.confidence), str(names.confidence), rules.confidence_divisor
    )
    faults.note(bad, RejectReason.BAD_CONFIDENCE, columns.shown(names.confidence))
    roles = _filled(columns.text(names.role), Role.SERVING)
    known_role = pc.is_in(roles, pa.array([Role.SERVING.value, Role.SHADOW.value])).to_numpy(False)
    faults.note(~known_role, RejectReason.BAD_ROLE, columns.shown(names.role))
    written = columns.text(names.text)
    size = np.zeros(n, np.int64)
    if names.text is not None:
        size = pc.fill_null(pc.binary_length(written), 0).to_numpy(False).astype(np.int64)
        faults.note(_empty(written), RejectReason.NO_TEXT, lambda _: "")
        too_long = size > rules.max_text_bytes
        faults.note(too_long, RejectReason.TEXT_TOO_LONG, lambda i: f"{size[i]:,} bytes")
        uris = pa.array([f"{file_uri}#{number}" for number in numbers], pa.string())
    else:
        uris = _uris(columns, names, rules, ids)
        faults.note(_empty(uris), RejectReason.NO_URI, lambda _: "")
        faults.note(_with_nul(uris), RejectReason.BAD_ROW, lambda i: f"a NUL in {uris[i].as_py()}")
        scheme = rules.store_uri.partition("://")[0] + "://"
        elsewhere = ~pc.fill_null(pc.starts_with(uris, scheme), False).to_numpy(False)
        faults.note(elsewhere, RejectReason.BAD_URI, lambda i: uris[i].as_py())
    flags, bad = truths(columns.of(names.flagged), str(names.flagged))
    faults.beside(bad, RejectReason.BAD_FLAG, columns.shown(names.flagged))
    corrected = _present(columns.text(names.corrected_class), rules.renamed)
    accepted = pa.array([*sorted(rules.classes), ""])
    bad = ~pc.fill_null(pc.is_in(corrected, accepted), False).to_numpy(False)
    bad &= pc.is_valid(corrected).to_numpy(False)
    faults.beside(bad, RejectReason.UNKNOWN_CORRECTION, columns.shown(names.corrected_class))

    keep = faults.ok
    table = pa.table(
        {
            "sample_id": ids,
            "uri": uris,
            "predicted_at": at,
            "model": pc.replace_substring(
                _filled(columns.text(names.model), NO_MODEL), "\0", "\ufffd"
            ),
            "role": roles,
            "predicted_class": pc.if_else(pa.array(usable), answers, NO_CLASS),
            "confidence": confidence,
            "probabilities": probabilities(
                columns.of(names.probabilities), str(names.probabilities)
            ),
            "attributes": _attributes(columns, names, answers, usable),
            "size_bytes": pa.array(size),
            "text": written,
            "hash": columns.text(names.content_hash),
        },
        schema=_SCHEMA,
    )
    kept = np.flatnonzero(keep)
    said = pc.if_else(pa.array(bad), None, corrected).to_pylist()
    return TableReading(
        table=table if keep.all() else table.filter(pa.array(keep)),
        where=where if keep.all() else [where[i] for i in kept],
        flags=flags[kept],
        corrections=[said[i] for i in kept],
        rejects=tuple(faults.rejects),
    )


def placed(table: Any, salt: bytes) -> Any:
    """`TableReading.table` with each sample's place on the line and its content hash.

    A text is its own content. Of an object that nobody read, the place stands for the content.
    """
    ids = table.column("sample_id").to_pylist()
    own = pc.binary_join_element_wise(HASH_OF_URI, table.column("uri"), "")
    texts = table.column("text")
    if texts.null_count < len(texts):
        hashed = [None if t is None else HASH_OF_TEXT + _hash(t) for t in texts.to_pylist()]
        own = pc.coalesce(pa.array(hashed, pa.string()), own)
    given = table.column("hash")
    return (
        table.drop_columns(["hash"])
        .append_column("line", pa.array([line(i, salt) for i in ids], pa.int64()))
        .append_column("content_hash", pc.coalesce(given, own))
    )


def _hash(text: str) -> str:
    return sha256(text.encode()).hexdigest()


class _Columns:
    """The columns of a batch; one that isn't there is null in every row."""

    def __init__(self, batch: Any) -> None:
        self.batch = batch
        self.names: list[str] = batch.schema.names

    def of(self, name: str | None) -> Any:
        if name is None or name not in self.names:
            return pa.nulls(self.batch.num_rows)
        return self.batch.column(self.names.index(name))

    def text(self, name: str | None) -> Any:
        return texts(self.of(name), str(name))

    def shown(self, name: str | None) -> Callable[[int], object]:
        column = self.of(name)
        return lambda i: column[i].as_py()


def _present(column: Any, renamed: Mapping[str, str]) -> Any:
    """The texts with each class under its present name."""
    for old, new in renamed.items():
        column = pc.if_else(pc.fill_null(pc.equal(column, old), False), new, column)
    return column


def _empty(column: Any) -> Any:
    return pc.fill_null(pc.equal(column, ""), True).to_numpy(zero_copy_only=False)


def _with_nul(column: Any) -> Any:
    """Which of the texts no database takes. They identify an input, so nothing may stand in for a NUL."""
    return pc.fill_null(pc.match_substring(column, "\0"), False).to_numpy(zero_copy_only=False)


def _filled(column: Any, value: str) -> Any:
    stripped = pc.utf8_trim_whitespace(column)
    return pc.if_else(pa.array(_empty(stripped)), str(value), stripped)


def _uris(columns: _Columns, names: ColumnNames, rules: TableRules, ids: Any) -> Any:
    """The uris that the table names; what has no scheme is a key in the store."""
    if names.uri is None:
        made = ids
    elif _PLACEHOLDER.search(names.uri):
        pieces = _PLACEHOLDER.split(names.uri)  # text and column names, in turn
        parts = [columns.text(p) if i % 2 else pa.scalar(p) for i, p in enumerate(pieces)]
        made = pc.binary_join_element_wise(*parts, "")
    else:
        made = columns.text(names.uri)
    made = pc.if_else(pa.array(_empty(made)), pa.scalar(None, pa.string()), made)
    absolute = pc.fill_null(pc.match_substring_regex(made, r"^[a-zA-Z][a-zA-Z0-9+.-]*://"), True)
    keys = _quoted(made) if rules.store_uri.startswith("file://") else made
    below = pc.binary_join_element_wise(rules.store_uri.rstrip("/"), keys, "/")
    return pc.if_else(absolute, made, below)


def _quoted(paths: Any) -> Any:
    """Paths as parts of a file:// uri; s3:// uris hold keys as they stand."""
    return pa.array([None if p is None else quote(p) for p in paths.to_pylist()], pa.string())


def _attributes(columns: _Columns, names: ColumnNames, answers: Any, usable: Any) -> Any:
    """A map a row: the columns kept as text, and what an unusable answer said."""
    known = names.known()
    wanted = names.attributes
    if wanted is None:
        wanted = tuple(n for n in columns.names if n not in known)
    held = {n: _plain(columns.of(n), n) for n in wanted}
    if not usable.all():
        said = pc.utf8_slice_codeunits(answers, 0, _SHOWN)
        held[UNUSABLE] = pc.if_else(pa.array(usable), pa.scalar(None, pa.string()), said)
    n_rows, n_names = columns.batch.num_rows, len(held)
    if not held:
        return pa.array([[]] * n_rows, pa.map_(pa.string(), pa.string()))
    by_row = np.arange(n_rows * n_names).reshape(n_names, n_rows).T.ravel()
    values = pa.concat_arrays(list(held.values())).take(pa.array(by_row))
    there = pc.is_valid(values).to_numpy(zero_copy_only=False)
    keys = pa.DictionaryArray.from_arrays(
        pa.array(np.tile(np.arange(n_names, dtype=np.int32), n_rows)), pa.array(list(held))
    ).cast(pa.string())
    counts = there.reshape(n_rows, n_names).sum(axis=1)
    offsets = np.concatenate([[0], np.cumsum(counts)]).astype(np.int32)
    mask = pa.array(there)
    return pa.MapArray.from_arrays(pa.array(offsets), keys.filter(mask), values.filter(mask))


def _plain(column: Any, name: str) -> Any:
    if pa.types.is_nested(column.type):
        said = [None if v is None else json.dumps(v, default=str) for v in column.to_pylist()]
        return pa.array(said, pa.string())
    return texts(column, name)
