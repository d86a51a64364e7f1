"""Before a verb writes: the ledger has an identity, is this project's, and holds what the settings say."""

import json
from collections.abc import Callable, Iterator, Mapping
from datetime import datetime
from difflib import get_close_matches

from labelloop.core.answers import Answers
from labelloop.errors import LedgerError
from labelloop.ledger import Ledger, Transaction, classes, cursors, outbox, rejects
from labelloop.ledger.database import Identity
from labelloop.settings.settings import Settings

_CURSOR = "project"


def prepare(
    ledger: Ledger,
    settings: Settings,
    *,
    log_identity: Callable[[], Identity | None],
    now: datetime,
    warn: Callable[[str], None],
    receivers: Callable[[], list[str]],
) -> None:
    """Make `ledger` ready for a verb that writes.

    `log_identity` says which ledger the prediction log belongs to; it is asked of a new ledger only.
    `warn` is told of classes that labels hold, and that the settings dropped or renamed. `receivers`
    says what the ledger calls those who hear of events: of all that is recorded from now on.

    Raises:
        LedgerError: the ledger is new and the log isn't: the ledger was lost. Or it is another
            project's.
    """
    if ledger.identity() is None:
        of_log = log_identity()
        if ledger.identity() is None:  # else another process has made both meanwhile
            refuse_lost(of_log, settings.state.warehouse)
        ledger.create_identity()
    _keep_to_project(ledger, settings)
    _declare_classes(ledger, settings, now, warn)
    _move_rejects(ledger, settings)
    _register(ledger, receivers())


def _register(ledger: Ledger, receivers: list[str]) -> None:
    with ledger.read() as tx:
        new = outbox.unregistered(tx, receivers)
    if new:
        with ledger.write_at_once() as tx:
            outbox.register(tx, new)


def refuse_lost(of_log: Identity | None, warehouse: str) -> None:
    """Return if there is no prediction log yet, as there is no ledger.

    Raises:
        LedgerError: the ledger was lost.
    """
    if of_log is not None:
        raise LedgerError(
            f"the ledger is new, but the prediction log at {warehouse} belongs to ledger "
            f"{of_log.ledger_id}: the ledger was lost, or [state] ledger names another one",
            remedy="restore the ledger from a backup, or set [state] ledger to it; if there is no "
            "backup, `labelloop ledger rebuild` recovers what it can; to start over, move the "
            "log and its catalog away too",
        )


def refuse_other_project(tx: Transaction, settings: Settings) -> None:
    """Return if the ledger is this project's: one of this name, or that reads this bucket or folder.

    Either may change, for a project or its bucket may be renamed.

    Raises:
        LedgerError: both have changed: it is another project's.
    """
    text = cursors.get(tx, _CURSOR)
    held = json.loads(text) if text else None
    name = settings.project.name
    if held is None or held["name"] == name:
        return
    root, *was = _roots(settings)
    if held["root"] not in {root, *was}:
        raise LedgerError(
            f"the ledger belongs to the project {held['name']!r} with the inputs "
            f"{held['root']}, but the settings are for {name!r} with the inputs {root}",
            remedy="give each project its own folder or its own [state]; if the bucket was only "
            "renamed, set `was` in [store] to its old name",
        )


def _keep_to_project(ledger: Ledger, settings: Settings) -> None:
    """Note whose ledger it is."""
    own = json.dumps({"name": settings.project.name, "root": _roots(settings)[0]})
    with ledger.read() as tx:
        refuse_other_project(tx, settings)
        if cursors.get(tx, _CURSOR) == own:
            return
    with ledger.write_at_once() as tx:
        cursors.put(tx, _CURSOR, own)


def _roots(settings: Settings) -> list[str]:
    """The bucket or folder of the inputs, and what it was called before."""
    store = settings.store
    return [store.root_of(uri) for uri in (store.uri, *store.was)]


def classes_dropped(dropped: Mapping[str, int], named: Answers) -> Iterator[tuple[str, str]]:
    """What to say of each class that labels hold and the settings dropped or renamed; the remedy."""
    for name, n in dropped.items():
        near = get_close_matches(name, list(named.kinds), n=1, cutoff=0.6)
        now = near[0] if near else "ITS NEW NAME"
        held = f"1 label holds the class {name!r}"
        if n > 1:
            held = f"{n:,} labels hold the class {name!r}"
        says = f"{held}, which [project] no longer names: predictions of it are rejected"
        remedy = (
            f"if it was renamed, say so: [[class]] name = {now!r}, was = [{name!r}]; if it was dropped, "
            "its labels stand as they are"
        )
        yield says, remedy


def _declare_classes(
    ledger: Ledger, settings: Settings, now: datetime, warn: Callable[[str], None]
) -> None:
    """Take the settings' classes into the ledger, where they changed."""
    named = settings.answers()
    with ledger.read() as tx:
        if classes.declared(tx, named):
            return
        for says, remedy in classes_dropped(classes.dropped(tx, named), named):
            warn(f"{says}. {remedy[:1].upper()}{remedy[1:]}")
    with ledger.write_at_once() as tx:
        classes.declare(tx, named, now)


def _move_rejects(ledger: Ledger, settings: Settings) -> None:
    """Let what was rejected in a bucket or folder be known under its present name."""
    now, *before = _roots(settings)
    for was in before:
        with ledger.read() as tx:
            if not rejects.any_below(tx, was):
                continue
        with ledger.write_at_once() as tx:
            rejects.move(tx, was, now)
