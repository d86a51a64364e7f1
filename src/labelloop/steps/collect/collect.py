"""collect: people's answers come home, every edit, skip and deletion of them."""

from collections.abc import Sequence
from datetime import datetime, timedelta

from labelloop.core.remote_id import order_given
from labelloop.core.task import OPEN, Task
from labelloop.errors import AnnotatorError, AnnotatorUnavailable, ProjectGone
from labelloop.ledger import Lease, Ledger, annotations, classes, cursors, tasks
from labelloop.ports.annotator import Annotator, Project
from labelloop.ports.clock import Clock, Progress
from labelloop.steps.collect.answers import AllowedAnswers
from labelloop.steps.collect.counts import ProjectCounts, believed_in, is_displaced
from labelloop.steps.collect.intake import Intake
from labelloop.steps.collect.second_looks import SecondLooks
from labelloop.steps.collect.tally import Collected, Tally
from labelloop.steps.collect.whereabouts import whereabouts

OVERLAP = timedelta(minutes=1)
"""How far each reading goes back behind the last: a slow transaction may show late."""


class Collect:
    """Collects from every project that tasks were sent to."""

    def __init__(
        self,
        ledger: Ledger,
        annotator: Annotator,
        *,
        ledger_id: str,
        referees: Sequence[str] = (),
        clock: Clock,
        progress: Progress,
    ) -> None:
        """`referees`: the e-mail addresses of the people whose second looks decide."""
        self._ledger = ledger
        self._annotator = annotator
        self._ledger_id = ledger_id
        self._referees = referees
        self._clock = clock
        self._progress = progress

    def run(self, *, anew: bool = False) -> Collected:
        """Read what changed since last time; where the counts then differ, read everything.

        `anew`: projects that aren't at this address are gone, and their open tasks are sent again.

        Raises:
            AnnotatorError: a project can't be seen, and isn't gone, or can't be read; the others were
                collected.
        """
        tally = Tally()
        with self._ledger.lease("collect") as lease:
            with self._ledger.read() as tx:
                queues = tasks.projects(tx)
                allowed = AllowedAnswers(classes.live(tx), classes.renamed(tx))
            found = whereabouts(
                self._ledger, lease, self._annotator, ledger_id=self._ledger_id, anew=anew
            )
            for project_ref in sorted(found.gone):
                self._lose_project(lease, project_ref, queues[project_ref], tally)
            intake = Intake(self._ledger, lease, self._annotator, allowed, tally, clock=self._clock)
            troubles: list[AnnotatorError] = []
            for project_ref, project in sorted(found.there.items()):
                try:
                    self._collect(lease, project, allowed, intake, tally)
                except ProjectGone:
                    self._lose_project(lease, project_ref, queues[project_ref], tally)
                except AnnotatorUnavailable as exc:
                    if troubles:  # it isn't that one project
                        raise
                    troubles.append(exc)
            intake.count_votes_again()
            self._second_looks(lease, tally)
            with self._ledger.read() as tx:
                strays = tuple(annotations.strays(tx))
        for trouble in (*troubles, *found.hidden.values()):
            raise trouble
        return tally.collected(strays)

    def _second_looks(self, lease: Lease, tally: Tally) -> None:
        identity = self._ledger.identity()
        assert identity is not None  # noqa: S101  it has one before a verb runs
        SecondLooks(
            self._ledger,
            lease,
            self._annotator,
            identity=identity,
            referees=self._referees,
            clock=self._clock,
            tally=tally,
        ).follow()

    def _collect(
        self,
        lease: Lease,
        project: Project,
        allowed: AllowedAnswers,
        intake: Intake,
        tally: Tally,
    ) -> None:
        cursor = f"collect:{project.project_ref}"
        with self._ledger.read() as tx:
            text = cursors.get(tx, cursor)
        mark = datetime.fromisoformat(text) if text else None
        seen: dict[str, str | None] = {}
        newest = self._read(project, mark - OVERLAP if mark else None, intake, seen)
        with self._ledger.write(lease) as tx:
            if newest is not None and (mark is None or newest > mark):
                cursors.put(tx, cursor, newest.isoformat())
            counts = ProjectCounts.of(tx, project)
            swept = cursors.get(tx, f"swept:{project.project_ref}")
            usable = [s.task_key for s in annotations.strays(tx) if allowed.has(s.value)]
            became_classes = bool(believed_in(tx, project, usable))
            displaced = is_displaced(tx, project, seen, swept)
        if became_classes or counts.differ(swept) or displaced:
            self._sweep(lease, project, intake, tally)

    def _read(
        self,
        project: Project,
        after: datetime | None,
        intake: Intake,
        seen: dict[str, str | None],
    ) -> datetime | None:
        """Take in the pages of tasks changed after a moment; returns the newest change seen.

        `seen` is told the key under each id.
        """
        newest: datetime | None = None
        done = 0
        for page in self._annotator.tasks(project.project_ref, after):
            seen.update((remote.remote_id, remote.task_key) for remote in page)
            intake.take_in(project, page)
            newest = max([r.updated_at for r in page] + ([newest] if newest else []), default=None)
            done += len(page)
            self._progress("tasks read", done, project.n_tasks if after is None else None)
        return newest

    def _sweep(self, lease: Lease, project: Project, intake: Intake, tally: Tally) -> None:
        """Read a whole project, and note which of our tasks are no longer in it.

        The id of a task that is gone may be another's: an annotator that was restored gives it again.
        """
        with self._ledger.read() as tx:
            before = tasks.in_project(tx, project.project_ref)
        seen: dict[str, str | None] = {}
        self._read(project, None, intake, seen)
        with self._ledger.read() as tx:  # a duplicate may have been adopted meanwhile
            believed = tasks.by_key(tx, [task.task_key for task in before]).values()
        gone = [t for t in believed if seen.get(t.remote_id or "") != t.task_key]
        self._lose(lease, gone, f"gone from {self._annotator.name}", tally)
        with self._ledger.write(lease) as tx:
            swept = ProjectCounts.of(tx, project, anew=True).noted(
                max(seen, key=order_given, default="")
            )
            cursors.put(tx, f"swept:{project.project_ref}", swept)

    def _lose_project(self, lease: Lease, project_ref: str, queue: str, tally: Tally) -> None:
        with self._ledger.read() as tx:
            open_tasks = tasks.open_in_project(tx, project_ref)
        if open_tasks:
            tally.lost_projects.append(queue)
            self._lose(lease, open_tasks, f"project {project_ref} is gone", tally)

    def _lose(self, lease: Lease, gone: Sequence[Task], why: str, tally: Tally) -> None:
        """Tasks that people can't answer any more are sent again; a resolved label stands."""
        open_tasks = [task for task in gone if task.state in OPEN]
        if not open_tasks:
            return
        with self._ledger.write(lease) as tx:
            for state in {task.state for task in open_tasks}:
                tasks.return_to_drawn(
                    tx,
                    [task for task in open_tasks if task.state is state],
                    actor="collect",
                    at=self._clock.now(),
                    why=why,
                )
        tally.n_lost += len(open_tasks)
