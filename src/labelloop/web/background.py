"""Work that takes longer than a visitor waits: one thread a piece, whose result is kept in memory."""

import threading
import time
from collections.abc import Callable, Hashable
from dataclasses import dataclass
from typing import Generic, TypeVar

from labelloop.errors import LabelloopError

T = TypeVar("T")

_KEPT = 32
"""Results that are kept, those that were asked for last."""


@dataclass(frozen=True, slots=True)
class Made(Generic[T]):
    """What is known of a piece of work.

    result, error
        of the last time that it ended; both None: it never did
    running
        whether it is under way
    """

    result: T | None
    error: LabelloopError | None
    running: bool


class _Piece(Generic[T]):
    def __init__(self) -> None:
        self.result: T | None = None
        self.error: LabelloopError | None = None
        self.fault: Exception | None = None
        self.ended_at_s: float | None = None
        self.thread: threading.Thread | None = None


class Background(Generic[T]):
    """Pieces of work by their names. The same piece is never under way twice."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._pieces: dict[Hashable, _Piece[T]] = {}

    def look(
        self,
        name: Hashable,
        make: Callable[[], T],
        *,
        fresh_s: float | None = None,
        oldest_s: float | None = None,
        wait_s: float = 0.0,
    ) -> Made[T]:
        """The result of a piece of work, which is begun if there is none.

        fresh_s
            begin it anew if the result is older; None: any result will do
        oldest_s
            forget the result if it is older
        wait_s
            how long to wait for it

        Raises:
            Exception: it failed last by a fault of labelloop, which is no LabelloopError.
        """
        with self._lock:
            piece = self._pieces.pop(name, None) or _Piece[T]()
            if oldest_s is not None and _is_stale(piece.ended_at_s, oldest_s):
                piece.result = None
            self._pieces[name] = piece
            for old in list(self._pieces)[:-_KEPT]:
                del self._pieces[old]
            under_way = piece.thread is not None and piece.thread.is_alive()
            if not under_way and _is_stale(piece.ended_at_s, fresh_s):
                piece.thread = threading.Thread(target=_work, args=(piece, make), daemon=True)
                piece.thread.start()
            thread = piece.thread
        if thread is not None and wait_s > 0:
            thread.join(wait_s)
        running = (
            thread is not None and thread.is_alive()
        )  # asked first: the result may come in now
        if piece.fault is not None and not running:
            raise piece.fault
        return Made(piece.result, piece.error, running)


def _is_stale(ended_at_s: float | None, fresh_s: float | None) -> bool:
    if ended_at_s is None:
        return True
    return fresh_s is not None and time.monotonic() - ended_at_s > fresh_s


def _work(piece: _Piece[T], make: Callable[[], T]) -> None:
    result, error, fault = None, None, None
    try:
        result = make()
    except LabelloopError as exc:
        error = exc
    except Exception as exc:  # noqa: BLE001  whoever looks gets it
        fault = exc
    piece.ended_at_s = time.monotonic()  # set first: a result without a time would be forgotten
    piece.result, piece.error, piece.fault = result, error, fault
