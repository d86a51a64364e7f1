"""The blind draws of a round and the histogram of its frame, from which every estimate is made."""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from functools import cached_property

import numpy as np
import numpy.typing as npt

from labelloop.core.arrays import Bools, Floats, Ints
from labelloop.core.looks import agreed, recaptured
from labelloop.core.outcome import outcome
from labelloop.core.queue import Purpose
from labelloop.core.round import RateCount, Round
from labelloop.core.row_range import RowRange
from labelloop.core.sample import RISK_BINS
from labelloop.core.top_up import TopUp, raised
from labelloop.ledger import Transaction, rounds, sampling_rates
from labelloop.ledger.rounds import BlindCell, DrawWithLabel
from labelloop.ledger.top_ups import TopUps
from labelloop.measuring.checks import Checks
from labelloop.sampling import reached_inclusion
from labelloop.statistics.frame import BlindRound, Frame


@dataclass(frozen=True, slots=True, eq=False)
class Histogram:
    """The cells of a round's blind draw, an entry each.

    names, said
        the predicted classes, and the place of each cell's among them
    risk_bin
        the bin that the round counted by
    bins
        the bin of the risk that the round was drawn by
    inclusion
        the chance at the first draw
    rate
        the share of such traffic that was logged
    """

    names: tuple[str, ...]
    said: Ints
    risk_bin: Ints
    n: Ints
    bins: Ints
    inclusion: Floats
    rate: Floats

    @classmethod
    def of(cls, cells: Sequence[BlindCell]) -> "Histogram":
        """The histogram of some cells, in the order of class and bin."""
        said, risk_bin, n, risk, inclusion = zip(*cells, strict=True) if cells else [()] * 5
        names = sorted(set(said))
        place = {name: k for k, name in enumerate(names)}
        places = np.array([place[name] for name in said], dtype=np.int64)
        bins = np.array(risk_bin, dtype=np.int64)
        order = np.lexsort((bins, places))
        risks = np.nan_to_num(np.array(risk, dtype=np.float64))
        return cls(
            tuple(names),
            places[order],
            bins[order],
            np.array(n, dtype=np.int64)[order],
            (risks * RISK_BINS).astype(np.int64)[order],
            np.array(inclusion, dtype=np.float64)[order],
            np.ones(len(cells)),
        )

    def __len__(self) -> int:
        return self.said.size

    def of_class(self, name: str) -> "Histogram":
        """The cells of one predicted class."""
        place = self.names.index(name) if name in self.names else -1
        own = np.flatnonzero(self.said == place)
        columns = (self.risk_bin[own], self.n[own], self.bins[own], self.inclusion[own])
        return Histogram(self.names, self.said[own], *columns, self.rate[own])

    def by_rate(self, rates: Sequence[RateCount]) -> "Histogram":
        """The same cells, each divided by sampling rate."""
        at = {
            (self.names[said], number): i
            for i, (said, number) in enumerate(
                zip(self.said.tolist(), self.risk_bin.tolist(), strict=True)
            )
        }
        own = np.array([at[c.predicted_class, c.risk_bin] for c in rates], dtype=np.int64)
        n = np.array([c.n for c in rates], dtype=np.int64)
        logged = np.array([c.sampling_rate for c in rates], dtype=np.float64)
        columns = (self.said[own], self.risk_bin[own], n, self.bins[own], self.inclusion[own])
        return Histogram(self.names, *columns, logged)

    @property
    def traffic(self) -> Floats:
        """How many predictions each cell stands for."""
        found: Floats = self.n / self.rate
        return found

    @property
    def by_class(self) -> dict[str, int]:
        """The traffic of each predicted class."""
        n = np.bincount(self.said, weights=self.traffic, minlength=len(self.names))
        return {name: round(of_it) for name, of_it in zip(self.names, n.tolist(), strict=True)}


@dataclass(frozen=True, slots=True, eq=False)
class Columns:
    """The draws of a frame, an entry each; `score` is how far the label agrees, where there is one."""

    labelled: Bools
    score: Floats
    risk: Floats
    inclusion: Floats
    rate: Floats
    uniform: Bools

    @classmethod
    def of(cls, draws: Sequence[DrawWithLabel]) -> "Columns":
        """The columns of some draws."""
        return cls(
            np.array([d.label is not None for d in draws], dtype=bool),
            np.array([outcome(d.label, d.predicted_class) for d in draws], dtype=np.float64),
            np.array([d.risk or 0.0 for d in draws], dtype=np.float64),
            np.array([d.inclusion or 1.0 for d in draws], dtype=np.float64),
            np.array([d.sampling_rate for d in draws], dtype=np.float64),
            np.array([d.uniform for d in draws], dtype=bool),
        )


