"""Are the files whole that labelloop wrote: its ledger, the batches of the log, the datasets?"""

from collections.abc import Iterator, Sequence

from labelloop.core.dataset import DatasetVersion
from labelloop.doctor.finding import Finding, fail, failed, ok
from labelloop.doctor.subject import LogFiles, Subject
from labelloop.errors import DatasetError
from labelloop.exports import manifest
from labelloop.ledger import batches, datasets, mending
from labelloop.ports.log import VisibleBatch

REPAIR = "run `labelloop doctor --repair`"
_BACKUP = "restore that one file from a backup of [state] warehouse"


def ledger_file(subject: Subject) -> Iterator[Finding]:
    """Whether the ledger's SQLite file is whole."""
    says = mending.damage(subject.settings.state.ledger.get_secret_value())
    if says is not None:
        yield fail(f"it is damaged: {says}", f"{REPAIR}, which rebuilds the indexes")


def log_batches(subject: Subject) -> Iterator[Finding]:
    """Whether every batch of the log is there, and whole."""
    files, known = subject.log_files, known_batches(subject)
    if files is None:
        return
    why = files.unreadable()
    if why is not None:
        yield fail(why, f"{REPAIR}, which rebuilds the catalog from the batches")
        return
    lost = lost_batches(files, known)
    if lost:
        yield from _lost(files, known, lost)
    n_damaged = 0
    for says in files.damaged(whole=subject.thorough):
        n_damaged += 1
        yield fail(says, _BACKUP)
    if not lost and not n_damaged and known:
        n = "1 batch is" if len(known) == 1 else f"{len(known):,} batches are"
        yield ok(f"{n} there and whole")


def _lost(
    files: LogFiles, known: Sequence[VisibleBatch], lost: Sequence[VisibleBatch]
) -> Iterator[Finding]:
    wrong = files.not_whole(lost)
    for says in wrong.values():
        yield fail(says, _BACKUP)
    if len(lost) > len(wrong):
        n = len(lost) - len(wrong)
        yield fail(
            f"the catalog lacks {n:,} of {len(known):,} batches, whose files exist",
            f"{'bring back what is gone, then ' if wrong else ''}{REPAIR}: it takes them in",
        )


def dataset_files(subject: Subject) -> Iterator[Finding]:
    """Whether every released dataset version is there, and whole."""
    released = versions(subject)
    damaged = 0
    for version in released:
        error = damage(version, thorough=subject.thorough)
        if error is not None:
            damaged += 1
            yield failed(error)
    if released and not damaged:
        yield ok(f"{len(released):,} released versions are there, each whole")


def known_batches(subject: Subject) -> list[VisibleBatch]:
    """The batches that the ledger says the log holds rows of, oldest first."""
    if subject.ledger is None:
        return []
    with subject.ledger.read() as tx:
        found = batches.in_state(tx, batches.COMMITTED)
    return [
        VisibleBatch(batch=b.batch, kind=b.kind, path=b.path or "", n_rows=b.n_rows)
        for b in found
        if b.n_rows
    ]


def lost_batches(files: LogFiles, known: Sequence[VisibleBatch]) -> list[VisibleBatch]:
    """Those of the batches that the tables don't hold."""
    visible = files.visible()
    return [batch for batch in known if batch.batch not in visible]


def versions(subject: Subject) -> list[DatasetVersion]:
    """Every released version."""
    if subject.ledger is None:
        return []
    with subject.ledger.read() as tx:
        return datasets.every(tx)


def damage(version: DatasetVersion, *, thorough: bool) -> DatasetError | None:
    """What is wrong with a version's files: their ends, or where `thorough` all that they hold."""
    try:
        manifest.check_quickly(version)
        if thorough:
            manifest.check(version)
            for _ in manifest.batches(version):
                pass  # the checksum of every page
    except DatasetError as exc:
        return exc
    return None
