"""The rule of near-duplicates: rows of one scene, or of almost one text, share one label in a round.

Rows are looked at in the order of their rank. A row joins the first row before it that it is near to and
that stands for a group; else it stands for a group itself. Texts are compared by MinHash over shingles of
five characters (Broder 1997), with the bands of Leskovec, Rajaraman and Ullman, "Mining of Massive
Datasets", section 3.4.
"""

from collections.abc import Sequence
from hashlib import blake2b

import numpy as np
import numpy.typing as npt

from labelloop.core.arrays import Ints

SAME_DIRECTION = 0.95
"""The cosine of two embeddings from which on they show the same scene."""
SAME_IMAGE = 0.9
"""The cosine of two images' small pictures from which on they show the same scene."""
SAME_TEXT = 0.7
"""The share of common shingles, estimated, from which on two texts are almost the same."""
_SHINGLE = 5
_BANDS, _ROWS = 32, 4
_PRIME = np.uint64((1 << 61) - 1)


def near_vectors(embeddings: npt.NDArray[np.float32], same: float = SAME_DIRECTION) -> Ints:
    """(m,) int64: the row that stands for the group of each row, itself or one before it.

    same
        the cosine from which on two rows are near to each other

    embeddings
        (m, d) float32, in the order of rank; a row of zeros is near to none

    >>> near_vectors(np.array([[1, 0], [0, 1], [1, 0.1]], dtype=np.float32)).tolist()
    [0, 1, 0]
    """
    lengths = np.linalg.norm(embeddings, axis=1, keepdims=True)
    rows = embeddings / np.maximum(lengths, 1e-12)
    of = np.full(len(rows), -1, dtype=np.int64)
    for i in range(len(rows)):
        if of[i] >= 0:
            continue
        of[i] = i
        near = np.flatnonzero((rows[i + 1 :] @ rows[i] >= same) & (of[i + 1 :] < 0))
        of[i + 1 + near] = i
    return of


def near_texts(texts: Sequence[str]) -> Ints:
    """(m,) int64: the text that stands for the group of each text, itself or one before it.

    Case and white space don't count.

    >>> near_texts(["the parcel never came at all", "Great!", "The parcel  never came at all."]).tolist()
    [0, 1, 0]
    """
    signatures = _signatures(texts)
    of = np.arange(len(texts), dtype=np.int64)
    seen: dict[tuple[int, bytes], list[int]] = {}
    for i, signature in enumerate(signatures):
        bands = [
            (band, signature[band * _ROWS : (band + 1) * _ROWS].tobytes()) for band in range(_BANDS)
        ]
        candidates = sorted({j for band in bands for j in seen.get(band, ())})
        for j in candidates:
            if (signature == signatures[j]).mean() >= SAME_TEXT:
                of[i] = j
                break
        else:
            for band in bands:
                seen.setdefault(band, []).append(i)
    return of


def _signatures(texts: Sequence[str]) -> npt.NDArray[np.uint64]:
    """(m, 128) uint64: the smallest value of each hash function over a text's shingles."""
    rng = np.random.default_rng(1)  # the hash functions, the same for ever
    a = rng.integers(1, 1 << 31, _BANDS * _ROWS, dtype=np.uint64)
    b = rng.integers(0, 1 << 61, _BANDS * _ROWS, dtype=np.uint64)
    found = np.empty((len(texts), _BANDS * _ROWS), dtype=np.uint64)
    for i, text in enumerate(texts):
        plain = " ".join(text.lower().split())
        shingles = {plain[k : k + _SHINGLE] for k in range(max(1, len(plain) - _SHINGLE + 1))}
        hashed = np.array(
            [
                int.from_bytes(blake2b(s.encode("utf-8", "replace"), digest_size=4).digest(), "big")
                for s in sorted(shingles)
            ],
            dtype=np.uint64,
        )
        found[i] = ((hashed[:, None] * a + b) % _PRIME).min(axis=0)
    return found
