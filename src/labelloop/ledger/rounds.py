"""Rounds, their cells and their draws: written in one transaction, never changed."""

import json
from collections import Counter, defaultdict, namedtuple
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import chain, groupby
from operator import itemgetter
from typing import Any

import sqlalchemy as sa

from labelloop.core.draw import Draw
from labelloop.core.looks import Look, Referees, Replies, Reply, awaits_referee, confirmed
from labelloop.core.queue import Purpose
from labelloop.core.round import Cell, FrameRange, Rival, Round
from labelloop.core.row_range import RowRange
from labelloop.core.task import WITHOUT_ANSWER, TaskState
from labelloop.core.top_up import TopUp
from labelloop.ledger import classes, cursors, looks, task_counts
from labelloop.ledger import tables as t
from labelloop.ledger.database import Transaction
from labelloop.ledger.queries import per_statement
from labelloop.ledger.top_ups import TopUps

_CHUNK = 500
_RELEASED = "rounds released before"


@dataclass(frozen=True, slots=True)
class DrawWithLabel:
    """A draw beside the state and the label of its task.

    sampling_rate
        the share of traffic like it that was logged
    round, drawn_in
        the round that it belongs to; and the number of the top-up that drew it, or again of the round
    inclusion
        its chance by now: a top-up raises the chances of all draws of its round
    label
        the answer that holds: the task's label, or what second looks made of it
    labelled_at
        when the task first had a label; later edits don't change it
    replies
        the answers that count of its looks; None where its round has no second looks
    awaits_referee
        it is a check for a guarantee, answered, but not yet by a referee or not settled
    forgotten
        the sample was forgotten: `sample_id` is a hash, and what it looked like isn't known any more
    """

    round: int
    queue: str
    sample_id: str
    task_key: str
    purpose: Purpose
    predicted_at: datetime
    predicted_class: str | None
    confidence: float | None
    model: str
    content_hash: str
    line: int
    risk: float | None
    inclusion: float | None
    uniform: bool
    position: int
    state: TaskState
    label: str | None
    labelled_at: datetime | None
    margin: float | None
    attributes: Mapping[str, str]
    within: float | None = None
    audit_only: bool = False
    awaits_referee: bool = False
    forgotten: bool = False
    replies: Replies | None = None
    drawn_in: int = 0
    sampling_rate: float = 1.0


def insert(tx: Transaction, made: Round, rules: Mapping[str, str], set_aside: RowRange) -> None:
    """Write a round; its cells and draws follow in the same transaction."""
    tx.execute(
        t.rounds.insert().values(
            round=made.round,
            batch_from=made.frame.batch_after,
            batch_to=made.frame.batch_to,
            since=made.frame.since,
            until=made.frame.until,
            extra=made.extra,
            rules_json=json.dumps(rules, ensure_ascii=False),
            risk_version=made.risk_version,
            snapshot=made.snapshot,
            n_frame=made.n_frame,
            n_set_aside=set_aside.least,
            n_set_aside_most=set_aside.most,
            created_at=made.created_at,
            rival=made.rival.name if made.rival else None,
            rival_digest=made.rival.digest if made.rival else None,
            n_both=made.rival.n_both if made.rival else None,
            second_look=made.second_look,
            tops_up=made.top_up.of if made.top_up else None,
            scale=made.top_up.scale if made.top_up else None,
            at_random=made.top_up.at_random if made.top_up else None,
        )
    )


def insert_cells(tx: Transaction, round_number: int, cells: Sequence[Cell]) -> None:
    """Write the histogram of a round's frame."""
    if cells:
        tx.execute(
            t.cells.insert(),
            [
                {
                    "round": round_number,
                    "queue": c.queue,
                    "predicted_class": c.predicted_class,
                    "risk_bin": c.risk_bin,
                    "n": c.n,
                    "cut": c.cut,
                    "risk": c.risk,
                    "inclusion": c.inclusion,
                }
                for c in cells
            ],
        )


