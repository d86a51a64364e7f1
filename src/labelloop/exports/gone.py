"""Names the samples that an export had to leave out."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO

from labelloop.exports.exported import NAMED
from labelloop.exports.jsonl_file import json_line
from labelloop.exports.target import GONE, whole


@dataclass
class GoneSamples:
    """Counts and lists samples whose input the store no longer has as it was labelled."""

    file: IO[bytes]
    n: int = 0
    first: list[str] = field(default_factory=list)

    def add(self, sample_id: str, uri: str, why: str) -> None:
        """Note one, and why."""
        self.n += 1
        if self.n <= NAMED:
            self.first.append(sample_id)
        self.file.write(json_line({"sample_id": sample_id, "uri": uri, "why": why}))


@contextmanager
def gone_file(folder: Path) -> Iterator[GoneSamples]:
    """The folder's `gone.jsonl`, an object a sample; there is no such file where none was left out."""
    path = folder / GONE
    with whole(path) as file:
        gone = GoneSamples(file)
        yield gone
    if not gone.n:
        path.unlink()
