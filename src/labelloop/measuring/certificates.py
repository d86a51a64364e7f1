"""Which of the model's labels the registered certificates allow, given the answers so far."""

import json
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace

import numpy as np

from labelloop.core.arrays import risk_bins
from labelloop.core.certificate import RegisteredCertificate
from labelloop.core.estimate import Undefined
from labelloop.core.outcome import is_wrong, outcome
from labelloop.core.queue import Purpose
from labelloop.core.round import Round
from labelloop.core.sample import RISK_BINS, risk_bin
from labelloop.core.task import TaskState
from labelloop.ledger import Transaction, risks, rounds
from labelloop.ledger.rounds import DrawWithLabel
from labelloop.measuring.learned_risk import LearnedRisk
from labelloop.ports.log import LabelCount, LabelPart, PredictionLog
from labelloop.sampling.blind import Cell, by_confidence
from labelloop.statistics.audit import TOO_WRONG
from labelloop.statistics.certify_counts import (
    CountsCertificate,
    ListCounts,
    audits_to_close,
    certify_counts,
)
from labelloop.statistics.risk import RiskModel
from labelloop.statistics.wilson import wilson

_LOST = {TaskState.SKIPPED, TaskState.UNAVAILABLE, TaskState.ABANDONED}


@dataclass(frozen=True, slots=True, kw_only=True)
class CertificateState:
    """A certificate and what it allows, given the answers so far.

    n_answered, n_audits
        audits with a label, of all that were drawn; until then an audit counts as wrong
    n_accepted, n_listed
        model labels kept, of so many that could be; 0 while it is open
    human_labels
        people's training labels of its rounds, which its promise counts
    n_lost
        audits that nobody can answer any more, or that people skipped: they count as wrong
    reason, n_audits_needed
        why so many are kept, or none; about how many audits in all would help
    """

    id: int
    rounds: tuple[int, ...]
    closed: bool
    promise: str
    max_error: float
    failure_probability: float
    risk_version: int | None
    n_audits: int
    n_answered: int
    n_lost: int
    n_wrong: int
    human_labels: int
    n_accepted: int
    n_listed: int
    reason: str
    n_audits_needed: int | None

    def to_json(self) -> str:
        """The state as JSON; the same state gives the same text."""
        return json.dumps(asdict(self), sort_keys=True)


@dataclass(frozen=True, slots=True)
class Certified:
    """The state of a certificate, and the part of the log whose labels it allows; None: no label."""

    state: CertificateState
    part: LabelPart | None


def certified(
    tx: Transaction,
    log: PredictionLog,
    registered: Sequence[RegisteredCertificate],
    *,
    without_samples: Sequence[str],
    without_content: Sequence[str],
    human_by_round: Mapping[int, int],
) -> list[Certified]:
    """What each certificate allows. `without_...` name samples that won't keep the model's label."""
    every = {r.round: r for r in rounds.every(tx)}
    numbers = sorted({number for c in registered for number in c.rounds})
    audits: dict[int, list[DrawWithLabel]] = {number: [] for number in numbers}
    for d in rounds.draws_with_labels(tx, Purpose.EVALUATION):
        # a forgotten sample leaves the list, and so its audit too
        if d.uniform and d.round in audits and not d.forgotten:
            audits[d.round].append(d)
    closed = sorted({number for c in registered if c.closed for number in c.rounds})
    counts: dict[int, list[LabelCount]] = {number: [] for number in closed}
    found = log.label_counts(
        [every[number].frame for number in closed],
        without_samples=without_samples,
        without_content=without_content,
    )
    for count in found:
        counts[closed[count.frame]].append(count)
    return [
        _certified(
            tx,
            log,
            c,
            frames=[every[number] for number in c.rounds],
            counts=[counts.get(number, []) for number in c.rounds],
            audits=[audits[number] for number in c.rounds],
            human=sum(human_by_round.get(number, 0) for number in c.rounds),
        )
        for c in registered
    ]


def _certified(
    tx: Transaction,
    log: PredictionLog,
    c: RegisteredCertificate,
    *,
    frames: Sequence[Round],
    counts: Sequence[Sequence[LabelCount]],
    audits: Sequence[Sequence[DrawWithLabel]],
    human: int,
) -> Certified:
    human_labels = human if c.promise == "training-set" else 0
    every_audit = [d for of_round in audits for d in of_round]
    state = CertificateState(
        id=c.id,
        rounds=c.rounds,
        closed=c.closed,
        promise=c.promise,
        max_error=c.max_error,
        failure_probability=c.failure_probability,
        risk_version=c.risk_version,
        n_audits=len(every_audit),
        n_answered=sum(d.label is not None for d in every_audit),
        n_lost=sum(d.label is None and d.state in _LOST for d in every_audit),
        n_wrong=0,
        human_labels=human_labels,
        n_accepted=0,
        n_listed=0,
        reason="",
        n_audits_needed=None,
    )
    if not c.closed:
        return Certified(_open(tx, c, state, frames, every_audit), None)
    bins = _bins(tx, c.risk_version, counts, every_audit)
    listed = _contested_left_out(log, audits)

    def decided(*, unanswered_wrong: bool) -> CountsCertificate:
        return certify_counts(
            [
                _list(of_round, bins, drawn, unanswered_wrong=unanswered_wrong)
                for of_round, drawn in zip(counts, listed, strict=True)
            ],
            max_error=c.max_error,
            failure_probability=c.failure_probability,
            promise=c.promise,
            human_labels=human_labels,
        )

    decision = decided(unanswered_wrong=True)
    kept = bool(decision.n_accepted)
    state = replace(
        state,
        n_wrong=decision.n_wrong,
        n_accepted=decision.n_accepted,
        n_listed=decision.n_listed,
        reason=decision.reason if kept else _not_kept(state, decided(unanswered_wrong=False)),
        n_audits_needed=decision.n_audits_needed,
    )
    if not decision.n_accepted:
        return Certified(state, None)
    cells = frozenset(cell for cell, number in bins.items() if number < decision.n_bins)
    return Certified(
        state, LabelPart(frames=tuple(r.frame for r in frames), cells=cells, certificate=c.id)
    )


