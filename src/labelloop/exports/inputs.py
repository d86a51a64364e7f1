"""Reads samples' inputs from the store, many at once, in order, few of them in memory."""

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from itertools import islice
from typing import TypeVar

from labelloop.core.dataset import Row
from labelloop.errors import InputGone
from labelloop.exports.lost import Lost
from labelloop.ports.store import Store

WORKERS = 16
AHEAD = 3 * WORKERS
"""Rows under way, or done and not yet taken: so many inputs memory has to hold at most."""
T = TypeVar("T")


def at_once(rows: Iterable[Row], call: Callable[[Row], T]) -> Iterator[tuple[Row, T]]:
    """Each row, in order, with what `call` returns for it; several calls run at once."""
    waiting = iter(rows)
    running: deque[tuple[Row, Future[T]]] = deque()
    with ThreadPoolExecutor(WORKERS, thread_name_prefix="export") as pool:
        try:
            for row in islice(waiting, AHEAD):
                running.append((row, pool.submit(call, row)))
            while running:
                row, future = running.popleft()
                result = future.result()
                for following in islice(waiting, 1):
                    running.append((following, pool.submit(call, following)))
                yield row, result
        finally:
            for _, future in running:
                future.cancel()


def read(row: Row, store: Store) -> bytes | Lost:
    """The bytes that were labelled, or why the store doesn't give them."""
    try:
        return store.read(row.uri, content_hash=row.content_hash)
    except InputGone as exc:
        return Lost.because(exc)


def inputs(
    rows: Iterator[Row], store: Store
) -> Callable[[int], Iterator[tuple[Row, bytes | Lost]]]:
    """What gives the rows after the first n with their inputs."""
    return lambda n: at_once(islice(rows, n, None), lambda row: read(row, store))
