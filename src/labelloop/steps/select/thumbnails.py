"""Small pictures of images, to compare them by.

An image of a few kilobytes may unpack to gigabytes, or find a fault in a decoder: what decodes it has no
keys, little memory and little time. An image that can't be read within the limits has no thumbnail.
"""

import os
from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from queue import SimpleQueue

import numpy as np
import numpy.typing as npt

from labelloop.errors import ConfigError
from labelloop.images.decoder import COMPARED_SIDE as SIDE
from labelloop.images.decoding import Decoder, can_decode

Reading = Callable[[], bytes | None]
"""Reads the bytes of one input; None where it is gone."""
Thumbnail = npt.NDArray[np.uint8]
BYTES = 64 * 2**20
_TIME_S = 20.0
_AT_MOST = 4
_WORKERS = 16


def thumbnails(
    inputs: Iterable[tuple[str, Reading]],
) -> Mapping[str, Thumbnail]:
    """(SIDE, SIDE, 3) uint8 in RGB by name, of the images that can be read; others have none.

    Raises:
        ConfigError: Pillow isn't installed.
    """
    given = list(inputs)
    if not given:
        return {}
    with _decoders(min(_AT_MOST, os.cpu_count() or 1)) as free:

        def one(each: tuple[str, Reading]) -> tuple[str, Thumbnail | None]:
            name, read = each
            data = read()
            if not data or len(data) > BYTES:
                return name, None
            decoder = free.get()
            try:
                made = decoder.compared(data, patience_s=_TIME_S)
            finally:
                free.put(decoder)
            if made is None:
                return name, None
            return name, np.frombuffer(made, np.uint8).reshape(SIDE, SIDE, 3)

        with ThreadPoolExecutor(_WORKERS) as pool:
            return {name: made for name, made in pool.map(one, given) if made is not None}


def features(made: Thumbnail) -> npt.NDArray[np.float32]:
    """(768,) float32 of length 1: 16 x 16 cells in RGB, less their mean.

    >>> features(np.zeros((SIDE, SIDE, 3), dtype=np.uint8)).shape
    (768,)
    """
    cells = made.astype(np.float32).reshape(SIDE // 2, 2, SIDE // 2, 2, 3).mean(axis=(1, 3))
    vector: npt.NDArray[np.float32] = (cells - cells.mean()).ravel()
    vector /= max(1e-6, float(np.linalg.norm(vector)))
    return vector


@contextmanager
def _decoders(n: int) -> Iterator[SimpleQueue[Decoder]]:
    if not can_decode():
        raise ConfigError(
            "images are compared with Pillow, which isn't installed",
            remedy="pip install 'labelloop[images]'",
        )
    free: SimpleQueue[Decoder] = SimpleQueue()
    every = [Decoder() for _ in range(n)]
    for decoder in every:
        free.put(decoder)
    try:
        yield free
    finally:
        for decoder in every:
            decoder.close()
