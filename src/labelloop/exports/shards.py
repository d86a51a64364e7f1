"""Files of bounded size, one after the other; a run that was killed carries on with the next."""

import json
import os
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from dataclasses import asdict, dataclass
from hashlib import sha256
from pathlib import Path
from typing import IO, Protocol

from labelloop.core.dataset import Row
from labelloop.exports.exported import Exported
from labelloop.exports.gone import gone_file
from labelloop.exports.lost import Lost
from labelloop.exports.target import whole
from labelloop.ports.clock import Progress

SHARD_BYTES = 256 << 20
SHARD_ROWS = 100_000
_JOURNAL = ".labelloop-shards.jsonl"


class ShardWriter(Protocol):
    """Takes the samples of one shard."""

    def add(self, row: Row, data: bytes) -> None:
        """Append one sample with its input."""


Input = tuple[Row, bytes | Lost]
"""A row and its input."""
OpenShard = Callable[[IO[bytes]], AbstractContextManager[ShardWriter]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Shard:
    """One file that stands whole: its place below the target, and what went into it.

    `gone` holds (sample_id, uri, why) of the rows that were left out.
    """

    name: str
    n_rows: int
    size_bytes: int
    sha256: str
    gone: tuple[tuple[str, str, str], ...]

    @property
    def n_samples(self) -> int:
        """The samples in it."""
        return self.n_rows - len(self.gone)


class Shards:
    """The shards of one export, in series: those that stand already, and those to come.

    A series is the rows of one version; `training-` names the shards `training-000000.tar` and so on.
    """

    def __init__(self, target: Path, progress: Progress) -> None:
        self._target = target
        self._progress = progress
        self._journal = target / _JOURNAL
        self.standing = _standing(self._journal)
        self.written: list[Shard] = []
        with whole(self._journal) as file:  # without what no longer stands
            file.writelines(_line(shard) for shard in self.standing)

    @property
    def all(self) -> list[Shard]:
        """Every shard that stands now."""
        return [*self.standing, *self.written]

    def write(
        self,
        inputs: Callable[[int], Iterator[Input]],
        *,
        n_rows: int,
        name: Callable[[int], str],
        open_shard: OpenShard,
        size_bytes: int,
    ) -> None:
        """Write what is missing of a series: shards until its rows end, at least one.

        A shard ends with the row that makes it `size_bytes` of input, or SHARD_ROWS. Where it begins and
        what it holds depends on nothing but the rows and their inputs. `inputs` begins after as many
        rows as it is told.
        """
        number = done = 0
        for shard in self.standing:
            if shard.name == name(number):
                number, done = number + 1, done + shard.n_rows
        coming = inputs(done)
        following = next(coming, None)
        while following is not None or number == 0:
            gone: list[tuple[str, str, str]] = []
            n = held_bytes = 0
            path = self._target / name(number)
            with whole(path) as file, open_shard(file) as writer:
                while following is not None and n < SHARD_ROWS and held_bytes < size_bytes:
                    row, data = following
                    if isinstance(data, Lost):
                        gone.append((row.sample_id, row.uri, data.why))
                    else:
                        writer.add(row, data)
                        held_bytes += len(data)
                    n += 1
                    self._progress("samples", done + n, n_rows)
                    following = next(coming, None)
            self._note(path, name(number), n, gone)
            number, done = number + 1, done + n

    def exported(self, format_name: str) -> Exported:
        """What became of the export, as its journal has it; `gone.jsonl` is written."""
        with gone_file(self._target) as gone:
            for shard in self.all:
                for sample_id, uri, why in shard.gone:
                    gone.add(sample_id, uri, why)
        return Exported(
            format=format_name,
            target=str(self._target),
            n_written=sum(shard.n_samples for shard in self.written),
            n_there=sum(shard.n_samples for shard in self.standing),
            n_gone=gone.n,
            gone=tuple(gone.first),
        )

    def _note(self, path: Path, name: str, n_rows: int, gone: list[tuple[str, str, str]]) -> None:
        """Put a shard that stands into the journal; one that isn't in it is written again."""
        shard = Shard(
            name=name,
            n_rows=n_rows,
            size_bytes=path.stat().st_size,
            sha256=hash_of(path),
            gone=tuple(gone),
        )
        with self._journal.open("ab") as file:
            file.write(_line(shard))
            file.flush()
            os.fsync(file.fileno())
        self.written.append(shard)


def _standing(journal: Path) -> list[Shard]:
    """The shards that earlier runs finished, in order, up to the first that isn't as it was written."""
    found: list[Shard] = []
    try:
        lines = journal.read_text(encoding="utf-8").splitlines()
    except FileNotFoundError:
        return found
    for line in lines:
        try:
            held = json.loads(line)
            shard = Shard(**{**held, "gone": tuple((a, b, c) for a, b, c in held["gone"])})
            if (journal.parent / shard.name).stat().st_size != shard.size_bytes:
                break
        except (ValueError, TypeError, KeyError, FileNotFoundError):
            break
        found.append(shard)
    return found


def hash_of(path: Path) -> str:
    """A file's SHA-256: 64 hex digits."""
    found = sha256()
    with path.open("rb") as file:
        while chunk := file.read(1 << 20):
            found.update(chunk)
    return found.hexdigest()


def _line(shard: Shard) -> bytes:
    return json.dumps(asdict(shard)).encode() + b"\n"
