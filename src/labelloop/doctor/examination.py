"""The whole examination, in the order in which things are set up."""

from collections.abc import Iterator, Sequence

from labelloop.core.queue import Queue
from labelloop.doctor import browser, clock, drift, files, label_studio, page, state, store, table
from labelloop.doctor.finding import Check, Diagnosis, Finding, Outcome, examine, ok, warn
from labelloop.doctor.subject import Subject


def checks(subject: Subject) -> list[Check]:
    """Every check, in order."""
    groups = (store, table, browser, page, label_studio, clock, state, files, drift)
    return [check for group in groups for check in group.checks(subject)]


def diagnose(subject: Subject, *, after: Sequence[Finding] = ()) -> Diagnosis:
    """Examine everything; nothing that is broken stops the rest. `after`: what was found before."""
    project = subject.settings.project
    queues = ", ".join(q.name for q in subject.queues)
    settings = ok("settings", f"{project.name}: {len(project.classes)} classes, queues {queues}")
    found = examine(checks(subject))
    # what fails in both, once
    every = dict.fromkeys((*after, settings, *_thresholds(subject.queues), *found.findings))
    return Diagnosis(tuple(every), found.not_made)


def _thresholds(queues: Sequence[Queue]) -> Iterator[Finding]:
    """A warning for each condition on another scale than confidences have."""
    for queue in queues:
        bounds = queue.where.confidence_bounds if queue.where else ()
        outside = [bound for bound in bounds if not 0 <= bound <= 1]
        if outside:
            yield warn(
                "settings",
                f"queue {queue.name!r} compares confidence with {outside[0]:g}, and confidences are kept "
                "as numbers from 0 to 1: the comparison always says the same",
                "write 0.7 for 70%, whatever confidence_divisor is",
            )


def unusable(error: str, remedy: str) -> Diagnosis:
    """The diagnosis where the settings can't be used, so that nothing else can be examined."""
    return Diagnosis((Finding("settings", Outcome.FAIL, error, remedy),), ("everything else",))
