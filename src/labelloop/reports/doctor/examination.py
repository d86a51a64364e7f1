"""The whole examination, in the order in which things are set up."""

from labelloop.reports.doctor import browser, clock, drift, label_studio, page, state, store, table
from labelloop.reports.doctor.finding import Check, Diagnosis, Finding, Outcome, examine, ok
from labelloop.reports.doctor.subject import Subject


def checks(subject: Subject) -> list[Check]:
    """Every check, in order."""
    groups = (store, table, browser, page, label_studio, clock, state, drift)
    return [check for group in groups for check in group.checks(subject)]


def diagnose(subject: Subject) -> Diagnosis:
    """Examine everything; nothing that is broken stops the rest."""
    project = subject.settings.project
    queues = ", ".join(q.name for q in subject.queues)
    settings = ok("settings", f"{project.name}: {len(project.classes)} classes, queues {queues}")
    found = examine(checks(subject))
    return Diagnosis((settings, *found.findings), found.not_made)


def unusable(error: str, remedy: str) -> Diagnosis:
    """The diagnosis where the settings can't be used, so that nothing else can be examined."""
    return Diagnosis((Finding("settings", Outcome.FAIL, error, remedy),), ("everything else",))
