"""The result of one `index`."""

from dataclasses import dataclass

from labelloop.core.row_range import RowRange


@dataclass(frozen=True, slots=True)
class Indexed:
    """What one `index` found. `n_files` of a table were new or changed, and had `n_rows` rows.

    `n_set_aside` rows at least were newly rejected, and `n_set_aside_in_all` are; the same with
    `_most`: at most, None where nobody can tell how many a file hides.
    `n_batches_restored` of the log were unknown to the ledger: it is an older copy.
    `n_unreadable_yet` of the pending objects can't be read: they are empty, denied, or half written.
    `n_waiting` requests and answers wait for their other half.
    `n_ahead` new predictions are dated in the future, as by a clock that runs ahead.
    Without a table `n_files` is None. `n_shadow` predictions of shadow models were new in tags.
    `n_notified` objects were named by notifications, of which `n_unreadable` can't be read: then, and
    when it is time again, the store is listed too. Without notifications `n_notified` is None.
    """

    n_listed: int
    n_new: int
    n_set_aside: int
    n_pending: int
    n_feedback: int
    n_set_aside_in_all: int
    n_set_aside_most: int | None
    n_set_aside_in_all_most: int | None
    n_files: int | None = None
    n_rows: int = 0
    n_shadow: int = 0
    n_batches_restored: int = 0
    n_notified: int | None = None
    n_unreadable: int = 0
    n_unreadable_yet: int = 0
    n_ahead: int = 0
    n_waiting: int = 0

    @property
    def set_aside(self) -> RowRange:
        """The newly rejected rows."""
        return RowRange(self.n_set_aside, self.n_set_aside_most)

    @property
    def set_aside_in_all(self) -> RowRange:
        """All rows that are rejected."""
        return RowRange(self.n_set_aside_in_all, self.n_set_aside_in_all_most)

    def followed_by(self, later: "Indexed") -> "Indexed":
        """What a table and then the tags said."""
        set_aside = self.set_aside + later.set_aside
        return Indexed(
            n_listed=self.n_listed + later.n_listed,
            n_new=self.n_new + later.n_new,
            n_set_aside=set_aside.least,
            n_set_aside_most=set_aside.most,
            n_pending=self.n_pending + later.n_pending,
            n_feedback=self.n_feedback + later.n_feedback,
            n_set_aside_in_all=later.n_set_aside_in_all,
            n_set_aside_in_all_most=later.n_set_aside_in_all_most,
            n_files=self.n_files,
            n_rows=self.n_rows,
            n_shadow=later.n_shadow,
            n_batches_restored=self.n_batches_restored + later.n_batches_restored,
            n_notified=later.n_notified,
            n_unreadable=later.n_unreadable,
            n_unreadable_yet=later.n_unreadable_yet,
            n_ahead=self.n_ahead + later.n_ahead,
            n_waiting=self.n_waiting,
        )
