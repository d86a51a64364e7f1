"""select: decide which samples people label. A round, its cells and its draws are one transaction."""

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from functools import partial
from pathlib import Path

from labelloop.core import due
from labelloop.core.certificate import Terms
from labelloop.core.draw import Draw
from labelloop.core.notice import Notice
from labelloop.core.queue import Purpose, Queue
from labelloop.core.ranked import Score
from labelloop.core.round import Candidate, Cell, Count, FrameRange, RateCount, Rival, Round
from labelloop.core.sample import UNUSABLE
from labelloop.core.slice_count import SliceCount
from labelloop.core.task import ASKED_AGAIN
from labelloop.core.token import task_key
from labelloop.core.where import Where
from labelloop.errors import ArgumentError, ConfigError, WhereError
from labelloop.ledger import (
    Ledger,
    Transaction,
    batches,
    confidences,
    datasets,
    events,
    looks,
    outbox,
    rejects,
    risks,
    rounds,
    sampling_rates,
    slices,
)
from labelloop.measuring.audits import Audits, plan_audits, write_audits
from labelloop.measuring.learned_risk import ATTRIBUTE, LearnedRisk, learn_for
from labelloop.ports.clock import Clock
from labelloop.ports.log import PredictionLog
from labelloop.sampling.blind import UNEVEN
from labelloop.sampling.picks import PICKS
from labelloop.sampling.remaining import Drawing, Remaining
from labelloop.steps.build import manifest_file
from labelloop.steps.compare.candidate import Candidate as Model
from labelloop.steps.purpose import refuse_changed_purpose
from labelloop.steps.select.choosing import Choosing
from labelloop.steps.select.differing import differing
from labelloop.steps.select.drawing import (
    Blind,
    blind_cells,
    cell_of,
    draw_blind,
    draw_framed,
    is_uneven,
    new_draw,
    total,
    with_fewer,
)
from labelloop.steps.select.frame import Framed, framed
from labelloop.steps.select.shared_tasks import with_shared_tasks
from labelloop.steps.select.vectors import Inputs
from labelloop.steps.suspects import Suspect, from_log, suspects


@dataclass(frozen=True, slots=True, kw_only=True)
class QueuePlan:
    """The draws of one queue in a round: how many match, how many are drawn, and why.

    `n_matching` counts what matched and was left by the queues before it. `inclusion` is the chance of
    each, None where it isn't known or isn't the same for all; `chances` are then the smallest and the
    largest, where the draw is uneven. `chosen`: what teaches most was picked, so no chance is known.
    `left_out`: why the queue drew nothing, where its rule can't be followed; the others drew.
    """

    queue: str
    purpose: Purpose
    rule: str
    n_matching: int
    n_drawn: int
    inclusion: float | None
    chances: tuple[float, float] | None = None
    chosen: bool = False
    left_out: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Selected:
    """The result of one `select`.

    `round` is None where none was drawn: not yet due, or nothing new. `n_skipped` counts predictions
    that are older than the first window. `already_trained` names the released training versions that
    hold samples which this round draws for evaluation, and how many: the next version leaves them out.
    `held_by` is the paused evaluation queue that holds back a round which is due.
    `tops_up` are the rounds that a top-up continues. `repeated`: the same top-up was drawn before and
    waits to be sent, so nothing was drawn again.
    """

    round: int | None
    extra: bool
    plans: tuple[QueuePlan, ...]
    n_frame: int
    n_skipped: int
    due_at: datetime
    due: bool
    already_trained: tuple[tuple[str, int], ...] = ()
    held_by: str | None = None
    tops_up: tuple[int, ...] = ()
    repeated: bool = False


@dataclass(frozen=True, slots=True)
class _Plan:
    """Everything that is written with a round."""

    frame: FrameRange
    n_frame: int
    cells: tuple[Cell, ...]
    draws: tuple[Draw, ...]
    plans: tuple[QueuePlan, ...]
    rules: dict[str, str]
    risk: LearnedRisk | None
    audits: Audits | None = None
    rival: Rival | None = None
    rates: Sequence[RateCount] = ()
    confidences: Mapping[int, int] = field(default_factory=dict)
    slices: tuple[SliceCount, ...] = ()


