"""select --top-up: more labels for rounds that were drawn before, on the same line.

What a round drew stays drawn; a top-up adds the next places of the same frame, or raises the chances of
an uneven draw. The round's numbers then come from all of its draws, as if they had been one.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import timedelta

from labelloop.core import due
from labelloop.core.draw import Draw
from labelloop.core.line import LINE_END
from labelloop.core.queue import Purpose, Queue
from labelloop.core.round import Candidate, Cell, Rival, Round, Span
from labelloop.core.row_range import NO_ROWS
from labelloop.core.task import TaskState
from labelloop.core.top_up import TopUp
from labelloop.errors import ArgumentError
from labelloop.ledger import Ledger, Transaction, certificates, events, risks, rounds
from labelloop.ledger.rounds import DrawWithLabel
from labelloop.ledger.top_ups import TopUps
from labelloop.measuring.audits import MoreAudits, more_audits
from labelloop.measuring.learned_risk import LearnedRisk
from labelloop.ports.clock import Clock
from labelloop.ports.log import PredictionLog
from labelloop.sampling.remaining import likely_cut
from labelloop.sampling.top_up import RaisedDraw, scale_for
from labelloop.statistics.risk import RiskModel
from labelloop.steps.compare.candidate import Candidate as Model
from labelloop.steps.purpose import refuse_changed_purpose
from labelloop.steps.select.differing import differing
from labelloop.steps.select.drawing import new_draw
from labelloop.steps.select.frame import framed
from labelloop.steps.select.select import QueuePlan, Selected, already_trained_on
from labelloop.steps.select.shared_tasks import with_shared_tasks

OpenRival = Callable[[Rival], Model]
"""Opens the candidate that a round was drawn for."""

TO_SEND = (TaskState.DRAWN, TaskState.SENDING)


@dataclass(frozen=True, slots=True)
class _Drawn:
    """A round as it was drawn so far.

    draws
        those for evaluation, without checks of guarantees
    position
        the first free place in the order of sending
    """

    round: Round
    cells: tuple[Cell, ...]
    draws: tuple[DrawWithLabel, ...]
    top_ups: tuple[TopUp, ...]
    position: int

    @property
    def name(self) -> str:
        return f"round {self.round.round}"

    @property
    def first(self) -> list[DrawWithLabel]:
        """What the round itself drew, without top-ups."""
        return [d for d in self.draws if d.drawn_in == self.round.round]

    @property
    def is_uniform(self) -> bool:
        return all(d.uniform for d in self.draws)

    @property
    def n_left(self) -> int:
        """How many samples of its frame it hasn't drawn; of an uneven one on average."""
        if self.is_uniform:
            return self.round.n_frame - len(self.draws)
        scale = self.top_ups[-1].scale if self.top_ups else 1.0
        found = self.raised(scale)
        return round(sum(n * (1 - found.inclusion(cell)) for cell, (n, _) in found.cells.items()))

    def raised(self, scale: float) -> RaisedDraw:
        """Its uneven draw with the first chances multiplied by `scale`."""
        cells: dict[tuple[str, int], tuple[int, float]] = {}
        for c in self.cells:
            name = (c.predicted_class, c.risk_bin)
            cells[name] = (cells.get(name, (0, 0.0))[0] + c.n, c.inclusion or 1.0)
        at_random = [d.line for d in self.first if d.uniform]
        return RaisedDraw(
            cells=cells,
            n_at_random=len(at_random),
            cut=max(at_random, default=None),
            before=self.top_ups[-1].scale if self.top_ups else 1.0,
            scale=scale,
        )


@dataclass(frozen=True, slots=True)
class _Added:
    """What a top-up adds to a round, before it is written."""

    to: _Drawn
    top_up: TopUp
    rule: str
    draws: tuple[Draw, ...]
    plan: QueuePlan


@dataclass(frozen=True, slots=True)
class _Rows:
    """The rows that a top-up draws, in the order of sending, and what becomes of the chances."""

    rows: Sequence[Candidate]
    scale: float
    at_random: float
    inclusion: Callable[[Candidate], float]
    chances: tuple[float, float]


