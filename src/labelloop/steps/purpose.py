"""A queue keeps its purpose and its kind of input: its project was made for them."""

from collections.abc import Iterable

from labelloop.core.queue import Queue
from labelloop.errors import ConfigError
from labelloop.ledger import Transaction, cursors, task_counts
from labelloop.ports.annotator import InputKind

_KIND = "send:kind of input"


def refuse_changed_purpose(tx: Transaction, queues: Iterable[Queue]) -> None:
    """Stop where a queue has tasks that were drawn for the other purpose.

    Its project was made for them: it shows, or must not show, what the model said.

    Raises:
        ConfigError: a queue's purpose was changed.
    """
    before = task_counts.purposes(tx)
    for queue in queues:
        others = before.get(queue.name, frozenset()) - {queue.purpose}
        if others:
            raise ConfigError(
                f"queue {queue.name!r} has the purpose {queue.purpose}, but already has tasks for "
                f"{min(others)}, and a labelling project has only one purpose",
                remedy=f"give the queue for {queue.purpose} another name, and set {queue.name!r} to its "
                "old purpose or remove it",
            )


def keep_input_kind(tx: Transaction, kind: InputKind) -> None:
    """Note what the inputs are, once; stop where they were something else.

    Raises:
        ConfigError: [input] kind was changed.
    """
    before = cursors.get(tx, _KIND)
    if before is None:
        cursors.put(tx, _KIND, kind)
    elif before != kind:
        raise ConfigError(
            f"[input] kind = {kind!r}, and this ledger's labelling projects show {before}s",
            remedy=f'set kind = "{before}", or start a new project: another [state] ledger, warehouse '
            "and catalog, and another [project] name",
        )
