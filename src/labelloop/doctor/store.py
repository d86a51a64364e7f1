"""The store: is it there, what may we do, does it keep the inputs long enough, do its keys tell?"""

from collections import Counter
from collections.abc import Iterator, Sequence
from datetime import datetime, timedelta
from secrets import token_hex

from labelloop.core.due import AHEAD
from labelloop.core.sample import RejectReason
from labelloop.doctor.clock import dated_ahead
from labelloop.doctor.finding import Finding, fail, failed, ok, warn, you
from labelloop.doctor.glimpse import skipped_history, unshown
from labelloop.doctor.key_leak import key_leak
from labelloop.doctor.subject import Subject
from labelloop.errors import StoreDenied
from labelloop.ledger import rounds
from labelloop.reading.confidence import PERCENT, divisor_of
from labelloop.reading.tags import TaggedObject, read_tags
from labelloop.reading.timestamp import timestamp

UNSHOWN = (
    "let the application store JPEG, PNG, WebP or AVIF beside them, or expect that people skip them"
)
LISTED = "`labelloop status --rejected` lists all after an index"
QUIET = timedelta(days=1)
"""How long no notification may come before that is strange."""


def listing(subject: Subject) -> Iterator[Finding]:
    """Whether the store can be listed, and holds anything."""
    own = subject.settings.store
    try:
        seen = subject.glimpse
    except StoreDenied as exc:
        yield ok(f"{own.endpoint_url or 'AWS'} answers")
        yield failed(exc).under("access")
        return
    if not seen.n_listed and subject.by_text and not subject.by_tags:
        yield ok(f"{own.uri} holds no inputs; none are needed, as the texts stand in [source]")
        return
    if not seen.n_listed:
        yield warn(
            f"{own.uri} can be listed, and is empty",
            "check that the application writes to [store] uri, prefix included",
        )
        return
    yield ok(f"{own.uri} can be listed: {seen.listed}")


def tags(subject: Subject) -> Iterator[Finding]:
    """Whether the tags say what they should."""
    if not subject.glimpse.objects or not subject.by_tags:
        return
    classes = frozenset(subject.settings.project.classes)
    faults: Counter[str] = Counter()
    example: dict[str, str] = {}
    now = subject.clock.now()
    own = subject.settings.store
    said = [sure for _, tags in subject.tagged if (sure := tags.get(subject.names.confidence))]
    n_ahead = 0
    for found, tags in subject.tagged:
        tagged = TaggedObject(
            sample_id=found.sample_id,
            uri=found.uri,
            content_hash=found.content_hash,
            size_bytes=found.size_bytes,
            tags=tags,
            fault=found.fault,
        )
        reading = read_tags(
            tagged,
            subject.names,
            classes=classes,
            salt=b"",
            received_at=now,
            unusable_is_wrong=subject.settings.project.invalid_prediction == "wrong",
            confidence_divisor=own.confidence_divisor,
        )
        n_ahead += reading.prediction is not None and reading.prediction.predicted_at > now + AHEAD
        if reading.prediction is None and reading.reject is not None:
            faults[reading.reject.reason] += 1
            value = f" ({reading.reject.value})" if reading.reject.value else ""
            example.setdefault(reading.reject.reason, f"{found.sample_id}{value}")
    n, n_bad = len(subject.tagged), faults.total()
    yield from dated_ahead(n_ahead, n)
    if not n_bad:
        yield ok(f"tags can be read, and say what they should on all {n:,} looked at")
        return
    reason, n_worst = faults.most_common(1)[0]
    says = (
        f"{n_bad:,} of {n:,} objects looked at would be rejected; most often ({n_worst:,}): "
        f"{reason!s}, such as {example[reason]}"
    )
    divisor = divisor_of(said)
    if reason == RejectReason.BAD_CONFIDENCE and divisor not in {None, own.confidence_divisor}:
        what = "in percent" if divisor == PERCENT else "written with a decimal comma"
        yield fail(
            f"{says}: confidences are {what}",
            f"set confidence_divisor = {divisor:g} in [store]; thresholds in `where` stay between 0 and 1",
        )
    elif n_bad == n:
        yield fail(
            says,
            "set the tag names of the application in [store.tags], and list every class in "
            f"[project] classes; {LISTED}",
        )
    else:
        yield warn(says, f"docs/reference/bucket.md says what each tag may hold; {LISTED}")


def history(subject: Subject) -> Iterator[Finding]:
    """Whether the first round would skip most of what is there."""
    if subject.by_tags:
        stamp = subject.names.timestamp
        yield from old_predictions(
            subject,
            [_when(tags.get(stamp, "")) or o.last_modified for o, tags in subject.tagged],
        )


def _when(text: str) -> datetime | None:
    try:
        return timestamp(text)
    except ValueError:
        return None


def old_predictions(subject: Subject, moments: Sequence[datetime]) -> Iterator[Finding]:
    """Warn where the first round is still to come, and would skip most of what is there."""
    if subject.ledger is not None:
        with subject.ledger.read() as tx:
            if rounds.latest(tx) is not None:
                return
    window = subject.settings.rounds.first_window
    found = skipped_history(moments, now=subject.clock.now(), first_window=window)
    if found is not None:
        yield warn(*found).under("history")


