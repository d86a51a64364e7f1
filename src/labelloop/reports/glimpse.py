"""A glimpse of a store: some hundred objects, spread over what is listed."""

import heapq
from dataclasses import dataclass

from labelloop.core.line import line
from labelloop.ports import Progress, Store, StoredObject

OBJECTS = 300
LISTED_AT_MOST = 20_000


@dataclass(frozen=True, slots=True)
class Glimpse:
    """What was looked at. `whole`: the listing ended, so `n_listed` is all there is."""

    objects: tuple[StoredObject, ...]
    n_listed: int
    whole: bool

    @property
    def listed(self) -> str:
        """How much there is, in words."""
        return f"{self.n_listed:,} objects" if self.whole else f"{self.n_listed:,} objects and more"


def glimpse(store: Store, *, progress: Progress, n_objects: int = OBJECTS) -> Glimpse:
    """Objects chosen by their place on a line of their own: always the same ones.

    A listing is ordered by key, and keys may begin with the class. So many more objects are listed
    than are looked at; of a very large bucket, still only its beginning.
    """
    chosen: list[StoredObject] = []
    n_listed, whole = 0, True
    for page in store.objects():
        n_listed += len(page)
        chosen = heapq.nsmallest(n_objects, [*chosen, *page], key=_place)
        progress("looking around: listed", n_listed, None)
        if n_listed >= LISTED_AT_MOST:
            whole = False
            break
    return Glimpse(tuple(chosen), n_listed, whole)


def _place(found: StoredObject) -> int:
    return line(found.sample_id, b"glimpse")
