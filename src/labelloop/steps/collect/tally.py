"""What one collect brought."""

from dataclasses import dataclass, field

from labelloop.ledger.annotations import Stray


@dataclass(frozen=True, slots=True)
class Collected:
    """What one `collect` brought.

    n_looks, n_asked_again
        second looks that were answered, and that are wanted now
    n_void
        answers that count as none: their authors had looked at what the model said
    strays
        answers that aren't one of the classes
    """

    n_labels: int
    n_edited: int
    n_skipped: int
    n_deleted: int
    n_lost: int
    n_duplicates: int
    strays: tuple[Stray, ...]
    lost_projects: tuple[str, ...]
    n_looks: int = 0
    n_asked_again: int = 0
    n_void: int = 0


@dataclass(slots=True)
class Tally:
    """Counts on while projects are collected."""

    n_labels: int = 0
    n_edited: int = 0
    n_skipped: int = 0
    n_deleted: int = 0
    n_lost: int = 0
    n_duplicates: int = 0
    n_looks: int = 0
    n_asked_again: int = 0
    n_void: int = 0
    lost_projects: list[str] = field(default_factory=list)

    def collected(self, strays: tuple[Stray, ...]) -> Collected:
        """The counts, finished."""
        return Collected(
            self.n_labels,
            self.n_edited,
            self.n_skipped,
            self.n_deleted,
            self.n_lost,
            self.n_duplicates,
            strays,
            tuple(self.lost_projects),
            self.n_looks,
            self.n_asked_again,
            self.n_void,
        )
