"""A folder a class, a file a sample: what torchvision's ImageFolder and the like read."""

import json
import os
import stat
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass
from enum import Enum
from hashlib import md5, sha256
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Literal
from urllib.parse import unquote_to_bytes

from labelloop.core.dataset import DatasetVersion, Row
from labelloop.exports import croissant, manifest
from labelloop.exports.csv_file import CsvWriter
from labelloop.exports.exported import Exported
from labelloop.exports.gone import GoneSamples, gone_file
from labelloop.exports.inputs import at_once, read
from labelloop.exports.lost import Lost
from labelloop.exports.names import ending, folder_names, folder_numbers, image_names
from labelloop.exports.target import (
    CLASS_NUMBERS,
    CLASSES,
    CROISSANT,
    GONE,
    claimed,
    make_folder,
    new_file,
    whole,
    write_json,
    writing,
)
from labelloop.ports.clock import Progress
from labelloop.ports.store import Store

if TYPE_CHECKING:
    import pyarrow as pa

SAMPLES = "samples.csv"
FolderKind = Literal["names", "numbers"]
_OWN = (CLASSES, CLASS_NUMBERS, CROISSANT, GONE, SAMPLES)
_FILE = "file://"
_PAGE = 5_000
_HASHES = {32: md5, 64: sha256}


class Outcome(Enum):
    """What became of one sample's file."""

    WRITTEN = "written"
    LINKED = "linked"
    THERE = "there"
    GONE = "gone"


Done = tuple[Row, tuple[Outcome, str]]
"""A row, what became of its file, and the file's name; of one that is gone, why."""


@dataclass(frozen=True, slots=True)
class Folders:
    """The folder of each class.

    kind
        whether they are named as the classes, or by their numbers
    classes
        every class that any version knows; its place is its number
    by_class
        the folders that are made, in the order of the numbers; the same for every version
    """

    kind: FolderKind
    classes: Sequence[str]
    by_class: Mapping[str, str]

    @classmethod
    def of(
        cls,
        version: DatasetVersion,
        classes: Sequence[str],
        kind: FolderKind,
        always: Iterable[str],
    ) -> "Folders":
        """Those of a version: of the classes that it holds, and, even if empty, of those in `always`."""
        named = folder_numbers(classes) if kind == "numbers" else folder_names(classes, taken=_OWN)
        held = {*always, *manifest.labels(version)}
        return cls(kind, classes, {label: named[label] for label in classes if label in held})


def export(
    version: DatasetVersion,
    target: Path,
    store: Store,
    folders: Folders,
    *,
    earlier: Sequence[Path],
    link: bool,
    progress: Progress,
) -> Exported:
    """Write each sample to `target`/CLASS/NAME; a second run writes only what is missing.

    `classes.json` says which folder is which class, `class_to_idx.json` which number it has.
    `samples.csv` says which file is which sample. What lies in one of the `earlier` exports, or in the
    store where that is a folder, is linked where `link` and the file system allow it, and copied
    elsewhere.

    Raises:
        DatasetError: the folder can't be written, or holds something else.
    """
    by_number = {"folders": folders.kind, "classes": [*folders.classes]}
    layout = {} if folders.kind == "names" else by_number
    with writing(target), claimed(target, [version], "imagefolder", **layout):
        for folder in folders.by_class.values():
            make_folder(target / folder)
        files = _Files(target, folders, store, earlier, link=link)
        counts, gone = write_index(target, version, folders, files.put, progress)
    return Exported(
        format="imagefolder",
        target=str(target),
        n_written=counts[Outcome.WRITTEN] + counts[Outcome.LINKED],
        n_there=counts[Outcome.THERE],
        n_linked=counts[Outcome.LINKED],
        n_gone=gone.n,
        gone=tuple(gone.first),
    )


