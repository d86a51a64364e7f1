"""A folder a class, a file a sample: what torchvision's ImageFolder and the like read."""

import json
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from hashlib import blake2b
from itertools import islice
from pathlib import Path, PurePosixPath
from re import sub

from labelloop.core.dataset import DatasetVersion, Row
from labelloop.errors import DatasetError, InputGone
from labelloop.ports import Progress, Store

_WORKERS = 16
_PAGE = 1_000
_MARK = ".labelloop.json"
_LONGEST_BYTES = 150
"""Of a name; file systems take 255, and a hash stands beside it."""


@dataclass(frozen=True, slots=True)
class Exported:
    """How many files were written, were there already, and have no input any more."""

    n_written: int
    n_there: int
    n_gone: int


def export(
    version: DatasetVersion,
    rows: Iterable[Row],
    target: Path,
    store: Store,
    progress: Progress,
) -> Exported:
    """Write each sample to `target`/CLASS/NAME; a second run writes only what is missing.

    Names that no file system takes are changed; `classes.json` says which folder is which class.

    Raises:
        DatasetError: the folder can't be written, or holds something else.
    """
    written = there = gone = 0
    folders: dict[str, str] = {}

    def put(row: Row) -> str:
        path = target / folders[row.label] / file_name(row.sample_id)
        if path.exists():
            return "there"
        try:
            data = store.read(row.uri)
        except InputGone:
            return "gone"
        partial = path.with_name(f".{path.name}.partial")
        partial.write_bytes(data)
        partial.replace(path)
        return "written"

    try:
        target.mkdir(parents=True, exist_ok=True)
        _claim(target, version)
        with ThreadPoolExecutor(_WORKERS) as pool:
            for page in _pages(rows):
                for label in {row.label for row in page} - folders.keys():
                    folders[label] = folder_name(label)
                    (target / folders[label]).mkdir(exist_ok=True)
                outcomes = list(pool.map(put, page))
                written += outcomes.count("written")
                there += outcomes.count("there")
                gone += outcomes.count("gone")
                progress("images", written + there + gone, None)
        names = {folder: label for label, folder in sorted(folders.items())}
        (target / "classes.json").write_text(
            json.dumps(names, indent=2, ensure_ascii=False) + "\n", encoding="utf-8"
        )
    except OSError as exc:
        raise DatasetError(
            f"{target} can't be written: {exc}", remedy="give another --target"
        ) from exc
    return Exported(written, there, gone)


def _claim(target: Path, version: DatasetVersion) -> None:
    """Mark the folder as this version's; labels of two versions must not lie beside each other."""
    mark = target / _MARK
    own = {"dataset": version.name, "version": version.version, "content": version.content_hash}
    if not mark.exists():
        if any(target.iterdir()):
            raise DatasetError(
                f"{target} holds something else", remedy="give another --target, or an empty folder"
            )
        mark.write_text(json.dumps(own) + "\n", encoding="utf-8")
        return
    try:
        held = json.loads(mark.read_text(encoding="utf-8"))
    except ValueError:
        held = {}
    if held != own:
        raise DatasetError(
            f"{target} holds another version: {held.get('dataset')} v{held.get('version')}",
            remedy="give another --target: a label may have changed between the two",
        )


def folder_name(label: str) -> str:
    """A folder for a class: its name where that is safe, else made safe and told apart by a hash.

    >>> folder_name("Dairy product"), folder_name("a/b").startswith("_a_b-")
    ('Dairy product', True)
    """
    safe = _safe(label)
    return safe if safe == label else f"_{safe}-{_digest(label)}"


def file_name(sample_id: str) -> str:
    """A file for a sample: a hash of its id before the last part of it, so that no two collide.

    >>> file_name("class_07/a b.png").endswith("-a b.png")
    True
    """
    name = PurePosixPath(sample_id).name.encode("utf-8", "replace")
    # the end is kept, for it tells the kind of file
    return f"{_digest(sample_id)}-{_safe(name[-_LONGEST_BYTES:].decode('utf-8', 'ignore'))}"


def _safe(text: str) -> str:
    """The text without what a file system or a shell stumbles over, and not too long for one."""
    cut = text.encode("utf-8", "replace")[:_LONGEST_BYTES].decode("utf-8", "ignore")
    return sub(r'[\x00-\x1f\x7f/\\:*?"<>|]|^\.+|[. ]+$', "_", cut) or "_"


def _digest(text: str) -> str:
    return blake2b(text.encode("utf-8", "surrogatepass"), digest_size=8).hexdigest()


def _pages(rows: Iterable[Row]) -> Iterator[list[Row]]:
    source = iter(rows)
    while page := list(islice(source, _PAGE)):
        yield page
