"""The accuracy of each part of the traffic that an attribute names, and the parts that are worse."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from difflib import get_close_matches

import numpy as np

from labelloop.core.estimate import Estimate
from labelloop.core.outcome import outcome
from labelloop.core.sample import UNUSABLE
from labelloop.core.slice_count import SliceCount
from labelloop.errors import ArgumentError
from labelloop.ledger import Transaction
from labelloop.ledger import slices as counts
from labelloop.ledger.rounds import DrawWithLabel
from labelloop.measuring.accuracy import Accuracy, Keep, named, part_of
from labelloop.measuring.blind_frame import BlindFrame
from labelloop.measuring.classes import class_table
from labelloop.statistics.accuracy import response_rates
from labelloop.statistics.classes import ClassTable
from labelloop.statistics.slices import benjamini_yekutieli, worse_than_rest

MOST_SHOWN = 20
"""So many values of an attribute have numbers of their own, those with the most traffic."""
LEAST_TESTED = 5
"""A slice with fewer labels isn't tested: it could hardly be found worse, and costs the others."""
NONE, OTHER = "(none)", "other"
"""The names of the slice without the attribute, and of all values that aren't shown."""

_COLUMNS: Mapping[str, Callable[[DrawWithLabel], str]] = {
    "model": lambda d: d.model,
    "predicted_class": lambda d: named(d.predicted_class),
}
"""What every prediction has, and an accuracy may be asked by, beside attributes."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Slice:
    """A part of the traffic.

    value
        the attribute's; None for what doesn't have it, and for the values that aren't shown
    accuracy
        under the slice's name; `n_traffic` is its count in the traffic
    share
        of the traffic of the period
    counted
        whether the traffic was counted when its rounds were drawn; else the draws tell how much it is.
        Of a round that the period cuts, they tell how much of the count lies inside
    by_class
        the numbers of each class within it
    """

    value: str | None
    accuracy: Accuracy
    share: float
    counted: bool
    by_class: ClassTable


@dataclass(frozen=True, slots=True, kw_only=True)
class Sliced:
    """The slices of one attribute, those with the most traffic first.

    n_values
        values that the traffic of the period has, as far as they were counted or drawn
    """

    attribute: str
    slices: tuple[Slice, ...]
    n_values: int


@dataclass(frozen=True, slots=True, kw_only=True)
class WorseSlice:
    """A slice that is less accurate than the rest of the traffic.

    p_value
        the chance of so large a difference if it weren't, before others are taken into account
    """

    attribute: str
    name: str
    accuracy: Estimate
    rest: Estimate
    p_value: float


@dataclass(frozen=True, slots=True, kw_only=True)
class WorstSlices:
    """The slices, of all attributes, that are surely worse than the rest; the worst first.

    Of those called worse, 5% at most are expected not to be (Benjamini and Yekutieli).
    """

    n_tested: int
    n_attributes: int
    found: tuple[WorseSlice, ...]


NOTHING_TESTED = WorstSlices(n_tested=0, n_attributes=0, found=())


def sliced(
    tx: Transaction, by: str, frames: Sequence[BlindFrame], inside: Keep, level: float
) -> Sliced:
    """The slices of an attribute, over the draws that `inside` names.

    Raises:
        ArgumentError: no prediction has such an attribute.
    """
    of = _getter(tx, by, frames)
    traffic = _traffic(tx, by, of, frames, inside)
    total = sum(n for n, _ in traffic.values())
    values = sorted((v for v in traffic if v is not None), key=lambda v: (-traffic[v][0], v))
    shown = values[:MOST_SHOWN]

    def made(name: str, value: str | None, keep: Keep, of_it: Sequence[str | None]) -> Slice:
        n = sum(traffic[v][0] for v in of_it)
        return Slice(
            value=value,
            accuracy=replace(part_of(name, frames, keep, level), n_traffic=round(n)),
            share=n / total if total else 0.0,
            counted=all(traffic[v][1] for v in of_it),
            by_class=class_table(frames, keep, level),
        )

    found = [
        made(value, value, lambda d, value=value: inside(d) and of(d) == value, [value])  # type: ignore[misc]
        for value in shown
    ]
    pooled = set(values[MOST_SHOWN:])
    if pooled:
        found.append(made(OTHER, None, lambda d: inside(d) and of(d) in pooled, list(pooled)))
    if None in traffic:
        without = made(NONE, None, lambda d: inside(d) and _lacks(d, of), [None])
        found.append(without)
    return Sliced(attribute=by, slices=tuple(found), n_values=len(values))


def worst_slices(frames: Sequence[BlindFrame], inside: Keep, level: float) -> WorstSlices:
    """The slices of all attributes that are worse than the rest, over the draws that `inside` names."""
    drawn: list[DrawWithLabel] = []
    chances: list[float] = []
    for f in (f for f in frames if f.n_reached):
        one = f.blind_round()
        for d, chance in zip(f.reached, response_rates(one).of_draws, strict=True):
            if d.label is not None and not d.forgotten and inside(d):
                drawn.append(d)
                chances.append(float(chance))
    tested = _tested(drawn)
    correct = [outcome(d.label, d.predicted_class) for d in drawn]
    p_values = []
    for places in tested.values():
        part = np.zeros(len(drawn), dtype=bool)
        part[places] = True
        p_values.append(worse_than_rest(correct, chances, part))
    worse = [
        (p, *slice_)
        for p, slice_, bad in zip(p_values, tested, benjamini_yekutieli(p_values), strict=True)
        if bad
    ]
    found = [_worse(a, v, p, frames, inside, level) for p, a, v in sorted(worse)]
    return WorstSlices(
        n_tested=len(tested),
        n_attributes=len({a for a, _ in tested}),
        found=tuple(w for w in found if w is not None),
    )


def _tested(drawn: Sequence[DrawWithLabel]) -> dict[tuple[str, str], list[int]]:
    """The places of the draws of each slice with enough labels; of an attribute no more than are shown."""
    places: dict[str, dict[str, list[int]]] = {}
    for i, d in enumerate(drawn):
        for name, value in d.attributes.items():
            if value and name != UNUSABLE:
                places.setdefault(name, {}).setdefault(value, []).append(i)
    return {
        (name, value): of_it
        for name, of in sorted(places.items())
        for value, of_it in sorted(of.items(), key=lambda each: (-len(each[1]), each[0]))[
            :MOST_SHOWN
        ]
        if LEAST_TESTED <= len(of_it) < len(drawn)
    }


def _worse(
    attribute: str,
    value: str,
    p_value: float,
    frames: Sequence[BlindFrame],
    inside: Keep,
    level: float,
) -> WorseSlice | None:
    def here(d: DrawWithLabel) -> bool:
        return inside(d) and d.attributes.get(attribute) == value

    own = part_of(value, frames, here, level).estimate
    rest = part_of(value, frames, lambda d: inside(d) and not here(d), level).estimate
    if not (isinstance(own, Estimate) and isinstance(rest, Estimate)):
        return None
    return WorseSlice(attribute=attribute, name=value, accuracy=own, rest=rest, p_value=p_value)


def _getter(
    tx: Transaction, by: str, frames: Sequence[BlindFrame]
) -> Callable[[DrawWithLabel], str | None]:
    if by in _COLUMNS:
        return _COLUMNS[by]
    known = counts.attributes(tx) | {a for f in frames for d in f.draws for a in d.attributes}
    if by not in known:
        near = get_close_matches(by, [*known, *_COLUMNS], n=1, cutoff=0.5)
        hint = f"did you mean {near[0]!r}? " if near else ""
        raise ArgumentError(
            f"by = {by!r}: no prediction that was drawn or counted has such an attribute",
            remedy=f"{hint}known: {', '.join(sorted([*known, *_COLUMNS]))}",
        )
    return lambda d: d.attributes.get(by) or None


def _lacks(draw: DrawWithLabel, of: Callable[[DrawWithLabel], str | None]) -> bool:
    """Whether a prediction has no such attribute; of a forgotten one nobody knows."""
    return of(draw) is None and not draw.forgotten


def _traffic(
    tx: Transaction,
    by: str,
    of: Callable[[DrawWithLabel], str | None],
    frames: Sequence[BlindFrame],
    inside: Keep,
) -> dict[str | None, tuple[float, bool]]:
    """The traffic of each value, and whether it was counted.

    Of a round that the period cuts, the draws tell how much of the count lies inside.
    """
    kept = counts.of_rounds(tx, [f.round.round for f in frames])
    n: dict[str | None, float] = {}
    counted: dict[str | None, bool] = {}
    for f in frames:
        whole, part = _drawn(f, of, f.draws), _drawn(f, of, [d for d in f.draws if inside(d)])
        known = _counted(f, by, kept.get(f.round.round, ()))
        covered = sum(part.values()) / sum(whole.values()) if whole else 0.0
        for value in part.keys() | known.keys():
            here = part.get(value, 0.0)
            if value is not None and value in known:
                here = known[value] * (here / whole[value] if value in whole else covered)
            n[value] = n.get(value, 0.0) + here
            counted[value] = counted.get(value, True) and value in known
    return {value: (n[value], counted[value]) for value in n}


def _drawn(
    frame: BlindFrame,
    of: Callable[[DrawWithLabel], str | None],
    draws: Sequence[DrawWithLabel],
) -> dict[str | None, float]:
    """The traffic that some draws of each value stand for; without what was forgotten."""

    def weight(d: DrawWithLabel) -> float:
        return 1 / (frame.by_now(d.inclusion or 1.0) * d.sampling_rate)

    each = frame.traffic / max(1e-300, sum(map(weight, frame.draws)))
    found: dict[str | None, float] = {}
    for d in draws:
        if not (d.forgotten and of(d) is None):
            found[of(d)] = found.get(of(d), 0.0) + weight(d) * each
    return found


def _counted(frame: BlindFrame, by: str, kept: Sequence[SliceCount]) -> dict[str, int]:
    if by == "predicted_class":
        return {named(said): n for said, n in frame.cells.by_class.items()}
    if frame.sampled:
        return {}  # attributes were counted in the log, not in the traffic
    return {c.value: c.n for c in kept if c.attribute == by}
