"""Which draws of a round are audits of the open guarantee: decided with the round, before any answer.

Of each prefix of the risk the same share is audited in every round of a guarantee, its smallest places, so
each round in proportion to its traffic. What the round's own draw takes of them is an audit too, and asked
about once. Beyond that audits are drawn within the prefix that the answers so far ask for.

A budget that can't prove the first prefix by its own draw in one round, but with half of it, audits short
prefixes more closely: each gets about as many audits, and one day's answers can give a guarantee. Once it
has, the next guarantee audits all prefixes alike, to reach further with fewer.
"""

import math
from bisect import bisect_left
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

import numpy as np
import numpy.typing as npt

from labelloop.core.certificate import AuditPlan, RegisteredCertificate, Terms
from labelloop.core.line import LINE_END
from labelloop.core.round import Candidate, Count, FrameRange, Span
from labelloop.core.sample import RISK_BINS
from labelloop.errors import ArgumentError
from labelloop.ledger import Transaction, certificates, risks
from labelloop.measuring.audit_ranks import bins_of, kept_risk, prefix
from labelloop.measuring.guarantees import Replay, prefix_under_test, replayed
from labelloop.measuring.learned_risk import LearnedRisk, learn
from labelloop.ports.log import PredictionLog
from labelloop.sampling.blind import Cell
from labelloop.sampling.remaining import likely_cut
from labelloop.statistics.sequential_bound import GRID, SequentialBound

LIFE = timedelta(days=30)
"""How long a guarantee takes rounds."""

MOST_OF_BUDGET = 0.5
"""The part of a round's budget that audits may take beyond what the round's own draw finds."""

PROVEN = "a first part of the traffic is guaranteed; the next guarantee reaches further"
"""Why a guarantee ends that audited short prefixes more closely."""

_AMPLE = 1.1
"""Audits of a prefix that are drawn to prove it in one round, as a multiple of the fewest that can."""


@dataclass(frozen=True, slots=True)
class Audits:
    """The audits of a round.

    rows
        every row that is one, in the order of the line; what the round's own draw took is asked about once
    within
        the prefix that they were drawn in; 0: the round isn't audited, it would cost too much
    counts_for
        by sample: the longest prefix that each counts for
    spent
        how many labels of its budget the round's own draw leaves for them
    """

    guarantee: RegisteredCertificate
    rows: tuple[Candidate, ...]
    within: float
    counts_for: Mapping[str, float]
    spent: int
    risk: LearnedRisk | None
    ended: tuple[RegisteredCertificate, str] | None

    def inclusion(self, row: Candidate) -> float:
        """The chance that a row became an audit: of any prefix that holds it."""
        plan = self.guarantee.plan
        assert plan is not None  # noqa: S101  one that takes rounds has a plan
        return plan.shares[_at(prefix(row.risk_bin, plan))]


def plan_audits(
    tx: Transaction,
    log: PredictionLog,
    frame: FrameRange,
    *,
    counts: Sequence[Count],
    drawn: Sequence[Candidate],
    budget: int,
    terms: Terms,
    looked_at_again: bool,
    now: datetime,
) -> Audits | None:
    """The audits of a round over `frame` whose own draw is `drawn`; None if there is nothing to audit.

    counts
        of the frame, by the bins of 1 - confidence and whatever pattern
    looked_at_again
        each audit costs a second look, by a referee: no more of them than the test asks for
    """
    size = sum(c.n for c in counts)
    if size <= budget or not drawn:
        return None
    models = tuple(sorted({row.model for row in drawn}))
    open_one = certificates.open_one(tx)
    ended = None
    if open_one is not None:
        why = _why_ended(tx, open_one, models, now)
        ended = (open_one, why) if why else None
    risk: LearnedRisk | None = None
    if open_one is None or ended is not None:
        risk = learn(tx)
        bins = bins_of(risk, ((c.predicted_class, c.risk_bin) for c in counts))
        after_closer = ended is not None and ended[1] == PROVEN
        guarantee = _registered(
            *(tx, terms, now, models, counts, bins), 0 if after_closer else budget, budget / size
        )
    else:
        guarantee = open_one
        bins = bins_of(kept_risk(tx, guarantee), ((c.predicted_class, c.risk_bin) for c in counts))
    assert guarantee.plan is not None  # noqa: S101  one that takes rounds has a plan
    plan = guarantee.plan
    rows = _smallest(log, frame, bins, counts, plan)
    known = replayed(tx, guarantee).part.bound
    first = plan.closer and not guarantee.rounds
    within, spent = _within(
        rows,
        [row.sample_id for row in drawn],
        wanted=float(GRID[-1]) if first and not looked_at_again else known.next_prefix,
        further=not looked_at_again,
    )
    inside = [one for one in rows if one.prefix <= within]
    return Audits(
        guarantee=guarantee,
        rows=tuple(one.row for one in inside),
        within=within,
        counts_for={one.row.sample_id: min(one.counts_for, within) for one in inside},
        spent=spent,
        risk=risk,
        ended=ended,
    )