@dataclass(frozen=True, eq=False)
class BlindFrame:
    """A round with its blind draws, in the order of sending.

    draws
        those of top-ups follow the first ones; `inclusion` is that of the first draw
    cells
        by class, bin of risk and sampling rate
    checks
        the looks at agreeing draws, of all rounds
    sampled
        whether only a share of the traffic was logged, of some of it at least
    """

    round: Round
    draws: tuple[DrawWithLabel, ...]
    set_aside: RowRange
    cells: Histogram
    checks: Checks = field(default_factory=Checks)
    top_ups: tuple[TopUp, ...] = ()
    sampled: bool = False

    @cached_property
    def columns(self) -> Columns:
        """What the estimators need of the draws."""
        return Columns.of(self.draws)

    @property
    def uniform(self) -> bool:
        """True if every draw stands for as much traffic as any other."""
        return np.unique(self.cells.rate).size <= 1 and bool(self.columns.uniform.all())

    @property
    def traffic(self) -> float:
        """How many predictions the application made: more than it logged, if it logged a share."""
        return float(self.cells.traffic.sum()) if self.sampled else self.round.n_frame

    @property
    def n_unread(self) -> float:
        """Rejected predictions at worst, as many as they stand for if they are logged like the others."""
        return self.set_aside.at_worst * self.traffic / max(1, self.round.n_frame)

    @cached_property
    def n_reached(self) -> int:
        """The position of the last draw that was answered, counted from 1; 0 if none was."""
        answered = np.flatnonzero(self.columns.labelled)
        return int(answered[-1]) + 1 if answered.size else 0

    @property
    def n_labelled(self) -> int:
        """How many draws have a label."""
        return int(np.count_nonzero(self.columns.labelled))

    @cached_property
    def reached(self) -> tuple[DrawWithLabel, ...]:
        """The draws up to the last one that was answered."""
        return self.draws[: self.n_reached]

    def labelled_before(self, at: datetime) -> Bools:
        """Which draws had a label before `at`."""
        return np.array(
            [
                d.label is not None and (d.labelled_at is None or d.labelled_at < at)
                for d in self.draws
            ],
            dtype=bool,
        )

    def as_of(self, at: datetime) -> "BlindFrame":
        """The frame with only the labels that tasks had before `at`; later edits of these are kept."""
        had = self.labelled_before(at)
        if np.array_equal(had, self.columns.labelled):
            return self
        return replace(
            self,
            draws=tuple(
                d if same or d.label is None else replace(d, label=None)
                for d, same in zip(self.draws, had.tolist(), strict=True)
            ),
        )

    def blind_round(
        self, predicted_class: str | None = None, *, corrected: bool = False
    ) -> BlindRound:
        """The input of the estimators: the draws reached, with the probabilities of being reached.

        With `predicted_class` only the draws and the traffic of this class.

        corrected
            of a round with second looks: so that errors which people overlooked can be taken off
        """
        cells, reached, own = self.cells, self.reached, np.arange(self.n_reached)
        if predicted_class is not None:
            cells = cells.of_class(predicted_class)
            own = np.flatnonzero([d.predicted_class == predicted_class for d in reached])
            reached = tuple(d for d in reached if d.predicted_class == predicted_class)
        histogram = Frame(
            cells.traffic,
            cells.bins,
            self.chances(cells.inclusion) * cells.rate,
            unlogged=cells.n * (1 - cells.rate) / cells.rate**2 if self.sampled else None,
        )
        of_looks = looks_of(reached) if corrected and self.round.second_look else None
        return BlindRound.checked(
            self.columns.score[own] if of_looks is None else of_looks.score,
            self.columns.risk[own],
            self.chances(self.columns.inclusion[own]) * self.columns.rate[own],
            histogram,
            answered=self.columns.labelled[own],
            n_set_aside=self.n_unread,
            agreed=None if of_looks is None else of_looks.agreed,
            recapture=None if of_looks is None else of_looks.recapture,
        )

    def chances_of(self, draws: Sequence[DrawWithLabel]) -> npt.NDArray[np.float64]:
        """The chance of each of some draws to be logged, drawn and reached."""
        found = self.chances([d.inclusion or 1.0 for d in draws])
        found *= np.array([d.sampling_rate for d in draws])
        return found

    def chances(self, inclusion: Sequence[float] | Floats) -> npt.NDArray[np.float64]:
        """Inclusion probabilities of the first draw, made those of being reached, top-ups included.

        A top-up is a second phase: what people have done of it is a random part of what it added.
        """
        added = {one.round for one in self.top_ups}
        n_first = sum(d.drawn_in not in added for d in self.draws) if added else len(self.draws)
        left = self.n_reached - n_first
        found = reached_inclusion(
            inclusion,
            n=self.round.n_frame,
            n_uniform=int(np.count_nonzero(self.columns.uniform[:n_first])),
            n_drawn=n_first,
            n_reached=min(self.n_reached, n_first),
        )
        for top_up in self.top_ups:
            n = sum(d.drawn_in == top_up.round for d in self.draws)
            if left <= 0:
                break
            if n:
                after = [raised(q, top_up.scale, at_random=top_up.at_random) for q in inclusion]
                found = found + min(1.0, left / n) * (np.array(after) - found)
            left -= n
        return found

    def by_now(self, inclusion: float) -> float:
        """The chance in the end of what had this one in the first draw, if all is answered."""
        if not self.top_ups:
            return inclusion
        newest = self.top_ups[-1]
        return raised(inclusion, newest.scale, at_random=newest.at_random)


