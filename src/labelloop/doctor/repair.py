"""Mends what can be mended of the files that labelloop wrote; the examination says what is left."""

from collections.abc import Callable, Iterator, Sequence

from labelloop.core.dataset import DatasetVersion
from labelloop.doctor.files import damage, known_batches, lost_batches, versions
from labelloop.doctor.finding import Check, Finding, examine, fixed
from labelloop.doctor.subject import LogFiles, Subject
from labelloop.ledger import batches, mending

Rebuild = Callable[[Sequence[DatasetVersion]], Sequence[DatasetVersion]]
"""Writes versions anew whose content is still the present one; returns which they were."""


def repair(subject: Subject, *, finish: Callable[[], int], rebuild: Rebuild) -> Sequence[Finding]:
    """Mend ledger, log and datasets, in this order; one that fails doesn't stop the next.

    finish
        brings ledger and log together as `index` does; returns how many batches were unfinished
    """
    readable = ("ledger's file",)
    steps = [
        Check("ledger's file", _ledger),
        Check("batches", lambda _: _batches(subject, finish), needs=readable),
        Check("datasets", lambda _: _datasets(subject, rebuild), needs=readable),
    ]
    return examine(steps, subject).findings


def _ledger(subject: Subject) -> Iterator[Finding]:
    copy = mending.mend_indexes(subject.settings.state.ledger.get_secret_value())
    if copy is not None:
        yield fixed(f"its indexes were damaged; the file as it was is {copy}")


def _batches(subject: Subject, finish: Callable[[], int]) -> Iterator[Finding]:
    files, ledger = subject.log_files, subject.ledger
    identity = ledger.identity() if ledger is not None else None
    if files is None or ledger is None or identity is None:
        return
    with ledger.lease("index"):
        yield from _catalog(subject, files, identity.ledger_id, identity.salt)
    if files.unreadable() is not None or lost_batches(files, known_batches(subject)):
        return  # the examination names what is missing; nothing may be removed until it is back
    n_unfinished = finish()
    if n_unfinished:
        yield fixed(f"{n_unfinished:,} batches were begun and not finished")
    with ledger.lease("index"):
        with ledger.read() as tx:
            void = [b.batch for b in batches.in_state(tx, batches.VOID)]
        for path in files.remove_left(void):
            yield fixed(f"{path} was left half-way, and is removed")


def _catalog(subject: Subject, files: LogFiles, ledger_id: str, salt: bytes) -> Iterator[Finding]:
    known = known_batches(subject)
    why = files.unreadable()
    visible = files.visible() if why is None else frozenset()
    lost = [batch for batch in known if batch.batch not in visible]
    wrong = files.not_whole(lost)
    if why is not None or (known and not visible):
        if wrong:
            return
        aside = files.begin_anew(ledger_id, salt)
        put = f"; the damaged one is {aside}" if aside else ""
        yield fixed(f"the catalog is made anew: {why or 'it held no batch'}{put}")
    there = [batch for batch in lost if batch.batch not in wrong]
    if there:
        files.adopt(there)
        yield fixed(f"{len(there):,} batches are back in the catalog")


def _datasets(subject: Subject, rebuild: Rebuild) -> Iterator[Finding]:
    damaged = [v for v in versions(subject) if damage(v, thorough=True) is not None]
    for version in rebuild(damaged) if damaged else ():
        yield fixed(f"{version.name} v{version.version} is written anew in {version.uri}")
