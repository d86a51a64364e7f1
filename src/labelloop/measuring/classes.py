"""Precision, recall, F1 and true share of each class, over rounds or a part of their traffic."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import replace

from labelloop.core.arrays import Floats
from labelloop.core.estimate import Estimate, Undefined
from labelloop.measuring.accuracy import Keep, named
from labelloop.measuring.blind_frame import BlindFrame
from labelloop.statistics.accuracy import pooled, response_rates
from labelloop.statistics.classes import ClassTable, Unheard, by_class


def class_table(frames: Sequence[BlindFrame], keep: Keep, level: float) -> ClassTable:
    """The numbers of each class, of the traffic that the draws which `keep` names stand for.

    Precision of whole rounds drawn unevenly is by regression on the risk of the class's own traffic,
    whose histogram is known.
    """
    heard = [f for f in frames if f.n_reached and any(keep(d) for d in f.reached)]
    found = _by_class(heard, keep, level)
    if all(f.uniform for f in heard) or not all(keep(d) for f in heard for d in f.draws):
        return found
    return replace(
        found,
        rows=tuple(
            replace(row, precision=_regressed(heard, row.name, row.precision, level))
            for row in found.rows
        ),
    )


def _regressed(
    frames: Sequence[BlindFrame], name: str, known: Estimate | Undefined, level: float
) -> Estimate | Undefined:
    """The precision of a class by regression; as it is `known` where that can't be."""
    parts = [f for f in frames if any(named(d.predicted_class) == name for d in f.reached)]
    found = pooled([f.blind_round(name) for f in parts], level=level)
    return known if isinstance(found, Undefined) else found


def _by_class(frames: Sequence[BlindFrame], keep: Keep, level: float) -> ClassTable:
    labels: list[str] = []
    said: list[str] = []
    inclusion: list[float] = []
    inside: list[bool] = []
    totals: Counter[str] = Counter()
    silent: dict[str, float] = {}
    for f in frames:
        one = f.blind_round()
        totals.update(_traffic(f, one.inclusion))
        for d, chance, drawn in zip(
            f.reached, response_rates(one).of_draws, one.inclusion, strict=True
        ):
            name = named(d.predicted_class)
            if d.label is not None:
                labels.append(d.label)
                said.append(name)
                inclusion.append(chance)
                inside.append(keep(d))
            elif keep(d):
                silent[name] = silent.get(name, 0.0) + 1 / drawn
    whole = all(keep(d) for f in frames for d in f.draws)
    return by_class(
        labels,
        said,
        inclusion,
        totals,
        level=level,
        inside=None if whole else inside,
        unheard=Unheard(by_predicted=silent, n_set_aside=sum(f.n_unread for f in frames)),
    )


def _traffic(frame: BlindFrame, inclusion: Floats) -> dict[str, int]:
    """The predictions of each class: counted, or where no histogram was kept as the draws stand for."""
    weights: dict[str, float] = {}
    for d, chance in zip(frame.reached, inclusion, strict=True):
        name = named(d.predicted_class)
        weights[name] = weights.get(name, 0.0) + 1 / float(chance)
    counted = {named(said): n for said, n in frame.cells.by_class.items()}
    return {name: round(n) for name, n in weights.items()} | counted