def _open(
    tx: Transaction,
    c: RegisteredCertificate,
    state: CertificateState,
    frames: Sequence[Round],
    audits: Sequence[DrawWithLabel],
) -> CertificateState:
    """The state of a certificate whose audits don't suffice yet: how many would, if any would."""
    n = sum(r.n_frame for r in frames)
    audits_needed = audits_to_close(
        [(r.n_frame, k) for r, k in zip(frames, c.audits, strict=True)],
        max_error=c.max_error,
        failure_probability=c.failure_probability,
        promise=c.promise,
        human_labels=state.human_labels,
    ).n_needed
    too_wrong = _surest_too_wrong(tx, c, n, state.human_labels, audits)
    if too_wrong:
        return replace(state, reason=f"{TOO_WRONG}: {too_wrong}")
    lacking = (audits_needed or 0) - state.n_audits
    help_ = (
        f", about {lacking:,} more would do if the model is right where it is surest"
        if lacking > 0
        else ", more rounds are needed"
    )
    reason = f"{state.n_audits:,} audit labels are too few for a bound{help_}"
    return replace(state, reason=reason, n_audits_needed=audits_needed)


def _surest_too_wrong(
    tx: Transaction,
    c: RegisteredCertificate,
    n: int,
    human_labels: int,
    audits: Sequence[DrawWithLabel],
) -> str:
    """What the answers say against the half of the traffic that the model is surest of; empty: nothing.

    That is a hint, not a test: more audits change nothing where errors are certainly too many.
    """
    bins = _bins(tx, c.risk_version, [], audits)
    surest = sorted(audits, key=lambda d: (bins[_cell(d)], d.line))[: (len(audits) + 1) // 2]
    answered = [d for d in surest if d.label is not None]
    wrong = sum(is_wrong(outcome(d.label, d.predicted_class)) for d in answered)
    rate = wilson(wrong, len(answered), level=0.9)
    allowed = c.max_error * (1 + 2 * human_labels / n) if n else 1.0
    if isinstance(rate, Undefined) or c.promise == "frame" or rate.low <= allowed:
        return ""
    return f"{wrong:,} errors in the {len(answered):,} checked labels of its surest half"


def _not_kept(state: CertificateState, best: CountsCertificate) -> str:
    """Why none is kept. `best`: what would be decided if every audit without an answer were right."""
    if not best.n_accepted:
        return f"none can be kept, {best.reason}"
    waiting = state.n_audits - state.n_answered - state.n_lost
    parts = [f"{waiting:,} of {state.n_audits:,} audits wait for an answer"] if waiting else []
    if state.n_lost:
        of = "" if waiting else f" of {state.n_audits:,} audits"
        parts.append(f"{state.n_lost:,}{of} were skipped or can't be answered")
    return f"{', '.join(parts)} and count as wrong"


def _bins(
    tx: Transaction,
    risk_version: int | None,
    counts: Sequence[Sequence[LabelCount]],
    audits: Sequence[DrawWithLabel],
) -> dict[Cell, int]:
    """The risk bin of each cell, by the risk that was fixed when the certificate opened."""
    cells = sorted(
        {(c.predicted_class, c.risk_bin) for of_round in counts for c in of_round}
        | {_cell(d) for d in audits}
    )
    if not cells:
        return {}
    of = by_confidence
    if risk_version is not None:
        kept = risks.get(tx, risk_version)
        of = LearnedRisk(RiskModel.from_json(kept.params), kept.rounds).of
    return dict(zip(cells, risk_bins(of(cells)).tolist(), strict=True))


def _contested_left_out(
    log: PredictionLog, audits: Sequence[Sequence[DrawWithLabel]]
) -> list[list[DrawWithLabel]]:
    """The audits without samples that a user flagged or corrected, which are on no list."""
    known = log.samples([d.sample_id for of_round in audits for d in of_round])
    contested = {k.sample_id for k in known.values() if k.flagged or k.corrected_class is not None}
    return [[d for d in of_round if d.sample_id not in contested] for of_round in audits]


def _list(
    counts: Sequence[LabelCount],
    bins: Mapping[Cell, int],
    audits: Sequence[DrawWithLabel],
    *,
    unanswered_wrong: bool,
) -> ListCounts:
    n, n_kept = Counter[int](), Counter[int]()
    for c in counts:
        at = bins[c.predicted_class, c.risk_bin]
        n[at] += c.n
        n_kept[at] += c.n_kept
    return ListCounts.checked(
        np.array([n[i] for i in range(RISK_BINS)]),
        np.array([n_kept[i] for i in range(RISK_BINS)]),
        bins=[bins[_cell(d)] for d in audits],
        lines=[d.line for d in audits],
        wrong=[
            is_wrong(outcome(d.label, d.predicted_class))
            if d.label is not None
            else unanswered_wrong
            for d in audits
        ],
    )


def _cell(d: DrawWithLabel) -> Cell:
    return d.predicted_class or "", risk_bin(d.confidence)
