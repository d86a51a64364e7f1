"""What a store tells of its objects by itself."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Protocol

from labelloop.ports.store import StoredObject


@dataclass(frozen=True, slots=True, kw_only=True)
class Notified:
    """Some objects that are new or have other tags, and the position after what named them.

    `n_unreadable` notifications may have named others.
    """

    objects: Sequence[StoredObject]
    n_unreadable: int
    position: str


class Notifications(Protocol):
    """What a store tells of its objects by itself: in place of a listing, and not for ever complete."""

    def since(self, position: str | None) -> Iterator[Notified]:
        """What was named after `position`; everything for None.

        Objects that are gone, or that a listing wouldn't show, are left out.

        Raises:
            StoreError: the notifications can't be read.
        """

    def end(self) -> str:
        """The position after all that is there now."""
