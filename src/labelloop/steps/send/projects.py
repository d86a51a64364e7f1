"""The projects of the queues: found or created, kept in step with the settings, and able to show images."""

from collections.abc import Callable, Sequence
from contextlib import suppress

from labelloop.core.queue import Queue
from labelloop.core.token import project_marker
from labelloop.errors import (
    AnnotatorDenied,
    AnnotatorError,
    AnnotatorUnavailable,
    BucketRefused,
    LabelloopError,
    LedgerError,
    ProjectGone,
)
from labelloop.ledger import cursors, tasks
from labelloop.ports.annotator import BucketAccess, InputKind, Project, ProjectSpec
from labelloop.steps.collect.whereabouts import whereabouts
from labelloop.steps.send.context import SendContext


class Projects:
    """The projects that one send works with."""

    def __init__(
        self,
        context: SendContext,
        *,
        ledger_id: str,
        project_name: str,
        classes: Sequence[str],
        kind: InputKind,
        blind_uri: str | None,
        bucket_access: Callable[[str | None], BucketAccess],
    ) -> None:
        """`bucket_access`: how the annotator opens the bucket of a uri, or of the inputs for None."""
        self._context = context
        self._annotator = context.annotator
        self._ledger_id = ledger_id
        self._project_name = project_name
        self._classes = tuple(classes)
        self._kind = kind
        self._blind_uri = blind_uri
        self._access = bucket_access
        self._open: set[str] = set()
        self._in_step: set[str] = set()
        self.troubles: dict[str, LabelloopError] = {}
        """By queue: why it waits while the others are served; raised at the end."""

    def keep_in_step(self) -> None:
        """Let every project that has tasks of ours offer the answers of the settings."""
        with self._context.read() as tx:
            queues = tasks.projects(tx)
        found = whereabouts(
            self._context.ledger, self._context.lease, self._annotator, ledger_id=self._ledger_id
        )
        self.troubles |= {queues[project_ref]: why for project_ref, why in found.hidden.items()}
        for project_ref in sorted(found.there):
            try:
                self._offer_answers(project_ref)
            except (AnnotatorUnavailable, AnnotatorDenied):
                raise
            except AnnotatorError as exc:
                self.troubles[queues[project_ref]] = exc

    def opens(self, queue: Queue, project_ref: str) -> bool:
        """True if the annotator can sign the links of a queue's images, where it is to; seen to once.

        Where it can't, the queue waits; the others don't, and the reason is raised at the end.
        """
        if queue.images != "annotator" or project_ref in self._open:
            return True
        try:
            self._annotator.open_bucket(
                project_ref, self._access(self._blind_uri if queue.blind else None)
            )
        except BucketRefused as exc:
            self.troubles.setdefault(queue.name, exc)
            return False
        self._open.add(project_ref)
        return True

    def of(self, queue: Queue) -> Project:
        """The queue's project, found by its marker or created; it offers the answers of the settings.

        The creation is noted before it is asked for: a run that follows on one which was killed, or
        heard no answer, waits for what the annotator may still be at, and doesn't create another.
        """
        marker = project_marker(self._ledger_id, queue.name)
        creating = f"creating:{queue.name}"
        there = self._annotator.projects()
        own = [p for p in there if p.marker == marker and p.takes_tasks]
        with self._context.read() as tx:
            doubtful = cursors.get(tx, creating) is not None
        if not own and doubtful:
            own = list(self._settled(marker))
        if own:
            self._offer_answers(own[0].project_ref)
        else:
            self._refuse_foreign(there, queue)
            doubtful = True
            with self._context.write() as tx:
                cursors.put(tx, creating, self._context.clock.now().isoformat())
            try:
                own = [self._created(queue, marker)]
            except AnnotatorError as exc:
                if not (isinstance(exc, AnnotatorUnavailable) and exc.carried_out):
                    self._forget(creating)
                raise
        if doubtful:
            self._forget(creating)
        return own[0]

    def _offer_answers(self, project_ref: str) -> None:
        if project_ref in self._in_step:
            return
        with suppress(ProjectGone):  # collect finds out, and its tasks go to a new one
            self._annotator.set_choices(project_ref, self._classes)
        self._in_step.add(project_ref)

    def _created(self, queue: Queue, marker: str) -> Project:
        spec = ProjectSpec(
            title=f"{self._project_name}: {queue.name}",
            marker=marker,
            classes=self._classes,
            show=queue.show,
            blind=queue.blind,
            kind=self._kind,
            people=queue.annotators,
        )
        self._annotator.check_account()
        try:
            return self._annotator.create_project(spec)
        except AnnotatorUnavailable as exc:
            found = self._settled(marker) if exc.carried_out else []
            if not found:
                raise
            return found[0]

    def _settled(self, marker: str) -> Sequence[Project]:
        return self._context.settled(
            lambda: [p for p in self._annotator.projects() if p.marker == marker and p.takes_tasks],
            bool,
        )

    def _forget(self, cursor: str) -> None:
        with self._context.write() as tx:
            cursors.clear(tx, cursor)

    def _refuse_foreign(self, there: Sequence[Project], queue: Queue) -> None:
        """Stop where another ledger's project already serves this project's queue: ours is new."""
        with self._context.read() as tx:
            if tasks.projects(tx):
                return
        for project in there:
            same_queue = project.marker.rpartition("/")[2] == queue.name
            # up to the colon: `food` is not `food11`; the annotator may cut a long title
            if same_queue and project.title.startswith(f"{self._project_name}: "[:20]):
                raise LedgerError(
                    f"{self._annotator.name} has a project {project.title!r} for this queue that "
                    f"another ledger created ({project.marker}), but this ledger has sent nothing yet: "
                    "it is new, or the old ledger was lost",
                    remedy="restore the old ledger, or run `labelloop ledger rebuild`; to start over, delete "
                    f"that project in {self._annotator.name}, or choose another [project] name",
                )