def insert_draws(tx: Transaction, draws: Sequence[Draw], purposes: Mapping[str, Purpose]) -> int:
    """Write draws, and the tasks that they name and that there aren't yet; returns how many those are.

    A new task is that of the first draw that names it.
    """
    if not draws:
        return 0
    tx.execute(
        t.draws.insert(),
        [
            {
                "round": d.round,
                "sample_id": d.sample_id,
                "model": d.model,
                "queue": d.queue,
                "predicted_at": d.predicted_at,
                "predicted_class": d.predicted_class,
                "confidence": d.confidence,
                "corrected_class": d.corrected_class,
                "flagged": d.flagged,
                "margin": d.margin,
                "attributes_json": json.dumps(dict(d.attributes), ensure_ascii=False)
                if d.attributes
                else None,
                "risk": d.risk,
                "line": d.line,
                "inclusion": d.inclusion,
                "uniform": d.uniform,
                "within": d.within,
                "audit_only": d.audit_only,
                "pick": d.pick,
                "score": d.score,
                "rank": d.rank,
                "represents": d.represents,
                "position": d.position,
                "reason": d.reason,
                "content_hash": d.content_hash,
                "task_key": d.task_key,
                "sampling_rate": d.sampling_rate,
            }
            for d in draws
        ],
    )
    keys = [d.task_key for d in draws]
    shared: set[str] = set()
    for start in range(0, len(keys), _CHUNK):
        chunk = keys[start : start + _CHUNK]
        shared.update(
            tx.execute(sa.select(t.tasks.c.task_key).where(t.tasks.c.task_key.in_(chunk))).scalars()
        )
    fresh = {d.task_key: d for d in reversed(draws) if d.task_key not in shared}
    if fresh:
        tx.execute(
            t.tasks.insert(),
            [
                {
                    "task_key": d.task_key,
                    "sample_id": d.sample_id,
                    "uri": d.uri,
                    "queue": d.queue,
                    "purpose": purposes[d.queue].value,
                    "look": d.look,
                    "answers_wanted": d.answers_wanted,
                    "attempt": 0,
                    "state": TaskState.DRAWN.value,
                }
                for d in fresh.values()
            ],
        )
        task_counts.count_new(tx, ((d.queue, purposes[d.queue]) for d in fresh.values()))
    return len(fresh)


def every(tx: Transaction) -> list[Round]:
    """All rounds, oldest first. Top-ups are none: their draws are those of the rounds they continue."""
    own = sa.select(t.rounds).where(t.rounds.c.tops_up.is_(None))
    return [_round(r) for r in tx.execute(own.order_by(t.rounds.c.round))]


def by_number(tx: Transaction, number: int) -> Round | None:
    """The round, or the top-up, with this number."""
    row = tx.execute(sa.select(t.rounds).where(t.rounds.c.round == number)).one_or_none()
    return None if row is None else _round(row)


def rules_of(tx: Transaction, number: int) -> dict[str, str]:
    """The rule of each queue, in words, when a round or a top-up was drawn."""
    text = tx.execute(sa.select(t.rounds.c.rules_json).where(t.rounds.c.round == number))
    rules: dict[str, str] = json.loads(text.scalar_one())
    return rules


def latest(tx: Transaction) -> Round | None:
    """The newest round that isn't an extra one."""
    row = tx.execute(
        sa.select(t.rounds)
        .where(~t.rounds.c.extra, t.rounds.c.tops_up.is_(None))
        .order_by(t.rounds.c.round.desc())
        .limit(1)
    ).one_or_none()
    return None if row is None else _round(row)


def next_number(tx: Transaction) -> int:
    """The number that the next round gets."""
    return 1 + int(
        tx.execute(sa.select(sa.func.coalesce(sa.func.max(t.rounds.c.round), 0))).scalar_one()
    )


_SKIPPED = "skipped by the first round"


@dataclass(frozen=True, slots=True)
class Skipped:
    """How many predictions were too old for the first round, and when that was found."""

    n: int
    at: datetime


def put_skipped(tx: Transaction, found: Skipped) -> None:
    """Record how many predictions the first round skips; until one is drawn, again each time."""
    cursors.put(tx, _SKIPPED, f"{found.n} {found.at.isoformat()}")


def skipped(tx: Transaction) -> Skipped | None:
    """How many predictions the first round skipped; None: none."""
    n, _, at = (cursors.get(tx, _SKIPPED) or "").partition(" ")
    return Skipped(int(n), datetime.fromisoformat(at)) if at else None


