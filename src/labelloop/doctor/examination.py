"""The whole examination, in the order in which things are set up."""

from collections.abc import Sequence

from labelloop.doctor import browser, clock, drift, files, label_studio, page, state, store, table
from labelloop.doctor.finding import Check, Diagnosis, Finding, Outcome, examine, ok
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
    every = dict.fromkeys((*after, settings, *found.findings))  # what fails in both, once
    return Diagnosis(tuple(every), found.not_made)


def unusable(error: str, remedy: str) -> Diagnosis:
    """The diagnosis where the settings can't be used, so that nothing else can be examined."""
    return Diagnosis((Finding("settings", Outcome.FAIL, error, remedy),), ("everything else",))
