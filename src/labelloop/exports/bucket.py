"""An imagefolder below an s3:// uri: the server copies each image, with its tags."""

import json
import re
from array import array
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
from numpy.typing import NDArray

from labelloop.core.dataset import DatasetVersion, Row
from labelloop.errors import DatasetError, InputGone
from labelloop.exports.exported import Exported
from labelloop.exports.imagefolder import Folders, Outcome, image_name, write_index
from labelloop.exports.inputs import WORKERS
from labelloop.exports.lost import Lost
from labelloop.exports.names import digest, image_names
from labelloop.exports.target import GONE, MARK
from labelloop.ports.clock import Progress
from labelloop.ports.store import Store

S3 = "s3://"
_IMAGE = re.compile(r"[^/]+/[0-9a-f]{16}-[^/]*")
_MEDIA_TYPES = {".json": "application/json", ".csv": "text/csv"}


def export(
    version: DatasetVersion,
    target: str,
    store: Store,
    folders: Folders,
    *,
    remove_old: bool,
    progress: Progress,
) -> Exported:
    """Copy each sample's object to `target`/CLASS/NAME; what is there already stays.

    Later versions of the same dataset may go to the same place. Images that this one doesn't hold, as
    they were removed or have another label now, stay and are counted, unless `remove_old`. The index
    files are those of a folder, and come last.

    Raises:
        DatasetError: the place holds something else.
        StoreError: the objects can't be copied.
    """
    root = target.rstrip("/")
    _claim(store, root, version, folders)
    copies = _Copies(store, root, folders.by_class)
    for folder in folders.by_class.values():  # a bucket has no empty folders
        store.write(f"{root}/{folder}/", b"", "application/x-directory")
    with TemporaryDirectory(prefix="labelloop-") as made:
        place = Path(made)
        counts, gone = write_index(place, version, folders, copies.put, progress)
        for file in sorted(place.iterdir()):
            kind = _MEDIA_TYPES.get(file.suffix, "application/octet-stream")
            store.write(f"{root}/{file.name}", file.read_bytes(), kind)
        if not gone.n:
            store.delete(f"{root}/{GONE}")
    old = copies.old()
    if remove_old:
        with ThreadPoolExecutor(WORKERS, thread_name_prefix="export") as pool:
            list(pool.map(store.delete, old))
    return Exported(
        format="imagefolder",
        target=target,
        n_written=counts[Outcome.WRITTEN],
        n_there=counts[Outcome.THERE],
        n_gone=gone.n,
        gone=tuple(gone.first),
        n_old=len(old),
        n_removed=len(old) if remove_old else 0,
    )


class _Copies:
    """The images below one place, by eight bytes of each name."""

    def __init__(self, store: Store, root: str, folders: Mapping[str, str]) -> None:
        self._store = store
        self._root = root
        self._folders = folders
        self._held = _sorted(array("Q", (_key(name) for name, _ in self._listed())))
        self._wanted = array("Q")

    def put(self, row: Row) -> tuple[Outcome, str]:
        """Have the sample's object copied under its name; the name is from the root, or says why not."""
        folder = self._folders[row.label]
        names = image_names(row.sample_id, row.content_hash)
        for name in names:
            if _in(self._held, _key(f"{folder}/{name}")):
                return Outcome.THERE, self._noted(f"{folder}/{name}")
        try:
            name = names[0]
            if len(names) > 1:  # only the content tells the ending
                data = self._store.read(row.uri, content_hash=row.content_hash)
                name = image_name(row, names, data)
            self._store.copy(
                row.uri, f"{self._root}/{folder}/{name}", content_hash=row.content_hash
            )
        except InputGone as exc:
            return Outcome.GONE, Lost.because(exc).why
        return Outcome.WRITTEN, self._noted(f"{folder}/{name}")

    def old(self) -> list[str]:
        """The uris of images that stood there before and aren't of this version."""
        wanted = _sorted(self._wanted)
        if bool(np.isin(self._held, wanted).all()):
            return []
        return [uri for name, uri in self._listed() if not _in(wanted, _key(name))]

    def _noted(self, name: str) -> str:
        self._wanted.append(_key(name))
        return name

    def _listed(self) -> Iterator[tuple[str, str]]:
        """The name and uri of each image that an export put there."""
        for page in self._store.below(self._root):
            for found in page:
                name = found.uri.removeprefix(f"{self._root}/")
                if _IMAGE.fullmatch(name):
                    yield name, found.uri


def _claim(store: Store, root: str, version: DatasetVersion, folders: Folders) -> None:
    """Mark the place as this dataset's, where it is empty or is so already.

    Raises:
        DatasetError: it holds something else, or its folders mean other classes.
    """
    own: dict[str, object] = {
        "format": "imagefolder",
        "dataset": version.name,
        "folders": folders.kind,
        "classes": {folder: label for label, folder in folders.by_class.items()},
    }
    mark = f"{root}/{MARK}"
    if store.exists(mark):
        own["classes"] = _merged(root, _read_mark(store.read(mark)), own)
    elif next((page for page in store.below(root) if page), None):
        raise DatasetError(
            f"{root} contains objects that no export wrote",
            remedy="choose an empty --target, such as a new prefix",
        )
    store.write(mark, json.dumps(own, ensure_ascii=False).encode(), "application/json")


def _read_mark(data: bytes) -> dict[str, object]:
    try:
        held = json.loads(data)
    except ValueError:
        return {}
    return held if isinstance(held, dict) else {}


def _merged(root: str, held: Mapping[str, object], own: Mapping[str, object]) -> dict[str, object]:
    """The class of each folder, of earlier exports and this one."""
    before, now = held.get("classes"), own["classes"]
    if not isinstance(before, dict) or not isinstance(now, dict):
        before, now = {}, {}
    same = all(held.get(key) == own[key] for key in ("format", "dataset", "folders"))
    if not same:
        what = f"{held.get('dataset')} as {held.get('format')}, folders by {held.get('folders')}"
        raise DatasetError(
            f"{root} already contains another export: {what}",
            remedy="choose another --target: labelloop doesn't mix exports",
        )
    for folder in before.keys() & now.keys():
        if before[folder] != now[folder]:
            raise DatasetError(
                f"the order of [project] classes has changed: {root}/{folder} holds the class "
                f"{before[folder]!r}, and would now hold {now[folder]!r}",
                remedy="choose another --target",
            )
    return {**before, **now}


def _key(name: str) -> int:
    return int.from_bytes(digest(name))


def _sorted(keys: "array[int]") -> NDArray[np.uint64]:
    return np.sort(np.frombuffer(keys, dtype=np.uint64)) if keys else np.empty(0, np.uint64)


def _in(keys: NDArray[np.uint64], key: int) -> bool:
    wanted = np.uint64(key)
    place = int(np.searchsorted(keys, wanted))
    return place < len(keys) and bool(keys[place] == wanted)
