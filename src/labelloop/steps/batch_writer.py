"""How batches get into the prediction log: each exactly once, wherever a run is killed."""

from collections.abc import Callable, Sequence
from datetime import datetime

from labelloop.core.sample import Feedback, Reject
from labelloop.ledger import Lease, Ledger, Transaction, batches, rejects
from labelloop.ports import BatchKind, PredictionLog, Rows


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
) -> int:
    """Commit what was read; returns how many rows are newly set aside.

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
        n_set_aside = rejects.put(tx, set_aside, now)
        also(tx)
    for batch, (kind, _), path in zip(numbers, parts, paths, strict=True):
        log.commit_batch(batch, kind, path)
        with ledger.write(lease) as tx:
            batches.finish(tx, batch, batches.COMMITTED)
    return n_set_aside


def recover_batches(ledger: Ledger, log: PredictionLog, lease: Lease) -> None:
    """Finish the batches that a killed run had written whole; give the others up."""
    with ledger.read() as tx:
        left = batches.unfinished(tx)
    for begun in left:
        state = batches.VOID
        if begun.path is not None and log.is_whole(begun.path, begun.n_rows):
            log.commit_batch(begun.batch, begun.kind, begun.path)
            state = batches.COMMITTED
        with ledger.write(lease) as tx:
            batches.finish(tx, begun.batch, state)