class Select:
    """Draws rounds from a log."""

    def __init__(
        self,
        ledger: Ledger,
        log: PredictionLog,
        queues: Sequence[Queue],
        *,
        every: timedelta,
        first_window: timedelta,
        terms: Terms,
        classes: Sequence[str],
        inputs: Callable[[], Inputs],
        clock: Clock,
        paused: Collection[str] = (),
    ) -> None:
        """`paused` queues draw nothing; a blind one among them holds the whole round back."""
        self._ledger = ledger
        self._log = log
        self._held_by = next((q.name for q in queues if q.evaluates and q.name in paused), None)
        self._queues = [q for q in queues if q.evaluates or q.name not in paused]
        self._blind = frozenset(q.name for q in queues if q.evaluates)
        self._every = every
        self._first_window = first_window
        self._terms = terms
        self._classes = classes
        self._inputs = inputs
        self._clock = clock

    def run(
        self,
        *,
        close_now: bool = False,
        dry_run: bool = False,
        since: datetime | None = None,
        until: datetime | None = None,
    ) -> Selected:
        """Draw a round where one is due; `close_now` makes it due, `dry_run` writes nothing.

        With `since` or `until` the round is an extra one over exactly the matching rows. While the
        evaluation queue is paused no round is drawn, so the traffic of the next one grows.

        Raises:
            ArgumentError: a round is asked for, and the evaluation queue is paused.
        """
        if self._held_by and (close_now or since or until):
            raise ArgumentError(
                f"queue {self._held_by!r} is paused, which holds every round back",
                remedy="resume it first",
            )
        self._check_attributes()
        self._check(since, until)
        return self._carry_out(
            lambda tx: self._plan_round(
                tx, close_now=close_now or dry_run, since=since, until=until
            ),
            dry_run=dry_run,
        )

    def draw_where_they_differ(
        self,
        candidate: Model,
        *,
        labels: int,
        since: datetime | None = None,
        until: datetime | None = None,
        dry_run: bool = False,
    ) -> Selected:
        """Draw an extra round of `labels` samples that a candidate and the serving model answer differently.

        Of the period, by default as long as the first window up to now. Where both say the same, they
        are right or wrong together, so a label there tells nothing of the difference.

        Raises:
            ArgumentError: no queue is blind, no label is asked for, or the candidate answered none of
                the period's samples.
        """
        blind = next((q for q in self._queues if q.evaluates), None)
        if blind is None:
            raise ArgumentError(
                "no queue has purpose 'evaluation': only blind answers judge a candidate",
                remedy="add one to the settings",
            )
        if labels < 1:
            raise ArgumentError(f"labels = {labels}: expected 1 or more", remedy="ask for 100")
        queue = replace(blind, budget=labels, draw="uniform")
        since = since or self._clock.now() - self._first_window
        self._check(since, until)
        return self._carry_out(
            lambda tx: self._plan_differing(tx, candidate, queue, since, until), dry_run=dry_run
        )

    def _check(self, since: datetime | None, until: datetime | None) -> None:
        with self._ledger.read() as tx:
            refuse_changed_purpose(tx, self._queues)
        if since is not None and until is not None and since >= until:
            raise ArgumentError(
                f"--since ({since.isoformat()}) isn't before --until ({until.isoformat()})",
                remedy="give an earlier --since",
            )

    def _carry_out(
        self, planned: Callable[[Transaction], tuple[Selected, _Plan | None]], *, dry_run: bool
    ) -> Selected:
        """Plan a round and write it, unless it is only shown."""
        if dry_run:
            with self._ledger.read() as tx:
                selected, _ = planned(tx)
            return replace(selected, round=None)
        with self._ledger.lease("select") as lease:
            with self._ledger.read() as tx:
                selected, plan = planned(tx)
            if plan is not None or selected.n_skipped:
                with self._ledger.write(lease) as tx:
                    self._put_skipped(tx, selected)
                    if plan is not None:
                        self._write(tx, plan, selected)
            return selected

    def _plan_differing(
        self,
        tx: Transaction,
        candidate: Model,
        queue: Queue,
        since: datetime,
        until: datetime | None,
    ) -> tuple[Selected, _Plan | None]:
        frame = FrameRange(batch_to=batches.newest(tx), since=since, until=until)
        found = differing(self._log, frame, candidate, n_first=queue.budget or 0)
        if not found.n_both:
            raise ArgumentError(
                f"the log holds no prediction of {candidate.name} since {since:%Y-%m-%d %H:%M} UTC",
                remedy="name an earlier --since, or let it answer that traffic first: "
                "docs/how-to/compare.md says how",
            )
        number = rounds.next_number(tx)
        rows = self._log.rows_of(frame, (), found.first)
        inclusion = len(rows) / found.n if found.n else 1.0
        draws: dict[str, Draw] = {}
        told = self._take(
            *(queue, rows, number, draws),
            n_matching=found.n,
            reason=f"{candidate.name} and the serving model differ: {len(rows)} of {found.n}",
            chances=(inclusion, inclusion),
        )
        rule = f"where {candidate.name} differs"
        latest = rounds.latest(tx)
        plan = _Plan(
            risk=None,
            frame=frame,
            n_frame=found.n,
            cells=tuple(cell_of(queue, c, cut=None, inclusion=inclusion) for c in found.counts),
            draws=with_shared_tasks(tx, draws.values(), {queue.name: queue.purpose}),
            plans=(replace(told, rule=rule),),
            rules={queue.name: rule},
            rival=Rival(name=candidate.name, digest=candidate.digest, n_both=found.n_both),
        )
        selected = Selected(
            round=number if rows else None,
            extra=True,
            plans=plan.plans,
            n_frame=found.n,
            n_skipped=0,
            due_at=due.next_round_at(latest.created_at if latest else None, self._every)
            or self._clock.now(),
            due=True,
            already_trained=already_trained_on(tx, self._evaluated(plan)),
        )
        return selected, plan if rows else None

    # --- which rows ---------------------------------------------------------------------------

    def _plan_round(
        self, tx: Transaction, *, close_now: bool, since: datetime | None, until: datetime | None
    ) -> tuple[Selected, _Plan | None]:
        now = self._clock.now()
        latest = rounds.latest(tx)
        newest = batches.newest(tx)
        extra = since is not None or until is not None
        last_at = latest.created_at if latest else None
        due_at = due.next_round_at(last_at, self._every) or now
        is_due = extra or close_now or due.round_is_due(last_at, self._every, now)
        held_by = self._held_by if is_due else None
        frame = FrameRange(batch_to=newest, since=since, until=until)
        n_skipped = 0
        if not extra:
            frame = FrameRange(batch_to=newest, batch_after=latest.frame.batch_to if latest else 0)
            if latest is None:
                whole, frame = frame, replace(frame, since=now - self._first_window)
                n_skipped = total(self._log.counts(whole, ())) - total(self._log.counts(frame, ()))
        number = rounds.next_number(tx)
        plan = self._draw_all(tx, frame, number, extra=extra) if is_due and not held_by else None
        empty = plan is None or (plan.n_frame == 0 and not plan.draws)
        made = Selected(
            round=None if empty else number,
            extra=extra,
            plans=plan.plans if plan else (),
            n_frame=plan.n_frame if plan else 0,
            n_skipped=n_skipped,
            due_at=due_at if empty or extra else now + self._every,
            due=is_due,
            already_trained=already_trained_on(tx, self._evaluated(plan)) if plan and extra else (),
            held_by=held_by,
        )
        return made, None if empty else plan

    def _check_attributes(self) -> None:
        """Refuse a `where` or a quota on a tag that no prediction ever carried: it is likely a typo."""
        wanted = {a: (q, "`where`") for q in self._queues if q.where for a in q.where.attributes}
        wanted |= {
            name.removeprefix(ATTRIBUTE): (q, "a quota")
            for q in self._queues
            for name in q.quotas.columns
            if name.startswith(ATTRIBUTE)
        }
        known = self._log.attributes() if wanted else frozenset()
        unknown = sorted(wanted.keys() - known - {UNUSABLE})  # ours, and rare
        if unknown and self._log.snapshot() is not None:
            queue, setting = wanted[unknown[0]]
            raise WhereError(
                f"queue {queue.name!r}: {setting} uses {unknown[0]!r}, and no prediction has such a "
                "tag",
                remedy=f"tags seen so far: {', '.join(sorted(known)) or 'none but the known ones'}",
            )

    # --- drawing ------------------------------------------------------------------------------

    def _draw_all(self, tx: Transaction, frame: FrameRange, number: int, *, extra: bool) -> _Plan:
        conditions = tuple(q.where for q in self._queues if q.where and not q.on_feedback)
        risk = (
            learn_for(tx, frame)
            if any(q.evaluates and q.draw in UNEVEN for q in self._queues)
            else None
        )
        learned = risk
        if risk is None and any(PICKS[q.pick].learned for q in self._queues if q.chooses):
            learned = learn_for(tx, frame)
        with framed(self._log, frame, conditions, risk) as traffic:
            counts, rates = traffic.counts(), traffic.rates()
            left = Remaining(counts)
            cells: list[Cell] = []
            draws: dict[str, Draw] = {}
            plans: list[QueuePlan] = []
            audits: Audits | None = None
            refusal: ConfigError | None = None
            inputs = self._inputs()
            for queue in self._queues:
                if queue.on_feedback:
                    if not extra:
                        plans.append(self._take_feedback(tx, queue, frame, number, draws))
                    continue
                spent = 0
                if queue.evaluates and not extra:
                    audits, spent = self._audits(tx, queue, frame, traffic, counts, risk)
                if queue.asks_again:
                    if not extra:
                        plans.append(self._take_suspects(tx, queue, frame, number, draws))
                    continue
                if queue.chooses:
                    choosing = Choosing(self._log, frame, traffic, learned, inputs)
                    try:
                        plan, of = self._choose(
                            tx, queue, choosing, left, conditions, number, draws
                        )
                    except ConfigError as exc:
                        refusal = refusal or exc
                        plan, of = _left_out(queue, exc), []
                    plans.append(plan)
                    cells += of
                elif queue.evaluates and is_uneven(queue, risk):
                    blind = draw_blind(left, with_fewer(queue, spent), traffic)
                    cells += blind_cells(queue, blind)
                    plans.append(self._take_blind(queue, blind, number, draws))
                else:
                    bit = conditions.index(queue.where) if queue.where is not None else None
                    drawing = draw_framed(
                        *(left, with_fewer(queue, spent), traffic, bit),
                        allowed=None
                        if queue.evaluates
                        else partial(self._not_evaluated, tx, draws=draws),
                    )
                    cells += [
                        cell_of(queue, c, cut=drawing.cut, inclusion=drawing.inclusion)
                        for c in drawing.eligible
                    ]
                    plans.append(self._take_framed(queue, drawing, number, draws))
                if queue.evaluates and audits is not None:
                    n_more = self._take_audits(queue, audits, number, draws)
                    plans[-1] = replace(plans[-1], n_drawn=plans[-1].n_drawn + n_more)
        if refusal is not None and not draws:
            raise refusal  # the traffic waits for a queue that can draw
        return _Plan(
            risk=risk,
            frame=frame,
            n_frame=total(counts),
            cells=tuple(cells),
            draws=with_shared_tasks(tx, draws.values(), {q.name: q.purpose for q in self._queues}),
            plans=tuple(plans),
            rules={q.name: q.rule for q in self._queues},
            audits=audits,
            confidences=_confidences(self._log, frame, sampled=bool(rates)),
            slices=tuple(self._log.slices(frame)),
            rates=rates,
        )

    def _audits(
        self,
        tx: Transaction,
        queue: Queue,
        frame: FrameRange,
        traffic: Framed,
        counts: Sequence[Count],
        risk: LearnedRisk | None,
    ) -> tuple[Audits | None, int]:
        """The audits of a round, and how many labels its own draw leaves for them."""
        assert queue.budget is not None  # noqa: S101  the settings ask for one
        if total(counts) <= queue.budget:
            return None, 0  # all of it is drawn
        whole = Remaining(counts)
        rows: Sequence[Candidate]
        if is_uneven(queue, risk):
            rows = draw_blind(whole, queue, traffic).drawn.rows
        else:
            rows = draw_framed(whole, queue, traffic, None, allowed=None).rows
        audits = plan_audits(
            *(tx, self._log, frame),
            counts=counts if risk is None else self._log.counts(frame, ()),
            drawn=rows,
            budget=queue.budget,
            terms=self._terms,
            looked_at_again=queue.second_look and bool(looks.referees(tx).now),
            now=self._clock.now(),
        )
        return audits, audits.spent if audits else 0

    def _take_audits(
        self, queue: Queue, audits: Audits, number: int, draws: dict[str, Draw]
    ) -> int:
        """Mark the draws that are audits too, and draw the others; returns how many those are."""
        beyond = [row for row in audits.rows if row.sample_id not in draws]
        for row in audits.rows:
            if row.sample_id in draws:
                draws[row.sample_id] = replace(
                    draws[row.sample_id], within=audits.counts_for[row.sample_id]
                )
        for row in beyond:
            drawn = new_draw(
                *(self._log, queue, row, number),
                inclusion=audits.inclusion(row),
                uniform=False,
                position=len(draws),
                reason=f"{queue.rule}: {len(audits.rows)} checks of the model's labels within "
                f"{audits.within:g} of the traffic, the surest first, for guarantee "
                f"{audits.guarantee.id}",
            )
            draws[row.sample_id] = replace(
                drawn, within=audits.counts_for[row.sample_id], audit_only=True
            )
        return len(beyond)

    def _take_blind(
        self, queue: Queue, blind: Blind, number: int, draws: dict[str, Draw]
    ) -> QueuePlan:
        design, n_uniform = blind.design, blind.drawn.n_uniform
        chances = [design.inclusion((c.predicted_class, c.risk_bin)) for c in blind.counts]
        n_drawn = len(blind.drawn.rows)
        how = f"of which {n_uniform} at random" if n_uniform else "more where it may be wrong"
        return self._take(
            *(queue, blind.drawn.rows, number, draws),
            n_matching=design.n,
            reason=f"{queue.rule}: {n_drawn} of {design.n}, {how}",
            chances=(min(chances, default=1.0), max(chances, default=1.0)),
            inclusion=lambda row: design.inclusion((row.predicted_class, row.risk_bin)),
            n_uniform=n_uniform,
        )

    def _take_framed(
        self, queue: Queue, drawing: Drawing, number: int, draws: dict[str, Draw]
    ) -> QueuePlan:
        rows = drawing.rows
        n_matching = total(drawing.eligible)
        how = ", at random until a risk is learned" if queue.draw == "auto" else ""
        return self._take(
            *(queue, rows, number, draws),
            n_matching=n_matching,
            reason=f"{queue.rule}: {len(rows)} of {n_matching}{how}",
            chances=(drawing.inclusion, drawing.inclusion),
        )

    def _choose(
        self,
        tx: Transaction,
        queue: Queue,
        choosing: Choosing,
        left: Remaining,
        conditions: Sequence[Where],
        number: int,
        draws: dict[str, Draw],
    ) -> tuple[QueuePlan, list[Cell]]:
        """Draw what a training queue picks; returns what it did, and what it picked from."""
        bit = conditions.index(queue.where) if queue.where is not None else None
        eligible = left.eligible(lambda pattern: bit is None or bool(pattern >> bit & 1))
        n_matching = total(eligible)
        may_train = partial(self._not_evaluated, tx, draws=draws)
        chosen = choosing.choose(queue, n_matching, draws, may_train)
        rows = [one.row for one in chosen]
        left.choose(rows)
        told = self._take(
            queue,
            rows,
            number,
            draws,
            n_matching=n_matching,
            reason="",
            chances=None,
        )
        pick = PICKS[queue.pick]
        for rank, one in enumerate(chosen, start=1):
            of = f"{queue.rule}: rank {rank} of {len(chosen)} from {n_matching}"
            if one.represents is not None:
                of += f", stands for {one.represents}"
            ranks_by_place = pick.score is Score.PLACE
            draws[one.row.sample_id] = replace(
                draws[one.row.sample_id],
                reason=of if ranks_by_place else f"{of}, {pick.means} {one.score:.4g}",
                pick=queue.pick,
                score=None if ranks_by_place else one.score,
                rank=rank,
                represents=one.represents,
            )
        cells = [cell_of(queue, c, cut=None, inclusion=0.0) for c in eligible]
        return replace(told, chosen=True), cells

    def _take_feedback(
        self,
        tx: Transaction,
        queue: Queue,
        frame: FrameRange,
        number: int,
        draws: dict[str, Draw],
    ) -> QueuePlan:
        """Draw what feedback was received on since the last round, however old the prediction."""
        assert queue.where is not None  # noqa: S101  on_feedback says so
        received = self._log.received(frame.batch_after, frame.batch_to, queue.where)
        matching = [r for r in received if r.sample_id not in draws]
        matching = self._not_evaluated(tx, matching, draws)
        matching.sort(key=lambda r: (r.line, r.sample_id))
        rows, n_matching = matching[: queue.budget], len(matching)
        return self._take(
            *(queue, rows, number, draws),
            n_matching=n_matching,
            reason=f"{queue.rule}: {len(rows)} of {n_matching} received since the last round",
            chances=(1.0, 1.0) if len(rows) == n_matching else None,
        )

    def _take_suspects(
        self,
        tx: Transaction,
        queue: Queue,
        frame: FrameRange,
        number: int,
        draws: dict[str, Draw],
    ) -> QueuePlan:
        """Draw labels of the training set that a model contradicts and nobody was asked again about.

        Copies of one input cost one label.
        """
        version = datasets.latest(tx, "training")
        found: Sequence[Suspect] = ()
        if version is not None and self._log.snapshot() is not None:
            found = suspects(tx, version, from_log(self._log), self._classes).first
        by_input = {s.content_hash or s.sample_id: s for s in reversed(found)}
        fresh = {s.sample_id: s for s in by_input.values() if s.asked_again is None}
        whole = FrameRange(batch_to=frame.batch_to)
        rows = [
            row for row in self._log.rows_of(whole, (), list(fresh)) if row.sample_id not in draws
        ]
        rows = self._not_evaluated(tx, rows, draws)
        rows.sort(key=lambda r: (fresh[r.sample_id].label_probability, r.sample_id))
        n_matching, rows = len(rows), rows[: queue.budget]
        told = self._take(
            *(queue, rows, number, draws), n_matching=n_matching, reason="", chances=None
        )
        for rank, row in enumerate(rows, start=1):
            s = fresh[row.sample_id]
            draws[row.sample_id] = replace(
                draws[row.sample_id],
                reason=f"{queue.rule}: rank {rank} of {len(rows)} from {n_matching}, labelled "
                f"{s.label!r}; {s.model} says {s.said!r} with probability {s.said_probability:.3g}",
                pick=queue.pick,
                score=1 - s.label_probability,
                rank=rank,
                look=ASKED_AGAIN,
                task_key=task_key(
                    *(self._log.ledger_id, queue.purpose.value, row.sample_id),
                    salt=self._log.salt,
                    look=ASKED_AGAIN,
                ),
            )
        return replace(told, chosen=True)

    def _take(
        self,
        queue: Queue,
        rows: Sequence[Candidate],
        number: int,
        draws: dict[str, Draw],
        *,
        n_matching: int,
        reason: str,
        chances: tuple[float, float] | None,
        inclusion: Callable[[Candidate], float] | None = None,
        n_uniform: int | None = None,
    ) -> QueuePlan:
        """Draw `rows` for a queue.

        chances
            the smallest and the largest inclusion probability; None: not known
        inclusion
            the probability of each row, if they differ
        n_uniform
            how many rows, the first ones, are the simple random part of a blind queue; None: all are
        """
        same = chances[0] if chances and chances[0] == chances[1] else None
        for position, row in enumerate(rows):
            draws[row.sample_id] = new_draw(
                *(self._log, queue, row, number),
                inclusion=inclusion(row) if inclusion else same,
                uniform=queue.evaluates and (n_uniform is None or position < n_uniform),
                position=len(draws),
                reason=reason,
            )
        return QueuePlan(
            queue=queue.name,
            purpose=queue.purpose,
            rule=queue.rule,
            n_matching=n_matching,
            n_drawn=len(rows),
            inclusion=same if rows else None,
            chances=chances if rows and same is None else None,
        )

    def _evaluated(self, plan: _Plan) -> list[str]:
        return [d.sample_id for d in plan.draws if d.queue in self._blind]

    def _not_evaluated(
        self, tx: Transaction, rows: Sequence[Candidate], draws: Mapping[str, Draw]
    ) -> list[Candidate]:
        """The rows that neither this round nor an earlier one drew for evaluation, nor a copy of them.

        No label of a byte-identical copy could train.
        """
        purposes = rounds.purposes_of(tx, [r.sample_id for r in rows])
        walled = {d.content_hash for d in draws.values() if d.queue in self._blind}
        walled |= rounds.contents_drawn_for(tx, Purpose.EVALUATION, [r.content_hash for r in rows])
        return [
            r
            for r in rows
            if Purpose.EVALUATION not in purposes.get(r.sample_id, set())
            and r.content_hash not in walled
        ]

    # --- writing ------------------------------------------------------------------------------

    def _put_skipped(self, tx: Transaction, selected: Selected) -> None:
        if selected.n_skipped:
            rounds.put_skipped(tx, rounds.Skipped(selected.n_skipped, self._clock.now()))

    def _write(self, tx: Transaction, plan: _Plan, selected: Selected) -> None:
        now = self._clock.now()
        assert selected.round is not None  # noqa: S101  a plan is only there with a round
        latest = rounds.latest(tx)
        made = Round(
            round=selected.round,
            frame=plan.frame,
            extra=selected.extra,
            n_frame=plan.n_frame,
            snapshot=self._log.snapshot(),
            created_at=now,
            rival=plan.rival,
            second_look=any(q.second_look for q in self._queues),
        )
        # what was rejected may belong to any time, so an extra round has to reckon with all of it
        since = None if selected.extra or latest is None else latest.created_at
        if plan.risk is not None:
            version = risks.put(tx, plan.risk.rounds, plan.risk.model.to_json(), now)
            made = replace(made, risk_version=version)
        rounds.insert(tx, made, plan.rules, rejects.outside_frames(tx, since))
        rounds.insert_cells(tx, made.round, plan.cells)
        sampling_rates.insert(tx, made.round, plan.rates)
        confidences.insert(tx, made.round, plan.confidences)
        slices.insert(tx, made.round, plan.slices)
        rounds.insert_draws(tx, plan.draws, {q.name: q.purpose for q in self._queues})
        if plan.audits is not None:
            write_audits(tx, plan.audits, made.round, now)
        detail = ", ".join(
            f"{p.queue} {p.n_drawn}" + (" (left out)" if p.left_out else "") for p in plan.plans
        )
        events.record(tx, [events.Event(now, "select", "round", str(made.round), detail)])
        drawn = Notice(
            name="round.drawn",
            subject="rounds",
            key=str(made.round),
            at=now,
            data={
                "round": made.round,
                "extra": made.extra,
                "n_frame": made.n_frame,
                "drawn": {p.queue: p.n_drawn for p in plan.plans},
            },
        )
        outbox.record(tx, [drawn])