def formats(subject: Subject) -> Iterator[Finding]:
    """Whether browsers show the images."""
    says = None if subject.by_text else unshown(subject.glimpse.objects)
    if says is not None:
        yield warn(says, UNSHOWN)


def notifications(subject: Subject) -> Iterator[Finding]:
    """When the last notification came: a sender that gave up is silent."""
    path = subject.settings.store.notifications
    if path is None:
        return
    try:
        files = list(path.iterdir()) if path.is_dir() else [path]
        newest = max((file.stat().st_mtime for file in files), default=None)
    except OSError as exc:
        yield fail(
            f"{path} can't be read: {exc.strerror}",
            "set [store] notifications to the file or folder that they are written to: see "
            "docs/how-to/notifications.md",
        )
        return
    silent_s = None if newest is None else subject.clock.now().timestamp() - newest
    if silent_s is None or silent_s > QUIET.total_seconds():
        how_long = "yet" if silent_s is None else f"for {silent_s / 3600:.0f} hours"
        yield warn(
            f"nothing was appended to {path} {how_long}",
            "check that the bucket sends notifications, and that the process that receives "
            "them runs; until then labelloop finds new inputs only when it lists the bucket, "
            "every [store] list_every",
        )
        return
    yield ok(f"the last one came to {path} {_ago(silent_s)}")


def _ago(seconds: float) -> str:
    minutes = max(0, round(seconds / 60))
    return f"{minutes} minutes ago" if minutes < 120 else f"{minutes // 60} hours ago"


def blind_copies(subject: Subject) -> Iterator[Finding]:
    """Whether blind copies can be written and removed."""
    place = subject.settings.store.blind_uri
    if not subject.any_blind:
        if subject.by_text:
            why = "tasks hold the texts themselves"
        elif any(queue.blind for queue in subject.queues):
            why = "`labelloop serve` shows blind images under random names"
        else:
            why = "no queue is blind"
        yield ok(f"not needed: {why}")
        return
    if subject.store.inline:
        yield ok("not needed: images are inside the tasks")
        return
    if place is None:
        yield fail(
            "the evaluation queue has no place for them: [store] blind_uri is not set",
            'add blind_uri = "s3://a-writable-bucket" to [store]',
        )
        return
    subject.store.check_writable(place)
    if not subject.glimpse.objects:
        yield ok(f"{place} can be written")
        return
    copy = f"{place.rstrip('/')}/labelloop-check-{token_hex(8)}"
    try:
        subject.store.copy_blind(subject.glimpse.objects[0].uri, copy)
    finally:
        subject.store.delete(copy)
    yield ok(f"an image was copied to {place}, and removed again")


def blindness(subject: Subject) -> Iterator[Finding]:
    """Whether the keys tell the predicted class."""
    if subject.by_text or not subject.by_tags:
        return
    name = subject.names.predicted_class
    pairs = [(o.sample_id, tags[name]) for o, tags in subject.tagged if tags.get(name)]
    if len({predicted for _, predicted in pairs}) < 2:
        return
    says = key_leak(pairs)
    if says is None:
        yield ok("keys don't seem to contain the predicted class")
    elif subject.store.inline:
        yield ok(f"{says}; images are inside the tasks, without their names")
    elif subject.any_blind and subject.settings.store.blind_uri is None:
        yield fail(says, "set [store] blind_uri: blind queues then show copies")
    else:
        yield ok(f"{says}; blind queues show copies with random names")


def copies_kept(subject: Subject) -> Iterator[Finding]:
    """Whether blind copies are kept until people have labelled them."""
    place = subject.settings.store.blind_uri
    if subject.any_blind and place is not None and not subject.store.inline:
        yield from _kept(subject, "blind copies", place)


def inputs_kept(subject: Subject) -> Iterator[Finding]:
    """Whether the inputs are kept until people have labelled them."""
    yield from _kept(subject, "inputs", subject.settings.store.uri)


def _kept(subject: Subject, what: str, uri: str) -> Iterator[Finding]:
    if subject.settings.store.is_folder:  # folders have no such rules
        return
    life = subject.settings.store.presign_life
    try:
        kept = subject.store.retention(uri)
    except StoreDenied:
        yield you(
            f"this key may not read the lifecycle rules of {uri}",
            f"check that the bucket keeps {what} longer than it takes people to label them",
        )
        return
    if kept is None:
        yield ok(f"no rule of {uri} deletes {what}")
    elif kept >= life:
        yield ok(f"{uri} keeps {what} for {_span(kept)}; links work for {_span(life)}")
    else:
        yield warn(
            f"{uri} deletes {what} after {_span(kept)}, while links work for {_span(life)}: "
            "annotators can't see them after that",
            "let the bucket keep them longer, or get them labelled sooner",
        )


def _span(span: timedelta) -> str:
    for unit, seconds in (("day", 86400), ("hour", 3600), ("minute", 60), ("second", 1)):
        n, rest = divmod(span.total_seconds(), seconds)
        if n and not rest:
            return f"{n:g} {unit}{'s' if n != 1 else ''}"
    return str(span)