class TopUpRounds:
    """Draws more of rounds."""

    def __init__(
        self,
        ledger: Ledger,
        log: PredictionLog,
        queues: Sequence[Queue],
        *,
        open_rival: OpenRival,
        every: timedelta,
        clock: Clock,
    ) -> None:
        self._ledger = ledger
        self._log = log
        self._queues = queues
        self._open_rival = open_rival
        self._every = every
        self._clock = clock

    def run(self, numbers: Sequence[int], *, labels: int, dry_run: bool = False) -> Selected:
        """Draw `labels` more samples of rounds, shared among them in proportion to their traffic.

        The same top-up again draws nothing while the one before waits to be sent. `dry_run` writes
        nothing.

        Raises:
            ArgumentError: a round that can't be topped up, or that has fewer samples left.
        """
        queue = self._queue(labels)
        if dry_run:
            with self._ledger.read() as tx:
                return self._selected(tx, self._planned(tx, queue, numbers, labels), shown=True)
        with self._ledger.lease("select") as lease:
            with self._ledger.read() as tx:
                before = self._waiting(tx, numbers, labels)
                if before is not None:
                    return before
                added = self._planned(tx, queue, numbers, labels)
                selected = self._selected(tx, added, shown=False)
            with self._ledger.write(lease) as tx:
                for one in added:
                    self._write(tx, one)
        return selected

    def check(self, number: int, *, labels: int, dry_run: bool = False) -> Selected:
        """Check about `labels` more of the model's labels for the open guarantee of a round.

        The checks are drawn in all rounds of the guarantee, in proportion to their traffic, within the part
        under test. The same call again draws nothing while the checks wait to be sent.

        Raises:
            ArgumentError: no open guarantee audited the round, or it has fewer predictions left.
        """
        queue = self._queue(labels)
        with self._ledger.read() as tx:
            _drawn(tx, number)
            if dry_run:
                return self._selected(tx, self._checks(tx, queue, number, labels)[1], shown=True)
        with self._ledger.lease("select") as lease:
            with self._ledger.read() as tx:
                before = self._checks_waiting(tx, number, labels)
                if before is not None:
                    return before
                more, added = self._checks(tx, queue, number, labels)
                selected = self._selected(tx, added, shown=False)
            with self._ledger.write(lease) as tx:
                for one in added:
                    self._write(tx, one)
                certificates.put(tx, more.guarantee)
        return selected

    def _checks_waiting(self, tx: Transaction, number: int, labels: int) -> Selected | None:
        """The same checks, if they are the newest that the round's guarantee drew and wait to be sent."""
        one = _drawn(tx, number)
        if not one.top_ups:
            return None
        newest = one.top_ups[-1].round
        if _checks_rule(labels) not in rounds.rules_of(tx, newest).values():
            return None
        every = rounds.draws_with_labels(tx, Purpose.EVALUATION, number)
        own = [d for d in every if d.drawn_in == newest]
        if not any(d.state in TO_SEND for d in own):
            return None
        plan = _plan(_checks_rule(labels), one.round.n_frame - len(one.draws), own)
        return self._told(tx, [one], newest, [plan], repeated=True)

    def _checks(
        self, tx: Transaction, queue: Queue, number: int, labels: int
    ) -> tuple[MoreAudits, list[_Added]]:
        frames = {r.round: r.frame for r in rounds.every(tx)}
        more = more_audits(tx, self._log, number, frames, labels)
        first = rounds.next_number(tx)
        added: list[_Added] = []
        for of, rows in more.rows.items():
            if rows:
                one = _drawn(tx, of)
                added.append(self._checks_of(tx, queue, one, more, first + len(added), labels))
        return more, added

    def _checks_of(
        self,
        tx: Transaction,
        queue: Queue,
        one: _Drawn,
        more: MoreAudits,
        number: int,
        labels: int,
    ) -> _Added:
        rows, rule = more.rows[one.round.round], _checks_rule(labels)
        draws = [
            replace(
                new_draw(
                    *(self._log, queue, row, number),
                    inclusion=more.inclusion(row),
                    uniform=False,
                    position=one.position + i,
                    reason=f"{rule} within {more.within:g} of the traffic, the surest first, for guarantee "
                    f"{more.guarantee.id}",
                ),
                within=more.counts_for[row.sample_id],
                audit_only=True,
            )
            for i, row in enumerate(rows)
        ]
        before = one.top_ups[-1] if one.top_ups else None
        chances = [more.inclusion(row) for row in rows]
        low, high = min(chances), max(chances)
        return _Added(
            to=one,
            # the draw for the accuracy stays as it is
            top_up=TopUp(
                round=number,
                of=one.round.round,
                scale=before.scale if before else 1.0,
                at_random=before.at_random if before else 0.0,
            ),
            rule=rule,
            draws=with_shared_tasks(tx, draws, {queue.name: queue.purpose}),
            plan=QueuePlan(
                queue=queue.name,
                purpose=queue.purpose,
                rule=rule,
                n_matching=one.round.n_frame - len(one.draws),
                n_drawn=len(draws),
                inclusion=low if low == high else None,
                chances=None if low == high else (low, high),
            ),
        )

    def _queue(self, labels: int) -> Queue:
        """The queue that a top-up goes to; refuse a number of labels that makes no sense."""
        queue = next((q for q in self._queues if q.evaluates), None)
        if queue is None:
            raise ArgumentError(
                "no queue has purpose 'evaluation': a top-up asks for blind answers",
                remedy="add one to the settings",
            )
        if labels < 1:
            raise ArgumentError(
                f"labels = {labels}: expected 1 or more", remedy="name the number to add: 100"
            )
        with self._ledger.read() as tx:
            refuse_changed_purpose(tx, self._queues)
        return queue

    # --- what is there ------------------------------------------------------------------------

    def _waiting(self, tx: Transaction, numbers: Sequence[int], labels: int) -> Selected | None:
        """The same top-up, if it is each round's newest and still waits to be sent.

        So a run that was killed, or whose end nobody saw, may be repeated.
        """
        parts = _shared(labels, [_drawn(tx, number) for number in dict.fromkeys(numbers)])
        plans: list[QueuePlan] = []
        waiting = False
        for one, part in parts:
            newest = one.top_ups[-1].round if one.top_ups else None
            rule = _rule(part, one)
            if newest is None or rule not in rounds.rules_of(tx, newest).values():
                return None
            own = [d for d in one.draws if d.drawn_in == newest]
            waiting |= any(d.state in TO_SEND for d in own)
            plans.append(_plan(rule, one.round.n_frame - len(one.draws), own))
        if not waiting:
            return None
        first = parts[0][0].top_ups[-1].round
        return self._told(tx, [one for one, _ in parts], first, plans, repeated=True)

    # --- which rows ---------------------------------------------------------------------------

    def _planned(
        self, tx: Transaction, queue: Queue, numbers: Sequence[int], labels: int
    ) -> list[_Added]:
        parts = _shared(labels, [_drawn(tx, number) for number in dict.fromkeys(numbers)])
        number = rounds.next_number(tx)
        return [
            self._of_round(tx, queue, one, part, number + i) for i, (one, part) in enumerate(parts)
        ]

    def _of_round(
        self, tx: Transaction, queue: Queue, one: _Drawn, labels: int, number: int
    ) -> _Added:
        _check_left(one, one.n_left, labels)
        if not one.is_uniform:
            found = self._raised(tx, one, labels)
        elif one.round.rival is not None:
            found = self._next(one, labels, self._differing(one, one.round.rival, labels))
        else:
            found = self._next(one, labels, self._smallest(one, labels))
        rule = _rule(labels, one)
        n = len(one.draws) + len(found.rows)
        draws = [
            new_draw(
                *(self._log, queue, row, number),
                inclusion=found.inclusion(row),
                uniform=one.is_uniform,
                position=one.position + i,
                reason=f"{rule}: {n} of {one.round.n_frame} by now",
            )
            for i, row in enumerate(found.rows)
        ]
        same = found.chances[0] if found.chances[0] == found.chances[1] else None
        return _Added(
            to=one,
            top_up=TopUp(
                round=number, of=one.round.round, scale=found.scale, at_random=found.at_random
            ),
            rule=rule,
            draws=with_shared_tasks(tx, draws, {queue.name: queue.purpose}),
            plan=QueuePlan(
                queue=queue.name,
                purpose=queue.purpose,
                rule=rule,
                n_matching=one.round.n_frame - len(one.draws),
                n_drawn=len(draws),
                inclusion=same,
                chances=None if same is not None else found.chances,
            ),
        )

    def _next(self, one: _Drawn, labels: int, ordered: Sequence[Candidate]) -> _Rows:
        """The next places of a random sample."""
        taken = {d.sample_id for d in one.draws}
        left = [row for row in ordered if row.sample_id not in taken]
        _check_left(one, len(left), labels)
        chance = (len(one.draws) + labels) / one.round.n_frame
        return _Rows(
            rows=left[:labels],
            scale=chance * one.round.n_frame / len(one.first),
            at_random=0.0,
            inclusion=lambda _row: chance,
            chances=(chance, chance),
        )

    def _smallest(self, one: _Drawn, labels: int) -> list[Candidate]:
        """The smallest places of the frame: those drawn, and as many more as are asked for."""
        cut = likely_cut(len(one.draws) + labels, one.round.n_frame)
        taken = {d.sample_id for d in one.draws}
        while True:
            rows = self._log.rows(one.round.frame, (), [Span(pattern=0, above=-1, up_to=cut)])
            n_left = sum(row.sample_id not in taken for row in rows)
            if n_left >= labels or cut == LINE_END - 1:
                return sorted(rows, key=lambda row: (row.line, row.sample_id))
            cut = min(2 * cut + 1, LINE_END - 1)

    def _differing(self, one: _Drawn, rival: Rival, labels: int) -> Sequence[Candidate]:
        """The smallest places of what the candidate of the round answers differently."""
        model = self._open_rival(rival)
        found = differing(self._log, one.round.frame, model, n_first=len(one.draws) + labels)
        if found.n > one.round.n_frame or found.n_both > rival.n_both:
            raise ArgumentError(
                f"{rival.name} has answered more of the traffic of {one.name} since it was drawn: "
                f"{found.n_both:,} samples, then {rival.n_both:,}",
                remedy="draw a new round, which holds the samples of this one: labelloop select with "
                "--shadow or --candidate",
            )
        return self._log.rows_of(one.round.frame, (), found.first)

    def _raised(self, tx: Transaction, one: _Drawn, labels: int) -> _Rows:
        """What the chances draw when they are raised together."""
        before = one.raised(1.0)
        scale = scale_for(
            [chance for _, chance in before.cells.values()],
            [n for n, _ in before.cells.values()],
            labels,
            scale=before.before,
            at_random=before.at_random,
        )
        design = one.raised(scale)
        with framed(self._log, one.round.frame, (), _risk(tx, one.round)) as traffic:
            for c in traffic.counts():
                if c.n > design.cells.get((c.predicted_class, c.risk_bin), (0, 0.0))[0]:
                    raise ArgumentError(
                        f"the risk of {one.name} can't be computed as it was when it was drawn: there are "
                        f"{c.n:,} predictions of {c.predicted_class!r} with a risk near "
                        f"{(c.risk_bin + 0.5) / 1024:.3f}, more than then",
                        remedy="draw a new round for more labels: labelloop select --now",
                    )
            rows = traffic.rows(design.spans())
        taken = {d.sample_id for d in one.draws}
        chances = [design.inclusion(cell) for cell in design.cells]
        return _Rows(
            rows=[row for row in design.in_order(rows) if row.sample_id not in taken],
            scale=scale,
            at_random=design.at_random,
            inclusion=lambda row: design.inclusion((row.predicted_class, row.risk_bin)),
            chances=(min(chances), max(chances)),
        )

    # --- what is told and written -------------------------------------------------------------

    def _selected(self, tx: Transaction, added: Sequence[_Added], *, shown: bool) -> Selected:
        number = None if shown else added[0].top_up.round
        drawn = [one.to for one in added]
        ids = [d.sample_id for one in added for d in one.draws]
        plans = [one.plan for one in added]
        return self._told(tx, drawn, number, plans, trained=already_trained_on(tx, ids))

    def _told(
        self,
        tx: Transaction,
        drawn: Sequence[_Drawn],
        number: int | None,
        plans: Sequence[QueuePlan],
        *,
        trained: tuple[tuple[str, int], ...] = (),
        repeated: bool = False,
    ) -> Selected:
        latest = rounds.latest(tx)
        return Selected(
            round=number,
            extra=all(one.round.extra for one in drawn),
            plans=tuple(plans),
            n_frame=sum(one.round.n_frame for one in drawn),
            n_skipped=0,
            due_at=due.next_round_at(latest.created_at if latest else None, self._every)
            or self._clock.now(),
            due=True,
            already_trained=trained,
            tops_up=tuple(one.round.round for one in drawn),
            repeated=repeated,
        )

    def _write(self, tx: Transaction, one: _Added) -> None:
        now, of = self._clock.now(), one.to.round
        made = Round(
            round=one.top_up.round,
            frame=of.frame,
            extra=of.extra,
            n_frame=of.n_frame,
            snapshot=self._log.snapshot(),
            created_at=now,
            risk_version=of.risk_version,
            rival=of.rival,
            second_look=of.second_look,
            top_up=one.top_up,
        )
        rounds.insert(tx, made, {one.plan.queue: one.rule}, NO_ROWS)
        rounds.insert_draws(tx, one.draws, {one.plan.queue: one.plan.purpose})
        detail = f"{one.plan.queue} {one.plan.n_drawn}, {one.rule}"
        events.record(tx, [events.Event(now, "select", "round", str(made.round), detail)])


