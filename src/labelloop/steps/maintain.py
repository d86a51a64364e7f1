"""maintain: keep the prediction log fast to read, however many runs wrote to it.

Under the lease of `index`: nobody else writes to the log meanwhile, and who reads isn't disturbed. What a
killed run had begun to write is finished first, so that no file of it is taken for one that nobody needs.
"""

from labelloop.core import due
from labelloop.core.upkeep import Upkeep
from labelloop.errors import LeaseHeld
from labelloop.ledger import Ledger, events
from labelloop.ledger.events import Event
from labelloop.ports.clock import Clock, Progress
from labelloop.ports.log import PredictionLog
from labelloop.steps.index.batch_writer import recover_batches


def maintain(
    ledger: Ledger,
    log: PredictionLog,
    *,
    timezone: str,
    clock: Clock,
    progress: Progress,
    dry_run: bool = False,
) -> Upkeep:
    """Maintain the log; with `dry_run` only say what there is to do.

    Raises:
        LeaseHeld: `index` is running; nothing was done.
        LogError: the log can't be read or written, or a file of it is damaged.
    """
    now = clock.now()
    closed_before, unused_before = due.day_began_at(now, timezone), due.files_unused_before(now)
    if dry_run:
        return log.maintain(
            closed_before=closed_before,
            unused_before=unused_before,
            allowed=lambda: None,
            progress=progress,
            dry_run=True,
        )
    with ledger.lease("index") as lease:
        recover_batches(ledger, log, lease, now)

        def allowed() -> None:
            with ledger.write(lease):
                pass  # index was not taken over while this process stood still

        done = log.maintain(
            closed_before=closed_before,
            unused_before=unused_before,
            allowed=allowed,
            progress=progress,
        )
        if done.changes:
            with ledger.write(lease) as tx:
                events.record(tx, [Event(now, "maintain", "maintain", "log", _detail(done))])
    return done


def maintain_if_due(
    ledger: Ledger, log: PredictionLog, *, timezone: str, clock: Clock, progress: Progress
) -> Upkeep | None:
    """Maintain the log if that is worth its cost; None if it isn't, or if another process writes to it."""
    now = clock.now()
    shape = log.shape(
        closed_before=due.day_began_at(now, timezone), unused_before=due.files_unused_before(now)
    )
    if not due.upkeep_is_due(shape):
        return None
    try:
        return maintain(ledger, log, timezone=timezone, clock=clock, progress=progress)
    except LeaseHeld:
        return None


def _detail(done: Upkeep) -> str:
    return (
        f"{done.n_small} files merged into {done.n_merged}, {done.n_snapshots} old versions let go, "
        f"{done.n_removed} files removed"
    )
