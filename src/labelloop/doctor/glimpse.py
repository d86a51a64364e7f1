"""A glimpse of a store or a table: some hundred objects or rows, spread over what is there."""

import heapq
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from labelloop.core.image_kind import not_shown
from labelloop.core.line import line
from labelloop.ports.clock import Progress
from labelloop.ports.source import Source
from labelloop.ports.store import Store, StoredObject
from labelloop.reading.exclude import Exclude

OBJECTS = 300
LISTED_AT_MOST = 20_000
EXCLUDED = 1_000


@dataclass(frozen=True, slots=True)
class Glimpse:
    """What was looked at. `whole`: the listing ended, so `n_listed` is all there is.

    excluded
        names that were left out, the first thousand
    """

    objects: tuple[StoredObject, ...]
    n_listed: int
    whole: bool
    excluded: tuple[str, ...] = ()

    @property
    def listed(self) -> str:
        """How much there is, in words."""
        return f"{self.n_listed:,} objects" if self.whole else f"{self.n_listed:,} objects and more"


def glimpse(
    store: Store, *, progress: Progress, n_objects: int = OBJECTS, exclude: Exclude | None = None
) -> Glimpse:
    """Objects chosen by their place on a line of their own: always the same ones.

    A listing is ordered by key, and keys may begin with the class. So many more objects are listed
    than are looked at; of a very large bucket, still only its beginning.
    """
    chosen: list[StoredObject] = []
    left_out: list[str] = []
    n_listed, whole = 0, True
    for listed in store.objects():
        page: list[StoredObject] = []
        for o in listed:
            if exclude is not None and exclude.matches(o.sample_id):
                left_out.append(o.sample_id)
            else:
                page.append(o)
        n_listed += len(page)
        chosen = heapq.nsmallest(
            n_objects, [*chosen, *page], key=lambda o: line(o.sample_id, b"glimpse")
        )
        progress("looking around: listed", n_listed, None)
        if n_listed >= LISTED_AT_MOST:
            whole = False
            break
    return Glimpse(tuple(chosen), n_listed, whole, tuple(left_out[:EXCLUDED]))


def unshown(objects: Sequence[StoredObject]) -> str | None:
    """How many of the objects are images that browsers don't show, and which; None: there are none.

    >>> unshown([]) is None
    True
    """
    found = [(o.sample_id, kind) for o in objects if (kind := not_shown(o.sample_id))]
    if not found:
        return None
    counts = Counter(kind for _, kind in found)
    kinds = " and ".join(f"{n:,} {kind}" for kind, n in counts.most_common())
    return (
        f"of {len(objects):,} objects looked at {kinds} can't be shown by most browsers, such as "
        f"{found[0][0]}"
    )


def skipped_history(
    moments: Sequence[datetime], *, now: datetime, first_window: timedelta
) -> tuple[str, str] | None:
    """What to say of predictions most of which the first round would skip, and what to do.

    >>> from datetime import UTC
    >>> days = [datetime(2026, 3, day, tzinfo=UTC) for day in (1, 5, 30)]
    >>> skipped_history(days, now=datetime(2026, 3, 31, tzinfo=UTC), first_window=timedelta(days=7))[1]
    '`labelloop run --since 2026-03-01 --until 2026-03-31` measures that time in a round of its own; or set first_window = "31 days" in [rounds], and the first round draws from all of it'
    >>> skipped_history(days, now=datetime(2026, 3, 6, tzinfo=UTC), first_window=timedelta(days=7))
    """  # noqa: E501  an output stands on one line
    ordered = sorted(m for m in moments if m <= now)
    if not ordered or ordered[len(ordered) // 2] >= now - first_window:
        return None
    first, last = ordered[0].date(), ordered[-1].date()
    days = (now.date() - first).days + 1
    says = (
        f"most predictions looked at are older than the first window ({first_window.days} days), from "
        f"{first} to {last}: the first round would skip them"
    )
    remedy = (
        f"`labelloop run --since {first} --until {last + timedelta(days=1)}` measures that time in a "
        f'round of its own; or set first_window = "{days} days" in [rounds], and the first round draws '
        "from all of it"
    )
    return says, remedy


def first_rows(source: Source) -> tuple[str, list[dict[str, str]], int]:
    """The newest file, some rows spread over its beginning as text, and how many rows that has.

    Values that are none and columns of lists or records are left out.
    """
    import numpy as np
    import pyarrow as pa

    from labelloop.reading.column import texts

    newest = source.files()[-1]
    for some in source.read(newest, None):
        n = some.batch.num_rows
        if not n:
            continue
        chosen = np.unique(np.linspace(0, n - 1, min(n, OBJECTS)).astype(int))
        batch = some.batch.take(pa.array(chosen))
        rows: list[dict[str, str]] = [{} for _ in chosen]
        for name, column in zip(batch.schema.names, batch.columns, strict=True):
            if pa.types.is_nested(column.type) or pa.types.is_binary(column.type):
                continue
            for row, value in zip(rows, texts(column, name).to_pylist(), strict=True):
                if value is not None:
                    row[name] = value
        return newest.uri, rows, n
    return newest.uri, [], 0
