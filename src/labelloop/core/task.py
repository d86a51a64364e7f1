"""A task: what people are asked about one sample for one purpose, and how its state moves."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from labelloop.core.annotation import Annotation, Label, Standing, resolve, votes
from labelloop.core.queue import Purpose


class TaskState(StrEnum):
    """The state of a task."""

    DRAWN = "drawn"
    SENDING = "sending"
    SENT = "sent"
    ANNOTATED = "annotated"
    RESOLVED = "resolved"
    TIED = "tied"
    SKIPPED = "skipped"
    UNAVAILABLE = "unavailable"
    ABANDONED = "abandoned"


_GIVEN_UP = frozenset({TaskState.UNAVAILABLE, TaskState.ABANDONED})

MOVES: dict[TaskState, frozenset[TaskState]] = {
    TaskState.DRAWN: _GIVEN_UP | {TaskState.SENDING},
    TaskState.SENDING: _GIVEN_UP | {TaskState.SENT, TaskState.DRAWN},
    TaskState.SENT: _GIVEN_UP | {TaskState.ANNOTATED, TaskState.SKIPPED, TaskState.DRAWN},
    TaskState.ANNOTATED: _GIVEN_UP
    | {TaskState.RESOLVED, TaskState.TIED, TaskState.SENT, TaskState.DRAWN},
    TaskState.TIED: _GIVEN_UP | {TaskState.RESOLVED, TaskState.SENT, TaskState.DRAWN},
    TaskState.SKIPPED: _GIVEN_UP | {TaskState.ANNOTATED, TaskState.SENT, TaskState.DRAWN},
    TaskState.RESOLVED: frozenset({TaskState.ANNOTATED, TaskState.SENT}),
    TaskState.UNAVAILABLE: frozenset({TaskState.ANNOTATED}),
    TaskState.ABANDONED: frozenset({TaskState.ANNOTATED, TaskState.DRAWN}),
}
"""The moves a task may make. A late answer still counts after `unavailable` and `abandoned`; a second
look that was given up because nobody needed it is drawn again where it is needed."""

WITHOUT_ANSWER = _GIVEN_UP | {TaskState.SKIPPED}
"""Asked, and nobody could answer; or given up."""

OPEN = frozenset({TaskState.SENT, TaskState.ANNOTATED, TaskState.TIED, TaskState.SKIPPED})
"""Before people, and not settled."""


ASKED_AGAIN = 4
"""The look of a task that asks again about a label of the training set; it stands alone."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Task:
    """A task as it stands in the ledger.

    look
        which look at the sample it asks for: 0 for the first answer, ASKED_AGAIN, or a second look
    answers_wanted
        how many people's answers settle it
    people_asked
        how many answers the annotator takes before it stops offering the task; None where that isn't
        known
    forgotten
        its sample was forgotten: `sample_id` is a hash, and nobody is asked any more
    """

    task_key: str
    sample_id: str
    uri: str
    queue: str
    purpose: Purpose
    state: TaskState
    look: int = 0
    project_ref: str | None = None
    remote_id: str | None = None
    media_uri: str | None = None
    attempt: int = 0
    sent_at: datetime | None = None
    url_expires_at: datetime | None = None
    answers_wanted: int = 1
    people_asked: int | None = None
    forgotten: bool = False

    @property
    def is_second_look(self) -> bool:
        """True if what its answers come to depends on the other looks at the sample."""
        return self.look not in {0, ASKED_AGAIN}


def path_after_answers(
    task: Task, annotations: Iterable[Annotation]
) -> tuple[tuple[TaskState, ...], Label | None]:
    """The states that a sent task moves through, in order, and its label if it has one now.

    `annotations` holds the latest revision of each annotation. There are no states if nothing changed.
    """
    latest = list(annotations)
    label = resolve(task.task_key, latest, wanted=task.answers_wanted)
    if label is None and task.state not in OPEN and task.state is not TaskState.RESOLVED:
        return (), None
    n_votes = len(votes(latest))
    if label is not None:
        to = TaskState.RESOLVED
    elif n_votes >= task.answers_wanted:
        to = TaskState.TIED
    elif n_votes:
        to = TaskState.ANNOTATED
    elif any(a.skipped and not a.deleted for a in latest):
        to = TaskState.SKIPPED
    else:
        to = TaskState.SENT
    return _path(task.state, to), label


def _path(start: TaskState, to: TaskState) -> tuple[TaskState, ...]:
    """The shortest path that MOVES allows, through one other state at most."""
    if start is to:
        return ()
    if to in MOVES[start]:
        return (to,)
    through = (TaskState.ANNOTATED, TaskState.SENT)
    return next((via, to) for via in through if via in MOVES[start] and to in MOVES[via])


def people_to_ask(
    task: Task, annotations: Iterable[Annotation], strays_by: Sequence[str] = ()
) -> int | None:
    """How many answers the annotator should take for a task; None: as it stands is right.

    One more than there are where they are tied. The annotator stops offering a task once it has that
    many annotations, whoever made them and whatever they say; so one more for each that is void or no
    class (`strays_by` names who gave the latter), and for each further one of the same person.
    """
    latest = [a for a in annotations if a.standing is not Standing.DECISION]
    given = [a.annotator for a in latest if not a.deleted and not a.skipped] + list(strays_by)
    n_votes = len(votes(latest))
    missing = 1 if task.state is TaskState.TIED else max(0, task.answers_wanted - n_votes)
    wanted = len(given) + missing if missing else len(set(given))
    asked = task.people_asked
    if missing:
        return wanted if asked != wanted else None
    return wanted if asked is not None and asked > wanted else None
