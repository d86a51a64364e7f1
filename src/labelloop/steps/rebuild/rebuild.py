"""Rebuilds a lost ledger from what is left of it elsewhere: the log, the annotator and the manifests.

A task key is a hash, so each sample of the log is hashed until the keys that the annotator holds are
found. Which round drew a sample, from which frame and with which probability, stands nowhere else: the
answers feed datasets again, and no accuracy.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path

from labelloop.core.answers import Answers
from labelloop.core.draw import Draw
from labelloop.core.looks import Look
from labelloop.core.queue import Purpose
from labelloop.core.round import Candidate, FrameRange, Round
from labelloop.core.row_range import NO_ROWS
from labelloop.core.task import TaskState
from labelloop.core.token import task_key, unkeyed_task_key
from labelloop.ledger import (
    Ledger,
    Transaction,
    annotations,
    batches,
    classes,
    datasets,
    events,
    looks,
    rounds,
    tasks,
)
from labelloop.ledger.database import Identity
from labelloop.ports.annotator import Annotator
from labelloop.ports.clock import Clock, Progress
from labelloop.ports.log import PredictionLog
from labelloop.steps.rebuild.surviving import (
    Released,
    SurvivingLabel,
    SurvivingTask,
    released_in,
    surviving_tasks,
)

MISSING = (
    (
        "the rounds: which samples each drew, from which traffic and with which probability. The answers "
        "feed datasets again, and no accuracy; the next round draws from the traffic of [rounds] "
        "first_window, and most of what it draws for evaluation has its answer already"
    ),
    (
        "learned risks and guarantees: until people have answered new checked labels, only "
        "[training] confidence decides which model labels are kept"
    ),
    (
        "which samples were forgotten: where their inputs still lie in the store they would be read again, "
        "so run `labelloop forget` for the same samples before the next `labelloop index`"
    ),
    "earlier revisions of answers, and every event",
    "the names of blind copies: open tasks get new ones, and the old ones stay in the bucket",
    "what was exported, and which candidates were compared",
)
"""What a ledger holds and nothing else does, in words."""

_REASON = "found when the ledger was rebuilt"


@dataclass(frozen=True, slots=True, kw_only=True)
class Rebuilt:
    """The result of a rebuild.

    n_unknown
        the annotator's tasks whose sample the log doesn't hold; they are left alone
    n_from_manifests
        labels that stand in a manifest and no longer where people answer
    not_read
        version folders that can't be read, and why
    missing
        what stood in the lost ledger only, in words
    """

    ledger_id: str
    n_batches: int
    n_tasks: Mapping[str, int]
    n_answers: int
    n_unknown: int
    n_from_manifests: int
    versions: tuple[str, ...]
    not_read: tuple[str, ...]
    missing: tuple[str, ...] = MISSING


class Rebuild:
    """Fills an empty ledger, in one transaction."""

    def __init__(
        self,
        ledger: Ledger,
        log: PredictionLog,
        annotator: Annotator,
        folder: Path,
        *,
        answers: Answers,
        clock: Clock,
        progress: Progress,
    ) -> None:
        self._ledger = ledger
        self._log = log
        self._annotator = annotator
        self._folder = folder
        self._answers = answers
        self._clock = clock
        self._progress = progress

    def run(self) -> Rebuilt:
        """Find what is left, and write it in one transaction.

        Raises:
            LedgerError: the ledger isn't empty.
        """
        visible = self._log.visible_after(0)
        whole = FrameRange(batch_to=max((b.batch for b in visible), default=0))
        remote = surviving_tasks(self._annotator, self._log.ledger_id, self._progress)
        released = released_in(self._folder)
        samples = self._samples(whole, set(remote))
        labels = self._labels(released, samples)
        found = {
            c.sample_id: c
            for c in self._log.rows_of(whole, (), sorted({s for s, _ in samples.values()}))
        }
        now = self._clock.now()
        n_from_manifests = 0
        n_tasks: dict[str, int] = {}
        known: set[str] = set()
        with self._ledger.write_at_once() as tx:
            self._ledger.adopt_identity(tx, Identity(self._log.ledger_id, self._log.salt))
            classes.declare(tx, self._answers, now)
            for batch in visible:
                batches.adopt(tx, batch.batch, batch.kind, batch.path, batch.n_rows)
            for purpose in Purpose:
                own = {
                    key: found[sample]
                    for key, (sample, why) in samples.items()
                    if why is purpose and sample in found
                }
                there = {key: remote[key] for key in own if key in remote}
                only_held = {key: labels[key] for key in own if key not in there}
                if not own:
                    continue
                again = self._looks(own, remote) if purpose is Purpose.EVALUATION else {}
                self._round(
                    *(tx, whole, purpose, own, there, only_held, now), second_look=bool(again)
                )
                self._looked_at(tx, again, remote, now)
                known |= there.keys() | again.keys()
                n_from_manifests += len(only_held)
                for each in [*there.values(), *(remote[key] for key in again)]:
                    n_tasks[each.queue] = n_tasks.get(each.queue, 0) + 1
            for version in released.versions:
                datasets.begin(tx, version)
                datasets.release(tx, version.name, version.version)
            detail = f"{sum(n_tasks.values())} tasks, {len(released.versions)} dataset versions"
            events.record(tx, [events.Event(now, "rebuild", "rebuilt", "ledger", detail)])
        return Rebuilt(
            ledger_id=self._log.ledger_id,
            n_batches=len(visible),
            n_tasks=dict(sorted(n_tasks.items())),
            n_answers=sum(bool(remote[key].task.annotations) for key in known),
            n_unknown=len(remote) - len(known),
            n_from_manifests=n_from_manifests,
            versions=tuple(f"{v.name} v{v.version}" for v in released.versions),
            not_read=tuple(released.not_read),
        )

    # --- what is left -------------------------------------------------------------------------

    def _samples(self, whole: FrameRange, keys: set[str]) -> dict[str, tuple[str, Purpose]]:
        """The sample and the purpose of each task key whose sample is in the log."""
        found: dict[str, tuple[str, Purpose]] = {}
        n = 0
        for batch in self._log.scan(whole, (), ()) if keys else ():
            for sample_id in batch.column("sample_id").to_pylist():
                for purpose in Purpose:
                    own = self._key(purpose, sample_id)
                    before = unkeyed_task_key(self._log.ledger_id, purpose.value, sample_id)
                    found |= {key: (sample_id, purpose) for key in (own, before) if key in keys}
            n += len(batch)
            self._progress("samples tried", n, None)
            if len(found) == len(keys):
                break
        return found

    def _labels(
        self, released: Released, samples: dict[str, tuple[str, Purpose]]
    ) -> dict[str, SurvivingLabel]:
        """The labels by the key of their task, which joins `samples` where it isn't there yet."""
        keys = {(purpose, sample): key for key, (sample, purpose) in samples.items()}
        found: dict[str, SurvivingLabel] = {}
        for (purpose, sample), held in released.labels.items():
            key = keys.get((purpose, sample)) or self._key(purpose, sample)
            samples[key] = (sample, purpose)
            found[key] = replace(held, label=replace(held.label, task_key=key))
        return found

    def _key(self, purpose: Purpose, sample_id: str, look: Look = Look.FIRST) -> str:
        return task_key(
            self._log.ledger_id, purpose.value, sample_id, salt=self._log.salt, look=look.value
        )

    def _looks(
        self, own: Mapping[str, Candidate], remote: Mapping[str, SurvivingTask]
    ) -> dict[str, tuple[str, Look]]:
        """The second looks that the annotator holds: by key, the first task's key and the look."""
        found = {}
        for first, candidate in own.items():
            for look in set(Look) - {Look.FIRST}:
                key = self._key(Purpose.EVALUATION, candidate.sample_id, look)
                if key in remote:
                    found[key] = first, look
        return found

    # --- writing ------------------------------------------------------------------------------

    def _round(
        self,
        tx: Transaction,
        whole: FrameRange,
        purpose: Purpose,
        own: Mapping[str, Candidate],
        there: Mapping[str, SurvivingTask],
        held: Mapping[str, SurvivingLabel],
        now: datetime,
        *,
        second_look: bool,
    ) -> None:
        """An extra round of all tasks of one purpose; its draws have no inclusion probability."""
        number = rounds.next_number(tx)
        made = Round(
            round=number,
            frame=whole,
            extra=True,
            n_frame=len(own),
            snapshot=self._log.snapshot(),
            created_at=now,
            second_look=second_look,
        )
        queue_of = {key: there[key].queue if key in there else held[key].queue for key in own}
        order = sorted(own, key=lambda key: (own[key].line, key))
        draws = [
            _draw(
                number,
                i,
                key,
                queue_of[key],
                own[key],
                answers_wanted=there[key].task.people if key in there else 1,
            )
            for i, key in enumerate(order)
        ]
        rules = dict.fromkeys(sorted(set(queue_of.values())), _REASON)
        rounds.insert(tx, made, rules, NO_ROWS)
        rounds.insert_draws(tx, draws, dict.fromkeys(queue_of.values(), purpose))
        self._sent(tx, there, now)
        self._settled(tx, held, now)

    def _looked_at(
        self,
        tx: Transaction,
        again: Mapping[str, tuple[str, Look]],
        remote: Mapping[str, SurvivingTask],
        now: datetime,
    ) -> None:
        """The tasks of second looks; `collect` finds their answers, and who may have given them."""
        firsts = tasks.by_key(tx, [first for first, _ in again.values()])
        made = [(firsts[first], look, key) for key, (first, look) in sorted(again.items())]
        looks.make(tx, made, actor="rebuild", at=now)
        self._sent(tx, {key: remote[key] for key in again}, now)

    def _sent(self, tx: Transaction, there: Mapping[str, SurvivingTask], now: datetime) -> None:
        for project_ref in sorted({each.project_ref for each in there.values()}):
            own = {k: e.task for k, e in there.items() if e.project_ref == project_ref}
            # links lapse at a time that nobody knows any more: they count as lapsing now
            tasks.begin_sending(
                tx,
                list(tasks.by_key(tx, list(own)).values()),
                project_ref,
                at=now,
                url_expires_at=now,
            )
            moving = list(tasks.by_key(tx, list(own)).values())
            tasks.confirm_sent(
                tx,
                moving,
                [own[task.task_key].remote_id for task in moving],
                at=now,
                people_asked=[own[task.task_key].people for task in moving],
            )

    def _settled(self, tx: Transaction, held: Mapping[str, SurvivingLabel], now: datetime) -> None:
        moving = list(tasks.by_key(tx, list(held)).values())
        for state in (
            TaskState.SENDING,
            TaskState.SENT,
            TaskState.ANNOTATED,
            TaskState.RESOLVED,
        ):
            tasks.move(tx, moving, state, actor="rebuild", at=now, detail=_REASON)
            moving = [replace(task, state=state) for task in moving]
        annotations.put_labels(tx, [(each.label, each.at) for each in held.values()])


def _draw(
    number: int,
    position: int,
    key: str,
    queue: str,
    found: Candidate,
    *,
    answers_wanted: int,
) -> Draw:
    return Draw(
        round=number,
        sample_id=found.sample_id,
        uri=found.uri,
        model=found.model,
        queue=queue,
        predicted_at=found.predicted_at,
        predicted_class=found.predicted_class,
        confidence=found.confidence,
        risk=None,
        line=found.line,
        inclusion=None,
        uniform=False,
        position=position,
        reason=_REASON,
        content_hash=found.content_hash,
        task_key=key,
        answers_wanted=answers_wanted,
    )