def n_rejected(tx: Transaction, numbers: Collection[int] | None = None) -> dict[int, RowRange]:
    """How many predictions of each round's time were rejected when it was drawn; of some or of all."""
    c = t.rounds.c
    query = sa.select(c.round, c.n_set_aside, c.n_set_aside_most)
    if numbers is not None:
        query = query.where(c.round.in_(numbers))
    rows = tx.execute(query)
    return {number: RowRange(least, most) for number, least, most in rows}


def cells_of(tx: Transaction, round_number: int) -> list[Cell]:
    """The histogram kept with a round, in an order that is the same on every database."""
    present = classes.renamed(tx)
    c = t.cells.c
    columns = (c.queue, c.predicted_class, c.risk_bin, c.n, c.cut, c.risk, c.inclusion)
    rows = tx.execute(sa.select(*columns).where(c.round == round_number)).all()
    found = [Cell(queue, present.get(said, said), *rest) for queue, said, *rest in rows]
    return sorted(found, key=itemgetter(0, 1, 2))  # queue, class and bin


BlindCell = tuple[str, int, int, float | None, float]
"""The class, bin of risk, number of samples, risk and chance of a cell that blind draws come from."""


def blind_cells(
    tx: Transaction, numbers: Collection[int] | None = None
) -> dict[int, Sequence[BlindCell]]:
    """The cells of rounds that have a chance, of some rounds or of all; in no particular order."""
    present = classes.renamed(tx)
    c = t.cells.c
    query = sa.select(c.round, c.predicted_class, c.risk_bin, c.n, c.risk, c.inclusion)
    query = query.where(c.inclusion.is_not(None)).order_by(c.round)
    if numbers is not None:
        query = query.where(c.round.in_(numbers))
    # ledgers hold millions: rows stay rows
    by_round = groupby(tx.execute(query).all(), itemgetter(0))
    return {
        number: [(present.get(said, said), *rest) for _, said, *rest in rows]
        if present
        else [r[1:] for r in rows]
        for number, rows in by_round
    }


_WITH_LABEL = (
    *t.draws.c,
    t.tasks.c.purpose,
    t.tasks.c.state,
    t.tasks.c.forgotten_at,
    t.tasks.c.sample_id.label("asked_about"),
    t.labels.c.label,
    t.labels.c.annotator,
    t.labels.c.first_at,
)
# SQLAlchemy looks up each column of each row by its name, which takes longer than all the rest
_RowWithLabel: Any = namedtuple("_RowWithLabel", [c.name for c in _WITH_LABEL])  # type: ignore[misc]


def draws_with_labels(
    tx: Transaction,
    purpose: Purpose | None = None,
    of: int | Collection[int] | None = None,
    *,
    looked_at_again: bool = False,
) -> Iterator[DrawWithLabel]:
    """The draws with the state and the label of their tasks, by round, queue and position.

    The draws of top-ups belong to the rounds that they continue, and follow their first draws.

    of
        the round, or the rounds; None: all
    looked_at_again
        only those with an answer at a further look
    """
    query = (
        sa.select(*_WITH_LABEL)
        .join(t.tasks, t.tasks.c.task_key == t.draws.c.task_key)
        .outerjoin(t.labels, t.labels.c.task_key == t.draws.c.task_key)
        .order_by(t.draws.c.round, t.draws.c.queue, t.draws.c.position)
    )
    if purpose is not None:
        own = [queue for queue, to in task_counts.purposes(tx).items() if purpose in to]
        query = query.where(t.tasks.c.purpose == purpose.value, t.draws.c.queue.in_(own))
    top_ups = TopUps.read(tx)
    own_numbers = None if of is None else top_ups.with_own([of] if isinstance(of, int) else of)
    if looked_at_again:
        query = query.where(t.tasks.c.sample_id.in_(looks.sample_ids()))
    # one round at a time: a planner that is asked for many reads whole tables
    queries = (
        [query]
        if own_numbers is None
        else [query.where(t.draws.c.round == number) for number in own_numbers]
    )
    present = classes.renamed(tx)
    with_looks = looks.rounds_with(tx)
    further = looks.replies(tx, own_numbers) if with_looks else {}
    referees = looks.referees(tx) if with_looks else Referees()
    found = chain.from_iterable(rows for q in queries for rows in tx.execute(q).partitions(_CHUNK))
    as_named: Callable[[Any], Any] = _RowWithLabel._make
    for r in map(as_named, found):
        predicted = present.get(r.predicted_class, r.predicted_class)
        label = present.get(r.label, r.label)
        replies, waits = None, False
        number = top_ups.round_of(r.round)
        if number in with_looks and r.purpose == Purpose.EVALUATION:
            first = {}
            if label is not None:
                by_referee = r.annotator in referees.at(r.first_at)
                first = {Look.FIRST: Reply(label, r.annotator, by_referee)}
            replies = {**further.get(r.asked_about, {}), **first}
            label = confirmed(replies, predicted)
            waits = (
                label is not None
                and r.within is not None
                and awaits_referee(replies, predicted, referees=referees.decide_of(r.first_at))
            )
        yield DrawWithLabel(
            round=number,
            drawn_in=r.round,
            sampling_rate=r.sampling_rate or 1.0,
            queue=r.queue,
            sample_id=r.sample_id,
            task_key=r.task_key,
            purpose=Purpose(r.purpose),
            predicted_at=r.predicted_at,
            predicted_class=predicted,
            confidence=r.confidence,
            model=r.model,
            content_hash=r.content_hash,
            line=r.line,
            risk=r.risk,
            inclusion=top_ups.inclusion(r.round, r.inclusion)
            if r.purpose == Purpose.EVALUATION and not r.audit_only
            else r.inclusion,
            uniform=r.uniform,
            within=r.within,
            audit_only=bool(r.audit_only),
            awaits_referee=waits,
            position=r.position,
            state=TaskState(r.state),
            label=label,
            labelled_at=r.first_at,
            replies=replies,
            margin=r.margin,
            attributes=json.loads(r.attributes_json) if r.attributes_json else {},
            # a copy that shares the task of a forgotten sample is known all the same
            forgotten=r.forgotten_at is not None and r.asked_about == r.sample_id,
        )