def write_index(
    place: Path,
    version: DatasetVersion,
    folders: Folders,
    put: Callable[[Row], tuple[Outcome, str]],
    progress: Progress,
) -> tuple[Mapping[Outcome, int], GoneSamples]:
    """Have `put` write each sample's file, and write what says which is which into the folder `place`.

    `put` returns the file's name; where the input is gone, why.
    """
    made = folders.by_class.items()
    write_json(place / CLASSES, {folder: label for label, folder in made})
    numbers = {folder: folders.classes.index(label) for label, folder in made}
    write_json(place / CLASS_NUMBERS, numbers)
    counts = dict.fromkeys(Outcome, 0)
    schema = _with_file(manifest.schema(version))
    with (
        gone_file(place) as gone,
        whole(place / SAMPLES) as listed,
        CsvWriter(listed, schema) as writer,
    ):
        for page in _pages(at_once(manifest.rows(version), put)):
            there = []
            for row, (outcome, said) in page:
                counts[outcome] += 1
                if outcome is Outcome.GONE:
                    gone.add(row.sample_id, row.uri, said)
                else:
                    there.append({"file": said, **asdict(row)})
            writer.write_rows(there)
            progress("images", sum(counts.values()), version.n_human + version.n_model)
    croissant.describe_images(place, version, place / SAMPLES, schema)
    return counts, gone


class _Files:
    """The images below one target."""

    def __init__(
        self,
        target: Path,
        folders: Folders,
        store: Store,
        earlier: Sequence[Path],
        *,
        link: bool,
    ) -> None:
        self._target = target
        self._folders = folders.by_class
        self._store = store
        self._link = link
        self._earlier = [(folder, names) for folder in earlier if (names := _folders_of(folder))]

    def put(self, row: Row) -> tuple[Outcome, str]:
        """Have the sample's image under its name, whole or not at all; the name is from the target.

        Where it is gone, it says why in place of the name.
        """
        folder = self._folders[row.label]
        names = image_names(row.sample_id, row.content_hash)
        for name in names:
            with suppress(FileNotFoundError):
                # an empty file is what a power cut may leave, and a link is none of ours
                there = (self._target / folder / name).lstat()
                if there.st_size and stat.S_ISREG(there.st_mode):
                    return Outcome.THERE, f"{folder}/{name}"
        for source in self._sources(row, names):
            with suppress(OSError):
                data = source.read_bytes()
                if _is(data, row.content_hash):
                    name = image_name(row, names, data)
                    return self._take(
                        source, self._target / folder / name, data
                    ), f"{folder}/{name}"
        found = read(row, self._store)
        if isinstance(found, Lost):
            return Outcome.GONE, found.why
        name = image_name(row, names, found)
        return _write(self._target / folder / name, found), f"{folder}/{name}"

    def _sources(self, row: Row, names: Sequence[str]) -> Iterator[Path]:
        """Where the image may lie on this machine."""
        for folder, folders in self._earlier:
            if row.label in folders:
                found = (folder / folders[row.label] / name for name in names)
                yield from (path for path in found if not path.is_symlink())
        if row.uri.startswith(_FILE):
            own = Path(os.fsdecode(unquote_to_bytes(row.uri.removeprefix(_FILE))))
            if not own.is_symlink():  # a link to it would be one to wherever that leads
                yield own

    def _take(self, source: Path, path: Path, data: bytes) -> Outcome:
        if self._link:
            with suppress(OSError):  # another file system, or one without links
                path.unlink(missing_ok=True)
                os.link(source, path)
                return Outcome.LINKED
        return _write(path, data)


def _with_file(schema: "pa.Schema") -> "pa.Schema":
    import pyarrow as pa

    return pa.schema([pa.field("file", pa.string()), *schema])


def image_name(row: Row, names: Sequence[str], data: bytes) -> str:
    """Which of the sample's possible names fits its content."""
    return next((n for n in names if n.endswith(f".{ending(row.sample_id, data)}")), names[-1])


def _write(path: Path, data: bytes) -> Outcome:
    partial = path.with_name(f".{path.name}.partial")
    try:
        with new_file(partial) as file:
            file.write(data)
        partial.replace(path)
    except BaseException:
        with suppress(OSError):
            partial.unlink()
        raise
    return Outcome.WRITTEN


def _is(data: bytes, content_hash: str) -> bool:
    """Whether the bytes are certainly those that were labelled."""
    known = _HASHES.get(len(content_hash))
    return known is not None and known(data, usedforsecurity=False).hexdigest() == content_hash


def _folders_of(folder: Path) -> dict[str, str]:
    """The folder of each class of an earlier export; none where it is gone or isn't one."""
    try:
        held = json.loads((folder / CLASSES).read_text(encoding="utf-8"))
        return {label: name for name, label in held.items()}
    except (OSError, ValueError, AttributeError, TypeError):
        return {}


def _pages(
    done: Iterable[Done],
) -> Iterator[list[Done]]:
    source = iter(done)
    while page := list(islice(source, _PAGE)):
        yield page
