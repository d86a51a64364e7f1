"""Label Studio: which version, whose token, for how long, and what it would refuse."""

import socket
from collections.abc import Iterator
from datetime import timedelta
from ipaddress import ip_address
from urllib.parse import urlsplit

from labelloop.doctor.finding import Check, Finding, fail, ok, warn
from labelloop.doctor.subject import Subject

OLDEST, NEWEST = (1, 20, 0), (1, 23, 2)
"""The versions that the test suite runs."""

GUARDED = (1, 23, 1)
"""Since then Label Studio refuses private addresses, unless SSRF_PROTECTION_ENABLED is false."""

REACHED = "Label Studio"
"""The check that all others of it need."""

SOON = timedelta(days=14)
FAR = timedelta(days=3652)
SKEW = timedelta(minutes=2)


def checks(subject: Subject) -> list[Check]:
    """The checks of Label Studio, in their order."""
    needs = (REACHED,)
    return [
        Check(REACHED, lambda: _label_studio(subject)),
        Check("token", lambda: _token(subject), needs=needs),
        Check("private bucket", lambda: _private_bucket(subject), needs=needs),
    ]


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


def _label_studio(subject: Subject) -> Iterator[Finding]:
    facts = subject.facts
    subject.annotator.check_account()
    says = f"{facts.version} at {subject.settings.label_studio.url}, as {facts.user}"
    if version(facts.version) < OLDEST:
        wanted = ".".join(map(str, OLDEST))
        yield warn("Label Studio", f"{says}: older than any that was tested", f"install {wanted}")
    elif version(facts.version) > NEWEST:
        yield ok("Label Studio", f"{says}; newer than any that was tested")
    else:
        yield ok("Label Studio", says)


def _token(subject: Subject) -> Iterator[Finding]:
    facts = subject.facts
    if facts.access == "legacy token":
        yield ok(
            "token", "a legacy token: it doesn't expire, and an administrator may switch it off"
        )
        return
    if facts.access_expires_at is None:
        yield ok("token", "a personal access token that doesn't say when it expires")
        return
    left = facts.access_expires_at - subject.clock.now()
    account = f"make a new one in Label Studio: {subject.annotator_url}/user/account"
    lasts = f"{left.days:,} days left" if left < FAR else "more than ten years left"
    says = f"a personal access token, {lasts}"
    if left <= timedelta(0):
        yield fail("token", "the personal access token has expired", account)
    elif left < SOON:
        yield warn("token", says, account)
    else:
        yield ok("token", says)


def _private_bucket(subject: Subject) -> Iterator[Finding]:
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
        yield ok("private bucket", f"{refuses}; no queue has it open the bucket")
        return
    yield warn(
        "private bucket",
        f"{refuses}; queue {signing[0]!r} has it sign the links",
        'set it so, if you trust everyone who has an account there, or images = "presign" in the queue',
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