@dataclass(frozen=True, slots=True)
class Answered:
    """How many draws a queue has in a round, with a label, and without one for good."""

    queue: str
    purpose: Purpose
    n_drawn: int
    n_labelled: int
    n_without: int


def answered(tx: Transaction, round_number: int) -> list[Answered]:
    """What became of the draws of a round, its top-ups included, by queue."""
    d, task = t.draws.c, t.tasks.c
    labelled = t.labels.c.task_key.is_not(None)
    without = ~labelled & task.state.in_([s.value for s in WITHOUT_ANSWER])
    rows = tx.execute(
        sa.select(
            d.queue,
            sa.func.min(task.purpose).label("purpose"),
            sa.func.count().label("n"),
            sa.func.sum(sa.case((labelled, 1), else_=0)).label("n_labelled"),
            sa.func.sum(sa.case((without, 1), else_=0)).label("n_without"),
        )
        .join(t.tasks, task.task_key == d.task_key)
        .outerjoin(t.labels, t.labels.c.task_key == d.task_key)
        .where(d.round.in_(TopUps.read(tx).with_own([round_number])))
        .group_by(d.queue)
        .order_by(d.queue)
    )
    return [
        Answered(r.queue, Purpose(r.purpose), int(r.n), int(r.n_labelled), int(r.n_without))
        for r in rows
    ]


@dataclass(frozen=True, slots=True)
class Whereabouts:
    """So many draws of a queue whose tasks are in one state.

    of_copy
        the task is that of a byte-identical copy
    asked_before
        it was made for an earlier round, or for another queue
    """

    queue: str
    state: TaskState
    of_copy: bool
    asked_before: bool
    n: int


def whereabouts(tx: Transaction, round_number: int) -> list[Whereabouts]:
    """What became of the draws of a round, by queue."""
    d, task = t.draws.c, t.tasks.c
    drawn = tx.execute(
        sa.select(d.task_key, d.queue, d.sample_id).where(
            d.round.in_(TopUps.read(tx).with_own([round_number]))
        )
    ).all()
    states: dict[str, tuple[str, str]] = {}
    places: defaultdict[str, set[tuple[int, str]]] = defaultdict(set)
    for keys in per_statement(sorted({one.task_key for one in drawn})):
        asked = sa.select(task.task_key, task.sample_id, task.state)
        for r in tx.execute(asked.where(task.task_key.in_(keys))):
            states[r.task_key] = (r.sample_id, r.state)
        for r in tx.execute(sa.select(d.task_key, d.round, d.queue).where(d.task_key.in_(keys))):
            places[r.task_key].add((r.round, r.queue))
    counts: Counter[tuple[str, str, bool, bool]] = Counter()
    for one in drawn:
        sample_id, state = states[one.task_key]
        before = any(
            number < round_number or (number == round_number and queue != one.queue)
            for number, queue in places[one.task_key]
        )
        counts[one.queue, state, sample_id != one.sample_id, before] += 1
    return [
        Whereabouts(queue, TaskState(state), of_copy, asked_before, n)
        for (queue, state, of_copy, asked_before), n in sorted(counts.items())
    ]


