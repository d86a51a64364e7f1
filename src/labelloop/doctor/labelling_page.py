"""The labelling page: whether its answers' database can be used, and who waits for an approval."""

from collections.abc import Iterator

from labelloop.doctor.finding import Finding, ok, warn
from labelloop.doctor.subject import Subject


def answers(subject: Subject) -> Iterator[Finding]:
    """Whether the answers' database can be used, and whether answers in it wait for an approval."""
    desk = subject.open_desk()
    if desk is None:
        return
    members = desk.members()
    queues = sorted(subject.settings.on_page())
    waiting = [m for m in members if m.approved_at is None and m.excluded_at is None]
    if waiting:
        n = sum(m.n_answers for m in waiting)
        yield warn(
            f"{len(waiting)} newcomers wait for an approval, with {n:,} answers: the first is "
            f"{waiting[0].name!r}",
            "look at their answers, then `labelloop people approve NAME` or `labelloop people exclude NAME`",
        )
    named = ", ".join(map(repr, queues)) or "no queue"
    yield ok(f"{subject.settings.annotator_url()}/label shows {named} to {len(members)} people")
