"""A ledger serves one project: two labelloop.toml that name the same one are told apart."""

import json
from collections.abc import Sequence

from labelloop.errors import LedgerError
from labelloop.ledger import Ledger, cursors

_CURSOR = "project"


def keep_to_project(ledger: Ledger, name: str, root: str, *, was: Sequence[str] = ()) -> None:
    """Note whose ledger it is: a project that is called `name` and reads below `root`.

    Either may change, for a project or its bucket may be renamed; `was` names former roots.

    Raises:
        LedgerError: both have changed: it is another project's.
    """
    own = {"name": name, "root": root}
    with ledger.read() as tx:
        text = cursors.get(tx, _CURSOR)
    held = json.loads(text) if text else own
    if held["name"] != name and held["root"] not in {root, *was}:
        raise LedgerError(
            f"the ledger belongs to the project {held['name']!r}, which reads {held['root']}, and the "
            f"settings are of {name!r}, which reads {root}",
            remedy="give each project a folder, or a [state], of its own; if it is the same one, name what "
            "the bucket was called: `was` in [store]",
        )
    if text is None or held != own:
        with ledger.write_at_once() as tx:
            cursors.put(tx, _CURSOR, json.dumps(own))
