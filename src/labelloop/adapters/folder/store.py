"""A folder of files as a Store."""

import hashlib
import mimetypes
import os
import re
from base64 import b64encode
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from itertools import islice
from pathlib import Path
from secrets import token_hex
from urllib.parse import quote

from labelloop.adapters.folder.files import (
    FoundFile,
    OutsideFolder,
    folder_of,
    open_inside,
    path_of,
    uri_of,
    walk,
    write_whole,
)
from labelloop.adapters.folder.sidecars import MetadataLines, Unreadable, read_beside
from labelloop.adapters.http.browser_view import view
from labelloop.core.image_kind import MEDIA_TYPES, START_BYTES, kind_of
from labelloop.errors import InputChanged, InputGone, InputTooLarge, StoreDenied, StoreUnavailable
from labelloop.ports.store import BrowserView, Start, StoredObject, Streamed

PAGE = 1_000
WORKERS = 8
WINDOW = 256  # files whose metadata is read together
PART_BYTES = 262_144  # what a stream reads at a time
FOR_EVER = timedelta(days=36_500)
INLINE_BYTES = 500_000
"""The largest image that travels inside a task. A page of 30 tasks of this size is 20 MB."""

SHA_256 = re.compile(r"[0-9a-f]{64}")
UNKNOWN_TYPE = "application/octet-stream"