@dataclass(frozen=True, slots=True)
class MoreAudits:
    """Further audits of a guarantee: in each of its rounds the next places of the prefix under test.

    guarantee
        with the raised shares
    rows, counts_for
        the rows of each round in the order of the line, and by sample the longest prefix that each counts for
    """

    guarantee: RegisteredCertificate
    rows: Mapping[int, tuple[Candidate, ...]]
    counts_for: Mapping[str, float]
    within: float

    def inclusion(self, row: Candidate) -> float:
        """The chance that a row became an audit by now."""
        plan = self.guarantee.plan
        assert plan is not None  # noqa: S101  one that takes rounds has a plan
        return plan.shares[_at(prefix(row.risk_bin, plan))]


def more_audits(
    tx: Transaction, log: PredictionLog, of: int, frames: Mapping[int, FrameRange], labels: int
) -> MoreAudits:
    """About `labels` more audits of the guarantee that audited round `of`, in all of its rounds.

    The share that is audited rises alike in all of them, so each stays in proportion to its traffic. The
    order is that of the line, and no answer decides which sample is next.

    frames
        the frames of all rounds

    Raises:
        ArgumentError: the round belongs to no open guarantee, or there aren't so many left.
    """
    guarantee = certificates.open_one(tx)
    if guarantee is None or guarantee.plan is None or of not in guarantee.rounds:
        raise ArgumentError(
            f"round {of} isn't part of an open guarantee, so it can't get more checks",
            remedy="`labelloop build` names the rounds of the open one; without --checks the labels go to "
            "the accuracy",
        )
    plan = guarantee.plan
    replay = replayed(tx, guarantee)
    at = _at(prefix_under_test(replay))
    held = {d.sample_id: d.within or 0.0 for d in replay.audits}
    if any(
        d.within is not None and place <= GRID[at] and _at(d.within) < min(at, _at(reached))
        for d, place, reached in zip(
            replay.audits, replay.prefixes, _within_of(replay, guarantee), strict=True
        )
    ):
        raise ArgumentError(
            f"guarantee {guarantee.id} now tests the surest {GRID[at]:.0%} of its traffic, and its last "
            "top-up drew checks from a smaller part",
            remedy="more checks come with the next round: labelloop select --now",
        )
    risk = kept_risk(tx, guarantee)
    counts = {number: log.counts(frames[number], ()) for number in guarantee.rounds}
    bins = {
        number: bins_of(risk, ((c.predicted_class, c.risk_bin) for c in found))
        for number, found in counts.items()
    }
    inside = [
        sum(
            c.n
            for c in counts[number]
            if prefix(bins[number][c.predicted_class, c.risk_bin], plan) <= min(GRID[at], within)
        )
        for number, within in zip(guarantee.rounds, guarantee.within, strict=True)
    ]

    checked = [
        sum(
            d.round == number and place <= GRID[at]
            for d, place in zip(replay.audits, replay.prefixes, strict=True)
        )
        for number in guarantee.rounds
    ]

    def added(share: float) -> int:
        return sum(
            max(0, round(n * share) - before) for n, before in zip(inside, checked, strict=True)
        )

    if labels > added(1.0):
        raise ArgumentError(
            f"the part under test has {added(1.0):,} predictions that weren't checked yet, in the rounds of "
            f"guarantee {guarantee.id}: expected at most so many labels, not {labels:,}",
            remedy="more come with the next round: labelloop select --now",
        )
    steps = 1 << 40
    share = bisect_left(range(steps), labels, key=lambda k: added(k / steps)) / steps
    # above what longer parts have, so that this part is counted by itself
    share = max(share, math.nextafter(plan.shares[at], 2))
    shares = tuple(share if i <= at else s for i, s in enumerate(plan.shares))
    raised = replace(plan, shares=shares)
    rows: dict[int, tuple[Candidate, ...]] = {}
    counts_for: dict[str, float] = {}
    for number, within in zip(guarantee.rounds, guarantee.within, strict=True):
        found = [
            one
            for one in _smallest(log, frames[number], bins[number], counts[number], raised)
            if one.prefix <= within and one.row.sample_id not in held
        ]
        rows[number] = tuple(one.row for one in found)
        counts_for |= {one.row.sample_id: min(one.counts_for, within) for one in found}
    audits = tuple(
        n + len(rows[number]) for number, n in zip(guarantee.rounds, guarantee.audits, strict=True)
    )
    return MoreAudits(
        replace(guarantee, plan=raised, audits=audits), rows, counts_for, float(GRID[at])
    )


