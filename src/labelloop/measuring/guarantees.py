"""Which of the model's labels the registered guarantees allow, given the answers so far."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, fields, replace

import numpy as np

from labelloop.core.certificate import RegisteredCertificate
from labelloop.core.looks import Look
from labelloop.core.outcome import is_wrong, outcome
from labelloop.core.queue import Purpose
from labelloop.core.round import Round
from labelloop.core.sample import risk_bin
from labelloop.core.task import WITHOUT_ANSWER
from labelloop.ledger import Transaction, certificates, rounds
from labelloop.ledger.rounds import DrawWithLabel
from labelloop.measuring.audit_ranks import bins_of, kept_risk, prefix
from labelloop.ports.log import LabelPart, PredictionLog
from labelloop.sampling.blind import Cell
from labelloop.statistics.audited_rounds import AuditedRound, ProvenPart, proven_part
from labelloop.statistics.greg import exact_bounds
from labelloop.statistics.sequential_bound import GRID, SequentialBound

PLENTY = 2_000
"""More missing answers than anybody would give: the model is too often wrong."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CertificateState:
    """A guarantee and what it allows, given the answers so far.

    rounds
        the rounds whose labels it keeps; while it keeps none, those audited
    closed
        True if it takes no more rounds
    prefix
        the name of the kept prefix of the risk; 0: none is proven
    n_audits, n_answered, n_wrong, n_lost
        audits drawn, those with a label, the wrong among these, and those that nobody will answer: until
        it has an answer, an audit counts as wrong
    n_accepted, n_listed
        model labels kept, of the predictions of its rounds; both 0 where nothing is kept
    surest, wrong_low, wrong, wrong_high, n_surest
        the share of the traffic under test, the estimated share of wrong labels in it with its 95%
        interval, and the answers that rests on; None without an answer
    by_referees
        whether every answer is a referee's, and another person confirmed each that differs
    n_missing
        about how many more right answers prove that part; None: no sensible number would. With the
        answers so far in that part they are n_audits_needed
    reason
        what was decided, in words
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
    n_wrong: int
    n_accepted: int
    n_listed: int
    reason: str
    n_lost: int = 0
    human_labels: int = 0
    prefix: float = 0.0
    surest: float = 0.0
    wrong: float | None = None
    wrong_low: float | None = None
    wrong_high: float | None = None
    n_surest: int = 0
    n_missing: int | None = None
    n_audits_needed: int | None = None
    ended: str = ""
    by_referees: bool = False

    def to_json(self) -> str:
        """The state as JSON; the same state gives the same text."""
        return json.dumps(asdict(self), sort_keys=True)


@dataclass(frozen=True, slots=True)
class Certified:
    """The state of a guarantee, and the part of the log whose labels it allows; None: no label."""

    state: CertificateState
    part: LabelPart | None


@dataclass(frozen=True, slots=True)
class Replay:
    """A guarantee's test after all its audits, in the order of drawing; `prefixes` are theirs."""

    part: ProvenPart
    audits: tuple[DrawWithLabel, ...]
    prefixes: tuple[float, ...]


def replayed(tx: Transaction, guarantee: RegisteredCertificate) -> Replay:
    """The test of a guarantee as the answers stand now; what has no answer counts as wrong."""
    assert guarantee.plan is not None  # noqa: S101  certificates of the earlier test have no audits
    sizes = {r.round: r.n_frame for r in rounds.every(tx)}
    risk = kept_risk(tx, guarantee)
    audited: list[AuditedRound] = []
    audits: list[DrawWithLabel] = []
    prefixes: list[float] = []
    within_of = dict(zip(guarantee.rounds, guarantee.within, strict=True))
    for drawn_in, found in _in_order_of_drawing(tx, guarantee.rounds):
        bins = bins_of(risk, map(cell_of, found))
        places = [prefix(bins[cell_of(d)], guarantee.plan) for d in found]
        wrong = [is_wrong_audit(d) for d in found]
        each = [d.within or within_of[d.round] for d in found]
        # a top-up is of rounds that are covered already
        within, size = within_of.get(drawn_in, 0.0), sizes.get(drawn_in, 0)
        audited.append(AuditedRound(drawn_in, size, within, places, wrong, each))
        audits += found
        prefixes += places
    part = proven_part(
        audited,
        max_error=guarantee.max_error,
        failure_probability=guarantee.failure_probability,
    )
    return Replay(part, tuple(audits), tuple(prefixes))


