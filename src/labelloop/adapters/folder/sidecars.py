"""The metadata of a folder's files: a JSON beside each, or one JSONL for all of them."""

import os
import posixpath
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from labelloop.adapters.folder.files import OutsideFolder, open_inside
from labelloop.reading.json_object import NotAnObject, json_object

JSONL = "metadata.jsonl"
NAME_KEY = "file_name"
LONGEST_BYTES = 1_000_000


class Unreadable(Exception):
    """Metadata that is there and says nothing that can be understood."""


def parse(text: bytes) -> dict[str, str]:
    """The tags that a JSON object holds; what says nothing is left out.

    >>> parse(b'{"predicted_class": "cat", "confidence": 0.90, "flagged": true, "model": null}')
    {'predicted_class': 'cat', 'confidence': '0.90', 'flagged': 'true'}

    Raises:
        Unreadable: it isn't a JSON object in UTF-8.
    """
    try:
        return {name: said for name, said in json_object(text).items() if said is not None}
    except NotAnObject as exc:
        raise Unreadable(str(exc)) from exc


def read_beside(path: Path, root: Path) -> dict[str, str] | None:
    """The tags in the JSON beside an input, `x.png.json` or else `x.json`; None where there is none.

    Raises:
        Unreadable: it can't be read as a JSON object.
    """
    for beside in (path.with_name(f"{path.name}.json"), path.with_suffix(".json")):
        try:
            with open_inside(str(beside), (root,)) as file:
                text = file.read(LONGEST_BYTES + 1)
            if len(text) > LONGEST_BYTES:
                raise Unreadable(f"more than {LONGEST_BYTES:,} bytes")
            return parse(text)
        except FileNotFoundError:
            continue
        except (OSError, OutsideFolder, Unreadable) as exc:
            raise Unreadable(f"{beside.name}: {exc}") from exc
    return None


@dataclass
class MetadataLines:
    """The folder's JSONL, read again where it changed. Later lines add to what earlier ones said.

    A line that isn't finished yet is left for the next time.
    """

    root: Path
    _stamp: tuple[int, int, int] | None = None
    _tags: dict[str, dict[str, str]] = field(default_factory=dict)
    _fault: str = ""

    def refresh(self) -> None:
        """Read the file if it changed since.

        Raises:
            OSError: it is there, and can't be read.
        """
        try:
            with open_inside(str(self.root / JSONL), (self.root,)) as file:
                told = os.fstat(file.fileno())
                stamp = (told.st_ino, told.st_size, told.st_mtime_ns)
                if stamp != self._stamp:
                    self._stamp, self._tags, self._fault = stamp, {}, ""
                    for number, line in enumerate(file, start=1):
                        self._take(number, line)
        except FileNotFoundError:
            self._stamp, self._tags, self._fault = None, {}, ""

    def of(self, name: str) -> Mapping[str, str]:
        """The tags of the file `name`, a path below the folder.

        Raises:
            Unreadable: no line names it, and there are lines that can't be read.
        """
        found = self._tags.get(name)
        if found is None and self._fault:
            raise Unreadable(f"no line of {JSONL} names it, and {self._fault}")
        return found or {}

    def _take(self, number: int, line: bytes) -> None:
        if not line.strip() or not line.endswith(b"\n"):
            return
        try:
            tags = parse(line)
            name = tags.pop(NAME_KEY)
        except KeyError:
            self._fault = self._fault or f"line {number} has no {NAME_KEY}"
        except Unreadable as exc:
            self._fault = self._fault or f"line {number} can't be read: {exc}"
        else:
            self._tags.setdefault(posixpath.normpath(name), {}).update(tags)
