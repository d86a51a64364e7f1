"""What [source] could say, from some rows of a table of predictions. Pure."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta

from labelloop.core.where import instant
from labelloop.reading.number import number
from labelloop.reading.timestamp import UNITS_US
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
