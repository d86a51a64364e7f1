"""Rows of a prediction table -> predictions in columns and feedback, or the reason why not."""

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from hashlib import sha256
from typing import Any, NamedTuple
from urllib.parse import quote

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from labelloop.core.json_path import PLACEHOLDER, attribute_name, is_json_path
from labelloop.core.line import lines
from labelloop.core.sample import (
    HASH_OF_TEXT,
    HASH_OF_URI,
    NO_CLASS,
    SHOWN,
    UNUSABLE,
    Reject,
    RejectReason,
    Role,
)
from labelloop.core.tombstone import Tombstones
from labelloop.reading.class_name import Classes
from labelloop.reading.column import Values, fault_of, texts
from labelloop.reading.columns import ColumnNames, TableRules
from labelloop.reading.confidence import confidences
from labelloop.reading.flag import flags
from labelloop.reading.identity import identities, identity
from labelloop.reading.likeliest import likeliest
from labelloop.reading.model import models
from labelloop.reading.number_list import number_lists
from labelloop.reading.sampling_rate import sampling_rates
from labelloop.reading.timestamp import timestamps


class FeedbackRow(NamedTuple):
    """What a user said of a sample, in a row without a prediction; `flag` is as in TableReading.flags."""

    sample_id: str
    flag: int
    correction: str | None


@dataclass(frozen=True, slots=True)
class TableReading:
    """What rows say. `table` has the fields of Prediction, without `line` and `content_hash`.

    table
        one row a prediction; its column `hash` is the content hash where the table has one
    where
        (N,) texts of pyarrow: the uri that a reject of each row has
    flags
        (N,) int8: 1 flagged, 0 not, -1 not said
    corrections
        the class that a user says is right, "" where one was taken back, None where nothing is said
    feedback
        the rows that hold no prediction, but what a user said of a sample
    """

    table: Any
    where: Any
    flags: Any
    corrections: Sequence[str | None]
    rejects: tuple[Reject, ...]
    feedback: tuple[FeedbackRow, ...] = ()

    @classmethod
    def empty(cls) -> "TableReading":
        """What no row says."""
        none = pa.array([], pa.string())
        return cls(_SCHEMA.empty_table(), none, np.zeros(0, np.int8), (), ())

    def without(self, forgotten: Tombstones) -> "TableReading":
        """The same without the rows of forgotten samples."""
        if not forgotten.hashes:
            return self
        named = self.table.column("sample_id").unique().to_pylist()
        gone = forgotten.among([*named, *(row.sample_id for row in self.feedback)])
        listed = pa.array(sorted(gone), pa.string())
        kept = pc.invert(pc.is_in(self.table.column("sample_id"), listed)).combine_chunks()
        places = np.flatnonzero(kept.to_numpy(zero_copy_only=False)).tolist()
        return replace(
            self,
            table=self.table.filter(kept),
            where=self.where.filter(kept),
            flags=self.flags[places],
            corrections=[self.corrections[i] for i in places],
            feedback=tuple(row for row in self.feedback if row.sample_id not in gone),
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
        "embedding": pa.list_(pa.float32()),
        "sampling_rate": pa.float64(),
        "attributes": pa.map_(pa.string(), pa.string()),
        "size_bytes": pa.int64(),
        "text": pa.string(),
        "hash": pa.string(),
    }
)


class _Faults:
    """The first fault of each row."""

    def __init__(self, where: Any) -> None:
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
        return Reject(uri=self._where[i].as_py(), reason=reason, value=text)


