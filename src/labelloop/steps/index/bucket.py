"""index: new objects and their tags go into the prediction log, once.

What is new is found by listing the store. Where the store names it by itself, its notifications are read
instead; a listing every so often finds what they missed.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from hashlib import sha256

from labelloop.core import due
from labelloop.core.line import lines
from labelloop.core.row_range import NO_ROWS, RowRange
from labelloop.core.sample import (
    RejectReason,
)
from labelloop.core.tombstone import Tombstones
from labelloop.ledger import Lease, Ledger, clocks_ahead, cursors, rejects, tombstones
from labelloop.ports.clock import Clock, Progress
from labelloop.ports.log import LoggedSample, PredictionLog
from labelloop.ports.notifications import Notifications
from labelloop.ports.store import Store, StoredObject
from labelloop.reading.exclude import Exclude
from labelloop.reading.tag_names import TagNames
from labelloop.reading.tags import Reading, TaggedObject, read_tags
from labelloop.steps.index.batch_writer import recover_batches, write_batches
from labelloop.steps.index.indexed import Indexed
from labelloop.steps.index.news import News, is_overwritten, said_before

PENDING = timedelta(minutes=10)
"""An untagged object younger than this waits for its tags: apps upload first and tag later.

So does one whose metadata can't be read: it may be half written.
"""

SETTLED = timedelta(hours=1)
"""An object this much older than the last listing was seen by it, whatever the server's clocks."""

EMPTY = "it is empty: 0 bytes"

_CHUNK = 50_000
"""Objects of a listing for which the log is asked together."""

_SHOWN = 1_000
_NEWEST_LISTED = "index:newest listed"
_LISTED_AT = "index:listed at"
_NOTIFIED = "index:notified"
_READING = "index:classes and tag names"


@dataclass(slots=True)
class _Counts:
    """What a run has come to."""

    n_listed: int = 0
    n_new: int = 0
    n_shadow: int = 0
    set_aside: RowRange = NO_ROWS
    n_pending: int = 0
    n_unreadable_yet: int = 0
    n_feedback: int = 0
    n_ahead: int = 0
    n_notified: int | None = None
    n_unreadable: int = 0


