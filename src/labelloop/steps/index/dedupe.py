"""Rows of a table against the log: each prediction once, and of feedback what is new."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from itertools import chain
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from labelloop.core.line import lines
from labelloop.core.sample import (
    HASH_OF_TEXT,
    Feedback,
    PredictionTable,
    Reject,
    RejectReason,
    Role,
)
from labelloop.ports.log import LoggedPrediction, PredictionLog
from labelloop.reading.rows import FeedbackRow, TableReading, placed

_COMPARED = ["sample_id", "role", "model", "predicted_class", "content_hash"]


@dataclass(frozen=True, slots=True)
class Once:
    """What is new: predictions, feedback, and rows that contradict what came first."""

    predictions: PredictionTable
    feedback: tuple[Feedback, ...]
    changed: tuple[Reject, ...]


@dataclass(slots=True)
class _Sample:
    """What is known of a sample so far: the class that each model gave, and what users said."""

    serving: tuple[str, str] | None = None
    repeated: set[str] = field(default_factory=set)
    shadows: dict[str, str] = field(default_factory=dict)
    content_hash: str | None = None
    flagged: bool | None = None
    corrected_class: str | None = None

    def note(self, recorded: LoggedPrediction) -> None:
        """Take in what the log holds."""
        if recorded.role is Role.SERVING and self.serving is None:
            self.serving = (recorded.model, recorded.predicted_class)
        elif recorded.role is Role.REPEATED:
            self.repeated.add(recorded.model)
        elif recorded.role is Role.SHADOW:
            self.shadows[recorded.model] = recorded.predicted_class
        self.content_hash = self.content_hash or recorded.content_hash
        self.flagged, self.corrected_class = recorded.flagged, recorded.corrected_class

    def take(self, role: str, model: str, predicted_class: str) -> tuple[Role | None, str]:
        """The role under which a row is new, or None; and what it contradicts, in words."""
        if role == Role.SHADOW:
            if model in self.shadows:
                return None, _change(self.shadows[model], predicted_class)
            self.shadows[model] = predicted_class
            return Role.SHADOW, ""
        if self.serving is None:
            self.serving = (model, predicted_class)
            return Role.SERVING, ""
        if model == self.serving[0]:
            return None, _change(self.serving[1], predicted_class)
        if model in self.repeated:
            return None, ""
        self.repeated.add(model)
        return Role.REPEATED, ""

    def another_text(self, content_hash: str) -> bool:
        """Whether a row has another text than the first; what isn't text can't be compared."""
        before = self.content_hash = self.content_hash or content_hash
        texts = before.startswith(HASH_OF_TEXT) and content_hash.startswith(HASH_OF_TEXT)
        return texts and before != content_hash


def once(readings: Sequence[TableReading], log: PredictionLog, *, received_at: datetime) -> Once:
    """What the rows add to the log: the first prediction of a sample by a model stands.

    The class decides whether a later one contradicts it, and of texts the text.
    """
    readings = [r for r in readings if r.table.num_rows or r.feedback] or [TableReading.empty()]
    table = placed(pa.concat_tables([r.table for r in readings]).combine_chunks(), log.salt)
    where = pa.chunked_array([r.where for r in readings])
    spoken_of = sorted({row.sample_id for r in readings for row in r.feedback})
    places = np.concatenate([table.column("line").to_numpy(), lines(spoken_of, log.salt)])
    may_be_held = log.may_hold(places)
    own, spoken = may_be_held[: len(table)], may_be_held[len(table) :]
    asked = table.column("sample_id").filter(pa.array(own)).unique().to_pylist()
    samples = _recorded(log, [*asked, *(spoken_of[i] for i in np.flatnonzero(spoken))])
    several = np.flatnonzero(own | _is_repeated(places[: len(table)]))
    new_roles: dict[int, Role | None] = {}
    changed: list[Reject] = []
    for i, row in zip(
        several.tolist(), table.select(_COMPARED).take(several).to_pylist(), strict=True
    ):
        sample = samples.setdefault(row["sample_id"], _Sample())
        if sample.another_text(row["content_hash"]):
            role, change = None, "another text than before"
        else:
            role, change = sample.take(row["role"], row["model"], row["predicted_class"])
        new_roles[i] = role
        if change:
            changed.append(Reject(uri=where[i].as_py(), reason=RejectReason.CHANGED, value=change))
    feedback = tuple(_feedback(readings, samples, received_at))
    return Once(PredictionTable(_with_roles(table, new_roles)), feedback, tuple(changed))


def _recorded(log: PredictionLog, sample_ids: Sequence[str]) -> dict[str, _Sample]:
    samples: dict[str, _Sample] = {}
    for recorded in log.predictions(sample_ids):
        samples.setdefault(recorded.sample_id, _Sample()).note(recorded)
    return samples


def _is_repeated(places: Any) -> Any:
    """(N,) bool: whether another row has the same place on the line."""
    ordered = np.sort(places)
    return np.isin(places, ordered[1:][ordered[1:] == ordered[:-1]])


def _with_roles(table: Any, new_roles: Mapping[int, Role | None]) -> Any:
    """The rows that are new, under their roles."""
    if not new_roles:
        return table
    roles = table.column("role").to_pylist()
    for i, role in new_roles.items():
        roles[i] = role
    kept = table.set_column(table.column_names.index("role"), "role", pa.array(roles, pa.string()))
    return kept.filter(pc.is_valid(kept.column("role")))


def _feedback(
    readings: Sequence[TableReading],
    samples: Mapping[str, _Sample],
    received_at: datetime,
) -> Iterator[Feedback]:
    """What users said and the log doesn't know; "no flag" is said only to take one back."""
    told: dict[str, _Sample] = {}
    for sample_id, flag, correction in chain.from_iterable(map(_said, readings)):
        known = samples.get(sample_id) or told.get(sample_id)
        if known is None:
            if flag < 1 and not correction:
                continue
            known = told.setdefault(sample_id, _Sample())
        if flag >= 0 and bool(flag) != bool(known.flagged):
            known.flagged = bool(flag)
            value = str(known.flagged).lower()
            yield Feedback(
                sample_id=sample_id, kind="flagged", value=value, received_at=received_at
            )
        if correction is not None and correction != (known.corrected_class or ""):
            known.corrected_class = correction or None
            yield Feedback(
                sample_id=sample_id,
                kind="corrected_class",
                value=correction,
                received_at=received_at,
            )


def _said(reading: TableReading) -> Iterator[FeedbackRow]:
    """What users said in the rows of predictions, then in rows of its own."""
    ids = reading.table.column("sample_id")
    corrected = [i for i, said in enumerate(reading.corrections) if said is not None]
    for i in sorted({*np.flatnonzero(reading.flags >= 0).tolist(), *corrected}):
        yield FeedbackRow(ids[i].as_py(), int(reading.flags[i]), reading.corrections[i])
    yield from reading.feedback


def _change(before: str, now: str) -> str:
    """What a later prediction of the same model contradicts; empty where it doesn't."""
    return "" if before == now else f"predicted_class {now or 'none'}, was {before or 'none'}"
