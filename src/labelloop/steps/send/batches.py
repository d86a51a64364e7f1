"""The drawn tasks of a queue go to its project, batch by batch, each exactly once.

The protocol: note `sending`, make the request, note the ids. What became of a request whose outcome isn't
certain is found out by `doubts`; what was not carried out is sent again.
"""

from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import Executor, Future, ThreadPoolExecutor
from dataclasses import replace
from datetime import datetime

from labelloop.core.queue import Queue
from labelloop.core.task import Task
from labelloop.errors import (
    AnnotatorDenied,
    AnnotatorError,
    AnnotatorUnavailable,
    InputTooLarge,
    ProjectGone,
    RequestTooLarge,
)
from labelloop.ledger import tasks
from labelloop.ledger.tasks import SendableTask
from labelloop.ports.annotator import Project
from labelloop.steps.send.context import SendContext
from labelloop.steps.send.doubts import by_key, settle
from labelloop.steps.send.inputs import InputResult, Inputs, SendableBatch
from labelloop.steps.send.projects import Projects

BATCH = 250
WINDOW = 10 * BATCH
"""How many tasks are looked up at a time before they are sent."""

IMPORT_ATTEMPTS = 2
"""How often a batch is sent: again, once a settled look has shown what is missing."""


class Batches:
    """Sends the drawn tasks of queues, and counts them."""

    def __init__(
        self,
        context: SendContext,
        projects: Projects,
        inputs: Inputs,
        *,
        day_began_at: datetime,
    ) -> None:
        self._context = context
        self._annotator = context.annotator
        self._projects = projects
        self._inputs = inputs
        self.n_sent = 0
        self.n_found = 0
        self.n_unavailable = 0
        self._at_most = BATCH
        self._day_began_at = day_began_at

    def send(self, queue: Queue) -> None:
        """Send what is drawn; while one batch is imported the inputs of the next are prepared."""
        project: Project | None = None
        lost = False
        doubtful = False
        before = self.n_sent
        with ThreadPoolExecutor(1, thread_name_prefix="send-ahead") as ahead:
            while waiting := self._waiting(queue):
                if project is None:
                    project = self._projects.of(queue)
                    with self._context.read() as tx:
                        doubtful = project.n_tasks > tasks.n_in_project(tx, project.project_ref)
                if not self._projects.opens(queue, project.project_ref):
                    return
                try:
                    for batch in self._prepared(queue, waiting, ahead):
                        self._send_batch(queue, project, batch, doubtful=doubtful)
                        self._context.progress(f"sent to {queue.name}", self.n_sent - before, None)
                except ProjectGone:
                    if lost:
                        raise
                    lost, project = True, None
                except (AnnotatorUnavailable, AnnotatorDenied):
                    raise
                except AnnotatorError as exc:
                    self._projects.troubles[queue.name] = exc
                    return

    def _waiting(self, queue: Queue) -> list[SendableTask]:
        """The next tasks to be sent, of several batches; without those that can't be now."""
        window = WINDOW
        with self._context.read() as tx:
            if queue.per_day is not None:
                sent = tasks.n_sent_since(tx, queue.name, self._day_began_at)
                window = max(0, min(WINDOW, queue.per_day - sent))
            if window == 0:
                return []
            drawn = tasks.to_send(tx, queue.name, window + len(self._inputs.too_large))
        return [each for each in drawn if each.task.task_key not in self._inputs.too_large]

    def _prepared(
        self, queue: Queue, waiting: Sequence[SendableTask], ahead: Executor
    ) -> Iterator[SendableBatch]:
        """Each batch with its inputs in place; those of the one that follows are under way meanwhile.

        The other thread asks the store alone: the ledger is written here.
        """
        batches = [waiting[i : i + BATCH] for i in range(0, len(waiting), BATCH)]
        under_way: tuple[Sequence[SendableTask], Future[Mapping[str, InputResult]]] | None = None
        for batch in (*batches, None):
            before = under_way
            if batch is not None:
                named = self._inputs.name_copies(queue, batch)
                under_way = named, ahead.submit(self._inputs.fetch, queue, named)
            if before is not None:
                yield self._inputs.note(queue, before[0], before[1].result())

    def _send_batch(
        self, queue: Queue, project: Project, batch: SendableBatch, *, doubtful: bool
    ) -> None:
        self.n_unavailable += batch.n_unavailable
        fresh = batch.tasks
        if doubtful and fresh:
            fresh = self._without_held(queue, project, fresh)
        self.n_found += len(batch.tasks) - len(fresh)
        while fresh:
            some = fresh[: self._at_most]
            try:
                self.n_sent += self._import(queue, project, replace(batch, tasks=some))
            except RequestTooLarge as exc:
                self._at_most = max(1, len(some) // 2)
                if len(some) > 1:
                    continue
                key = some[0].task.task_key
                self._inputs.too_large[key] = InputTooLarge(exc.args[0], remedy=exc.remedy)
            fresh = fresh[len(some) :]

    def _import(
        self,
        queue: Queue,
        project: Project,
        batch: SendableBatch,
        *,
        attempts: int = IMPORT_ATTEMPTS,
    ) -> int:
        data = [self._inputs.task_data(queue, each, batch.inside) for each in batch.tasks]
        moving = [each.task for each in batch.tasks]
        now = self._context.clock.now()
        with self._context.write() as tx:
            tasks.begin_sending(
                tx,
                moving,
                project.project_ref,
                at=now,
                url_expires_at=self._inputs.lapses_at(queue),
            )
        with self._context.read() as tx:
            known = tasks.by_key(tx, [task.task_key for task in moving])
        sending = [known[task.task_key] for task in moving]
        try:
            ids = self._annotator.import_tasks(project.project_ref, data)
        except ProjectGone:
            self._take_back(sending, "the project is gone")
            raise
        except AnnotatorDenied:
            raise
        except RequestTooLarge:
            self._take_back(sending, "the request was too large")
            raise
        except AnnotatorUnavailable as exc:
            if not exc.carried_out:
                self._take_back(sending, "nothing was sent")
                raise
            absent = settle(self._context, project.project_ref, sending)
            n_there = len(sending) - len(absent)
            if absent and attempts == 1:
                raise
            again = [each for each in batch.tasks if each.task.task_key in absent]
            if again:
                left = attempts - 1
                n_there += self._import(queue, project, replace(batch, tasks=again), attempts=left)
            return n_there
        except AnnotatorError as exc:
            self._take_back(sending, "the project refused it")
            raise AnnotatorError(
                f"project {project.project_ref} of queue {queue.name!r} takes no tasks: {exc.args[0]}",
                remedy=f"it must show ${self._inputs.kind}, and may use only the fields that labelloop sends"
                + (f": {exc.remedy}" if exc.remedy else "")
                + "; or delete the project: labelloop then creates a new one for its open tasks",
            ) from exc
        with self._context.write() as tx:
            people = [project.people] * len(sending)
            tasks.confirm_sent(tx, sending, ids, at=now, people_asked=people)
        return len(sending)

    def _take_back(self, sending: Sequence[Task], why: str) -> None:
        with self._context.write() as tx:
            tasks.return_to_drawn(tx, sending, actor="send", at=self._context.clock.now(), why=why)

    def _without_held(
        self, queue: Queue, project: Project, batch: Sequence[SendableTask]
    ) -> list[SendableTask]:
        """The tasks that the project doesn't hold; those that it does are noted as sent.

        A project that holds more than the ledger knows of was filled by a ledger of which this one is
        an earlier copy. Its links may be older than those made now: they are renewed next time.
        """
        keys = [each.task.task_key for each in batch]
        held = by_key(self._annotator.find(project.project_ref, keys))
        known = [each.task for each in batch if each.task.task_key in held]
        if known:
            now = self._context.clock.now()
            remotes = [held[task.task_key] for task in known]
            lapses_at = now if self._inputs.lapses_at(queue) is not None else None
            with self._context.write() as tx:
                tasks.begin_sending(
                    tx, known, project.project_ref, at=now, url_expires_at=lapses_at
                )
                sending = tasks.by_key(tx, [task.task_key for task in known])
                tasks.confirm_sent(
                    tx,
                    [sending[task.task_key] for task in known],
                    [remote.remote_id for remote in remotes],
                    at=now,
                    people_asked=[remote.people for remote in remotes],
                )
        return [each for each in batch if each.task.task_key not in held]
