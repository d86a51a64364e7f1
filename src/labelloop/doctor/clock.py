"""Do the clocks agree? A signature names its time, and a token its end."""

from collections.abc import Iterator
from datetime import timedelta

from labelloop.doctor.browser import origin_of
from labelloop.doctor.finding import Finding, fail, ok, warn
from labelloop.doctor.subject import Subject
from labelloop.errors import LabelloopError

NOTED = timedelta(minutes=1)
REFUSED = timedelta(minutes=15)
"""S3 refuses requests whose time is further off."""


def clocks(subject: Subject) -> Iterator[Finding]:
    """Whether the clocks of the store and the annotator agree with this machine's."""
    skews: dict[str, timedelta] = {}
    place = f"{subject.settings.store.uri.rstrip('/')}/labelloop-clock"
    try:
        url = subject.store.presign(place, timedelta(minutes=1))
        before = subject.clock.now()
        served_at = subject.store.view(url, origin=origin_of(subject.annotator_url)).served_at
        if served_at is not None:
            skews["the store"] = served_at - before
    except LabelloopError:
        pass  # that it can't be reached is said where the store is looked at
    ahead = subject.annotator_is_ahead
    if ahead is not None:
        skews[subject.annotator.name] = ahead
    if not skews:
        return
    who, worst = max(skews.items(), key=lambda item: abs(item[1]))
    seconds = abs(worst).total_seconds()
    way = "ahead of" if worst > timedelta(0) else "behind"
    says = f"the clock of {who} is {seconds:,.0f} s {way} this one"
    if abs(worst) >= REFUSED:
        yield fail(says, "set the clocks right (NTP); S3 refuses requests that are 15 minutes off")
    elif abs(worst) >= NOTED:
        yield warn(
            says, "set the clocks right (NTP): until then links expire too early or too late"
        )
    else:
        agree = f"those of {' and '.join(skews)} agree" if len(skews) > 1 else f"{who}'s agrees"
        yield ok(f"{agree} with this one")


def dated_ahead(n: int, n_looked_at: int) -> Iterator[Finding]:
    """A warning where `n` predictions are dated in the future."""
    if n:
        yield warn(
            f"{n:,} of {n_looked_at:,} checked predictions are dated in the future",
            "correct the clock of the machine that writes them (NTP); write local times with their "
            "offset, or they are read as UTC. They are drawn and labelled, and count in `last 7 days` when "
            "their time comes",
        )
