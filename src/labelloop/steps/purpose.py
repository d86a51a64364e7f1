"""A queue keeps its purpose: blind tasks and tasks that show the prediction never share a project."""

from collections.abc import Iterable

from labelloop.core.queue import Queue
from labelloop.errors import ConfigError
from labelloop.ledger import Transaction, tasks


def refuse_changed_purpose(tx: Transaction, queues: Iterable[Queue]) -> None:
    """Stop where a queue has tasks that were drawn for the other purpose.

    Its project was made for them: it shows, or must not show, what the model said.

    Raises:
        ConfigError: a queue's purpose was changed.
    """
    before = tasks.purposes(tx)
    for queue in queues:
        others = before.get(queue.name, frozenset()) - {queue.purpose}
        if others:
            raise ConfigError(
                f"queue {queue.name!r} is for {queue.purpose}, and has tasks for {min(others)}: its "
                "project in Label Studio was made for those",
                remedy=f"give the queue for {queue.purpose} another name, and {queue.name!r} its old "
                "purpose, or leave it out",
            )
