"""What each person did, and how often they err: from second looks, and from samples that several answered."""

import math
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from itertools import pairwise
from statistics import median

from labelloop.core.estimate import Estimate, Undefined
from labelloop.core.looks import Asked, Look, agreed, found_error, is_unconfirmed
from labelloop.core.queue import Purpose
from labelloop.ledger import Transaction, looks, people, rounds
from labelloop.ledger.people import LATELY, Done
from labelloop.ledger.rounds import DrawWithLabel
from labelloop.statistics.interval import Interval
from labelloop.statistics.people import Missed
from labelloop.statistics.wilson import wilson

BREAK = timedelta(minutes=10)
"""A longer time between two answers is a break, and no part of anybody's pace."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Person:
    """A person's work of the last 30 days.

    name
        as the annotator names them; the id of their account where it can't be asked
    pace_s
        the median of seconds from one answer to the next, breaks left out; None: too few answers
    n_wasted
        answers to second looks that they could not give: their own first answers, or a referee's
    n_void
        blind answers that count as none: they had looked at what the model said
    agreement
        how often their answer is that of another person, on samples that several people answered
    error
        how often their first answers are wrong, from second looks
    """

    annotator: str
    name: str
    referee: bool
    n_answers: int
    n_skips: int
    n_wasted: int
    pace_s: float | None
    agreement: Estimate | Undefined
    error: Estimate | Undefined
    n_void: int = 0


def everybody(tx: Transaction, *, now: datetime, level: float = 0.95) -> tuple[Person, ...]:
    """Everybody who answered in the last 30 days, the busiest first."""
    by_person: dict[str, list[Done]] = defaultdict(list)
    together: dict[str, list[Done]] = defaultdict(list)
    for one in people.done(tx, now - LATELY):
        by_person[one.annotator].append(one)
        if one.several and one.answer is not None and not one.void:
            together[one.task_key].append(one)
    referees = looks.referees(tx).now
    firsts = _first_answers(tx)
    found = [
        Person(
            annotator=annotator,
            name=annotator,
            referee=annotator in referees,
            n_answers=sum(not d.skipped for d in own),
            n_skips=sum(d.skipped for d in own),
            n_wasted=sum(not d.counted and not d.void for d in own),
            n_void=sum(d.void for d in own),
            pace_s=_pace(own),
            agreement=_agreement(annotator, own, together, level),
            error=_error(firsts.get(annotator, ()), level),
        )
        for annotator, own in by_person.items()
    ]
    return tuple(sorted(found, key=lambda p: (-p.n_answers, p.annotator)))


def named(found: Sequence[Person], accounts: Mapping[str, str]) -> tuple[Person, ...]:
    """The people under the names that the annotator shows too."""
    return tuple(replace(p, name=accounts.get(p.annotator, p.name)) for p in found)


def _first_answers(tx: Transaction) -> dict[str, list[DrawWithLabel]]:
    """The draws with second looks that each person answered first."""
    found: dict[str, list[DrawWithLabel]] = defaultdict(list)
    if looks.rounds_with(tx):
        for d in rounds.draws_with_labels(tx, Purpose.EVALUATION):
            if d.replies and Look.FIRST in d.replies:
                found[d.replies[Look.FIRST].by].append(d)
    return found


def _pace(own: Sequence[Done]) -> float | None:
    times = [d.given_at for d in own]
    gaps = [b - a for a, b in pairwise(times) if b - a <= BREAK]
    return median(gap.total_seconds() for gap in gaps) if gaps else None


def _agreement(
    annotator: str, own: Iterable[Done], together: Mapping[str, Sequence[Done]], level: float
) -> Estimate | Undefined:
    same = n = 0
    for mine in own:
        for other in together.get(mine.task_key, ()):
            if mine.answer is not None and not mine.void and other.annotator != annotator:
                same += mine.answer == other.answer
                n += 1
    if not n:
        return Undefined("nobody else answered the same samples")
    return wilson(same, n, level=level)


def _error(draws: Sequence[DrawWithLabel], level: float) -> Estimate | Undefined:
    """The share of wrong first answers: those that differ from the prediction were all looked at again,
    of the others some, by chance. The bounds of the two parts are combined as the root of squared distances.
    """
    differing: list[DrawWithLabel] = []
    same: list[DrawWithLabel] = []
    for d in draws:
        assert d.replies is not None  # noqa: S101  _first_answers has only such
        (same if agreed(d.replies, d.predicted_class) else differing).append(d)
    looked = [
        d for d in differing if d.replies and not is_unconfirmed(d.replies, d.predicted_class)
    ]
    found = [
        error
        for d in same
        if (error := found_error(d.replies or {}, Asked(d.predicted_class, d.line))) is not None
    ]
    if not looked and not found:
        return Undefined("nobody looked again at their answers")
    slips = [d for d in looked if d.replies and d.label != d.replies[Look.FIRST].answer]
    parts = (
        (len(differing), _counted(len(slips), len(looked))),
        (len(same), _counted(sum(found), len(found))),
    )
    n = len(differing) + len(same)
    value = low = high = 0.0
    for size, part in parts:
        if size:
            part_low, part_high = part.bounds(level)
            value += size / n * part.value
            low += (size / n * (part.value - part_low)) ** 2
            high += (size / n * (part_high - part.value)) ** 2
    at_most = min(1.0, value + math.sqrt(high))
    n_looked = len(looked) + len(found)
    own = Interval(value, max(0.0, value - math.sqrt(low)), at_most, float(n_looked))
    return own.estimate(level=level, n=n_looked, method="second looks, MOVER")


def _counted(found: int, n: int) -> Missed:
    """`found` of `n` looks, all of the same chance."""
    return Missed(value=found / n if n else 0.0, n_effective=float(n), n=n, n_found=found)