@dataclass(frozen=True, slots=True)
class LooksOf:
    """What second looks say of draws, an entry each: see `labelloop.statistics.accuracy`."""

    score: list[float]
    agreed: list[bool]
    recapture: list[float]


def looks_of(draws: Sequence[DrawWithLabel]) -> LooksOf:
    """What second looks say of draws of a round that has them.

    The score is below 1 for confirmed errors, and for answers that differ and weren't looked at yet. An
    error that a look at an agreeing draw found isn't among them: such looks stand for all agreeing draws.
    """
    found = LooksOf([], [], [])
    for d in draws:
        replies = d.replies or {}
        same = agreed(replies, d.predicted_class)
        again = recaptured(replies, d.predicted_class)
        found.agreed.append(same)
        found.score.append(1.0 if same else outcome(d.label, d.predicted_class))
        found.recapture.append(math.nan if again is None else float(again))
    return found


def blind_frames(
    tx: Transaction,
    placed: Iterable[DrawWithLabel] | None = None,
    *,
    among: Sequence[Round] | None = None,
    of_rivals: bool = False,
    checks: Checks | None = None,
) -> list[BlindFrame]:
    """Rounds with their blind draws, oldest first.

    placed
        the draws, where they were read already
    among
        which rounds; None: all
    of_rivals
        the rounds drawn where a candidate differs, which say nothing of an accuracy; else all others
    checks
        the looks at agreeing draws, where they were read already
    """
    numbers = None if among is None else [r.round for r in among]
    draws: dict[int, list[DrawWithLabel]] = {}
    for d in (
        rounds.draws_with_labels(tx, Purpose.EVALUATION, numbers) if placed is None else placed
    ):
        if d.purpose is Purpose.EVALUATION:
            draws.setdefault(d.round, []).append(d)
    set_aside, cells = rounds.n_rejected(tx, numbers), rounds.blind_cells(tx, numbers)
    top_ups = TopUps.read(tx)
    if checks is None:
        checks = Checks.read(tx)
    rates = sampling_rates.by_round(tx, numbers)
    return [
        _blind_frame(
            *(r, draws.get(r.round, ()), set_aside[r.round], cells.get(r.round, ()), checks),
            top_ups.of(r.round),
            rates.get(r.round, ()),
        )
        for r in (rounds.every(tx) if among is None else among)
        if (r.rival is not None) is of_rivals
    ]


def _blind_frame(
    of: Round,
    draws: Iterable[DrawWithLabel],
    set_aside: RowRange,
    cells: Sequence[BlindCell],
    checks: Checks,
    top_ups: tuple[TopUp, ...],
    rates: Sequence[RateCount],
) -> BlindFrame:
    # of a rebuilt ledger: how likely a draw was is lost; audits have a design of their own
    known = tuple(d for d in draws if d.inclusion is not None and not d.audit_only)
    counted = Histogram.of(cells)
    if top_ups:
        at_first = dict(zip(counted.risk_bin.tolist(), counted.inclusion.tolist(), strict=True))
        known = tuple(
            replace(d, inclusion=at_first[int((d.risk or 0.0) * RISK_BINS)]) for d in known
        )
    if rates:
        counted = counted.by_rate(rates)
    elif of.rival is not None:  # it speaks of what was logged
        known = tuple(replace(d, sampling_rate=1.0) for d in known)
    return BlindFrame(of, known, set_aside, counted, checks, top_ups, sampled=bool(rates))
