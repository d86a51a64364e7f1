"""What [source] could say, from some rows of a table of predictions. Pure."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta

from labelloop.core.json_path import attribute_name
from labelloop.core.where import instant
from labelloop.reading.number import number
from labelloop.reading.timestamp import UNITS_US
from labelloop.setup.body_proposal import longest_text, number_lists, with_paths
from labelloop.setup.proposal import (
    FITS,
    OTHER_NAMES,
    Proposal,
    are_confidences,
    are_instants,
    called,
    could_be_classes,
    propose,
    read,
)

IDS = ("sample_id", "request_id", "prediction_id", "input_id", "image_id", "id", "uuid")
URIS = ("uri", "image_uri", "image", "url", "path", "file", "file_name", "key", "object_key")
TIMES = ("predicted_at", "timestamp", "ts", *OTHER_NAMES["timestamp"])
MOST_VALUES = 50
"""How many different values a column may have to be proposed for slices."""
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_RECENT = (datetime(2000, 1, 1, tzinfo=UTC), datetime(2100, 1, 1, tzinfo=UTC))


@dataclass(frozen=True, slots=True, kw_only=True)
class TableProposal:
    """How a table calls its columns.

    columns
        by the key of [source.columns]; what no column seems to hold is missing
    attributes
        columns for slices
    could_be_classes
        where no column seems to hold the predicted class: those that might
    rows
        what was looked at: column -> text
    needs_uri
        neither the uri nor the sample's id is the key of an input
    """

    columns: Mapping[str, str]
    confidence_divisor: float
    predicted_at_unit: str | None
    attributes: tuple[str, ...]
    could_be_classes: Mapping[str, frozenset[str]]
    rows: Sequence[Mapping[str, str]]
    needs_uri: bool = False

    @property
    def distinct(self) -> tuple[str, ...]:
        """The columns that are different in every row."""
        return tuple(name for name, held in _values(self.rows).items() if _are_ids(held))

    def examples(self, column: str | None) -> list[str]:
        """The last three values of a column."""
        return [row[column] for row in self.rows if column is not None and row.get(column)][-3:]

    def with_uri(self, column: str | None) -> "TableProposal":
        """The same with the column that says where inputs lie; None: the sample's id does."""
        columns = {k: v for k, v in self.columns.items() if k != "uri"}
        kept = tuple(name for name in self.attributes if name != column)
        own = columns if column is None else {**columns, "uri": column}
        return replace(self, columns=own, attributes=kept)

    def unit_of(self, key: str) -> str:
        """How the column counts, in words to put behind its name."""
        if key == "confidence" and self.confidence_divisor != 1:
            return ", in percent"
        if key == "predicted_at" and self.predicted_at_unit:
            return f", in {self.predicted_at_unit} since 1970"
        return ""

    def seen(self, n_rows: int) -> Proposal:
        """What the rows say, chosen evenly from `n_rows`."""
        tagged = [self._as_tags(row) for row in self.rows]
        known = [instant(tags["timestamp"]) for tags in tagged if "timestamp" in tags]
        otherwise = known[0] if known else _EPOCH
        return propose(tagged, [otherwise] * len(tagged), n_listed=n_rows)

    def _as_tags(self, row: Mapping[str, str]) -> dict[str, str]:
        """The row as the tags of an object would say it; what can't be read is left out."""
        at = _moment(row.get(self.columns.get("predicted_at", ""), ""), self.predicted_at_unit)
        tags = {"timestamp": at.isoformat()} if at else {}
        if (sure := read(number, row.get(self.columns.get("confidence", ""), ""))) is not None:
            tags["confidence"] = str(sure / self.confidence_divisor)
        for key in ("predicted_class", "flagged", "corrected_class"):
            if value := row.get(self.columns.get(key, "")):
                tags[key] = value
        return tags


def propose_columns(
    rows: Sequence[Mapping[str, str]], predicted_class: str | None = None
) -> TableProposal:
    """How a table with such rows calls its columns.

    `predicted_class`: the column that holds it, where a person said so.

    >>> rows = [{"request_id": f"r{i}", "label": "ab"[i % 2], "score": str(40.5 + i),
    ...          "ts": str(1_764_000_000_000 + i)} for i in range(30)]
    >>> found = propose_columns(rows)
    >>> found.columns["sample_id"], found.columns["predicted_at"], found.predicted_at_unit
    ('request_id', 'ts', 'milliseconds')
    >>> found.columns["confidence"], found.confidence_divisor
    ('score', 100.0)
    """
    values = _values(rows)
    columns: dict[str, str] = {}

    def take(key: str, found: str | None) -> None:
        if found is not None:
            columns[key] = found
            values.pop(found)

    take("predicted_class", predicted_class)
    take("predicted_at", called(TIMES, values, _are_moments, by_values=True))
    take("sample_id", called(IDS, values, _are_ids, by_values=False))
    named = ("confidence", *OTHER_NAMES["confidence"])
    by_name = called(named, values, _are_shares_or_percent, by_values=False)
    take("confidence", by_name or called(named, values, are_confidences, by_values=True))
    take("uri", called(URIS, values, _are_places, by_values=False))
    for key in ("flagged", "corrected_class", "predicted_class", "model"):
        names = (key, *OTHER_NAMES[key])
        if key in columns:
            continue
        take(key, called(names, values, FITS[key], by_values=key == "predicted_class"))
    if "sample_id" not in columns:
        take("sample_id", called((), values, _are_ids, by_values=True))
    ours = {"role", "probabilities", "embedding", "content_hash"}
    sliced = [n for n, v in values.items() if 2 <= len(set(v)) <= MOST_VALUES and n not in ours]
    held = _values(rows)
    percent = "confidence" in columns and not are_confidences(held[columns["confidence"]])
    times = held.get(columns.get("predicted_at", ""), [])
    return TableProposal(
        columns=columns,
        confidence_divisor=100.0 if percent else 1.0,
        predicted_at_unit=None if not times or are_instants(times) else _unit(times),
        attributes=tuple(sliced),
        could_be_classes={}
        if "predicted_class" in columns
        else could_be_classes([{n: r[n] for n in values if r.get(n)} for r in rows]),
        rows=rows,
    )