def purposes_of(tx: Transaction, sample_ids: Sequence[str]) -> dict[str, set[Purpose]]:
    """For those of `sample_ids` that were drawn, the purposes they were drawn for."""
    found: dict[str, set[Purpose]] = {}
    for start in range(0, len(sample_ids), _CHUNK):
        rows = tx.execute(
            sa.select(t.draws.c.sample_id, t.tasks.c.purpose)
            .join(t.tasks, t.tasks.c.task_key == t.draws.c.task_key)
            .where(t.draws.c.sample_id.in_(sample_ids[start : start + _CHUNK]))
        )
        for sample_id, purpose in rows:
            found.setdefault(sample_id, set()).add(Purpose(purpose))
    return found


def drawn_samples(tx: Transaction) -> list[str]:
    """Every sample that any round drew."""
    return list(tx.execute(sa.select(t.draws.c.sample_id).distinct()).scalars())


def contents_drawn_for(
    tx: Transaction, purpose: Purpose, content_hashes: Sequence[str]
) -> set[str]:
    """Those of some content hashes of which a sample was drawn for a purpose."""
    found: set[str] = set()
    for start in range(0, len(content_hashes), _CHUNK):
        found.update(
            tx.execute(
                sa.select(t.draws.c.content_hash)
                .join(t.tasks, t.tasks.c.task_key == t.draws.c.task_key)
                .where(
                    t.draws.c.content_hash.in_(content_hashes[start : start + _CHUNK]),
                    t.tasks.c.purpose == purpose.value,
                )
            ).scalars()
        )
    return found


def release_before(tx: Transaction, at: datetime) -> list[int]:
    """Release the rounds that were made before `at`, for good; returns those that weren't yet.

    The newest regular round stays, for there would be no judge left.
    """
    before, newest = released(tx), latest(tx)
    if newest is None:
        return []
    until = min(at, newest.created_at)
    made = [r.round for r in every(tx) if r.created_at < until and r.round not in before]
    if made:
        cursors.put(tx, _RELEASED, until.isoformat())
    return made


def released(tx: Transaction) -> frozenset[int]:
    """The rounds whose evaluation labels may train, and so judge no more."""
    value = cursors.get(tx, _RELEASED)
    if value is None:
        return frozenset()
    until = datetime.fromisoformat(value)
    return frozenset(r.round for r in every(tx) if r.created_at < until)


def evaluation_samples(tx: Transaction) -> tuple[set[str], set[str]]:
    """The samples that rounds drew for evaluation, and their content hashes; released ones left out.

    A sample that a released round and another one drew is the other one's. What forgotten samples
    looked like isn't known any more.
    """
    rows = tx.execute(
        sa.select(t.draws.c.sample_id, t.draws.c.content_hash, t.tasks.c.forgotten_at)
        .join(t.tasks, t.tasks.c.task_key == t.draws.c.task_key)
        .where(
            t.tasks.c.purpose == Purpose.EVALUATION.value,
            t.draws.c.round.not_in(TopUps.read(tx).with_own(released(tx))),
        )
        .distinct()
    ).all()
    known = {r.content_hash for r in rows if r.forgotten_at is None}
    return {r.sample_id for r in rows}, known


def _round(r: sa.Row[tuple[object, ...]]) -> Round:
    return Round(
        round=r.round,
        frame=FrameRange(
            batch_after=r.batch_from, batch_to=r.batch_to, since=r.since, until=r.until
        ),
        extra=r.extra,
        n_frame=r.n_frame,
        snapshot=r.snapshot,
        created_at=r.created_at,
        risk_version=r.risk_version,
        rival=Rival(name=r.rival, digest=r.rival_digest, n_both=r.n_both) if r.rival else None,
        second_look=r.second_look,
        top_up=TopUp(round=r.round, of=r.tops_up, scale=r.scale, at_random=r.at_random)
        if r.tops_up is not None
        else None,
    )