def _within_of(replay: Replay, guarantee: RegisteredCertificate) -> list[float]:
    """The prefix in which the round of each audit was audited."""
    within = dict(zip(guarantee.rounds, guarantee.within, strict=True))
    return [within[d.round] for d in replay.audits]


def write_audits(tx: Transaction, audits: Audits, round_number: int, now: datetime) -> None:
    """Write the guarantee with the round that was audited for it."""
    if audits.ended is not None:
        certificates.end(tx, *audits.ended)
    guarantee = audits.guarantee
    if audits.risk is not None:
        version = risks.put(tx, audits.risk.rounds, audits.risk.model.to_json(), now)
        guarantee = replace(guarantee, risk_version=version)
    if audits.within:
        guarantee = replace(
            guarantee,
            rounds=(*guarantee.rounds, round_number),
            within=(*guarantee.within, audits.within),
            audits=(*guarantee.audits, len(audits.rows)),
        )
    if guarantee.rounds:
        certificates.put(tx, guarantee)


def _why_ended(
    tx: Transaction, guarantee: RegisteredCertificate, models: tuple[str, ...], now: datetime
) -> str:
    """Why a guarantee takes no more rounds; empty: it does."""
    assert guarantee.plan is not None  # noqa: S101  one that takes rounds has a plan
    if guarantee.plan.models != models:
        return f"a new model serves: {', '.join(models)}"
    if now - guarantee.registered_at > LIFE:
        return f"it is older than {LIFE.days} days"
    if guarantee.plan.closer and replayed(tx, guarantee).part.kept:
        return PROVEN
    return ""


def _registered(
    tx: Transaction,
    terms: Terms,
    now: datetime,
    models: tuple[str, ...],
    counts: Sequence[Count],
    bins: Mapping[Cell, int],
    budget: int,
    even: float,
) -> RegisteredCertificate:
    """A new guarantee; `even`: the share of every prefix, where none is audited more closely."""
    sizes = np.zeros(RISK_BINS, dtype=np.int64)
    for c in counts:
        sizes[bins[c.predicted_class, c.risk_bin]] += c.n
    cutoffs = _cutoffs(sizes)
    inside = np.cumsum(sizes)[list(cutoffs)]
    return RegisteredCertificate(
        id=certificates.next_id(tx),
        closed=False,
        rounds=(),
        promise="model-labels",
        max_error=terms.max_error,
        failure_probability=terms.failure_probability,
        audits=(),
        risk_version=None,
        registered_at=now,
        plan=AuditPlan(cutoffs=cutoffs, shares=_shares(inside, budget, even, terms), models=models),
    )


def _shares(
    inside: npt.NDArray[np.int64], budget: int, even: float, terms: Terms
) -> tuple[float, ...]:
    """The share of each prefix that is audited; `inside`: the samples of each in the first round."""
    fewest = SequentialBound(
        max_error=terms.max_error, failure_probability=terms.failure_probability
    ).n_missing(GRID[0])
    most = int(MOST_OF_BUDGET * budget)
    if fewest is None or most < fewest or even * inside[0] >= fewest:
        return (min(even, 1.0),) * GRID.size
    n = min(round(_AMPLE * fewest), most)
    own = even * (1 - MOST_OF_BUDGET)
    return tuple(float(min(1.0, max(own, n / size))) for size in inside)


