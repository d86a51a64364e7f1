"""The queue between an application and its bucket: a request never waits for it."""

import atexit
import json
import os
import random
import threading
import time
import weakref
from collections import Counter, deque
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from labelloop_capture.bucket import Bucket, Missing, Refused
from labelloop_capture.record import Prediction, Word, from_bytes, new_id, to_bytes
from labelloop_capture.spool import Spool, SpoolFull

SENDERS = 4
FIRST_WAIT_S, LONGEST_WAIT_S = 1.0, 300.0
"""How long a store that fails is left alone."""
POLLED_S = 0.05
"""How often a sender that has nothing to do looks into the queue."""
LOOKED_S = 0.5
"""How often somebody looks at the spool and the rows."""
WORD_LIFE_S = 3600.0
"""How long a user's word waits for a sample that isn't stored."""
ROWS_A_FILE = 10_000

Redact = Callable[[Prediction], Prediction | None]


class Capture:
    """Captures predictions in the background. Safe for threads, and after a fork.

    Nothing here raises, waits or writes while a request is served: what can't be kept is dropped and
    counted (`counts`), and the reason is logged once a minute.
    """

    def __init__(
        self,
        target: str,
        *,
        model: str | None = None,
        form: str = "tags",
        rows: str = "",
        attributes: Sequence[str] = (),
        sampling_rate: float = 1.0,
        redact: Redact | None = None,
        spool: str | os.PathLike[str] = ".labelloop-capture",
        spool_bytes: int = 1 << 30,
        queue_items: int = 1_000,
        queue_bytes: int = 64 << 20,
        rows_every_s: float = 60.0,
        **client: Any,
    ) -> None:
        """`target` is s3://BUCKET or s3://BUCKET/PREFIX; `client` goes to botocore's client.

        form
            "tags": each input with its tags; "jsonl" or "parquet": inputs, and a log in files below
            `rows` (s3://BUCKET/predictions unless it says otherwise), one every `rows_every_s`
        attributes
            the columns of attributes that each file of a log has; others are added as they come
        sampling_rate
            the share of calls that is kept, written with each
        redact
            called with each prediction before it is sent or touches the disk; None drops it

        Raises:
            ValueError: a value can't be meant.
        """
        if not 0 < sampling_rate <= 1:
            raise ValueError(
                f"sampling_rate {sampling_rate!r}: expected a number above 0, at most 1"
            )
        self._bucket = Bucket(target, form=form, rows=rows, client=client)
        self._model, self._rate, self._redact = model, sampling_rate, redact
        self._spool_at, self._spool_bytes = Path(spool), spool_bytes
        self._most_items, self._most_bytes = queue_items, queue_bytes
        self._rows_every_s = rows_every_s
        self._columns: dict[str, object] = dict.fromkeys(attributes)
        self._target = (target, form, rows, client)
        self._begin()
        _ALL.add(self)

    def _begin(self) -> None:
        """What belongs to one process."""
        self._lock = threading.Lock()  # of what a request touches; nothing else waits for it
        self._counting = threading.Lock()
        self._n_taken = self._n_full = 0
        self._queue: deque[tuple[Prediction | Word, int]] = deque()
        self._n = self._size = 0
        self._counts: Counter[str] = Counter()
        self._running = self._ending = False
        self._threads: list[threading.Thread] = []
        self._spool: Spool | None = None
        self._wait_s, self._down_until_s = FIRST_WAIT_S, 0.0
        self._warned: dict[str, float] = {}
        self._keeping, self._resending = threading.Lock(), threading.Lock()
        self._flying: dict[int, Prediction | Word] = {}
        self._open_rows: Any = None
        self._rows_from_s, self._n_rows = 0.0, 0

    def after_fork(self) -> None:
        """Begin anew in a child: what waits is the parent's to send."""
        target, form, rows, client = self._target
        self._bucket = Bucket(target, form=form, rows=rows, client=client)
        self._begin()

    # --- what an application calls ----------------------------------------------------------------

    def log(
        self,
        data: bytes | str,
        predicted_class: str,
        confidence: float | None = None,
        *,
        model: str | None = None,
        attributes: Mapping[str, object] | None = None,
        probabilities: Sequence[float] | None = None,
        predicted_at: datetime | None = None,
        sample_id: str | None = None,
    ) -> str | None:
        """Keep what the model said about an input; its id, or None where it isn't kept."""
        if self._rate < 1 and random.random() >= self._rate:  # noqa: S311  no secret
            return None
        body = data.encode() if isinstance(data, str) else data
        key, kind = new_id(body, self._bucket.prefix)
        if isinstance(data, str):
            key, kind = key + ".txt", "text/plain; charset=utf-8"
        one = Prediction(
            sample_id=sample_id or key,
            body=body,
            predicted_class=predicted_class,
            confidence=confidence,
            model=model or self._model,
            predicted_at=predicted_at or datetime.now(UTC),
            probabilities=None if probabilities is None else tuple(probabilities),
            attributes={k: str(v) for k, v in attributes.items()} if attributes else {},
            sampling_rate=self._rate if self._rate < 1 else None,
            content_type=kind,
        )
        return one.sample_id if self._take(one) else None

    def flag(self, sample_id: str, flagged: bool = True) -> bool:
        """A user says that the answer to this sample is wrong, or takes it back; whether it is kept."""
        return self._take(Word(sample_id, flagged=flagged))

    def correct(self, sample_id: str, correct_class: str) -> bool:
        """A user says which class is right; an empty one takes it back. Whether it is kept."""
        return self._take(Word(sample_id, corrected_class=correct_class))

    def counts(self) -> dict[str, int]:
        """How many were taken, sent, spooled, and dropped for which reason; and what waits now."""
        with self._lock:
            own = {"taken": self._n_taken, "dropped: queue full": self._n_full}
            waiting = self._n
        with self._counting:
            counted = dict(self._counts)
        return {**{name: n for name, n in own.items() if n}, **counted, "waiting": waiting}

    def flush(self, timeout_s: float = 10.0) -> bool:
        """Send what waits in memory, and the rows so far; whether all of it is stored."""
        until = time.monotonic() + timeout_s
        while self._running and time.monotonic() < until:
            if not self._n:
                self._keep(all_rows=True)
                if not self._n and not self._waiting_on_disk():
                    return True
            time.sleep(0.01)
        return not self._n and not self._waiting_on_disk()

    def close(self, timeout_s: float = 5.0) -> None:
        """Send what can be sent in time, and leave the rest on disk to the next process."""
        if not self._running:
            return
        self.flush(timeout_s)
        self._ending = True
        for thread in self._threads:
            thread.join(timeout=0.2)
        with self._counting:
            flying, self._flying = self._flying, {}
        for each in flying.values():
            self._put_down(each, redacted=True)
        while (taken := self._next()) is not None:
            self._put_down(taken[0])
            self._finish(taken[1])
        if self._spool is not None:
            self._close_rows()
            self._spool.close()
        self._running = self._ending = False

    # --- the queue --------------------------------------------------------------------------------

    def _take(self, one: Prediction | Word) -> bool:
        size = len(one.body) if isinstance(one, Prediction) else 0
        with self._lock:
            if self._n >= self._most_items or self._size + size > self._most_bytes:
                self._n_full += 1
                return False
            self._n += 1
            self._size += size
            self._n_taken += 1
            if not self._running:
                self._start()
        self._queue.append((one, size))  # nobody is woken: that takes longer than all the rest
        return True

    def _finish(self, size: int) -> None:
        with self._lock:
            self._n -= 1
            self._size -= size

    def _start(self) -> None:
        self._running, self._ending = True, False
        work = [self._send_all] * SENDERS + [self._keep_all]
        self._threads = [threading.Thread(target=w, daemon=True, name="capture") for w in work]
        for thread in self._threads:
            thread.start()

    def _next(self, wait_s: float = 0.0) -> tuple[Prediction | Word, int] | None:
        if not self._queue and wait_s:
            time.sleep(wait_s)
        try:
            return self._queue.popleft()
        except IndexError:
            return None

    # --- in the background --------------------------------------------------------------------------

    def _send_all(self) -> None:
        while not self._ending:
            taken = self._next(POLLED_S)
            if taken is None:
                continue
            one, size = taken
            try:
                kept = self._redacted(one)
                if kept is not None:
                    self._send_or_keep(kept)
            finally:
                self._finish(size)

    def _send_or_keep(self, one: Prediction | Word) -> None:
        """Send it, or keep it on disk; what `close` couldn't wait for it has kept itself."""
        me = threading.get_ident()
        with self._counting:
            self._flying[me] = one
        sent = not self._is_down() and self._send(one)
        with self._counting:
            mine = self._flying.pop(me, None)
        if mine is not None and not sent:
            self._put_down(one, redacted=True)

    def _redacted(self, one: Prediction | Word) -> Prediction | Word | None:
        """What may leave; a hook that fails lets nothing through."""
        if self._redact is None or isinstance(one, Word):
            return one
        try:
            kept = self._redact(one)
        except Exception as exc:  # noqa: BLE001  the hook is the application's
            self._drop("redact failed", repr(exc))
            return None
        if kept is None:
            self._drop("redacted")
        return kept

    def _send(self, one: Prediction | Word) -> bool:
        """Whether it is done with: stored, or never to be."""
        try:
            if isinstance(one, Prediction):
                self._bucket.store(one)
                if self._bucket.form != "tags":
                    self._write_row(one)
            elif self._bucket.form == "tags":
                self._bucket.say(one)
            else:
                self._write_row(one)
        except (Refused, ValueError) as exc:
            self._drop("refused", str(exc))
            return True
        except Missing:
            return False
        except Exception as exc:  # noqa: BLE001  whatever botocore raises: the store is left alone for a while
            self._note_failure(exc)
            return False
        with self._counting:
            self._counts["sent"] += 1
            self._wait_s = FIRST_WAIT_S
        return True

    def _put_down(self, one: Prediction | Word, *, redacted: bool = False) -> None:
        """Keep it on disk until the store takes it."""
        kept = one if redacted else self._redacted(one)
        if kept is None:
            return
        try:
            with self._keeping:
                self._own_spool().put(to_bytes(kept))
        except SpoolFull:
            self._drop("spool full")
        except OSError as exc:
            self._drop("spool failed", str(exc))
        else:
            with self._counting:
                self._counts["spooled"] += 1

    def _keep_all(self) -> None:
        while not self._ending:
            self._keep()
            time.sleep(LOOKED_S)

    def _keep(self, *, all_rows: bool = False) -> None:
        """Make room in the queue, send what lies on disk, and store the rows that are due."""
        while self._n > self._most_items // 2 or self._size > self._most_bytes // 2:
            taken = self._next()
            if taken is None:
                break
            self._put_down(taken[0])
            self._finish(taken[1])
        try:
            with self._keeping:
                spool = self._own_spool()
                if all_rows or time.monotonic() - self._rows_from_s >= self._rows_every_s:
                    self._close_rows()
            with self._resending:
                self._send_rows(spool)
                for path in spool.items():
                    if self._ending or self._is_down():
                        break
                    self._resend(spool, path)
        except OSError as exc:
            self._warn("spool failed", str(exc))

    def _resend(self, spool: Spool, path: Path) -> None:
        try:
            one = from_bytes(path.read_bytes())
        except (ValueError, TypeError) as exc:
            self._drop("spool unreadable", str(exc))
            spool.done(path)
            return
        old = time.time() - path.stat().st_mtime > WORD_LIFE_S
        if self._send(one):
            spool.done(path)
        elif isinstance(one, Word) and old and not self._is_down():
            self._drop("sample unknown", one.sample_id)
            spool.done(path)

    def _send_rows(self, spool: Spool) -> None:
        for path in sorted(spool.folder.glob("*.rows")):
            if self._is_down() or (self._open_rows and Path(self._open_rows.name) == path):
                continue
            try:
                self._bucket.store_rows(path)
                path.unlink()
            except Exception as exc:  # noqa: BLE001  as above
                self._note_failure(exc)

    def _write_row(self, one: Prediction | Word) -> None:
        with self._keeping:
            if self._open_rows is None:
                name = f"{time.strftime('%Y-%m-%d', time.gmtime())}_{os.urandom(12).hex()}.rows"
                self._open_rows = (self._own_spool().folder / name).open("ab", buffering=0)
                self._rows_from_s, self._n_rows = time.monotonic(), 0
            row = one.row()
            self._columns |= dict.fromkeys(row)
            self._open_rows.write(json.dumps(self._columns | row).encode() + b"\n")
            self._n_rows += 1
            if self._n_rows >= ROWS_A_FILE:
                self._close_rows()

    def _close_rows(self) -> None:
        if self._open_rows is not None:
            self._open_rows.close()
            self._open_rows = None

    def _own_spool(self) -> Spool:
        if self._spool is None:
            self._spool = Spool(self._spool_at, limit_bytes=self._spool_bytes)
        return self._spool

    def _waiting_on_disk(self) -> bool:
        spool = self._spool
        return spool is not None and any(
            path.suffix in {".item", ".rows"} for path in spool.folder.iterdir()
        )

    # --- what went wrong --------------------------------------------------------------------------

    def _is_down(self) -> bool:
        return time.monotonic() < self._down_until_s

    def _note_failure(self, exc: Exception) -> None:
        with self._counting:
            if not self._is_down():
                self._down_until_s = time.monotonic() + self._wait_s
                self._wait_s = min(LONGEST_WAIT_S, 2 * self._wait_s)
        self._warn("the store fails", str(exc))

    def _drop(self, reason: str, detail: str = "") -> None:
        with self._counting:
            self._counts[f"dropped: {reason}"] += 1
        self._warn(reason, detail)

    def _warn(self, reason: str, detail: str) -> None:
        now = time.monotonic()
        if now - self._warned.get(reason, -60.0) >= 60.0:
            self._warned[reason] = now
            import logging  # a third of what importing this package would take

            logging.getLogger("labelloop_capture").warning(
                "%s%s", reason, f": {detail}" if detail else ""
            )


_ALL: "weakref.WeakSet[Capture]" = weakref.WeakSet()


def _after_fork() -> None:
    for each in list(_ALL):
        each.after_fork()


def _at_exit() -> None:
    for each in list(_ALL):
        each.close()


os.register_at_fork(after_in_child=_after_fork)
atexit.register(_at_exit)
