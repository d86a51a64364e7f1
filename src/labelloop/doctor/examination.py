"""The whole examination, in the order in which things are set up."""

from collections.abc import Iterator, Sequence
from datetime import timedelta

from labelloop.doctor import (
    browser,
    clock,
    files,
    label_studio,
    labelling_page,
    page,
    sent_tasks,
    state,
    store,
    table,
)
from labelloop.doctor.finding import Check, Diagnosis, Finding, Outcome, examine, ok, warn
from labelloop.doctor.subject import Subject
from labelloop.ledger import classes
from labelloop.steps.prepare import classes_dropped

LISTED = ("store", "access")
COPIED = (*LISTED, "blind copies")
TOLD_FOR = timedelta(days=30)
"""For so long after it was dropped, a class that labels hold is told."""


def settings(subject: Subject) -> Iterator[Finding]:
    """What the settings name, and each condition on another scale than confidences have."""
    project = subject.settings.project
    queues = ", ".join(q.name for q in subject.queues)
    yield ok(f"{project.name}: {len(project.classes)} classes, queues {queues}")
    yield from _dropped_classes(subject)
    for queue in subject.queues:
        bounds = queue.where.confidence_bounds if queue.where else ()
        outside = [bound for bound in bounds if not 0 <= bound <= 1]
        if outside:
            yield warn(
                f"queue {queue.name!r} compares confidence with {outside[0]:g}, and confidences are kept "
                "as numbers from 0 to 1: the comparison always says the same",
                "write 0.7 for 70%, whatever confidence_divisor is",
            )


def _dropped_classes(subject: Subject) -> Iterator[Finding]:
    """A warning for each class that labels hold and that was dropped or renamed of late."""
    if subject.ledger is None:
        return
    named = subject.settings.answers()
    since = subject.clock.now() - TOLD_FOR
    with subject.ledger.read() as tx:
        dropped = classes.dropped(tx, named, retired_since=since)
    for says, remedy in classes_dropped(dropped, named):
        yield warn(says, remedy)


CHECKS = (
    Check("settings", settings),
    Check("store", store.listing),
    Check("tags", store.tags, needs=LISTED),
    Check("history", store.history, needs=(*LISTED, "tags")),
    Check("formats", store.formats, needs=LISTED),
    Check("notifications", store.notifications),
    Check("blind copies", store.blind_copies, needs=LISTED),
    Check("blindness", store.blindness, needs=(*LISTED, "tags")),
    Check("retention", store.inputs_kept, needs=LISTED),
    Check("copies kept", store.copies_kept, needs=COPIED),
    Check("table", table.table),
    Check("rows", table.rows, needs=("table",)),
    Check("addresses", browser.addresses),
    Check("image links", browser.image_links, needs=LISTED),
    Check("blind links", browser.blind_links, needs=COPIED),
    Check("browser", browser.only_people_see, needs=LISTED),
    Check("old page", page.remove_lapsed, needs=COPIED),
    Check("Label Studio", label_studio.reached),
    Check("token", label_studio.token, needs=("Label Studio",)),
    Check("people", label_studio.people, needs=("Label Studio",)),
    Check("private bucket", label_studio.private_bucket, needs=("Label Studio",)),
    Check("labelling page", labelling_page.answers),
    Check("clocks", clock.clocks),
    Check("ledger", state.ledger),
    Check("webhooks", label_studio.webhooks, needs=("Label Studio", "ledger")),
    Check("log", state.log, needs=("ledger",)),
    Check("disk", state.disk),
    Check("engine", state.engine),
    Check("ledger's file", files.ledger_file, needs=("ledger",)),
    Check("batches", files.log_batches, needs=("ledger",)),
    Check("datasets", files.dataset_files, needs=("ledger", "ledger's file")),
    Check("tasks", sent_tasks.sent_tasks, needs=("ledger", "Label Studio")),
)


def diagnose(subject: Subject, *, after: Sequence[Finding] = ()) -> Diagnosis:
    """Examine everything; nothing that is broken stops the rest. `after`: what was found before."""
    found = examine(CHECKS, subject)
    # what fails in both, once
    return Diagnosis(tuple(dict.fromkeys((*after, *found.findings))), found.not_made)


def unusable(error: str, remedy: str) -> Diagnosis:
    """The diagnosis where the settings can't be used, so that nothing else can be examined."""
    return Diagnosis((Finding("settings", Outcome.FAIL, error, remedy),), ("all others",))