def read_rows(
    batch: Any, numbers: Sequence[int], *, file_uri: str, names: ColumnNames, rules: TableRules
) -> TableReading:
    """What the rows of a pyarrow RecordBatch say; `numbers` are their places in the file.

    Raises:
        ConfigError: a column is of a kind that can't mean what it is said to mean.
    """
    n = batch.num_rows
    where = pc.binary_join_element_wise(file_uri, pa.array(numbers).cast(pa.string()), "#")
    faults = _Faults(where)
    columns = _Columns(batch)

    named = identities(columns.of(names.sample_id), names.sample_id)
    ids, shown = named.values, columns.shown(names.sample_id)
    at = timestamps(columns.of(names.predicted_at), names.predicted_at, rules.predicted_at_unit)
    classes = Classes(rules.classes, rules.renamed)
    answers = classes.in_column(columns.of(names.predicted_class), names.predicted_class)
    sure = confidences(
        columns.of(names.confidence), str(names.confidence), rules.confidence_divisor
    )
    chances = number_lists(columns.of(names.probabilities), str(names.probabilities))
    unfit = np.zeros(n, bool)
    if rules.class_order:
        likely = likeliest(chances, rules.class_order)
        silent = answers.missing
        unfit = likely.unfit & silent
        named_so = classes.in_column(likely.classes, "class_order").values
        answers = Values(pc.coalesce(answers.values, named_so), answers.bad)
        if names.confidence is not None:
            unsaid = sure.missing & silent
            told = pc.if_else(pa.array(unsaid), likely.confidences.values, sure.values)
            sure = Values(told, sure.bad | (likely.confidences.bad & unsaid))
    flagged = flags(columns.of(names.flagged), str(names.flagged))
    corrected = classes.corrected_in(columns.of(names.corrected_class), str(names.corrected_class))
    flag = pc.fill_null(flagged.values.cast(pa.int8()), -1).to_numpy()
    corrections = corrected.values.to_pylist()
    spoken = (flag >= 0) | corrected.values.is_valid().to_numpy(zero_copy_only=False)
    silent = at.missing & answers.missing & sure.missing
    alone = ~(named.missing | named.bad) & silent & spoken
    faults.ok &= ~alone
    faults.note(named.missing, RejectReason.NO_SAMPLE_ID, _nothing_at(names.sample_id))
    faults.note(named.bad, RejectReason.BAD_ROW, lambda i: fault_of(identity, shown(i)))
    faults.note(at.missing, RejectReason.NO_TIMESTAMP, _nothing_at(names.predicted_at))
    faults.note(at.bad, RejectReason.BAD_TIMESTAMP, columns.shown(names.predicted_at))
    n_chances = pc.list_value_length(chances)
    expected = f"class_order has {len(rules.class_order)} classes"
    faults.note(unfit, RejectReason.BAD_ROW, lambda i: f"{n_chances[i]} probabilities; {expected}")
    if not rules.unusable_is_wrong:
        faults.note(answers.missing, RejectReason.NO_CLASS, _nothing_at(names.predicted_class))
        said = columns.shown(names.predicted_class)
        faults.note(answers.bad, RejectReason.UNKNOWN_CLASS, lambda i: classes.shown(said(i)))
    sure_said = columns.shown(names.confidence)
    faults.note(
        sure.bad, RejectReason.BAD_CONFIDENCE, lambda i: sure_said(i) or _some(chances[i].as_py())
    )
    rates = sampling_rates(columns.of(names.sampling_rate), str(names.sampling_rate))
    faults.note(rates.bad, RejectReason.BAD_SAMPLING_RATE, columns.shown(names.sampling_rate))
    roles = _filled(columns.text(names.role), Role.SERVING)
    known_role = pc.is_in(roles, pa.array([Role.SERVING.value, Role.SHADOW.value])).to_numpy(False)
    faults.note(~known_role, RejectReason.BAD_ROLE, columns.shown(names.role))
    written = _written(columns, names)
    size = np.zeros(n, np.int64)
    if names.text is not None:
        size = pc.fill_null(pc.binary_length(written), 0).to_numpy(False).astype(np.int64)
        faults.note(_empty(written), RejectReason.NO_TEXT, _nothing_at(names.text))
        too_long = size > rules.max_text_bytes
        faults.note(too_long, RejectReason.TEXT_TOO_LONG, lambda i: f"{size[i]:,} bytes")
        uris = where
    else:
        uris = _uris(columns, names, rules, ids)
        faults.note(_empty(uris), RejectReason.NO_URI, lambda _: "")
        faults.note(_with_nul(uris), RejectReason.BAD_ROW, lambda i: f"a NUL in {uris[i].as_py()}")
        scheme = rules.store_uri.partition("://")[0] + "://"
        elsewhere = ~pc.fill_null(pc.starts_with(uris, scheme), False).to_numpy(False)
        faults.note(elsewhere, RejectReason.BAD_URI, lambda i: uris[i].as_py())
    faults.beside(flagged.bad, RejectReason.BAD_FLAG, columns.shown(names.flagged))
    correction = columns.shown(names.corrected_class)
    faults.beside(
        corrected.bad,
        RejectReason.UNKNOWN_CORRECTION,
        lambda i: classes.shown(correction(i)),
    )

    keep = faults.ok
    table = pa.table(
        {
            "sample_id": ids,
            "uri": uris,
            "predicted_at": at.values,
            "model": models(columns.of(names.model), str(names.model)),
            "role": roles,
            "predicted_class": pc.fill_null(answers.values, NO_CLASS),
            "confidence": sure.values,
            "probabilities": chances,
            "embedding": number_lists(columns.of(names.embedding), str(names.embedding)),
            "sampling_rate": rates.values,
            "attributes": _attributes(columns, names, answers.bad),
            "size_bytes": pa.array(size),
            "text": written,
            "hash": columns.text(names.content_hash),
        },
        schema=_SCHEMA,
    )
    kept = np.flatnonzero(keep)
    return TableReading(
        table=table if keep.all() else table.filter(pa.array(keep)),
        where=where if keep.all() else where.filter(pa.array(keep)),
        flags=flag[kept],
        corrections=[corrections[i] for i in kept],
        rejects=tuple(faults.rejects),
        feedback=tuple(
            FeedbackRow(ids[i].as_py(), int(flag[i]), corrections[i])
            for i in np.flatnonzero(alone).tolist()
        ),
    )


