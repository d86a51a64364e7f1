"""send: drawn tasks go to Label Studio, each exactly once.

The protocol: note `sending`, make the request, note the ids. Whenever the outcome of a request isn't
certain, look for the tasks by their keys until the count has not changed for one full time-out of the
client; what is not there by then was not carried out, and is sent again.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Executor, Future, ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from datetime import timedelta
from typing import TypeVar

from labelloop.core.queue import Queue
from labelloop.core.task import Task, TaskState, people_to_ask
from labelloop.core.token import project_marker
from labelloop.errors import (
    AnnotatorDenied,
    AnnotatorError,
    AnnotatorUnavailable,
    BucketRefused,
    ConfigError,
    LabelloopError,
    LedgerError,
    ProjectGone,
    StoreError,
)
from labelloop.ledger import Lease, Ledger, annotations, cursors, tasks
from labelloop.ledger.tasks import Shown
from labelloop.ports.annotator import (
    Annotator,
    BucketAccess,
    Project,
    ProjectSpec,
    RemoteTask,
    TaskData,
)
from labelloop.ports.clock import Clock, Progress
from labelloop.ports.store import Store
from labelloop.steps.collect.whereabouts import whereabouts
from labelloop.steps.purpose import keep_input_kind, refuse_changed_purpose
from labelloop.steps.send.inputs import Inputs, Reached, Ready
from labelloop.steps.send.settled import settled
from labelloop.steps.send.texts import Texts

BATCH = 250
WINDOW = 10 * BATCH
"""How many tasks are looked up at a time before they are sent."""

IMPORT_ATTEMPTS = 2
"""How often a batch is sent: again, once a settled look has shown what is missing."""

COPY_KEPT = timedelta(days=7)
"""How long a blind copy is kept after its task was resolved."""

LOOKED_UP = 80
"""How many tasks are looked up at a time before they are changed."""

_SIGNED_BY = "signed by"
_WORKERS = 16

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Sent:
    """What one `send` did.

    `n_found` were there already, from a request whose answer was lost or a ledger that was;
    `n_asked_again` are offered to one more person, as the answers so far don't settle them.
    """

    n_sent: int
    n_found: int
    n_unavailable: int
    n_refreshed: int
    n_copies_removed: int
    n_asked_again: int


class Send:
    """Sends the tasks of all queues."""

    def __init__(
        self,
        ledger: Ledger,
        store: Store,
        annotator: Annotator,
        queues: Sequence[Queue],
        *,
        ledger_id: str,
        project_name: str,
        classes: Sequence[str],
        presign_life: timedelta,
        blind_uri: str | None,
        bucket_access: Callable[[str | None], BucketAccess],
        signed_by: str,
        clock: Clock,
        progress: Progress,
        texts: Texts | None = None,
    ) -> None:
        """How links are made:

        bucket_access
            how Label Studio opens the bucket of a uri, or of the inputs for None
        signed_by
            what tells one signer and address of links from another; nothing secret
        """
        self._ledger = ledger
        self._store = store
        self._annotator = annotator
        self._queues = {q.name: q for q in queues}
        self._ledger_id = ledger_id
        self._project_name = project_name
        self._classes = tuple(classes)
        self._life = presign_life
        self._blind_uri = blind_uri
        self._clock = clock
        self._progress = progress
        self._signed_by = signed_by
        self._inputs = Inputs(
            ledger, store, texts, blind_uri=blind_uri, presign_life=presign_life, clock=clock
        )
        self._access = bucket_access
        self._open: set[int] = set()
        self._in_step: set[int] = set()
        self._troubles: dict[str, LabelloopError] = {}
        """By queue: why it waits while the others are served; raised at the end."""
        self._n_recognised = 0

    def run(self, *, refresh_all: bool = False) -> Sent:
        """Send what is drawn, renew image URLs before they lapse, remove copies nobody needs.

        `refresh_all` renews the URL of every open task; so does another signer or address of links.
        """
        with self._ledger.lease("send") as lease:
            with self._ledger.read() as tx:
                refuse_changed_purpose(tx, self._queues.values())
                before = cursors.get(tx, _SIGNED_BY)
            refresh_all = refresh_all or before not in {None, self._signed_by}
            with self._ledger.write(lease) as tx:
                keep_input_kind(tx, self._inputs.kind)
            n_sent = n_unavailable = 0
            self._keep_in_step(lease)
            n_found = self._settle_doubts(lease)
            old = self._lapsing(refresh_all)
            refusal = self._blind_refusal(old)
            for queue in self._queues.values():
                if (refusal is None or not queue.blind) and queue.name not in self._troubles:
                    counts = self._send_queue(lease, queue)
                    n_sent += counts[0]
                    n_unavailable += counts[1]
            n_refreshed = self._refresh(lease, old, blind=refusal is None)
            if refusal is None and before != self._signed_by:
                with self._ledger.write(lease) as tx:
                    cursors.put(tx, _SIGNED_BY, self._signed_by)
            n_asked_again = self._ask_people(lease)
            n_removed = self._remove_copies(lease)
        for trouble in (refusal, *self._troubles.values(), self._inputs.waiting_for_a_server()):
            if trouble is not None:
                raise trouble
        n_found += self._n_recognised
        return Sent(n_sent, n_found, n_unavailable, n_refreshed, n_removed, n_asked_again)

    # --- a queue ------------------------------------------------------------------------------

    def _blind_refusal(self, old: Sequence[Shown]) -> LabelloopError | None:
        """Why blind tasks can't be sent or renewed: there is no place for their copies.

        The other queues are sent all the same. A key may hold the answer: copies are no luxury.
        """
        if self._inputs.kind == "text":
            return None
        blind = [q.name for q in self._queues.values() if q.blind]
        lapsing = {shown.task.queue for shown in old}
        with self._ledger.read() as tx:
            waiting = [n for n in blind if n in lapsing or tasks.to_send(tx, n, 1)]
        if not waiting or self._store.inline:
            return None
        if self._blind_uri is None:
            return ConfigError(
                f"queue {waiting[0]!r} is blind, and store.blind_uri is not set: object keys often "
                "hold the predicted class, so its images are shown as copies with random names",
                remedy='add blind_uri = "s3://a-writable-bucket" to [store], or a folder where the '
                "inputs lie in one",
            )
        try:
            self._store.check_writable(self._blind_uri)
        except StoreError as exc:
            return exc
        return None

    def _send_queue(self, lease: Lease, queue: Queue) -> tuple[int, int]:
        """Send what is drawn, batch by batch; while one is imported the inputs of the next are seen to."""
        n_sent = n_unavailable = 0
        project: Project | None = None
        lost = False
        doubtful = False
        with ThreadPoolExecutor(1, thread_name_prefix="send-ahead") as ahead:
            while waiting := self._waiting(queue):
                batches = [waiting[i : i + BATCH] for i in range(0, len(waiting), BATCH)]
                if project is None:
                    project = self._project(lease, queue)
                    with self._ledger.read() as tx:
                        doubtful = project.n_tasks > tasks.n_in_project(tx, project.project_id)
                if not self._opens(queue, project.project_id):
                    return n_sent, n_unavailable
                try:
                    for ready in self._seen_to(lease, queue, batches, ahead):
                        n_unavailable += ready.n_unavailable
                        fresh = ready.shown
                        if doubtful and fresh:
                            fresh = self._without_held(lease, queue, project, fresh)
                        self._n_recognised += len(ready.shown) - len(fresh)
                        if fresh:
                            n_sent += self._import(lease, queue, project, fresh, ready.inside)
                        self._progress(f"sent to {queue.name}", n_sent, None)
                except ProjectGone:
                    if lost:
                        raise
                    lost, project = True, None
                except (AnnotatorUnavailable, AnnotatorDenied):
                    raise
                except AnnotatorError as exc:
                    self._troubles[queue.name] = exc
                    return n_sent, n_unavailable
        return n_sent, n_unavailable

    def _waiting(self, queue: Queue) -> list[Shown]:
        """The next tasks to be sent, of several batches; without those that can't be now."""
        with self._ledger.read() as tx:
            drawn = tasks.to_send(tx, queue.name, WINDOW + len(self._inputs.too_large))
        return [shown for shown in drawn if shown.task.task_key not in self._inputs.too_large]

    def _seen_to(
        self, lease: Lease, queue: Queue, batches: Sequence[Sequence[Shown]], ahead: Executor
    ) -> Iterator[Ready]:
        """Each batch with its inputs in place; those of the one that follows are under way meanwhile.

        The other thread asks the store alone: the ledger is written here.
        """
        under_way: tuple[Sequence[Shown], Future[Mapping[str, Reached]]] | None = None
        for batch in (*batches, None):
            before = under_way
            if batch is not None:
                named = self._inputs.named(lease, queue, batch)
                under_way = named, ahead.submit(self._inputs.reach, queue, named)
            if before is not None:
                yield self._inputs.noted(lease, before[0], before[1].result())

    def _opens(self, queue: Queue, project_id: int) -> bool:
        """Whether Label Studio can sign the links of a queue's images, where it is to; seen to once.

        Where it can't, the queue waits; the others don't, and the reason is raised at the end.
        """
        if queue.images != "label-studio" or project_id in self._open:
            return True
        try:
            self._annotator.open_bucket(
                project_id, self._access(self._blind_uri if queue.blind else None)
            )
        except BucketRefused as exc:
            self._troubles.setdefault(queue.name, exc)
            return False
        self._open.add(project_id)
        return True

    def _keep_in_step(self, lease: Lease) -> None:
        """Let every project that has tasks of ours offer the answers of the settings."""
        with self._ledger.read() as tx:
            queues = tasks.projects(tx)
        found = whereabouts(self._ledger, lease, self._annotator, ledger_id=self._ledger_id)
        self._troubles |= {queues[project_id]: why for project_id, why in found.hidden.items()}
        for project_id in sorted(found.there):
            try:
                self._offer_answers(project_id)
            except (AnnotatorUnavailable, AnnotatorDenied):
                raise
            except AnnotatorError as exc:
                self._troubles[queues[project_id]] = exc

    def _offer_answers(self, project_id: int) -> None:
        if project_id in self._in_step:
            return
        with suppress(ProjectGone):  # collect finds out, and its tasks go to a new one
            self._annotator.set_choices(project_id, self._classes)
        self._in_step.add(project_id)

    def _project(self, lease: Lease, queue: Queue) -> Project:
        """The queue's project, found by its marker or created; it offers the answers of the settings.

        The creation is noted before it is asked for: a run that follows on one which was killed, or
        heard no answer, waits for what Label Studio may still be at, and doesn't create another.
        """
        marker = project_marker(self._ledger_id, queue.name)
        creating = f"creating:{queue.name}"
        there = self._annotator.projects()
        own = [p for p in there if p.marker == marker]
        with self._ledger.read() as tx:
            doubtful = cursors.get(tx, creating) is not None
        if not own and doubtful:
            own = list(self._settled_projects(marker))
        if own:
            self._offer_answers(own[0].project_id)
        else:
            self._refuse_foreign(there, queue)
            doubtful = True
            with self._ledger.write(lease) as tx:
                cursors.put(tx, creating, self._clock.now().isoformat())
            try:
                own = [self._created(queue, marker)]
            except AnnotatorError as exc:
                if not (isinstance(exc, AnnotatorUnavailable) and exc.carried_out):
                    self._forget(lease, creating)
                raise
        if doubtful:
            self._forget(lease, creating)
        return own[0]

    def _created(self, queue: Queue, marker: str) -> Project:
        spec = ProjectSpec(
            title=f"{self._project_name}: {queue.name}",
            marker=marker,
            classes=self._classes,
            show=queue.show,
            blind=queue.blind,
            kind=self._inputs.kind,
            people=queue.annotators,
        )
        self._annotator.check_account()
        try:
            return self._annotator.create_project(spec)
        except AnnotatorUnavailable as exc:
            found = self._settled_projects(marker) if exc.carried_out else []
            if not found:
                raise
            return found[0]

    def _settled_projects(self, marker: str) -> Sequence[Project]:
        return self._settled(
            lambda: [p for p in self._annotator.projects() if p.marker == marker], bool
        )

    def _forget(self, lease: Lease, cursor: str) -> None:
        with self._ledger.write(lease) as tx:
            cursors.clear(tx, cursor)

    def _refuse_foreign(self, there: Sequence[Project], queue: Queue) -> None:
        """Stop where another ledger's project already serves this project's queue: ours is new."""
        with self._ledger.read() as tx:
            if tasks.projects(tx):
                return
        for project in there:
            same_queue = project.marker.rpartition("/")[2] == queue.name
            # up to the colon: `food` is not `food11`; a long title is cut by Label Studio's limit
            if same_queue and project.title.startswith(f"{self._project_name}: "[:20]):
                raise LedgerError(
                    f"Label Studio holds project {project.title!r} of this queue, made by another "
                    f"ledger ({project.marker}), and this ledger has sent nothing yet: it is new, "
                    "or the old one was lost",
                    remedy="restore the ledger that made it, or rebuild what is left of it: `labelloop "
                    "ledger rebuild`; to start over, delete that project in Label Studio, or give "
                    "[project] another name",
                )

    # --- a batch ------------------------------------------------------------------------------

    def _import(
        self,
        lease: Lease,
        queue: Queue,
        project: Project,
        batch: Sequence[Shown],
        inside: Mapping[str, str],
        *,
        attempts: int = IMPORT_ATTEMPTS,
    ) -> int:
        data = [self._data(queue, shown, inside) for shown in batch]
        moving = [shown.task for shown in batch]
        now = self._clock.now()
        with self._ledger.write(lease) as tx:
            tasks.begin_sending(
                tx, moving, project.project_id, at=now, url_expires_at=self._inputs.lapses_at(queue)
            )
        with self._ledger.read() as tx:
            sending = list(tasks.by_key(tx, [task.task_key for task in moving]).values())
        by_key = {task.task_key: task for task in sending}
        ordered = [by_key[task.task_key] for task in moving]
        try:
            ids = self._annotator.import_tasks(project.project_id, data)
        except ProjectGone:
            with self._ledger.write(lease) as tx:
                tasks.take_back(tx, ordered, actor="send", at=now, why="the project is gone")
            raise
        except AnnotatorDenied:
            raise
        except AnnotatorUnavailable as exc:
            if not exc.carried_out:
                with self._ledger.write(lease) as tx:
                    tasks.take_back(tx, ordered, actor="send", at=now, why="nothing was sent")
                raise
            absent = self._settle(lease, project.project_id, ordered)
            n_there = len(ordered) - len(absent)
            if absent and attempts == 1:
                raise
            again = [shown for shown in batch if shown.task.task_key in absent]
            if again:
                left = attempts - 1
                n_there += self._import(lease, queue, project, again, inside, attempts=left)
            return n_there
        except AnnotatorError as exc:
            with self._ledger.write(lease) as tx:
                tasks.take_back(tx, ordered, actor="send", at=now, why="the project refused it")
            raise AnnotatorError(
                f"project {project.project_id} of queue {queue.name!r} takes no tasks: {exc.args[0]}",
                remedy=f"its labelling config must show ${self._inputs.kind} and nothing that labelloop "
                "doesn't send: mend it under Settings, Labeling Interface, or delete the project: its open "
                "tasks go to a new one",
            ) from exc
        with self._ledger.write(lease) as tx:
            people = [project.people] * len(ordered)
            tasks.confirm_sent(tx, ordered, ids, at=now, people_asked=people)
        return len(ordered)

    def _without_held(
        self, lease: Lease, queue: Queue, project: Project, batch: Sequence[Shown]
    ) -> list[Shown]:
        """The tasks that the project doesn't hold; those that it does are noted as sent.

        A project that holds more than the ledger knows of was filled by a ledger of which this one is
        an earlier copy. Its links may be older than those made now: they are renewed next time.
        """
        held: dict[str, RemoteTask] = {}
        found = self._annotator.find(project.project_id, [s.task.task_key for s in batch])
        for remote in sorted(found, key=_oldest_labelled_first):
            held.setdefault(remote.task_key or "", remote)
        known = [s.task for s in batch if s.task.task_key in held]
        if known:
            now = self._clock.now()
            remotes = [held[task.task_key] for task in known]
            lapses_at = now if self._inputs.lapses_at(queue) is not None else None
            with self._ledger.write(lease) as tx:
                tasks.begin_sending(tx, known, project.project_id, at=now, url_expires_at=lapses_at)
                sending = tasks.by_key(tx, [task.task_key for task in known])
                tasks.confirm_sent(
                    tx,
                    [sending[task.task_key] for task in known],
                    [remote.ls_task_id for remote in remotes],
                    at=now,
                    people_asked=[remote.people for remote in remotes],
                )
        return [s for s in batch if s.task.task_key not in held]

    def _data(self, queue: Queue, shown: Shown, inside: Mapping[str, str]) -> TaskData:
        """What Label Studio is given: the input, the task key, and what the queue shows."""
        task = shown.task
        data: dict[str, object] = {
            self._inputs.kind: self._inputs.of(queue, task, inside),
            "labelloop": task.task_key,
        }
        if not queue.blind:
            known: Mapping[str, object] = {
                "predicted_class": shown.predicted_class,
                "confidence": shown.confidence,
                "corrected_class": shown.corrected_class,
                "flagged": shown.flagged,
            }
            data |= {name: known[name] for name in queue.show}
        return TaskData(task_key=task.task_key, data=data)

    # --- doubts -------------------------------------------------------------------------------

    def _settle_doubts(self, lease: Lease) -> int:
        """Find out what became of requests that an earlier run didn't see answered."""
        with self._ledger.read() as tx:
            doubtful = tasks.in_doubt(tx)
        n_found = 0
        for project_id in sorted({task.project_id for task in doubtful if task.project_id}):
            there = [task for task in doubtful if task.project_id == project_id]
            n_found += len(there) - len(self._settle(lease, project_id, there))
        return n_found

    def _settle(self, lease: Lease, project_id: int, sending: Sequence[Task]) -> set[str]:
        """Note which of the tasks being sent are there; the keys of the others, which wait to be sent."""
        keys = [task.task_key for task in sending]

        def complete(found: Sequence[RemoteTask]) -> bool:
            return len({remote.task_key for remote in found}) == len(keys)

        try:
            found = self._settled(lambda: self._annotator.find(project_id, keys), complete)
        except ProjectGone:
            found = []
        held: dict[str, RemoteTask] = {}
        for remote in sorted(found, key=_oldest_labelled_first):
            if remote.task_key is not None:
                held.setdefault(remote.task_key, remote)
        there = [task for task in sending if task.task_key in held]
        absent = [task for task in sending if task.task_key not in held]
        remotes = [held[task.task_key] for task in there]
        now = self._clock.now()
        with self._ledger.write(lease) as tx:
            tasks.confirm_sent(
                tx,
                there,
                [remote.ls_task_id for remote in remotes],
                at=now,
                people_asked=[remote.people for remote in remotes],
            )
            tasks.take_back(tx, absent, actor="send", at=now, why="a settled look found none")
        return {task.task_key for task in absent}

    def _settled(
        self, look: Callable[[], Sequence[T]], complete: Callable[[Sequence[T]], bool]
    ) -> Sequence[T]:
        return settled(
            look,
            complete,
            timeout_s=self._annotator.timeout_s,
            clock=self._clock,
            progress=self._progress,
        )

    # --- people -------------------------------------------------------------------------------

    def _ask_people(self, lease: Lease) -> int:
        """Let each task ask as many people as are still needed; returns how many ask one more."""
        with self._ledger.read() as tx:
            perhaps = tasks.perhaps_asking_wrongly(tx)
            keys = [task.task_key for task in perhaps]
            held = annotations.latest(tx, keys)
            unusable = annotations.strays_by(tx, keys)
        wrong = {
            task.task_key: people
            for task in perhaps
            for people in [
                people_to_ask(task, held.get(task.task_key, []), unusable.get(task.task_key, ()))
            ]
            if people is not None
        }
        n = 0
        asking = [task for task in perhaps if task.task_key in wrong]
        for done, task in enumerate(self._standing(asking), start=1):
            given, people = held.get(task.task_key), wrong[task.task_key]
            assert task.ls_task_id is not None  # noqa: S101  the query asks for it
            settled = task.state is TaskState.RESOLVED
            if self._annotator.ask_people(task.ls_task_id, people, done=settled):
                with self._ledger.write(lease) as tx:
                    tasks.note_people(tx, task.task_key, people)
                n += bool(given) and not settled
            self._progress("people asked", done, len(asking))
        return n

    def _standing(self, believed: Sequence[Task]) -> Iterator[Task]:
        """Those that stand in Label Studio under the id that the ledger has; looked up some at a time.

        An id may be another task's by now: a Label Studio that was restored gives it again.
        """
        for project_id in sorted({task.project_id or 0 for task in believed}):
            own = [task for task in believed if task.project_id == project_id]
            for start in range(0, len(own), LOOKED_UP):
                some = own[start : start + LOOKED_UP]
                try:
                    found = self._annotator.find(project_id, [task.task_key for task in some])
                except ProjectGone:  # collect takes its tasks back
                    break
                there = {(remote.ls_task_id, remote.task_key) for remote in found}
                yield from (task for task in some if (task.ls_task_id, task.task_key) in there)

    # --- images -------------------------------------------------------------------------------

    def _lapsing(self, everything: bool) -> list[Shown]:
        """The open tasks whose image URL lapses soon, or whose copy was removed; texts have neither."""
        if self._inputs.kind == "text":
            return []
        now = self._clock.now()
        margin = self._life if everything else min(self._life / 2, timedelta(days=2))
        with self._ledger.read() as tx:
            old = tasks.with_old_url(
                tx,
                now + margin + timedelta(seconds=everything),
                lasting=everything and self._inputs.kind == "image",
            )
            return old if self._store.inline else old + tasks.without_copy(tx)

    def _refresh(self, lease: Lease, old: Sequence[Shown], *, blind: bool) -> int:
        """Renew the image URLs of `old`; of blind queues only if `blind`.

        Blind copies are made again on the way: an earlier run may have been killed before it did,
        or the task was reopened after its copy was removed.
        """
        n = 0
        for queue in self._queues.values():
            own = [s for s in old if s.task.queue == queue.name]
            if own and (blind or not queue.blind):
                open_ = [s for s in own if self._is_open(queue, s.task)]
                n += self._replace(lease, self._inputs.bring(lease, queue, open_))
        return n

    def _is_open(self, queue: Queue, task: Task) -> bool:
        assert task.project_id is not None  # noqa: S101  open tasks have one
        try:
            return self._opens(queue, task.project_id)
        except ProjectGone:
            return False  # collect takes its tasks back

    def _replace(self, lease: Lease, ready: Ready) -> int:
        n = 0
        by_key = {each.task.task_key: each for each in ready.shown}
        for done, task in enumerate(self._standing([s.task for s in ready.shown]), start=1):
            each = by_key[task.task_key]
            queue = self._queues[task.queue]
            data = self._data(queue, each, ready.inside)
            expires_at = self._inputs.lapses_at(queue)
            assert task.ls_task_id is not None  # noqa: S101  open tasks have one
            if self._annotator.replace_data(task.ls_task_id, data.data):
                with self._ledger.write(lease) as tx:
                    tasks.note_url(tx, task.task_key, expires_at)
                n += 1
            self._progress("image URLs renewed", done, len(ready.shown))
        return n

    def _remove_copies(self, lease: Lease) -> int:
        """Remove the blind copies of tasks that were resolved a while ago or given up."""
        with self._ledger.read() as tx:
            spent = tasks.with_spent_copy(tx, self._clock.now() - COPY_KEPT)
        for task in spent:
            assert task.media_uri is not None  # noqa: S101  the query asks for it
            self._store.delete(task.media_uri)
            with self._ledger.write(lease) as tx:
                tasks.name_copies(tx, [(task.task_key, None)])
        return len(spent)


def _oldest_labelled_first(remote: RemoteTask) -> tuple[bool, int]:
    return not remote.annotations, remote.ls_task_id