PLATFORM_COLUMNS = {"sample_id": "id", "predicted_at": "time", "model": "model"}
"""What the logs of platforms call what their settings needn't name."""
_OWN = frozenset(
    ("time", "model", "request", "response", "request_type", "response_type", "inference_id",
     "trace_id", "observation_id", "session_id", "user_id", "sampling_rate", "status_code", "verdict",
     "value", "comment", "correction", "input", "output", "metadata", "request_metadata", "annotations",
     "custom_attributes", "client_request_id")
)  # fmt: skip


def propose_bodies(kind: str, rows: Sequence[Mapping[str, str]]) -> TableProposal:
    """Where in the bodies of a platform's log class, confidence and input lie, and what to slice by.

    >>> body = '{"predictions": [{"label": "%s", "score": 0.%d}]}'
    >>> rows = [{"id": str(i), "time": "2026-03-02", "request": '{"mail": "%s"}' % ("my invoice " * 4),
    ...          "response": body % ("ab"[i % 2], i)} for i in range(10, 40)]
    >>> found = propose_bodies("sagemaker", rows).columns
    >>> found["predicted_class"], found["confidence"], found["text"]
    ('$.response.predictions[0].label', '$.response.predictions[0].score', '$.request.mail')
    """
    flat = [with_paths(row) for row in rows]
    if kind == "langfuse":
        columns = {**PLATFORM_COLUMNS, "predicted_class": "verdict"}
        both = any("input" in row for row in flat) and any("output" in row for row in flat)
        text = "{input}\n\n{output}" if both else longest_text(flat, ("input", "output", "$."))
        values = _values(flat)
        fits = [n for n in values if n not in _OWN and n not in columns.values()]
        sliced = [n for n in fits if 2 <= len(set(values[n])) <= MOST_VALUES]
        columns |= {"text": text} if text else {}
        return TableProposal(
            columns=columns, confidence_divisor=1.0, predicted_at_unit=None, rows=flat,
            attributes=tuple(sliced), could_be_classes={},
        )  # fmt: skip
    answered = {n: v for n, v in _values(flat).items() if n.startswith("$.response")}
    lists = [n for n in number_lists(flat) if n in answered]
    by_last = {attribute_name(n): n for n in reversed(answered) if n not in lists}
    held = {last: answered[n] for last, n in by_last.items()}
    columns = dict(PLATFORM_COLUMNS)
    for key, only in (("predicted_class", True), ("confidence", True), ("model", False)):
        found = called((key, *OTHER_NAMES[key]), held, FITS[key], by_values=only)
        if found is not None:
            columns[key] = by_last[found]
            held.pop(found)
    if lists:
        columns["probabilities"] = lists[0]
    if "predicted_class" not in columns:  # few rows tell no classes, but may well be called so
        named = called(
            ("predicted_class", *OTHER_NAMES["predicted_class"]), held, bool, by_values=False
        )
        columns |= {"predicted_class": by_last[named]} if named else {}
    asked = {n: v for n, v in _values(flat).items() if n.startswith(("$.request", "request"))}
    text = longest_text(flat, ("$.request", "request"))
    if text is not None:
        columns["text"] = text
    elif uri := called(
        URIS, {attribute_name(n): v for n, v in asked.items()}, _are_places, by_values=False
    ):
        columns["uri"] = next(n for n in asked if attribute_name(n) == uri)
    sliced = [
        n for n, v in asked.items() if n not in columns.values() and 2 <= len(set(v)) <= MOST_VALUES
        and len(set(v)) * 2 <= len(v) and n not in _OWN
    ]  # fmt: skip
    return TableProposal(
        columns=columns, confidence_divisor=1.0, predicted_at_unit=None, rows=flat,
        attributes=tuple(sliced),
        could_be_classes={} if {"predicted_class", "probabilities"} & columns.keys()
        else could_be_classes([{n: r[n] for n in answered if r.get(n)} for r in flat]),
    )  # fmt: skip


def _values(rows: Sequence[Mapping[str, str]]) -> dict[str, list[str]]:
    """The values of each column that any row has."""
    names = dict.fromkeys(name for row in rows for name in row)
    return {name: [row[name] for row in rows if row.get(name)] for name in names}


def _are_ids(held: Sequence[str]) -> bool:
    return len(held) > 1 and len(set(held)) == len(held)


def _are_places(held: Sequence[str]) -> bool:
    return bool(held) and all("/" in text or "." in text for text in held)


def _are_shares_or_percent(held: Sequence[str]) -> bool:
    inside = sum((n := read(number, text)) is not None and 0 <= n <= 100 for text in held)
    return 2 * inside > len(held)


def _are_moments(held: Sequence[str]) -> bool:
    return are_instants(held) or _unit(held) is not None


def _unit(held: Sequence[str]) -> str | None:
    """What numbers count, if all of most lie in this century."""
    for unit in UNITS_US:
        inside = sum(
            (at := _moment(text, unit)) is not None and _RECENT[0] <= at < _RECENT[1]
            for text in held
        )
        if 2 * inside > len(held):
            return unit
    return None


def _moment(text: str, unit: str | None) -> datetime | None:
    try:
        if unit is None:
            return instant(text)
        return _EPOCH + timedelta(microseconds=float(text) * UNITS_US[unit])
    except (ValueError, OverflowError):
        return None