def _drawn(tx: Transaction, number: int) -> _Drawn:
    """A round that may be topped up.

    Raises:
        ArgumentError: it may not.
    """
    found = rounds.by_number(tx, number)
    if found is None:
        newest = rounds.next_number(tx) - 1
        raise ArgumentError(
            f"there is no round {number}"
            + (f": the newest is round {newest}" if newest else ", and none was drawn yet"),
            remedy="`labelloop measure --all` lists the rounds",
        )
    if found.top_up is not None:
        raise ArgumentError(
            f"{number} is a top-up of round {found.top_up.of}, not a round",
            remedy=f"top up the round: labelloop select --top-up {found.top_up.of}",
        )
    if number in rounds.released(tx):
        raise ArgumentError(
            f"round {number} was released: its evaluation labels may train, so it measures nothing new",
            remedy="top up a newer round",
        )
    every = list(rounds.draws_with_labels(tx, Purpose.EVALUATION, number))
    draws = tuple(d for d in every if d.inclusion is not None and not d.audit_only)
    cells = tuple(c for c in rounds.cells_of(tx, number) if c.inclusion is not None)
    if not draws or not cells:
        raise ArgumentError(
            f"round {number} drew nothing for evaluation with a known chance",
            remedy="top up a round that `labelloop measure --all` lists with an accuracy",
        )
    return _Drawn(
        found, cells, draws, TopUps.read(tx).of(number), 1 + max(d.position for d in every)
    )


