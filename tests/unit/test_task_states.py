"""The states of a task: the table of moves, and the way that answers take through it."""

from datetime import UTC, datetime, timedelta

import pytest

from labelloop.core.annotation import Annotation
from labelloop.core.queue import Purpose
from labelloop.core.task import MOVES, OPEN, Task, TaskState, path_after_answers

S = TaskState
UNRESOLVED = {S.DRAWN, S.SENDING, S.SENT, S.ANNOTATED, S.TIED, S.SKIPPED}
DESIGNED = {
    (S.DRAWN, S.SENDING),
    (S.SENDING, S.SENT),
    (S.SENDING, S.DRAWN),
    (S.SENT, S.ANNOTATED),
    (S.ANNOTATED, S.RESOLVED),
    (S.ANNOTATED, S.TIED),
    (S.TIED, S.RESOLVED),
    (S.SENT, S.SKIPPED),
    (S.SKIPPED, S.ANNOTATED),
    (S.RESOLVED, S.ANNOTATED),
    *((s, S.SENT) for s in (S.ANNOTATED, S.TIED, S.RESOLVED, S.SKIPPED)),
    *((s, S.DRAWN) for s in (S.SENT, S.ANNOTATED, S.TIED, S.SKIPPED)),
    *((s, S.UNAVAILABLE) for s in UNRESOLVED),
    *((s, S.ABANDONED) for s in UNRESOLVED),
    # a late answer counts all the same
    (S.UNAVAILABLE, S.ANNOTATED),
    (S.ABANDONED, S.ANNOTATED),
    (S.ABANDONED, S.DRAWN),
}
AT = datetime(2026, 3, 2, tzinfo=UTC)


def said(
    number: int, answer: str | None, *, later: int = 0, skipped: bool = False, deleted: bool = False
) -> Annotation:
    return Annotation(
        task_key="k",
        remote_id=str(number),
        updated_at=AT + timedelta(minutes=later),
        annotator="ana",
        answer=answer,
        skipped=skipped,
        deleted=deleted,
    )


def task(state: TaskState) -> Task:
    return Task(
        task_key="k", sample_id="s", uri="u", queue="q", purpose=Purpose.TRAINING, state=state
    )


def test_the_moves_are_the_designed_ones() -> None:
    assert {(a, b) for a, to in MOVES.items() for b in to} == DESIGNED
    assert set(MOVES) == set(TaskState)


def test_a_resolved_task_never_waits_to_be_sent_again() -> None:
    assert S.DRAWN not in MOVES[S.RESOLVED]
    assert S.UNAVAILABLE not in MOVES[S.RESOLVED]


SKIP = said(1, None, skipped=True)


@pytest.mark.parametrize("state", [*sorted(OPEN), S.RESOLVED, S.UNAVAILABLE, S.ABANDONED])
@pytest.mark.parametrize(
    "answers",
    [[], [SKIP], [said(1, "cat")], [SKIP, said(2, "cat")], [said(1, "cat", deleted=True)]],
)
def test_every_way_that_answers_take_is_made_of_allowed_moves(
    state: TaskState, answers: list[Annotation]
) -> None:
    path, _ = path_after_answers(task(state), answers)
    for before, after in zip((state, *path), path, strict=False):
        assert after in MOVES[before]


@pytest.mark.parametrize(
    ("state", "answers", "path", "label"),
    [
        (S.SENT, [], (), None),
        (S.SENT, [said(1, "cat")], (S.ANNOTATED, S.RESOLVED), "cat"),
        (S.SENT, [SKIP], (S.SKIPPED,), None),
        (S.SKIPPED, [SKIP], (), None),
        (S.SKIPPED, [SKIP, said(2, "dog")], (S.ANNOTATED, S.RESOLVED), "dog"),
        (S.SKIPPED, [], (S.SENT,), None),
        (S.RESOLVED, [said(1, "cat")], (), "cat"),
        (S.RESOLVED, [said(1, "cat", deleted=True)], (S.SENT,), None),
        (S.RESOLVED, [said(1, "cat", deleted=True), said(2, "dog")], (), "dog"),
        (S.RESOLVED, [said(1, None, skipped=True)], (S.SENT, S.SKIPPED), None),
        (S.ANNOTATED, [said(1, "cat")], (S.RESOLVED,), "cat"),
        (S.UNAVAILABLE, [], (), None),
        (S.UNAVAILABLE, [said(1, "cat")], (S.ANNOTATED, S.RESOLVED), "cat"),
        (S.ABANDONED, [SKIP], (), None),
        (S.DRAWN, [], (), None),
    ],
)
def test_answers_move_a_task(
    state: TaskState, answers: list[Annotation], path: tuple[TaskState, ...], label: str | None
) -> None:
    moved, found = path_after_answers(task(state), answers)
    assert moved == path
    assert (found.label if found else None) == label


def test_the_first_valid_answer_holds_as_last_edited() -> None:
    _, label = path_after_answers(
        task(S.SENT), [said(3, "cat", later=1), said(2, "dog", later=9), SKIP]
    )
    assert label is not None
    assert (label.label, label.n_votes) == ("dog", 1)
    assert label.revision.startswith("2@2026-03-02T00:09")
