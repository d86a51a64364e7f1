"""Notifications in memory."""

from collections.abc import Iterator, Sequence

from labelloop.ports.notifications import Notified
from labelloop.ports.store import StoredObject
from labelloop.testing.store import MemoryStore

UNREADABLE = ""
"""Stands for a notification that can't be read."""


class MemoryNotifications:
    """What a `MemoryStore` tells of its objects: `name` their keys.

    >>> store = MemoryStore()
    >>> _ = store.put("a.png")
    >>> notifications = MemoryNotifications(store)
    >>> notifications.name("a.png", "gone.png")
    >>> [(page.objects[0].sample_id, page.position) for page in notifications.since(None)]
    [('a.png', '2')]
    """

    def __init__(self, store: MemoryStore, *, page_size: int = 1000) -> None:
        self._store = store
        self._page_size = page_size
        self._named: list[str] = []

    def name(self, *keys: str) -> None:
        """Tell that these are new, or have other tags."""
        self._named += keys

    def since(self, position: str | None) -> Iterator[Notified]:
        """What was named after `position`; everything for None."""
        for start in range(int(position or 0), len(self._named), self._page_size):
            page = self._named[start : start + self._page_size]
            yield Notified(
                objects=self._found([key for key in dict.fromkeys(page) if key != UNREADABLE]),
                n_unreadable=page.count(UNREADABLE),
                position=str(start + len(page)),
            )

    def end(self) -> str:
        """The position after all that is there now."""
        return str(len(self._named))

    def _found(self, keys: Sequence[str]) -> list[StoredObject]:
        there = {o.sample_id: o for page in self._store.objects() for o in page}
        return [there[key] for key in keys if key in there]
