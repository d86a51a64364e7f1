"""What became of one export."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from itertools import islice

NAMED = 20
"""So many of the samples without an input are named in the result; `gone.jsonl` names all."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Redaction:
    """What `forget` took out of a version since its release: so many rows, the last of them at `at`.

    `exports` are the places of exports that were taken before, which hold the rows still.
    """

    dataset: str
    version: int
    n_rows: int
    at: datetime
    exports: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Exported:
    """What one export wrote, sample by sample.

    n_written, n_linked
        written by this run; how many of them are hard links to files that were here already
    n_there
        written by an earlier run into the same target
    n_gone, gone
        left out, as the object is gone from the store or holds another content than the one that was
        labelled; the ids of the first of them
    n_old, n_removed
        in a bucket: images of earlier versions that this one doesn't hold; how many were removed
    redacted
        the versions that samples were taken out of since their release
    """

    format: str
    target: str
    n_written: int
    n_there: int = 0
    n_linked: int = 0
    n_gone: int = 0
    gone: tuple[str, ...] = ()
    n_old: int = 0
    n_removed: int = 0
    redacted: tuple[Redaction, ...] = ()


def named(samples: Iterable[str]) -> tuple[str, ...]:
    """The first few, as a result names them."""
    return tuple(islice(samples, NAMED))