def placed(table: Any, salt: bytes) -> Any:
    """`TableReading.table` with each sample's place on the line and its content hash.

    A text is its own content. Of an object that nobody read, the place stands for the content.
    """
    places = lines(table.column("sample_id").to_pylist(), salt)
    own = pc.binary_join_element_wise(HASH_OF_URI, table.column("uri"), "")
    texts = table.column("text")
    if texts.null_count < len(texts):
        hashed = [None if t is None else HASH_OF_TEXT + _hash(t) for t in texts.to_pylist()]
        own = pc.coalesce(pa.array(hashed, pa.string()), own)
    given = table.column("hash")
    return (
        table.drop_columns(["hash"])
        .append_column("line", pa.array(places))
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

    def shown(self, name: str | None) -> Callable[[int], str]:
        column = self.of(name)
        return lambda i: column.slice(i, 1).cast(pa.string())[0].as_py() or ""


def _nothing_at(name: str | None) -> Callable[[int], str]:
    """What is said of rows that lack a value: of a path where it should have been."""
    said = f"nothing at {name}" if name is not None and is_json_path(name) else ""
    return lambda _: said


def _some(numbers: Sequence[float] | None) -> str:
    """The first of some numbers, in few digits."""
    return ", ".join(f"{n:.4g}" for n in (numbers or ())[:6])


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
    elif PLACEHOLDER.search(names.uri):
        pieces = PLACEHOLDER.split(names.uri)  # text and column names, in turn
        own = {names.sample_id: ids}
        parts = [
            own.get(p, columns.text(p)) if i % 2 else pa.scalar(p) for i, p in enumerate(pieces)
        ]
        made = pc.binary_join_element_wise(*parts, "")
    else:
        made = columns.text(names.uri)
    made = pc.if_else(pa.array(_empty(made)), pa.scalar(None, pa.string()), made)
    absolute = pc.fill_null(pc.match_substring_regex(made, r"^[a-zA-Z][a-zA-Z0-9+.-]*://"), True)
    keys = _quoted(made) if rules.store_uri.startswith("file://") else made
    below = pc.binary_join_element_wise(rules.store_uri.rstrip("/"), keys, "/")
    return pc.if_else(absolute, made, below)


def _written(columns: _Columns, names: ColumnNames) -> Any:
    """The texts to label; in a template, what isn't there is empty, but not all of it."""
    if names.text is None or not PLACEHOLDER.search(names.text):
        return columns.text(names.text)
    pieces = PLACEHOLDER.split(names.text)  # text and column names, in turn
    held = [columns.text(p) for p in pieces[1::2]]
    parts = [
        pc.fill_null(held[i // 2], "") if i % 2 else pa.scalar(p) for i, p in enumerate(pieces)
    ]
    said = pc.binary_join_element_wise(*held, "", null_handling="replace", null_replacement="")
    return pc.if_else(pc.equal(said, ""), None, pc.binary_join_element_wise(*parts, ""))


def _quoted(paths: Any) -> Any:
    """Paths as parts of a file:// uri; s3:// uris hold keys as they stand."""
    return pa.array([None if p is None else quote(p) for p in paths.to_pylist()], pa.string())


def _attributes(columns: _Columns, names: ColumnNames, unusable: Any) -> Any:
    """A map a row: the columns kept as text, and what an unusable answer said."""
    known = names.known()
    wanted = names.attributes
    if wanted is None:
        used = known | {path.column for path in names.paths()}
        wanted = tuple(n for n in columns.names if n not in used)
    held = {attribute_name(n): _plain(columns.of(n), n) for n in wanted}
    if unusable.any():
        said = pc.utf8_slice_codeunits(columns.text(names.predicted_class), 0, SHOWN)
        held[UNUSABLE] = pc.if_else(pa.array(unusable), said, pa.scalar(None, pa.string()))
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
