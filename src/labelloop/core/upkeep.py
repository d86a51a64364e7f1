"""Maintenance of the prediction log: merging small files, expiring versions, removing orphans."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class LogShape:
    """How much maintenance of the log could do.

    n_files
        files of the present version
    n_small
        small files of closed days that stand beside another such file, so that both could be one
    n_unneeded
        older versions that nobody can be reading any more
    """

    n_files: int = 0
    n_small: int = 0
    n_unneeded: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Upkeep:
    """What maintenance of the log did, or with `dry_run` would do.

    n_files
        files of the log before
    n_small, n_merged
        small files of closed days, and the larger ones that took their place
    n_snapshots
        older versions that were let go
    n_removed, freed_bytes
        files that nothing referred to any more; their size
    """

    dry_run: bool = False
    n_files: int = 0
    n_small: int = 0
    n_merged: int = 0
    n_snapshots: int = 0
    n_removed: int = 0
    freed_bytes: int = 0

    @property
    def changes(self) -> bool:
        """True if there was anything to do."""
        return bool(self.n_small or self.n_snapshots or self.n_removed)
