"""plan: how many blind labels an interval of a wanted width needs, from what is known so far."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from labelloop.core.arrays import Floats, Ints
from labelloop.core.estimate import Estimate, Undefined
from labelloop.core.queue import Queue
from labelloop.ledger import Transaction, risks
from labelloop.measuring.accuracy import Accuracy
from labelloop.measuring.blind_frame import BlindFrame
from labelloop.measuring.learned_risk import learn
from labelloop.measuring.measured import Measured
from labelloop.measuring.measured_round import MeasuredRound
from labelloop.measuring.more_labels import NewestRound
from labelloop.sampling import BIN_RISKS, risk_bins
from labelloop.sampling.blind import UNEVEN, Rule, by_confidence
from labelloop.statistics.blind_uniform import needed_by_random_sample
from labelloop.statistics.frame import Frame
from labelloop.statistics.plan import expected_half_width, fewest, shifted_to, uniform_half_width

HALF_WIDTHS = (0.01, 0.02, 0.03, 0.05)
"""What is shown where nobody asks for another."""
FEWEST_LABELS, MOST_LABELS = 30, 5_000
"""Labels for which the half width is reckoned."""
ENDLESS = 10**15
"""Traffic so large that no sample is a part of it worth mentioning."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Need:
    """Labels for an interval of at most `half_width` on either side, by the way they are drawn.

    random_sample
        a simple random sample of endless traffic
    uniform
        uniform draws of one round like the newest, which is no more than all of it
    uneven
        more often where the model is likely to be wrong, by the rule of the evaluation queue ("auto"
        where it draws uniformly) and the risk that the newest round went by, or else what was
        learned since
    at_worst
        the same if the risk told nothing at all
    top_up
        how many labels to add to the newest round, so that in 4 of 5 cases its own interval is as narrow;
        0: it will be without; None: it isn't known, or the round has no such accuracy
    """

    half_width: float
    random_sample: int
    uniform: int | Undefined
    uneven: int | Undefined
    at_worst: int | Undefined
    top_up: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Budget:
    """The half width to expect of the labels that the evaluation queue asks for each round."""

    queue: str
    labels: int
    uniform: float
    uneven: float | Undefined
    at_worst: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Expected:
    """The half widths that so many labels lead to, by the way they are drawn."""

    labels: int
    random_sample: float
    uniform: float | Undefined
    uneven: float | Undefined
    at_worst: float | Undefined


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """Labels needed, and what that rests on.

    accuracy
        the newest one that can be estimated; None: no blind label yet, and `share` is 0.5, where
        most labels are needed
    round, n_traffic
        the newest round that drew for evaluation, whose traffic stands for those to come; None: no
        such round
    risk_rounds
        the rounds whose labels taught that risk
    expected
        the half widths by the number of labels, from few to many, up to all traffic of the round
    """

    level: float
    accuracy: Accuracy | None
    share: float
    round: int | None
    n_traffic: int
    risk_rounds: tuple[int, ...]
    needs: tuple[Need, ...]
    budget: Budget | None
    expected: tuple[Expected, ...]


def plan(
    tx: Transaction,
    measured: Measured,
    rounds: Sequence[MeasuredRound],
    *,
    queues: Sequence[Queue],
    half_width: float | None = None,
    level: float = 0.95,
) -> Plan:
    """Labels needed for `half_width`, or for each of a few. Writes nothing.

    rounds
        all rounds, oldest first; only the draws that are needed are read
    queues
        those whose budget is shown, if they evaluate

    Raises:
        ArgumentError: a half width that isn't between 0 and 1.
    """
    accuracy, share = _known(measured)
    like = _newest(rounds)
    traffic: _Traffic | None = None
    taught: tuple[int, ...] = ()
    newest: NewestRound | None = None
    if like is not None:
        newest = NewestRound.of(like, level)
        bins, taught = _risk_of(tx, like)
        traffic = _Traffic(
            bins,
            like.cells.n,
            rule=next((UNEVEN[q.draw] for q in queues if q.draw in UNEVEN), UNEVEN["auto"]),
            learned=bool(taught),
            share=share if accuracy else None,
            level=level,
        )
    return Plan(
        level=level,
        accuracy=accuracy,
        share=share,
        round=like.round.round if like else None,
        n_traffic=traffic.n if traffic else 0,
        risk_rounds=taught,
        needs=tuple(
            replace(
                _need(width, share, traffic, level), top_up=newest.to_add(width) if newest else None
            )
            for width in ((half_width,) if half_width is not None else HALF_WIDTHS)
        ),
        budget=_budget(queues, traffic),
        expected=tuple(_expected(n, share, traffic, level) for n in _numbers(traffic)),
    )


def _newest(rounds: Sequence[MeasuredRound]) -> BlindFrame | None:
    """The newest round that drew for evaluation.

    A period of its own stands for the traffic as long as nothing better is known.
    """
    newest_first = sorted(rounds, key=lambda r: (not r.round.extra, r.round.round), reverse=True)
    return next((r.frame for r in newest_first if r.frame.cells), None)