class Index:
    """Indexes one store into one log."""

    def __init__(
        self,
        ledger: Ledger,
        log: PredictionLog,
        store: Store,
        *,
        names: TagNames,
        classes: Sequence[str],
        renamed: Mapping[str, str],
        unusable_is_wrong: bool = False,
        confidence_divisor: float | None = None,
        exclude: Exclude | None = None,
        feedback_horizon: timedelta,
        clock: Clock,
        progress: Progress,
        notifications: Notifications | None = None,
        list_every: timedelta = timedelta(),
    ) -> None:
        """`list_every`: how often the store is listed where it has notifications."""
        self._ledger = ledger
        self._log = log
        self._store = store
        self._names = names
        self._classes = frozenset(classes)
        self._renamed = renamed
        self._unusable_is_wrong = unusable_is_wrong
        self._divisor = confidence_divisor
        self._exclude = exclude
        self._horizon = feedback_horizon
        self._clock = clock
        self._progress = progress
        self._notifications = notifications
        self._list_every = list_every

    def run(self, *, list_store: bool = False) -> Indexed:
        """Find what may be new, read its tags, and commit them in batches.

        A run that is killed leaves whole batches behind; the next one reads only what is missing.
        `list_store` lists the store though notifications would do.
        """
        with self._ledger.lease("index") as lease:
            n_restored = recover_batches(self._ledger, self._log, lease, self._clock.now())
            c = self._run(lease, list_store)
            with self._ledger.read() as tx:
                in_all = RowRange.total(rejects.by_reason(tx).values())
        return Indexed(
            n_listed=c.n_listed,
            n_new=c.n_new,
            n_set_aside=c.set_aside.least,
            n_set_aside_most=c.set_aside.most,
            n_pending=c.n_pending,
            n_feedback=c.n_feedback,
            n_set_aside_in_all=in_all.least,
            n_set_aside_in_all_most=in_all.most,
            n_shadow=c.n_shadow,
            n_batches_restored=n_restored,
            n_notified=c.n_notified,
            n_unreadable=c.n_unreadable,
            n_unreadable_yet=c.n_unreadable_yet,
            n_ahead=c.n_ahead,
        )

    def _run(self, lease: Lease, list_store: bool) -> _Counts:
        now = self._clock.now()
        with self._ledger.read() as tx:
            digest = cursors.get(tx, _READING)
            listed_at = cursors.get(tx, _LISTED_AT)
            forgotten = tombstones.every(tx)
        retry = digest is not None and digest != self._digest()
        counts = _Counts()
        last_at = None if listed_at is None else datetime.fromisoformat(listed_at)
        listed = list_store or retry or due.listing_is_due(last_at, self._list_every, now)
        settled = None
        if self._notifications is not None and not listed:
            settled = self._take_notified(self._notifications, lease, counts, forgotten, now)
        if self._notifications is None or listed or counts.n_unreadable:
            self._list(lease, counts, forgotten, now, retry=retry, settled=settled)
        return counts

    def _take_notified(
        self,
        notifications: Notifications,
        lease: Lease,
        counts: _Counts,
        forgotten: Tombstones,
        now: datetime,
    ) -> str | None:
        """Read what notifications name, up to the first that names an object without its tags yet.

        What follows it is read too, and again next time. Returns the position so far: it isn't noted from
        the first unreadable one on, as that was passed only once the store has been listed.
        """
        with self._ledger.read() as tx:
            position = cursors.get(tx, _NOTIFIED)
        found = News()
        n_notified, settled = 0, position
        for page in notifications.since(position):
            n_notified += len(page.objects)
            counts.n_unreadable += page.n_unreadable
            if found.speaks_of(page.objects):
                # named again, as it was tagged: what the log doesn't hold yet would look new once more
                found = self._write(lease, found, counts, now)
            counts.n_pending += self._read(
                page.objects,
                found,
                now=now,
                known_before=None,
                retry=True,
                forgotten=forgotten,
                notified=True,
            )
            if not counts.n_pending:
                settled = page.position
            self._progress("notified", n_notified, None)
            if found.is_full:
                found = self._write(lease, found, counts, now)
                self._pass(lease, settled, counts)
        self._write(lease, found, counts, now)
        self._pass(lease, settled, counts)
        counts.n_notified = n_notified
        return settled

    def _pass(self, lease: Lease, settled: str | None, counts: _Counts) -> None:
        if settled is not None and not counts.n_unreadable:
            with self._ledger.write(lease) as tx:
                cursors.put(tx, _NOTIFIED, settled)

    def _list(
        self,
        lease: Lease,
        counts: _Counts,
        forgotten: Tombstones,
        now: datetime,
        *,
        retry: bool,
        settled: str | None,
    ) -> None:
        """List the store, and read what may be new; `settled`: how far notifications were read before."""
        with self._ledger.read() as tx:
            text = cursors.get(tx, _NEWEST_LISTED)
        known_before = datetime.fromisoformat(text) - SETTLED if text else None
        before = newest = datetime.fromisoformat(text) if text else None
        notified = self._notifications.end() if self._notifications else None
        found = News()
        n_pending = 0
        for listed in _chunks(self._store.objects()):
            objects = self._without_excluded(listed, found)
            if not objects:
                continue
            counts.n_listed += len(objects)
            newest = max([o.last_modified for o in objects] + ([newest] if newest else []))
            n_pending += self._read(
                objects,
                found,
                now=now,
                known_before=known_before,
                retry=retry,
                forgotten=forgotten,
            )
            self._progress("listed", counts.n_listed, None)
            if found.is_full:
                found = self._write(lease, found, counts, now)
        self._write(lease, found, counts, now)
        counts.n_pending = n_pending
        with self._ledger.write(lease) as tx:
            if newest is not None:
                # what came in while a long listing ran may have been passed by
                seen = min(newest, now) if before is None else max(before, min(newest, now))
                cursors.put(tx, _NEWEST_LISTED, seen.isoformat())
            cursors.put(tx, _READING, self._digest())
            cursors.put(tx, _LISTED_AT, now.isoformat())
            # what was named before the listing began has been seen by it
            passed = settled if n_pending else notified
            if passed is not None:
                cursors.put(tx, _NOTIFIED, passed)

    def _digest(self) -> str:
        """What decides whether tags can be read: where it changes, rejected rows may be mended."""
        rules = (self._names, self._unusable_is_wrong, sorted(self._renamed.items()), self._divisor)
        text = "\0".join([repr(rules), *sorted(self._classes)])
        return sha256(text.encode()).hexdigest()

    # --- reading ------------------------------------------------------------------------------

    def _read(
        self,
        objects: Sequence[StoredObject],
        found: News,
        *,
        now: datetime,
        known_before: datetime | None,
        retry: bool,
        forgotten: Tombstones,
        notified: bool = False,
    ) -> int:
        """Read what may be new of some objects; returns how many are pending.

        Tags of objects that were `notified` may have changed at any age. An object that was stored long
        ago may be new all the same: replication and backups keep the time of the first storing.
        """
        recent = {
            o.sample_id for o in objects if notified or now - o.last_modified <= self._horizon
        }
        with self._ledger.read() as tx:
            aside = rejects.by_uri(tx, [o.uri for o in objects])
        places = lines((o.sample_id for o in objects), self._log.salt)
        held = {
            o.sample_id
            for o, may_be in zip(objects, self._log.may_hold(places, serving=True), strict=True)
            if may_be
        }
        asked = [
            o
            for o in objects
            if o.sample_id in recent
            or o.uri in aside
            or known_before is None
            or o.last_modified >= known_before
            or o.sample_id not in held
        ]
        gone = forgotten.among(o.sample_id for o in asked)
        asked = [o for o in asked if o.sample_id not in gone]
        known = self._log.samples([o.sample_id for o in asked if o.sample_id in held])
        wanted = [o for o in asked if self._may_be_new(o, known, aside, recent, retry)]
        n_pending = 0
        for n_read, (stored, tags) in enumerate(self._store.tags(wanted), start=1):
            if n_read % _SHOWN == 0:
                self._progress("tags read", n_read, len(wanted))
            reading = read_tags(
                TaggedObject(
                    sample_id=stored.sample_id,
                    uri=stored.uri,
                    content_hash=stored.content_hash,
                    size_bytes=stored.size_bytes,
                    tags=tags,
                    fault=stored.fault or ("" if stored.size_bytes else EMPTY),
                ),
                self._names,
                classes=self._classes | said_before(known.get(stored.sample_id)),
                renamed=self._renamed,
                unusable_is_wrong=self._unusable_is_wrong,
                confidence_divisor=self._divisor,
                salt=self._log.salt,
                received_at=now,
            )
            if _is_pending(reading, stored, now):
                n_pending += 1
                found.n_unreadable_yet += _is_unreadable(reading)
            elif stored.sample_id in known:
                found.add_known(known[stored.sample_id], stored, reading)
            else:
                found.add_new(stored, reading, mended=stored.uri in aside)
        return n_pending

    def _without_excluded(self, listed: list[StoredObject], found: News) -> list[StoredObject]:
        """What of a listing is an input; what is none isn't rejected any longer."""
        if self._exclude is None:
            return listed
        excluded = [o.uri for o in listed if self._exclude.matches(o.sample_id)]
        if not excluded:
            return listed
        with self._ledger.read() as tx:
            found.mended += rejects.by_uri(tx, excluded)
        gone = set(excluded)
        return [o for o in listed if o.uri not in gone]

    def _may_be_new(
        self,
        stored: StoredObject,
        known: Mapping[str, LoggedSample],
        aside: Mapping[str, rejects.RejectedRow],
        recent: set[str],
        retry: bool,
    ) -> bool:
        if stored.sample_id in recent:
            return True
        set_aside = aside.get(stored.uri)
        if set_aside is not None:
            return retry
        before = known.get(stored.sample_id)
        # a listing tells the content where it costs nothing
        return before is None or bool(stored.content_hash and is_overwritten(before, stored))

    # --- writing ------------------------------------------------------------------------------

    def _write(self, lease: Lease, found: News, counts: _Counts, now: datetime) -> News:
        """Commit what was read, and count it; returns what takes up the rest."""
        counts.n_new += len(found.predictions)
        counts.n_shadow += len(found.shadows)
        counts.n_feedback += len(found.feedback)
        counts.n_unreadable_yet += found.n_unreadable_yet
        ahead = [p.predicted_at for p in found.predictions if p.predicted_at > now + due.AHEAD]
        counts.n_ahead += len(ahead)
        predictions = [*found.predictions, *found.shadows]
        if any((predictions, found.feedback, found.rejects, found.mended)):
            counts.set_aside += write_batches(
                self._ledger,
                self._log,
                lease,
                predictions=predictions,
                feedback=found.feedback,
                set_aside=found.rejects,
                mended=found.mended,
                now=now,
                also=lambda tx: clocks_ahead.note(tx, ahead),
            )
        return News()


def _is_unreadable(reading: Reading) -> bool:
    return reading.reject is not None and reading.reject.reason is RejectReason.UNREADABLE


def _is_pending(reading: Reading, stored: StoredObject, now: datetime) -> bool:
    return (
        reading.reject is not None
        and reading.reject.reason in {RejectReason.UNTAGGED, RejectReason.UNREADABLE}
        and now - stored.last_modified < PENDING
    )


def _chunks(pages: Iterator[Sequence[StoredObject]]) -> Iterator[list[StoredObject]]:
    """The pages of a listing, gathered so that the log is asked seldom."""
    gathered: list[StoredObject] = []
    for page in pages:
        gathered.extend(page)
        if len(gathered) >= _CHUNK:
            yield gathered
            gathered = []
    if gathered:
        yield gathered
