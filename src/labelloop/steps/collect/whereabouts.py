"""Where the projects that hold our tasks are: there, gone, or out of sight.

A project that can't be seen isn't gone for that: the address may name another annotator, the account
may not see it, or its marker was removed. To take it for gone would have its tasks labelled twice.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field

from labelloop.core.token import project_marker
from labelloop.errors import AnnotatorDenied, AnnotatorError, ProjectGone
from labelloop.ledger import Lease, Ledger, cursors, tasks
from labelloop.ports.annotator import Annotator, Project

_SEEN_AT = "annotator"
_LOOKED_FOR = 80


@dataclass(frozen=True, slots=True)
class Whereabouts:
    """The projects that tasks were sent to, by their ids. `hidden`: why it can't be said of the others."""

    there: Mapping[str, Project] = field(default_factory=dict)
    gone: frozenset[str] = frozenset()
    hidden: Mapping[str, AnnotatorError] = field(default_factory=dict)


def whereabouts(
    ledger: Ledger, lease: Lease, annotator: Annotator, *, ledger_id: str, anew: bool = False
) -> Whereabouts:
    """Look for every project that tasks were sent to.

    anew
        take what isn't at this address for gone

    Raises:
        AnnotatorDenied: the account sees no projects.
        AnnotatorError: none is at this address, and they were at another.
    """
    with ledger.read() as tx:
        known = tasks.projects(tx)
    if not known:
        return Whereabouts()
    ours = project_marker(ledger_id, "")
    there = {
        p.project_ref: p
        for p in annotator.projects()
        if p.project_ref in known and p.marker.startswith(ours)
    }
    if len(there) < len(known):
        annotator.check_account()
    if not there and not anew:
        refuse_another(ledger, annotator, len(known))
    if there or anew:
        with ledger.read() as tx:
            noted = cursors.get(tx, _SEEN_AT) == annotator.url
        if not noted:
            with ledger.write(lease) as tx:
                cursors.put(tx, _SEEN_AT, annotator.url)
    gone: set[str] = set()
    hidden: dict[str, AnnotatorError] = {}
    for project_ref, queue in sorted(known.items()):
        if project_ref not in there:
            why = why_hidden(ledger, annotator, project_ref, queue, ours + queue)
            if why is None:
                gone.add(project_ref)
            else:
                hidden[project_ref] = why
    return Whereabouts(there, frozenset(gone), hidden)


def refuse_another(ledger: Ledger, annotator: Annotator, n_projects: int) -> None:
    """Stop where none of our projects is at this address, and they were at another.

    Raises:
        AnnotatorError: it is so.
    """
    with ledger.read() as tx:
        seen_at = cursors.get(tx, _SEEN_AT)
    if seen_at not in {None, annotator.url}:
        raise AnnotatorError(
            f"{annotator.name} at {annotator.url} has none of the {n_projects} projects that "
            f"tasks were sent to; labelloop last saw them at {seen_at}",
            remedy=f"correct the url of {annotator.name}; if the old projects are gone for good, run "
            "`labelloop collect --anew`, which sends the open tasks again",
        )


def why_hidden(
    ledger: Ledger, annotator: Annotator, project_ref: str, queue: str, marker: str
) -> AnnotatorError | None:
    """Why a project isn't listed though it is there; None where it is gone, or holds nothing open."""
    with ledger.read() as tx:
        keys = [task.task_key for task in tasks.open_in_project(tx, project_ref)]
    try:
        found = annotator.find(project_ref, keys[:_LOOKED_FOR]) if keys else ()
    except ProjectGone:
        return None
    except AnnotatorDenied as exc:
        return AnnotatorDenied(
            f"the account of the token has no access to project {project_ref} of queue "
            f"{queue!r}: {exc.args[0]}",
            remedy="use the token of a member of the organisation that owns the project",
        )
    if not found:
        return None
    return AnnotatorError(
        f"project {project_ref} of queue {queue!r} has tasks of labelloop, but its "
        f"description has lost the line {marker!r}",
        remedy=f"add that line to the description again: {annotator.project_url(project_ref)}",
    )
