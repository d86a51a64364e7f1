"""How batches get into the prediction log: each exactly once, wherever a run is killed."""

from collections.abc import Callable, Sequence
from datetime import datetime

from labelloop.core.row_range import RowRange
from labelloop.core.sample import Feedback, Reject
from labelloop.errors import LogError
from labelloop.ledger import Lease, Ledger, Transaction, batches, events, rejects
from labelloop.ledger.events import Event
from labelloop.ports.log import BatchKind, PredictionLog, Rows


def write_batches(
    ledger: Ledger,
    log: PredictionLog,
    lease: Lease,
    *,
    predictions: Rows,
    feedback: Sequence[Feedback],
    set_aside: Sequence[Reject],
    mended: Sequence[str],
    now: datetime,
    also: Callable[[Transaction], None] = lambda _tx: None,
) -> RowRange:
    """Commit what was read; returns how many rows are newly rejected.

    One transaction decides, and `also` is part of it: killed before it, nothing was read; after it,
    all of it was. A prediction in the log without the feedback read beside it would not be read again.
    """
    parts: list[tuple[BatchKind, Rows]] = []
    if len(predictions):
        parts.append(("predictions", predictions))
    if feedback:
        parts.append(("feedback", feedback))
    with ledger.write(lease) as tx:
        numbers = [batches.reserve(tx, kind, len(rows)) for kind, rows in parts]
    paths = [
        log.write_batch(batch, kind, rows, now)
        for batch, (kind, rows) in zip(numbers, parts, strict=True)
    ]
    with ledger.write(lease) as tx:
        for batch, path in zip(numbers, paths, strict=True):
            batches.record_path(tx, batch, path)
        rejects.clear(tx, mended)
        newly_rejected = rejects.put(tx, set_aside, now)
        also(tx)
    for batch, (kind, _), path in zip(numbers, parts, paths, strict=True):
        log.commit_batch(batch, kind, path)
        with ledger.write(lease) as tx:
            batches.finish(tx, batch, batches.COMMITTED)
    return newly_rejected


def recover_batches(ledger: Ledger, log: PredictionLog, lease: Lease, now: datetime) -> int:
    """Bring ledger and log together; returns how many of the log's batches the ledger didn't know.

    Batches that a killed run had written whole are finished, the others given up. Batches beyond the
    ledger's are taken in: the ledger was restored to an earlier moment, and the log is what happened.

    Raises:
        LogError: the log lacks a batch that was committed.
    """
    with ledger.read() as tx:
        left = batches.unfinished(tx)
        newest, highest = batches.newest_held(tx), batches.highest(tx)
    first = min([newest, *(begun.batch for begun in left)])
    there = {visible.batch: visible for visible in log.visible_after(max(0, first - 1))}
    if newest and newest not in there:
        raise LogError(
            f"the prediction log lacks batch {newest}, which the ledger knows: the log or its "
            "catalog was lost, or restored from an old backup",
            remedy="run `labelloop doctor --repair`, which adds batches whose files still exist; else "
            "restore a newer backup of [state] warehouse and catalog, or a backup of the "
            "ledger from before that batch",
        )
    for begun in left:
        state = batches.VOID
        if begun.batch in there:
            state = batches.COMMITTED
        elif begun.path is not None and log.is_whole(begun.path, begun.n_rows):
            log.commit_batch(begun.batch, begun.kind, begun.path)
            state = batches.COMMITTED
        with ledger.write(lease) as tx:
            batches.finish(tx, begun.batch, state)
    unknown = [visible for visible in there.values() if visible.batch > highest]
    if unknown:
        with ledger.write(lease) as tx:
            for v in unknown:
                batches.adopt(tx, v.batch, v.kind, v.path, v.n_rows)
            detail = f"batches {unknown[0].batch} to {unknown[-1].batch} of the log"
            events.record(tx, [Event(now, "index", "restored", "ledger", detail)])
    return len(unknown)


def finish_batches(ledger: Ledger, log: PredictionLog, now: datetime) -> int:
    """Bring ledger and log together, as `index` does first; returns how many batches were unfinished."""
    with ledger.lease("index") as lease:
        with ledger.read() as tx:
            n_unfinished = len(batches.in_state(tx, batches.WRITING))
        recover_batches(ledger, log, lease, now)
    return n_unfinished