def _left_out(queue: Queue, why: ConfigError) -> QueuePlan:
    """The plan of a queue whose rule can't be followed."""
    return QueuePlan(
        queue=queue.name,
        purpose=queue.purpose,
        rule=queue.rule,
        n_matching=0,
        n_drawn=0,
        inclusion=None,
        chosen=True,
        left_out=f"{why.args[0]}; {why.remedy}",
    )


def _confidences(log: PredictionLog, frame: FrameRange, *, sampled: bool) -> dict[int, int]:
    """The frame's traffic by bin of 1 - confidence, without what came with none.

    Where only a share was logged, each row counts as the predictions that it stands for.
    """
    rows: dict[tuple[str, int], int] = {}
    traffic: dict[tuple[str, int], float] = {}
    for r in log.rates(frame) if sampled else ():
        cell = (r.predicted_class, r.risk_bin)
        rows[cell] = rows.get(cell, 0) + r.n
        traffic[cell] = traffic.get(cell, 0.0) + r.n / r.sampling_rate
    counted: dict[int, float] = {}
    for c in log.counts(frame, (Where.parse("confidence IS NOT NULL"),)):
        cell = (c.predicted_class, c.risk_bin)
        each = traffic[cell] / rows[cell] if cell in rows else 1.0
        if c.pattern:
            counted[c.risk_bin] = counted.get(c.risk_bin, 0.0) + c.n * each
    return {number: round(n) for number, n in counted.items()}


def already_trained_on(tx: Transaction, drawn: Sequence[str]) -> tuple[tuple[str, int], ...]:
    """The training versions that hold samples drawn for evaluation, and how many.

    Extra rounds and top-ups can draw what was released before: other rounds draw what is new.
    """
    if not drawn:
        return ()
    found: list[tuple[str, int]] = []
    for version in datasets.every(tx):
        manifest = Path(version.uri) / "manifest.parquet"
        if version.name != "training" or not manifest.exists():
            continue
        held = manifest_file.read(manifest, ["sample_id"], [("sample_id", "in", drawn)])
        if held.num_rows:
            found.append((f"training v{version.version}", held.num_rows))
    return tuple(found)