def _shared(labels: int, drawn: Sequence[_Drawn]) -> list[tuple[_Drawn, int]]:
    """The labels of each round, in proportion to their traffic, by the largest remainder.

    Rounds that get none are left out.
    """
    total = sum(one.round.n_frame for one in drawn)
    exact = [labels * one.round.n_frame / total for one in drawn]
    parts = [int(share) for share in exact]
    by_rest = sorted(range(len(drawn)), key=lambda i: (parts[i] - exact[i], i))
    for i in by_rest[: labels - sum(parts)]:
        parts[i] += 1
    return [(one, part) for one, part in zip(drawn, parts, strict=True) if part]


def _check_left(one: _Drawn, n_left: int, labels: int) -> None:
    if labels > n_left:
        raise ArgumentError(
            f"{one.name} has {one.round.n_frame:,} samples, of which {max(0, n_left):,} are left to "
            f"draw: expected at most so many labels, not {labels:,}",
            remedy=f"--labels {n_left} draws all of them"
            if n_left > 0
            else "more labels come with the next round",
        )


def _checks_rule(labels: int) -> str:
    return f"{labels} more checks of the model's labels"


def _rule(labels: int, one: _Drawn) -> str:
    return f"{labels} more of {one.name}"


def _plan(rule: str, n_left: int, own: Sequence[DrawWithLabel]) -> QueuePlan:
    """The plan of a top-up that was drawn before."""
    chances = [d.inclusion or 1.0 for d in own] or [1.0]
    low, high = min(chances), max(chances)
    return QueuePlan(
        queue=own[0].queue if own else "",
        purpose=Purpose.EVALUATION,
        rule=rule,
        n_matching=n_left + len(own),
        n_drawn=len(own),
        inclusion=low if low == high else None,
        chances=None if low == high else (low, high),
    )


def _risk(tx: Transaction, of: Round) -> LearnedRisk | None:
    """The risk that a round was drawn by; None: 1 - confidence."""
    if of.risk_version is None:
        return None
    kept = risks.get(tx, of.risk_version)
    return LearnedRisk(RiskModel.from_json(kept.params), kept.rounds)