def _risk_of(tx: Transaction, frame: BlindFrame) -> tuple[Ints, tuple[int, ...]]:
    """The risk bin of each cell, and the rounds that taught it.

    Cells of a round that was drawn by a learned risk are by its bins; other rounds' are by
    confidence, to which what was learned since is applied.
    """
    if frame.round.risk_version is not None:
        taught = risks.get(tx, frame.round.risk_version).rounds
        return frame.cells.risk_bin, taught
    risk = learn(tx)
    cells = frame.cells
    said = [cells.names[k] for k in cells.said]
    names = list(zip(said, cells.risk_bin.tolist(), strict=True))
    bins = risk_bins(risk.of(names) if risk else by_confidence(names))
    return bins, risk.rounds if risk else ()


class _Traffic:
    """A round like the newest: its histogram by risk, and where errors are expected in it."""

    def __init__(
        self,
        bins: Ints,
        sizes: Ints,
        *,
        rule: Rule,
        learned: bool,
        share: float | None,
        level: float,
    ) -> None:
        self._rule = rule
        counts = np.zeros(BIN_RISKS.size, dtype=np.int64)
        np.add.at(counts, bins, sizes)
        self._counts: Ints = counts
        self._some = np.flatnonzero(counts)
        self.n = int(counts.sum())
        self._level = level
        self.share = 0.5 if share is None else share
        self.unsure: Undefined | None = None
        if share is None:
            self.unsure = Undefined("no blind label is answered yet")
        elif not learned:
            self.unsure = Undefined("too few blind labels to know what confidence tells")
        self._errors: Floats = shifted_to(BIN_RISKS[self._some], counts[self._some], 1 - self.share)

    def uniform(self, n: int) -> float:
        """The half width that n uniform draws lead to."""
        return uniform_half_width(self.share, min(n, self.n), self.n, level=self._level)

    def uneven(self, n: int) -> float:
        """The half width that n uneven draws lead to, if the risk is right."""
        return expected_half_width(self._frame(n), self._errors, level=self._level)

    def at_worst(self, n: int) -> float:
        """The same if errors fall anywhere alike."""
        flat = np.full(self._some.size, 1 - self.share)
        return expected_half_width(self._frame(n), flat, level=self._level)

    def _frame(self, n: int) -> Frame:
        return Frame.from_counts(self._counts, self._rule(self._counts, n).by_bin)


def _known(measured: Measured) -> tuple[Accuracy | None, float]:
    """The newest accuracy, and the share to reckon with: never 0 or 1, as the next label may err."""
    newest = (*reversed(measured.rounds), *reversed(measured.extra_rounds))
    for found in (measured.last_seven_days, *newest):
        e = found.estimate
        if isinstance(e, Estimate):
            inside = 0 < e.value < 1
            smoothed = (e.value * e.n + 1) / (e.n + 2)
            return found, e.value if inside else smoothed
    return None, 0.5


def _need(half_width: float, share: float, traffic: _Traffic | None, level: float) -> Need:
    # checks the width before anything is reckoned with it
    fewest(lambda _n: 0.0, half_width, at_most=1)
    endless = needed_by_random_sample(share, half_width, level=level)
    nothing = Undefined("no round yet")
    if traffic is None:
        return Need(
            half_width=half_width,
            random_sample=endless,
            uniform=nothing,
            uneven=nothing,
            at_worst=nothing,
        )
    return Need(
        half_width=half_width,
        random_sample=endless,
        uniform=fewest(traffic.uniform, half_width, at_most=traffic.n),
        uneven=traffic.unsure or fewest(traffic.uneven, half_width, at_most=traffic.n),
        at_worst=fewest(traffic.at_worst, half_width, at_most=traffic.n),
    )


def _numbers(traffic: _Traffic | None) -> list[int]:
    """Numbers of labels, each a good quarter more than the one before."""
    most = min(MOST_LABELS, traffic.n) if traffic else MOST_LABELS
    numbers: list[int] = []
    n = float(FEWEST_LABELS)
    while n < most:
        numbers.append(round(n))
        n *= 1.27
    return [*numbers, most]


def _expected(n: int, share: float, traffic: _Traffic | None, level: float) -> Expected:
    endless = uniform_half_width(share, n, ENDLESS, level=level)
    if traffic is None:
        none = Undefined("no round yet")
        return Expected(labels=n, random_sample=endless, uniform=none, uneven=none, at_worst=none)
    return Expected(
        labels=n,
        random_sample=endless,
        uniform=traffic.uniform(n),
        uneven=traffic.unsure or traffic.uneven(n),
        at_worst=traffic.at_worst(n),
    )


def _budget(queues: Sequence[Queue], traffic: _Traffic | None) -> Budget | None:
    """What the evaluation queue's budget buys; None without one, or without traffic."""
    blind = [q for q in queues if q.evaluates and q.budget]
    if traffic is None or not blind:
        return None
    n = min(blind[0].budget or 0, traffic.n)
    return Budget(
        queue=blind[0].name,
        labels=n,
        uniform=traffic.uniform(n),
        uneven=traffic.unsure or traffic.uneven(n),
        at_worst=traffic.at_worst(n),
    )