def _in_order_of_drawing(
    tx: Transaction, numbers: Sequence[int]
) -> list[tuple[int, list[DrawWithLabel]]]:
    """The audits of rounds, and of their top-ups, each by the number of what drew them.

    What one selection added to several rounds is one step: only after all of it each is audited alike.
    """
    drawn: dict[int, list[DrawWithLabel]] = {number: [] for number in numbers}
    for number in numbers:
        for d in _audits(tx, number):
            drawn.setdefault(d.drawn_in, []).append(d)
    steps: list[tuple[int, list[DrawWithLabel]]] = []
    before = 0
    for drawn_in, found in sorted(drawn.items()):
        of = found[0].round if found and drawn_in not in numbers else 0
        if of > before > 0:  # a selection goes through the rounds in their order
            steps[-1][1].extend(found)
        else:
            steps.append((drawn_in, list(found)))
        before = of
    return steps


def _audits(tx: Transaction, number: int) -> list[DrawWithLabel]:
    """The audits of a round in the order of the line; a forgotten sample is none any more."""
    found = [
        d
        for d in rounds.draws_with_labels(tx, Purpose.EVALUATION, number)
        if d.within is not None and not d.forgotten
    ]
    return sorted(found, key=lambda d: (d.line, d.sample_id))


def is_answered(d: DrawWithLabel) -> bool:
    """Whether an audit has its answer: by a referee where any are named, and settled."""
    return d.label is not None and not d.awaits_referee


def is_wrong_audit(d: DrawWithLabel) -> bool:
    """Whether an audit counts as wrong: it has no answer, or one that isn't the prediction."""
    return not is_answered(d) or is_wrong(outcome(d.label, d.predicted_class))


def _by_referee(d: DrawWithLabel) -> bool:
    given = d.replies or {}
    return any(given[look].by_referee for look in (Look.FIRST, Look.SECOND) if look in given)


def cell_of(d: DrawWithLabel) -> Cell:
    """The class and the bin of 1 - confidence of a draw."""
    return d.predicted_class or "", risk_bin(d.confidence)


def certified(
    tx: Transaction,
    log: PredictionLog,
    *,
    without_samples: Sequence[str],
    without_content: Sequence[str],
) -> list[Certified]:
    """What each guarantee allows. `without_...` name samples that won't keep the model's label."""
    recorded = certificates.results(tx)
    every = {r.round: r for r in rounds.every(tx)}
    found: list[Certified] = []
    for c in certificates.every(tx):
        if c.plan is not None and not c.rounds:
            continue  # every round of it was released
        if c.plan is None:
            found += [Certified(state, None) for state in _recorded(recorded.get(c.id))]
        else:
            left_out = {"samples": without_samples, "content": without_content}
            found.append(_certified(tx, log, c, every, left_out))
    return found


def _recorded(text: str | None) -> list[CertificateState]:
    """What the test that came before decided; nothing where it decided nothing."""
    if text is None:
        return []
    known = {f.name for f in fields(CertificateState)}
    read = {name: value for name, value in json.loads(text).items() if name in known}
    read["rounds"] = tuple(read["rounds"])
    return [CertificateState(**{**read, "ended": "given by the test that came before"})]


def _certified(
    tx: Transaction,
    log: PredictionLog,
    c: RegisteredCertificate,
    every: Mapping[int, Round],
    left_out: Mapping[str, Sequence[str]],
) -> Certified:
    replay = replayed(tx, c)
    state = _state(c, replay)
    if not replay.part.kept:
        return Certified(replace(state, reason=why_none(state)), None)
    frames = [every[number].frame for number in replay.part.rounds]
    counts = log.label_counts(
        frames, without_samples=left_out["samples"], without_content=left_out["content"]
    )
    bins = bins_of(kept_risk(tx, c), ((n.predicted_class, n.risk_bin) for n in counts))
    assert c.plan is not None  # noqa: S101  `certified` asked
    last = c.plan.cutoffs[int(np.argmin(np.abs(GRID - replay.part.kept)))]
    cells = frozenset(cell for cell, number in bins.items() if number <= last)
    inside = [n for n in counts if (n.predicted_class, n.risk_bin) in cells]
    listed, held = sum(n.n for n in counts), sum(n.n for n in inside)
    state = replace(
        state,
        rounds=replay.part.rounds,
        prefix=replay.part.kept,
        n_accepted=sum(n.n_kept for n in inside),
        n_listed=listed,
        reason=f"kept the surest {held / max(listed, 1):.0%} of its traffic",
    )
    part = LabelPart(frames=tuple(frames), cells=cells, certificate=c.id)
    return Certified(state, part if state.n_accepted else None)


