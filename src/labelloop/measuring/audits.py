"""Which draws of a round are audits of the open guarantee: decided with the round, before any answer.

Of every round of a guarantee the same share is audited, its smallest places, so each in proportion to its
traffic. What the round's own draw takes of them is an audit too, and asked about once. Beyond that
audits are drawn within the prefix of the risk that the answers so far ask for.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

import numpy as np
import numpy.typing as npt

from labelloop.core.certificate import AuditPlan, RegisteredCertificate, Terms
from labelloop.core.line import LINE_END
from labelloop.core.round import Candidate, Count, FrameRange, Span
from labelloop.core.sample import RISK_BINS
from labelloop.ledger import Transaction, certificates, risks
from labelloop.measuring.audit_ranks import bins_of, kept_risk, prefix
from labelloop.measuring.guarantees import replayed
from labelloop.measuring.learned_risk import LearnedRisk, learn
from labelloop.ports.log import PredictionLog
from labelloop.sampling.blind import Cell
from labelloop.sampling.remaining import likely_cut
from labelloop.statistics.sequential_bound import GRID

LIFE = timedelta(days=30)
"""How long a guarantee takes rounds."""

MOST_OF_BUDGET = 0.5
"""The part of a round's budget that audits may take beyond what the round's own draw finds."""


@dataclass(frozen=True, slots=True)
class Audits:
    """The audits of a round.

    rows
        every row that is one, in the order of the line; what the round's own draw took is asked about once
    within
        the prefix that they were drawn in; 0: the round isn't audited, it would cost too much
    inclusion
        the chance of each row of that prefix
    """

    guarantee: RegisteredCertificate
    rows: tuple[Candidate, ...]
    within: float
    inclusion: float
    risk: LearnedRisk | None
    ended: tuple[RegisteredCertificate, str] | None

    def beyond(self, drawn: Sequence[Candidate]) -> tuple[Candidate, ...]:
        """The audits that the round's own draw didn't take."""
        taken = {row.sample_id for row in drawn}
        return tuple(row for row in self.rows if row.sample_id not in taken)


def plan_audits(
    tx: Transaction,
    log: PredictionLog,
    frame: FrameRange,
    *,
    counts: Sequence[Count],
    drawn: Sequence[Candidate],
    budget: int,
    terms: Terms,
    now: datetime,
) -> Audits | None:
    """The audits of a round over `frame` whose own draw is `drawn`; None if there is nothing to audit.

    counts
        of the frame, by the bins of 1 - confidence and whatever pattern
    """
    size = sum(c.n for c in counts)
    if size <= budget or not drawn:
        return None
    models = tuple(sorted({row.model for row in drawn}))
    open_one = certificates.open_one(tx)
    ended = None
    if open_one is not None:
        why = _why_ended(open_one, models, now)
        ended = (open_one, why) if why else None
    risk: LearnedRisk | None = None
    if open_one is None or ended is not None:
        risk = learn(tx)
        bins = bins_of(risk, ((c.predicted_class, c.risk_bin) for c in counts))
        guarantee = _registered(tx, terms, now, models, counts, bins, budget / size)
    else:
        guarantee = open_one
        bins = bins_of(kept_risk(tx, guarantee), ((c.predicted_class, c.risk_bin) for c in counts))
    assert guarantee.plan is not None  # noqa: S101  one that takes rounds has a plan
    plan = guarantee.plan
    rows = _smallest(log, frame, size, max(1, round(plan.share * size)))
    prefix_of = {
        row.sample_id: prefix(bins[row.predicted_class, row.risk_bin], plan) for row in rows
    }
    taken = {row.sample_id for row in drawn}
    wanted = replayed(tx, guarantee).part.bound.next_prefix
    within = _within(
        [prefix_of[row.sample_id] for row in rows if row.sample_id not in taken], wanted, budget
    )
    inside = [row for row in rows if prefix_of[row.sample_id] <= within]
    return Audits(
        guarantee=guarantee,
        rows=tuple(
            replace(row, risk_bin=bins[row.predicted_class, row.risk_bin]) for row in inside
        ),
        within=within,
        inclusion=len(rows) / size,
        risk=risk,
        ended=ended,
    )


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


def _why_ended(guarantee: RegisteredCertificate, models: tuple[str, ...], now: datetime) -> str:
    """Why a guarantee takes no more rounds; empty: it does."""
    assert guarantee.plan is not None  # noqa: S101  one that takes rounds has a plan
    if guarantee.plan.models != models:
        return f"a new model serves: {', '.join(models)}"
    if now - guarantee.registered_at > LIFE:
        return f"it is older than {LIFE.days} days"
    return ""


def _registered(
    tx: Transaction,
    terms: Terms,
    now: datetime,
    models: tuple[str, ...],
    counts: Sequence[Count],
    bins: Mapping[Cell, int],
    share: float,
) -> RegisteredCertificate:
    sizes = np.zeros(RISK_BINS, dtype=np.int64)
    for c in counts:
        sizes[bins[c.predicted_class, c.risk_bin]] += c.n
    return RegisteredCertificate(
        id=certificates.next_id(tx),
        closed=False,
        rounds=(),
        promise=terms.promise,
        max_error=terms.max_error,
        failure_probability=terms.failure_probability,
        audits=(),
        risk_version=None,
        registered_at=now,
        plan=AuditPlan(cutoffs=_cutoffs(sizes), share=share, models=models),
    )


def _cutoffs(sizes: npt.NDArray[np.int64]) -> tuple[int, ...]:
    """The largest bin in each prefix: a bin lies in it if its first sample does.

    So no prefix is empty, however many samples share the smallest risk.
    """
    before = np.concatenate([[0], np.cumsum(sizes)[:-1]])
    places = (before + 1) / sizes.sum()
    found = [int(np.flatnonzero(places <= max(g, places[0])).max()) for g in GRID]
    return (*found[:-1], RISK_BINS - 1)


def _smallest(log: PredictionLog, frame: FrameRange, size: int, n: int) -> list[Candidate]:
    """The n smallest places of a frame of this size, or all of it."""
    cut = likely_cut(n, size)
    while True:
        rows = sorted(
            log.rows(frame, (), [Span(pattern=0, above=-1, up_to=cut)]),
            key=lambda row: (row.line, row.sample_id),
        )
        if len(rows) >= min(n, size) or cut == LINE_END - 1:
            return rows[:n]
        cut = min(2 * cut + 1, LINE_END - 1)


def _within(missing: Sequence[float], wanted: float, budget: int) -> float:
    """The prefix to audit: the one wanted, a longer one if that costs nothing, a shorter if it must.

    missing
        the prefix of each row up to the place audited that the round's own draw didn't take
    """
    costs = [sum(p <= g for p in missing) for g in GRID]
    affordable = [i for i, cost in enumerate(costs) if cost <= MOST_OF_BUDGET * budget]
    if not affordable:
        return 0.0
    at = min(int(np.argmin(np.abs(GRID - wanted))), affordable[-1])
    while at + 1 < GRID.size and costs[at + 1] == costs[at]:
        at += 1
    return float(GRID[at])
