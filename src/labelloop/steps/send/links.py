"""Links to images lapse: those of open tasks are renewed in time, and copies nobody needs are removed."""

from collections.abc import Iterable, Sequence
from datetime import timedelta

from labelloop.core import due
from labelloop.core.queue import Queue
from labelloop.core.task import Task
from labelloop.errors import ProjectGone
from labelloop.ledger import media_links, tasks
from labelloop.ledger.tasks import SendableTask
from labelloop.ports.store import Store
from labelloop.steps.send.context import SendContext
from labelloop.steps.send.doubts import still_there
from labelloop.steps.send.inputs import Inputs, SendableBatch
from labelloop.steps.send.projects import Projects


class Links:
    """The links and copies that open tasks show."""

    def __init__(
        self,
        context: SendContext,
        store: Store,
        projects: Projects,
        inputs: Inputs,
        *,
        presign_life: timedelta,
    ) -> None:
        self._context = context
        self._store = store
        self._projects = projects
        self._inputs = inputs
        self._life = presign_life
        self.n_unavailable = 0

    def lapsing(self, *, everything: bool) -> list[SendableTask]:
        """The open tasks whose link lapses soon, or whose copy was removed; texts have neither."""
        if self._inputs.kind == "text":
            return []
        now = self._context.clock.now()
        until = due.links_renewed_until(now, self._life)
        if everything:
            until = now + self._life + timedelta(seconds=1)
        with self._context.read() as tx:
            old = tasks.with_lapsing_url(tx, until, lasting=everything)
            return old if self._store.inline else old + tasks.without_copy(tx)

    def renew(self, queues: Iterable[Queue], lapsing: Sequence[SendableTask]) -> int:
        """Renew the links of some queues' tasks; returns how many.

        Blind copies are made again on the way: an earlier run may have been killed before it did,
        or the task was reopened after its copy was removed.
        """
        n = 0
        for queue in queues:
            own = [each for each in lapsing if each.task.queue == queue.name]
            open_ = [each for each in own if self._opens(queue, each.task)]
            if own:
                n += self._replace(queue, self._inputs.prepare(queue, open_))
        return n

    def remove_copies(self) -> int:
        """Remove the blind copies of tasks that were resolved a while ago or given up."""
        now = self._context.clock.now()
        with self._context.read() as tx:
            spent = tasks.with_unneeded_copy(tx, due.copies_removed_since(now))
            has_links = media_links.any_spent(tx, now - due.MEDIA_KEPT)
        if has_links:
            with self._context.write() as tx:
                media_links.remove_spent(tx, now - due.MEDIA_KEPT)
        for task in spent:
            assert task.media_uri is not None  # noqa: S101  the query asks for it
            self._store.delete(task.media_uri)
            with self._context.write() as tx:
                tasks.set_copies(tx, [(task.task_key, None)])
        return len(spent)

    def _opens(self, queue: Queue, task: Task) -> bool:
        assert task.project_ref is not None  # noqa: S101  open tasks have one
        try:
            return self._projects.opens(queue, task.project_ref)
        except ProjectGone:
            return False  # collect takes its tasks back

    def _replace(self, queue: Queue, batch: SendableBatch) -> int:
        n = 0
        self.n_unavailable += batch.n_unavailable
        by_key = {each.task.task_key: each for each in batch.tasks}
        there = still_there(self._context, [each.task for each in batch.tasks])
        for done, task in enumerate(there, start=1):
            data = self._inputs.task_data(queue, by_key[task.task_key], batch.inside)
            expires_at = self._inputs.lapses_at(queue)
            assert task.remote_id is not None  # noqa: S101  open tasks have one
            if self._context.annotator.replace_data(task.remote_id, data.data):
                with self._context.write() as tx:
                    tasks.set_url_expiry(tx, task.task_key, expires_at)
                n += 1
            self._context.progress("image URLs renewed", done, len(batch.tasks))
        return n
