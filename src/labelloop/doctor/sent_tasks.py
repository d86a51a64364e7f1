"""Do the ledger and the annotator agree on what is there?"""

from collections import Counter
from collections.abc import Iterator

from labelloop.core.task import OPEN, Task
from labelloop.core.token import project_marker
from labelloop.doctor.finding import Finding, fail, failed, ok, warn
from labelloop.doctor.subject import Subject
from labelloop.ledger import Ledger, tasks
from labelloop.steps.collect.whereabouts import refuse_another, why_hidden


def sent_tasks(subject: Subject) -> Iterator[Finding]:
    """Whether the tasks are where the ledger says."""
    there = {p.project_ref: p for p in subject.annotator.projects()}
    ledger = subject.ledger
    sent = _projects(ledger)
    if ledger is None or not sent:
        yield from _foreign(subject, [p.title for p in there.values()])
        return
    if not sent.keys() & there.keys():
        refuse_another(ledger, subject.annotator, len(sent))
    identity = ledger.identity()
    findings: list[Finding] = []
    n_tasks = 0
    with ledger.read() as tx:
        n_doubtful = len(tasks.in_doubt(tx))
    if n_doubtful:
        findings.append(
            warn(
                f"{n_doubtful:,} tasks may or may not have reached {subject.annotator.name}",
                "run `labelloop send`, which checks them",
            )
        )
    for project_ref, queue in sent.items():
        with ledger.read() as tx:
            believed = tasks.in_project(tx, project_ref)
        n_tasks += len(believed)
        if project_ref not in there:
            marker = project_marker(identity.ledger_id if identity else "", queue)
            why = why_hidden(ledger, subject.annotator, project_ref, queue, marker)
            n = sum(task.state in OPEN for task in believed)
            findings.append(
                failed(why)
                if why is not None
                else warn(
                    f"project {project_ref} of queue {queue!r} is gone from "
                    f"{subject.annotator.name}, with {n:,} open tasks",
                    "run `labelloop collect`, then `labelloop send`, which sends the open tasks to a "
                    "new project",
                )
            )
        else:
            findings += _tasks(subject, project_ref, queue, believed)
    yield from findings or [
        ok(f"{n_tasks:,} tasks in {len(sent)} projects are where the ledger says")
    ]


def _projects(ledger: Ledger | None) -> dict[str, str]:
    if ledger is None:
        return {}
    with ledger.read() as tx:
        return tasks.projects(tx)


def _tasks(
    subject: Subject, project_ref: str, queue: str, believed: list[Task]
) -> Iterator[Finding]:
    found: Counter[str | None] = Counter()
    for page in subject.annotator.tasks(project_ref):
        found.update(task.task_key for task in page)
        subject.progress(f"comparing {queue}", found.total(), None)
    ours = {task.task_key: task for task in believed}
    gone = [t for key, t in ours.items() if key not in found and t.state in OPEN]
    twice = [key for key, n in found.items() if n > 1 and key in ours]
    n_foreign = sum(n for key, n in found.items() if key not in ours)
    where = f"in project {project_ref} ({queue})"
    if gone:
        yield warn(
            f"{len(gone):,} open tasks are gone {where}",
            "run `labelloop collect`, then `labelloop send`: they are sent again",
        )
    if twice:
        yield warn(
            f"{len(twice):,} tasks are there more than once {where}",
            "run `labelloop collect`, which merges them",
        )
    if n_foreign:
        yield warn(
            f"{n_foreign:,} tasks {where} weren't sent by this ledger: somebody imported or "
            "copied them",
            f"labelloop leaves them alone; delete them in {subject.annotator.name} if nobody needs "
            "them",
        )


def _foreign(subject: Subject, titles: list[str]) -> Iterator[Finding]:
    """Nothing was sent yet: then nothing of this project should be there."""
    named = [t for t in titles if t.startswith(f"{subject.settings.project.name}: ")]
    if named:
        yield fail(
            f"this ledger has sent nothing, but {subject.annotator.name} has a project "
            f"{named[0]!r} that another ledger created",
            "restore the old ledger, or run `labelloop ledger rebuild`; to start over, delete "
            f"that project in {subject.annotator.name}, or choose another [project] name",
        )
    else:
        yield ok("nothing was sent yet")