def _cutoffs(sizes: npt.NDArray[np.int64]) -> tuple[int, ...]:
    """The largest bin in each prefix: a bin lies in it if its first sample does.

    So no prefix is empty, however many samples share the smallest risk.
    """
    before = np.concatenate([[0], np.cumsum(sizes)[:-1]])
    places = (before + 1) / sizes.sum()
    found = [int(np.flatnonzero(places <= max(g, places[0])).max()) for g in GRID]
    return (*found[:-1], RISK_BINS - 1)


@dataclass(frozen=True, slots=True)
class _Audit:
    """A row that can be an audit: the prefix that holds it, and the longest that it counts for."""

    row: Candidate
    prefix: float
    counts_for: float


def _smallest(
    log: PredictionLog,
    frame: FrameRange,
    bins: Mapping[Cell, int],
    counts: Sequence[Count],
    plan: AuditPlan,
) -> list[_Audit]:
    """The smallest places of each prefix, as many as its share says, in the order of the line."""
    sizes = np.zeros(GRID.size, dtype=np.int64)
    for c in counts:
        sizes[_at(prefix(bins[c.predicted_class, c.risk_bin], plan))] += c.n
    inside = np.cumsum(sizes)
    wanted = np.minimum(
        inside, np.maximum(1, np.round(inside * np.array(plan.shares)).astype(np.int64))
    )
    cut = likely_cut(round(max(plan.shares) * int(inside[-1])), int(inside[-1]))
    while True:
        rows = sorted(
            log.rows(frame, (), [Span(pattern=0, above=-1, up_to=cut)]),
            key=lambda row: (row.line, row.sample_id),
        )
        rows = [replace(r, risk_bin=bins[r.predicted_class, r.risk_bin]) for r in rows]
        places = np.array([_at(prefix(r.risk_bin, plan)) for r in rows], dtype=np.int64)
        seen = np.array([(places <= i).sum() for i in range(GRID.size)])
        if (seen >= wanted).all() or cut == LINE_END - 1:
            break
        cut = min(2 * cut + 1, LINE_END - 1)
    reach = np.zeros(GRID.size, dtype=np.int64)
    last = 0
    for i in reversed(range(GRID.size)):  # a prefix reaches as far as any longer one
        if i == GRID.size - 1 or plan.shares[i] > plan.shares[i + 1]:
            last = (
                max(last, int(np.flatnonzero(places <= i)[: wanted[i]][-1]) + 1)
                if wanted[i]
                else last
            )
        reach[i] = last
    found = []
    for number, (row, place) in enumerate(zip(rows, places.tolist(), strict=True)):
        longest = int((reach > number).sum()) - 1
        if longest >= place:
            found.append(_Audit(row, float(GRID[place]), float(GRID[longest])))
    return found


def _within(
    rows: Sequence[_Audit], drawn: Sequence[str], *, wanted: float, further: bool
) -> tuple[float, int]:
    """The prefix to audit, and what the round's own draw leaves for it of as many labels as it drew.

    It is the one wanted, a shorter if it must, and if `further` a longer one that costs no label.
    """
    spent = [_spent({a.row.sample_id for a in rows if a.prefix <= g}, drawn) for g in GRID]
    affordable = [i for i, n in enumerate(spent) if n <= MOST_OF_BUDGET * len(drawn)]
    if not affordable:
        return 0.0, 0
    at = min(_at(wanted), affordable[-1])
    while further and at + 1 < GRID.size and spent[at + 1] == spent[at]:
        at += 1
    return float(GRID[at]), spent[at]


def _spent(audits: set[str], drawn: Sequence[str]) -> int:
    """How many of the last draws must go, so that the audits cost no label more."""
    total = len(drawn) + len(audits - set(drawn))
    for n, sample in enumerate(reversed(drawn)):
        if total <= len(drawn):
            return n
        total -= sample not in audits
    return len(drawn)


def _at(prefix: float) -> int:
    return int(np.argmin(np.abs(GRID - prefix)))
