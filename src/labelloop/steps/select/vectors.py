"""What is computed of candidates' inputs: vectors of their images or texts.

Inputs are read in parallel and only for the candidates of a queue. Nothing is kept: a sample is a candidate
in one round alone, and a vector tells of its input, so there is nothing that `forget` would have to find.
"""

import itertools
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from hashlib import blake2b
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from labelloop.core.queue import Queue
from labelloop.core.round import Candidate
from labelloop.errors import ConfigError, InputGone
from labelloop.ports.log import PredictionLog
from labelloop.steps.select.thumbnails import BYTES, features, thumbnails

Vector = npt.NDArray[np.float32]
Read = Callable[[str, str], bytes]
"""The bytes of an input, by its uri and content hash; raises InputGone."""
IMAGE, TEXT = "image", "text"
"""The vectors that labelloop computes itself."""
_DIMENSIONS = 512
_AT_ONCE = 64
_WORKERS = 16


@dataclass(frozen=True, slots=True)
class Inputs:
    """The inputs of candidates, and what was computed of them in this selection.

    kind
        "image" or "text"
    home
        the folder of the settings, where a user's own module may lie
    """

    log: PredictionLog
    read: Read
    kind: str
    home: Path
    _vectors: dict[tuple[str, str], Vector | None] = field(default_factory=dict)

    def vectors(self, queue: Queue, how: str, rows: Sequence[Candidate]) -> Mapping[str, Vector]:
        """The vectors of the inputs that can be read, by sample.

        how
            IMAGE, TEXT, or a function of the user as "package.module:function"

        Raises:
            ConfigError: the user's function can't be imported or called, or Pillow isn't installed.
        """
        fresh = [row for row in rows if (how, row.sample_id) not in self._vectors]
        made = self._computed(queue, how, fresh) if fresh else {}
        for row in fresh:
            self._vectors[how, row.sample_id] = made.get(row.sample_id)
        held = {row.sample_id: self._vectors[how, row.sample_id] for row in rows}
        return {sample_id: value for sample_id, value in held.items() if value is not None}

    def _computed(self, queue: Queue, how: str, rows: Sequence[Candidate]) -> Mapping[str, Vector]:
        if how == IMAGE:
            made = thumbnails((row.sample_id, self._reading(row)) for row in rows)
            return {sample_id: features(own) for sample_id, own in made.items()}
        if how == TEXT:
            return {sample_id: of_text(text) for sample_id, text in self._texts(rows).items()}
        call = _imported(queue, how, self.home)
        found: dict[str, Vector] = {}
        for start in range(0, len(rows), _AT_ONCE):
            page = rows[start : start + _AT_ONCE]
            given = self._texts(page) if self.kind == TEXT else self._images(page)
            if given:
                vectors = _called(queue, how, call, list(given.values()))
                found |= dict(zip(given, vectors, strict=True))
        return found

    def _reading(self, row: Candidate) -> Callable[[], bytes | None]:
        return lambda: self._bytes(row)

    def _bytes(self, row: Candidate) -> bytes | None:
        try:
            return self.read(row.uri, row.content_hash)
        except InputGone:
            return None

    def _images(self, rows: Sequence[Candidate]) -> Mapping[str, bytes]:
        with ThreadPoolExecutor(_WORKERS) as pool:
            found = zip(rows, pool.map(self._bytes, rows), strict=True)
            return {row.sample_id: data for row, data in found if data and len(data) <= BYTES}

    def _texts(self, rows: Sequence[Candidate]) -> Mapping[str, str]:
        held = dict(self.log.texts([row.sample_id for row in rows]))
        missing = [row for row in rows if row.sample_id not in held]
        read = self._images(missing)
        return held | {
            sample_id: data.decode("utf-8", "replace") for sample_id, data in read.items()
        }


def of_text(text: str) -> Vector:
    """(512,) float32 of length 1: words and pairs of words, hashed, the roots of their counts.

    Case and white space don't count. Source: Weinberger et al. 2009, "Feature hashing for large scale
    multitask learning".

    >>> a, b, c = (of_text(t) for t in ("A parcel is late", "a  parcel is LATE", "where am I"))
    >>> round(float(a @ b), 6), round(float(a @ c), 6)
    (1.0, 0.0)
    """
    words = text.lower().split()
    counts: Vector = np.zeros(_DIMENSIONS, dtype=np.float32)
    for term in [*words, *map(" ".join, itertools.pairwise(words))]:
        number = int.from_bytes(
            blake2b(term.encode("utf-8", "replace"), digest_size=4).digest(), "big"
        )
        counts[(number >> 1) % _DIMENSIONS] += 1.0 if number & 1 else -1.0
    roots: Vector = np.sign(counts) * np.sqrt(np.abs(counts))
    roots /= max(1e-6, float(np.linalg.norm(roots)))
    return roots


def _imported(queue: Queue, how: str, home: Path) -> Callable[[list[Any]], Any]:
    module, _, name = how.partition(":")
    try:
        with _importable(home):
            found = getattr(import_module(module), name)
    except Exception as exc:
        raise ConfigError(
            f"queue {queue.name!r}: embed = {how!r} can't be imported: {type(exc).__name__}: {exc}",
            remedy=f"expected a function {name!r} in a module {module!r} that is installed or lies "
            "beside the settings",
        ) from exc
    if not callable(found):
        raise ConfigError(
            f"queue {queue.name!r}: embed = {how!r} isn't a function, but {type(found).__name__}",
            remedy="name a function that takes a list of inputs and returns a vector for each",
        )
    return found  # type: ignore[no-any-return]


@contextmanager
def _importable(home: Path) -> Iterator[None]:
    """Inside, modules in a folder can be imported."""
    sys.path.insert(0, str(home))
    try:
        yield
    finally:
        sys.path.remove(str(home))


def _called(
    queue: Queue, how: str, call: Callable[[list[Any]], Any], given: list[Any]
) -> npt.NDArray[np.float32]:
    """(n, d) float32: what the user's function returns.

    Raises:
        ConfigError: it failed, or returned something else.
    """
    try:
        found = np.asarray(call(given), dtype=np.float32)
    except Exception as exc:
        raise ConfigError(
            f"queue {queue.name!r}: embed = {how!r} failed: {type(exc).__name__}: {exc}",
            remedy="call it with a list of a few inputs, and mend it",
        ) from exc
    if found.ndim != 2 or len(found) != len(given) or not found.shape[1]:
        raise ConfigError(
            f"queue {queue.name!r}: embed = {how!r} returned an array of the shape {found.shape} for "
            f"{len(given)} inputs",
            remedy=f"expected {len(given)} rows, one vector for each input",
        )
    return found
