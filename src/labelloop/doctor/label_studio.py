"""Label Studio: which version, whose token, for how long, and what it would refuse."""

import socket
from collections.abc import Iterator
from datetime import timedelta
from ipaddress import ip_address
from urllib.parse import urlsplit

from labelloop.doctor.finding import Finding, fail, ok, warn
from labelloop.doctor.subject import Subject
from labelloop.ledger import verb_states

OLDEST, NEWEST = (1, 20, 0), (1, 23, 2)
"""The versions that the test suite runs."""

GUARDED = (1, 23, 1)
"""Since then Label Studio refuses private addresses, unless SSRF_PROTECTION_ENABLED is false."""

SOON = timedelta(days=14)
FAR = timedelta(days=3652)
SKEW = timedelta(minutes=2)


def version(text: str) -> tuple[int, ...]:
    """The numbers that a version begins with.

    >>> version("1.23.2"), version("1.24.0.dev0")
    ((1, 23, 2), (1, 24, 0))
    """
    numbers = []
    for part in text.split("."):
        if not part.isdigit():
            break
        numbers.append(int(part))
    return tuple(numbers)


def reached(subject: Subject) -> Iterator[Finding]:
    """Whether Label Studio answers, and in a version that was tested."""
    own = subject.settings.label_studio
    if own is None:
        return
    facts = subject.facts
    subject.annotator.check_account()
    says = f"{facts.version} at {own.url}, as {facts.user}"
    if version(facts.version) < OLDEST:
        wanted = ".".join(map(str, OLDEST))
        yield warn(f"{says}: older than any that was tested", f"install {wanted}")
    elif version(facts.version) > NEWEST:
        yield ok(f"{says}; newer than any that was tested")
    else:
        yield ok(says)


def token(subject: Subject) -> Iterator[Finding]:
    """For how long the token works."""
    if subject.settings.label_studio is None:
        return
    facts = subject.facts
    if facts.access == "legacy token":
        yield ok("a legacy token: it doesn't expire, and an administrator may switch it off")
        return
    if facts.access_expires_at is None:
        yield ok("a personal access token that doesn't say when it expires")
        return
    left = facts.access_expires_at - subject.clock.now()
    account = f"make a new one in Label Studio: {subject.annotator_url}/user/account"
    lasts = f"{left.days:,} days left" if left < FAR else "more than ten years left"
    says = f"a personal access token, {lasts}"
    if left <= timedelta(0):
        yield fail("the personal access token has expired", account)
    elif left < SOON:
        yield warn(says, account)
    else:
        yield ok(says)


def people(subject: Subject) -> Iterator[Finding]:
    """Whether there is somebody to look again, and somebody whose look decides."""
    wanted = [q.name for q in subject.queues if q.second_look]
    emails = subject.settings.people.referees
    if not wanted and not emails:
        return
    members = {email.lower() for email in subject.annotator.accounts().values()}
    unknown = [e for e in emails if e.lower() not in members]
    invite = "invite them in Label Studio (Organization, Add People)"
    where = "Label Studio"
    if subject.settings.label_studio is None:
        invite = "add them with `labelloop people add NAME --scopes label`"
        where = "the labelling page"
    if unknown:
        yield fail(
            f"referee {unknown[0]!r} is no member of {where}",
            f"{invite}, or correct [people] referees; the members are {', '.join(sorted(members))}",
        )
    elif wanted and len(members) < 2:
        yield warn(
            f"queue {wanted[0]!r} has second looks, and one person is in {where}: nobody is asked again",
            f"{invite}: a second person confirms what differs from the prediction",
        )
    elif wanted and not emails:
        yield warn(
            f"queue {wanted[0]!r} has second looks, and [people] names no referee: most answers decide, "
            "which holds for independent mistakes only",
            "name two people who know the classes best in [people] referees",
        )
    elif len(emails) == 1:
        yield ok("1 referee; a second one could settle what the first contradicts")
    elif emails:
        yield ok(f"{len(emails)} referees")


def private_bucket(subject: Subject) -> Iterator[Finding]:
    """Whether Label Studio would refuse to open the bucket."""
    if subject.settings.label_studio is None:
        return
    facts = subject.facts
    own = subject.settings.store
    host = urlsplit(own.public_endpoint_url or own.endpoint_url or "").hostname
    if version(facts.version) < GUARDED or host is None or not is_private(host):
        return
    refuses = (
        f"Label Studio {facts.version} refuses a bucket at {host}, a private address, unless "
        "SSRF_PROTECTION_ENABLED is false there"
    )
    signing = [q.name for q in subject.queues if q.images == "annotator"]
    if not signing:
        yield ok(f"{refuses}; no queue has it open the bucket")
        return
    yield warn(
        f"{refuses}; queue {signing[0]!r} has it sign the links",
        'set it so, if you trust everyone who has an account there, or images = "presign" in the queue',
    )


def webhooks(subject: Subject) -> Iterator[Finding]:
    """Whether Label Studio would refuse to call the service when answers come."""
    if subject.settings.label_studio is None:
        return
    facts, own = subject.facts, subject.settings.service
    host = urlsplit(own.public_url or f"http://{own.host}").hostname
    if subject.ledger is None or host is None:
        return
    with subject.ledger.read() as tx:
        if not verb_states.every(tx):
            return
    if version(facts.version) < GUARDED or not is_private(host):
        yield ok(f"Label Studio {facts.version} may call {host} when answers come")
        return
    yield warn(
        f"Label Studio {facts.version} calls no private address such as {host} when answers come, unless "
        "SSRF_PROTECTION_ENABLED is false there: they are collected every [service] run_every",
        "set it so, if you trust everyone who has an account there, or give the service a public_url",
    )


def is_private(host: str) -> bool:
    """Whether a name leads to an address that isn't one of the internet's.

    >>> is_private("127.0.0.1"), is_private("192.168.7.3"), is_private("9.9.9.9")
    (True, True, False)
    """
    try:
        found = socket.getaddrinfo(host, None, type=socket.SOCK_STREAM)
    except OSError:
        return False
    return any(not ip_address(str(address[0]).partition("%")[0]).is_global for *_, address in found)