class FolderStore:
    """The files below `uri` ("file:///data/inputs"), each named by its path below it.

    Without `public_url` images travel inside the tasks. With it, links lead there: it shows the
    folder that holds both `uri` and `blind_uri`, or `uri` alone. Only `prefixes`, folders below
    `uri`, are listed where there are any. Thread-safe.

    Raises:
        ConfigError: a uri that names no folder.
    """

    def __init__(
        self,
        uri: str,
        *,
        prefixes: Sequence[str] = (),
        blind_uri: str | None = None,
        public_url: str | None = None,
    ) -> None:
        self._root = folder_of(uri)
        self._prefixes = [name.strip("/") for name in prefixes]
        self._blind = folder_of(blind_uri) if blind_uri else None
        self._places = (self._root, self._blind) if self._blind else (self._root,)
        self._shown = Path(os.path.commonpath(self._places))
        self._public_url = public_url
        self._lines = MetadataLines(self._root)

    @property
    def inline(self) -> bool:
        """Whether `presign` gives the bytes themselves: then no name shows."""
        return self._public_url is None

    # --- reading ------------------------------------------------------------------------------

    def place_of(self, uri: str) -> str:
        """Where the object of a uri lies: there."""
        return uri

    def objects(self) -> Iterator[Sequence[StoredObject]]:
        """Every file below the uri, page by page, each once; its hash comes with its tags.

        `last_modified` is the later change of the file and of the JSON beside it, by the clock of
        the file system, whatever times a copy brought along.

        Raises:
            StoreDenied: the folder isn't there, or a part of it may not be listed.
        """
        for start in [self._root / name for name in self._prefixes] or [self._root]:
            with self._translated("listing", start):
                if Path(os.path.realpath(start)) != start:
                    raise OutsideFolder("it is a link; only links to files are followed")
            files = walk(self._root, start, self._blind)
            while True:
                with self._translated("listing", start):
                    page = [_stored(found) for found in islice(files, PAGE)]
                if not page:
                    break
                yield page

    def uri_of(self, sample_id: str) -> str:
        """Where the file of a sample lies, or would lie."""
        return uri_of(f"{self._root}/{sample_id}")

    def tags(
        self, objects: Sequence[StoredObject]
    ) -> Iterator[tuple[StoredObject, Mapping[str, str]]]:
        """Each file with its hash and its tags; one that is gone is left out."""
        waiting = iter(objects)
        with self._translated("reading", self._root / "metadata.jsonl"):
            self._lines.refresh()
        with ThreadPoolExecutor(WORKERS, thread_name_prefix="folder-tags") as pool:
            while some := list(islice(waiting, WINDOW)):
                yield from filter(None, pool.map(self._tagged, some))

    def _tagged(self, stored: StoredObject) -> tuple[StoredObject, Mapping[str, str]] | None:
        if stored.fault:
            return stored, {}
        path = self._path(stored.uri)
        with self._translated("reading", path):
            try:
                beside = read_beside(path, self._root)
                tags = self._lines.of(stored.sample_id) if beside is None else beside
                with open_inside(str(path), (self._root,)) as file:
                    digest = hashlib.file_digest(file, "sha256").hexdigest() if tags else ""
            except FileNotFoundError:
                return None
            except (Unreadable, OutsideFolder, PermissionError) as exc:
                return replace(stored, fault=str(exc)), {}
        return replace(stored, content_hash=digest), tags

    def exists(self, uri: str) -> bool:
        """Whether a file stands at `uri`."""
        path = self._path(uri)
        with self._translated("looking", path):
            if path.is_file():
                return True
            self._check_mounted(path)
        return False

    def losses(self, inputs: Sequence[tuple[str, str]]) -> Sequence[InputGone | None]:
        """Of each uri and SHA-256, what became of the file: each is read, several at once."""
        with ThreadPoolExecutor(WORKERS, thread_name_prefix="folder-looking") as pool:
            return list(pool.map(self._loss, inputs))

    def starts(self, inputs: Sequence[tuple[str, str]]) -> Sequence[Start | None]:
        """How each file begins; None: it can't be opened."""
        with ThreadPoolExecutor(WORKERS, thread_name_prefix="folder-looking") as pool:
            return list(pool.map(self._start, (uri for uri, _ in inputs)))

    def _start(self, uri: str) -> Start | None:
        try:
            with open_inside(str(self._path(uri)), self._places) as file:
                return Start(file.read(START_BYTES), same=False)
        except (OSError, OutsideFolder, StoreDenied):
            return None

    def _loss(self, known: tuple[str, str]) -> InputGone | None:
        uri, content_hash = known
        path = self._path(uri)
        with self._translated("looking", path):
            try:
                if not SHA_256.fullmatch(content_hash):
                    path.stat()
                    return None
                with open_inside(str(path), self._places) as file:
                    found = hashlib.file_digest(file, "sha256").hexdigest()
            except FileNotFoundError:
                self._check_mounted(path)
                return _gone(path)
        return None if found == content_hash else InputChanged.since_indexed(path)

    def read(self, uri: str, *, content_hash: str | None = None) -> bytes:
        """The bytes of the file at `uri`.

        Raises:
            InputGone: it no longer exists.
            InputChanged: it does, and `content_hash` is a SHA-256, but not its.
        """
        path = self._path(uri)
        with self._translated("reading", path):
            try:
                with open_inside(str(path), self._places) as file:
                    body = file.read()
            except FileNotFoundError as exc:
                self._check_mounted(path)
                raise _gone(path) from exc
        expected = content_hash or ""
        if SHA_256.fullmatch(expected) and hashlib.sha256(body).hexdigest() != expected:
            raise InputChanged.since_indexed(path)
        return body

    def stream(self, uri: str, *, offset: int = 0, length: int | None = None) -> Streamed:
        """The bytes of the file at `uri`, from `offset` on; `length` at most.

        Raises:
            InputGone: it no longer exists.
        """
        path = self._path(uri)
        with self._translated("reading", path):
            try:
                file = open_inside(str(path), self._places)
            except FileNotFoundError as exc:
                self._check_mounted(path)
                raise _gone(path) from exc
            found = os.fstat(file.fileno())
            file.seek(offset)
        left = found.st_size - offset if length is None else length

        def parts() -> Iterator[bytes]:
            rest = left
            with file:
                while rest > 0 and (part := file.read(min(rest, PART_BYTES))):
                    rest -= len(part)
                    yield part

        return Streamed(
            size_bytes=found.st_size,
            version=f"{found.st_mtime_ns} {found.st_size} {found.st_ino}",
            encoding="",
            parts=parts(),
            close=file.close,
        )

    def below_root(self, uri: str) -> str:
        """The path of the file below the folder, as a URL has it."""
        return quote(os.fsencode(os.path.relpath(self._path(uri), self._shown)))

    # --- what annotators see ------------------------------------------------------------------

    def lasting(self, life: timedelta) -> timedelta:  # noqa: ARG002  these links don't lapse
        """How long a link works: for good."""
        return FOR_EVER

    def presign(
        self,
        uri: str,
        life: timedelta,  # noqa: ARG002  these links don't lapse
        *,
        content_hash: str | None = None,
    ) -> str:
        """The address of the file where it is served, or the file itself as a data: URI.

        Raises:
            InputGone: it no longer exists.
            InputChanged: it does, and `content_hash` is a SHA-256, but not its.
            InputTooLarge: it can't travel inside a task.
        """
        path = self._path(uri)
        if self._public_url is not None:
            joint = "" if self._public_url.endswith(("=", "/")) else "/"
            return f"{self._public_url}{joint}{self.below_root(uri)}"
        body = self.read(uri, content_hash=content_hash)
        if len(body) > INLINE_BYTES:
            raise InputTooLarge(
                f"{path} has {len(body):,} bytes, which is too large to be sent inside a task (at "
                f"most {INLINE_BYTES:,})",
                remedy="serve the folder by a web server or by Label Studio, and set public_endpoint_url "
                "in [store]: docs/how-to/folder.md shows how",
            )
        return f"data:{content_type(path, body)};base64,{b64encode(body).decode()}"

    def view(self, url: str, *, origin: str) -> BrowserView:
        """What a page of `origin` gets for `url`; nothing but the answer's head is read."""
        if url.startswith("data:"):
            kind = url.removeprefix("data:").partition(";")[0]
            return BrowserView(
                status=200, content_type=kind, allowed_origin="*", served_at=None, modified_at=None
            )
        return view(url, origin=origin, ca_file=None, timeout_s=30)

    # --- writing ------------------------------------------------------------------------------

    def below(self, uri: str) -> Iterator[Sequence[StoredObject]]:
        """Every input below `uri`, page by page; none is no error."""
        start = self._path(uri)
        with self._translated("listing", start):
            self._check_standing(self._place_of(start))
            files = walk(self._place_of(start), start, None) if start.is_dir() else iter(())
            while page := [_stored(found) for found in islice(files, PAGE)]:
                yield page

    def copy(self, source_uri: str, target_uri: str, *, content_hash: str) -> None:
        """Copy the bytes; the tags lie in a file of their own, and stay where they are. Idempotent.

        Raises:
            InputGone: the source no longer exists.
            InputChanged: it does, and `content_hash` is a SHA-256, but not its.
        """
        self.copy_blind(source_uri, target_uri, content_hash=content_hash)

    def copy_blind(
        self, source_uri: str, target_uri: str, *, content_hash: str | None = None
    ) -> None:
        """Copy the bytes and nothing else. Idempotent.

        Raises:
            InputGone: the source no longer exists.
            InputChanged: it does, and `content_hash` is a SHA-256, but not its.
        """
        self.write(target_uri, self.read(source_uri, content_hash=content_hash), UNKNOWN_TYPE)

    def write(self, uri: str, body: bytes, content_type: str) -> None:  # noqa: ARG002  files have none
        """Put a file of ours at `uri`, in place of what stood there."""
        path = self._path(uri)
        with self._translated("writing", path):
            self._check_standing(self._place_of(path))
            write_whole(path, body)

    def delete(self, uri: str) -> None:
        """Delete the file at `uri`; one that is not there is fine."""
        path = self._path(uri)
        with self._translated("deleting", path):
            self._check_standing(self._place_of(path))
            path.unlink(missing_ok=True)

    def check_writable(self, uri: str) -> None:
        """Return if files can be written and deleted below `uri`: a tiny one is, and is gone."""
        check = f"{uri.rstrip('/')}/.labelloop-check-{token_hex(8)}"
        self.write(check, b"", UNKNOWN_TYPE)
        self.delete(check)

    def retention(self, uri: str) -> timedelta | None:  # noqa: ARG002  no folder has rules
        """No rule of a folder deletes anything."""
        return None

    # --- places -------------------------------------------------------------------------------

    def _path(self, uri: str) -> Path:
        """The path of a file of ours; its last part may be a link, and is checked when opened."""
        whole = Path(path_of(uri))
        path = Path(os.path.realpath(whole.parent)) / whole.name
        self._place_of(path)
        return path

    def _place_of(self, path: Path) -> Path:
        for place in self._places:
            if path.is_relative_to(place):
                return place
        raise StoreDenied(
            f"{path} lies outside of {' and '.join(map(str, self._places))}",
            remedy="check uri and blind_uri in [store]: they changed since this file was indexed",
        )

    def _check_standing(self, place: Path) -> None:
        if not place.is_dir():
            raise StoreDenied(
                f"the folder {f'{place}/'!r} doesn't exist",
                remedy="check uri, prefixes and blind_uri in [store], or create the folder; for a bucket "
                "write s3://NAME",
            )

    def _check_mounted(self, path: Path) -> None:
        """A file may only be taken for gone where its folder is there, and holds something."""
        place = self._place_of(path)
        self._check_standing(place)
        if not any(place.iterdir()):
            raise StoreUnavailable(
                f"{place} is empty now, and held files before: perhaps a disk isn't mounted",
                remedy="mount the disk; if the folder should be empty, put any file into it",
            )

    @contextmanager
    def _translated(self, doing: str, path: Path) -> Iterator[None]:
        """Raise what the file system raises inside as StoreDenied or StoreUnavailable."""
        try:
            yield
        except OutsideFolder as exc:
            raise StoreDenied(
                f"{doing} {path} failed: {exc}",
                remedy="replace the link by the file: labelloop reads only files inside the folder",
            ) from exc
        except (FileNotFoundError, NotADirectoryError) as exc:
            self._check_standing(self._root)
            raise StoreDenied(
                f"the folder {f'{path}/'!r} doesn't exist",
                remedy="correct uri or prefixes in [store], or create the folder",
            ) from exc
        except PermissionError as exc:
            raise StoreDenied(
                f"{doing} {exc.filename or path} failed: {exc.strerror}",
                remedy="give the user that runs labelloop the right to read the inputs and to write the "
                "copies",
            ) from exc
        except OSError as exc:
            raise StoreUnavailable(
                f"{doing} {exc.filename or path} failed: {exc.strerror or exc}",
                remedy="check the disk, its free space and its mount",
            ) from exc


def content_type(path: Path, body: bytes) -> str:
    """The type that a file's ending tells, or its first bytes."""
    guessed, _ = mimetypes.guess_type(f"x{path.suffix}")
    if guessed is not None:
        return guessed
    return MEDIA_TYPES.get(kind_of(body) or "", UNKNOWN_TYPE)


def _gone(path: Path) -> InputGone:
    return InputGone(
        f"there is no file {path}",
        remedy="it was deleted or moved since it was indexed; nothing to do",
    )


def _stored(found: FoundFile) -> StoredObject:
    return StoredObject(
        sample_id=found.name,
        uri=uri_of(found.path),
        content_hash="",
        size_bytes=found.size_bytes,
        last_modified=datetime.fromtimestamp(found.changed_ns / 1e9, UTC),
        fault=found.fault,
    )
