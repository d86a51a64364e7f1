"""What `measure` keeps, as text and back: every number comes back to the last digit."""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from datetime import date, datetime
from typing import Any

from labelloop.core.estimate import Estimate, Undefined
from labelloop.measuring.accuracy import Accuracy
from labelloop.measuring.trend import Closing, Delay, History, Look, MeanSoFar, Settled
from labelloop.statistics.drop import Drop
from labelloop.statistics.rounds_sequence import RoundsSequence


@dataclass(frozen=True, slots=True, kw_only=True)
class RoundFacts:
    """What is known of a round: its accuracy, and which models and days its blind draws are of.

    first_at, last_at
        its first and last prediction among them; None where it has none
    """

    accuracy: Accuracy
    models: frozenset[str]
    days: frozenset[date]
    first_at: datetime | None
    last_at: datetime | None


def of(value: Accuracy | RoundFacts | History) -> str:
    """The text of a value."""
    return json.dumps(asdict(value), default=_plain, ensure_ascii=False)


def accuracy(text: str) -> Accuracy:
    """The accuracy that `of` wrote."""
    return _accuracy(json.loads(text))


def round_facts(text: str) -> RoundFacts:
    """The facts that `of` wrote."""
    found = json.loads(text)
    return RoundFacts(
        accuracy=_accuracy(found["accuracy"]),
        models=frozenset(found["models"]),
        days=frozenset(map(date.fromisoformat, found["days"])),
        first_at=_instant(found["first_at"]),
        last_at=_instant(found["last_at"]),
    )


def history(text: str) -> History:
    """The history that `of` wrote."""
    found = json.loads(text)
    return History(
        closings=tuple(map(_closing, found["closings"])),
        settled=tuple(map(_settled, found["settled"])),
    )


def _plain(value: object) -> object:
    if isinstance(value, date):  # a datetime is one
        return value.isoformat()
    if isinstance(value, frozenset):
        return sorted(value)
    raise TypeError(value)


def _instant(text: str | None) -> datetime | None:
    return None if text is None else datetime.fromisoformat(text)


def _accuracy(found: Mapping[str, Any]) -> Accuracy:
    said = found["estimate"]
    estimate = Undefined(**said) if "reason" in said else Estimate(**said)
    return Accuracy(**{**found, "estimate": estimate})


def _closing(found: Mapping[str, Any]) -> Closing:
    look = found["look"]
    return Closing(
        at=datetime.fromisoformat(found["at"]),
        watched=found["watched"],
        labelled=tuple((date.fromisoformat(week), n) for week, n in found["labelled"]),
        look=None if look is None else _look(look),
        rate=found["rate"],
        delays=tuple(Delay(**delay) for delay in found["delays"]),
    )


def _look(found: Mapping[str, Any]) -> Look:
    return Look(
        model=found["model"],
        number=found["number"],
        at=datetime.fromisoformat(found["at"]),
        since=date.fromisoformat(found["since"]),
        rounds=tuple(found["rounds"]),
        drop=Drop(**found["drop"]),
    )


def _settled(found: Mapping[str, Any]) -> Settled:
    sequence, mean = found["sequence"], found["mean"]
    return Settled(
        model=found["model"],
        week=date.fromisoformat(found["week"]),
        at=datetime.fromisoformat(found["at"]),
        sequence=None if sequence is None else RoundsSequence(**sequence),
        mean=None if mean is None else _mean(mean),
    )


def _mean(found: Mapping[str, Any]) -> MeanSoFar:
    return MeanSoFar(
        **{**found, "week": date.fromisoformat(found["week"]), "rounds": tuple(found["rounds"])}
    )