def _state(c: RegisteredCertificate, replay: Replay) -> CertificateState:
    audits, tested = replay.audits, prefix_under_test(replay)
    answered = [
        is_wrong_audit(d)
        for d, place in zip(audits, replay.prefixes, strict=True)
        if is_answered(d) and place <= tested + 1e-9
    ]
    n, bad = len(answered), sum(answered)
    low, high = exact_bounds(bad, n, 0.95)
    missing = _missing(c, replay, tested)
    waiting = [d for d in audits if not is_answered(d)]
    return CertificateState(
        id=c.id,
        rounds=c.rounds,
        closed=c.closed,
        promise=c.promise,
        max_error=c.max_error,
        failure_probability=c.failure_probability,
        risk_version=c.risk_version,
        n_audits=len(audits),
        n_answered=len(audits) - len(waiting),
        n_lost=sum(d.label is None and d.state in WITHOUT_ANSWER for d in waiting),
        n_wrong=sum(is_wrong_audit(d) for d in audits if is_answered(d)),
        by_referees=bool(audits) and all(_by_referee(d) for d in audits if is_answered(d)),
        n_accepted=0,
        n_listed=0,
        reason="",
        surest=tested,
        wrong=bad / n if n else None,
        wrong_low=low if n else None,
        wrong_high=high if n else None,
        n_surest=n,
        n_missing=missing,
        n_audits_needed=None if missing is None else n + missing,
        ended=c.ended,
    )


def why_none(state: CertificateState) -> str:
    """What is known of the surest labels while none is guaranteed, and what would help."""
    if state.wrong is None or state.wrong_low is None or state.wrong_high is None:
        known = "no checked label has an answer"
    else:
        known = (
            f"of the surest {state.surest:.0%} of the traffic an estimated {100 * state.wrong:.1f}% are "
            f"wrong ({100 * state.wrong_low:.1f}–{100 * state.wrong_high:.1f}%, 95% interval, "
            f"{state.n_surest:,} checked {'label' if state.n_surest == 1 else 'labels'})"
        )
    return f"{known}: {_help(state)}"


def _help(state: CertificateState) -> str:
    if state.n_missing is None or (state.wrong_low or 0.0) > state.max_error:
        return "the model is too often wrong even where it is surest"
    waiting = state.n_audits - state.n_answered - state.n_lost
    lost = f", {state.n_lost:,} were skipped or can't be answered, and count as wrong"
    said = f"about {state.n_missing:,} more right answers are missing"
    if waiting:
        said += f", {waiting:,} checks are open"
    if state.closed:
        said += f", it takes no more rounds: {state.ended}"
    elif waiting < state.n_missing:
        checks = f"--top-up {state.rounds[-1]} --labels {state.n_missing - waiting} --checks"
        said += (
            f": `labelloop select {checks}` draws them, and `labelloop run --now` the next round's"
        )
    return said + (lost if state.n_lost else "")


def prefix_under_test(replay: Replay) -> float:
    """The prefix under test: the first that isn't proven, or the whole traffic."""
    return float(GRID[min(int(np.searchsorted(GRID, replay.part.kept + 1e-9)), GRID.size - 1)])


def _missing(c: RegisteredCertificate, replay: Replay, tested: float) -> int | None:
    """About how many answers prove the prefix under test, if they are right; None: none would.

    Answers of drawn audits that are still open count among them.
    """
    bound = SequentialBound(max_error=c.max_error, failure_probability=c.failure_probability)
    known = [
        (place, is_wrong_audit(d))
        for d, place in zip(replay.audits, replay.prefixes, strict=True)
        if is_answered(d) and place <= tested + 1e-9
    ]
    bound.update([place for place, _ in known], [bad for _, bad in known], drawn_within=1.0)
    found = bound.n_missing(tested)
    return None if found is None or found > PLENTY else found
