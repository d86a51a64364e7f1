"""Before a verb writes: the ledger has an identity, is this project's, and holds what the settings say."""

import json
from collections.abc import Callable
from datetime import datetime

from labelloop.errors import LedgerError
from labelloop.ledger import Ledger, classes, cursors, rejects
from labelloop.ledger.database import Identity
from labelloop.settings.settings import Settings

_CURSOR = "project"


def prepare(
    ledger: Ledger,
    settings: Settings,
    *,
    log_identity: Callable[[], Identity | None],
    now: datetime,
) -> None:
    """Make `ledger` ready for a verb that writes.

    `log_identity` says which ledger the prediction log belongs to; it is asked of a new ledger only.

    Raises:
        LedgerError: the ledger is new and the log isn't: the ledger was lost. Or it is another
            project's.
    """
    if ledger.identity() is None:
        _refuse_lost(ledger, log_identity(), settings.state.warehouse)
        ledger.create_identity()
    _keep_to_project(ledger, settings)
    _declare_classes(ledger, settings, now)
    _move_rejects(ledger, settings)


def _refuse_lost(ledger: Ledger, of_log: Identity | None, warehouse: str) -> None:
    # another process may have made both since we looked into the ledger
    if of_log is not None and ledger.identity() is None:
        raise LedgerError(
            f"the ledger is new, but the prediction log at {warehouse} belongs to ledger "
            f"{of_log.ledger_id}: the ledger was lost, or [state] ledger names another one",
            remedy="restore the ledger, or point [state] ledger to it; where there is no backup, "
            "`labelloop ledger rebuild` brings back what is left; to start over, move the log and "
            "its catalog away too",
        )


def _keep_to_project(ledger: Ledger, settings: Settings) -> None:
    """Note whose ledger it is: of the project of this name, which reads this bucket or folder.

    Either may change, for a project or its bucket may be renamed.

    Raises:
        LedgerError: both have changed: it is another project's.
    """
    name, store = settings.project.name, settings.store
    root = store.root_of(store.uri)
    own = {"name": name, "root": root}
    with ledger.read() as tx:
        text = cursors.get(tx, _CURSOR)
    held = json.loads(text) if text else own
    roots = {root, *(store.root_of(uri) for uri in store.was)}
    if held["name"] != name and held["root"] not in roots:
        raise LedgerError(
            f"the ledger belongs to the project {held['name']!r}, which reads {held['root']}, and the "
            f"settings are of {name!r}, which reads {root}",
            remedy="give each project a folder, or a [state], of its own; if it is the same one, name what "
            "the bucket was called: `was` in [store]",
        )
    if text is None or held != own:
        with ledger.write_at_once() as tx:
            cursors.put(tx, _CURSOR, json.dumps(own))


def _declare_classes(ledger: Ledger, settings: Settings, now: datetime) -> None:
    """Take the settings' classes into the ledger, where they changed."""
    named = settings.answers()
    with ledger.read() as tx:
        if classes.declared(tx, named):
            return
    with ledger.write_at_once() as tx:
        classes.declare(tx, named, now)


def _move_rejects(ledger: Ledger, settings: Settings) -> None:
    """Let what was rejected in a bucket or folder be known under its present name."""
    store = settings.store
    now = store.root_of(store.uri)
    for was in store.was:
        with ledger.read() as tx:
            if not rejects.below(tx, store.root_of(was)):
                continue
        with ledger.write_at_once() as tx:
            rejects.move(tx, store.root_of(was), now)
