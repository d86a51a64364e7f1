"""The rule "diverse": rows that are uncertain and differ from each other.

Of the rows with the highest scores, ten times the budget, k-means makes as many clusters as rows are
wanted, each row weighted by its score, and the best row of each cluster is taken. Source: Zhdanov 2019,
"Diverse mini-batch active learning", algorithm 1; centres begin as in k-means||, the scalable k-means++
(Bahmani et al. 2012), with the places on the line in place of a seed.
"""

import numpy as np
import numpy.typing as npt

from labelloop.core.arrays import Floats, Ints

Singles = npt.NDArray[np.float32]
POOL = 10
"""How many rows are looked at for each one that is wanted."""
_ROUNDS = 8
_DRAWS = 20
_ROWS_AT_ONCE = 2_000


def spread(embeddings: Singles, scores: Floats, line: Ints, wanted: int) -> Ints:
    """(m,) int64: the rows in the order in which they are taken.

    The best row of each cluster comes first, then the second of each, and so on; within a turn, by score,
    then by line.

    embeddings
        (m, d) float32; directions alone count (cosine distance)
    scores
        (m,) float64; the higher, the sooner
    line
        (m,) int64: the rows' places

    >>> near, far = [1.0, 0.0], [0.0, 1.0]
    >>> rows = np.array([near, near, far], dtype=np.float32)
    >>> spread(rows, np.array([0.9, 0.8, 0.7]), np.array([1, 2, 3]), 2).tolist()
    [0, 2, 1]
    """
    m = scores.size
    best: Ints = np.lexsort((line, -scores))
    if wanted >= m:
        return best
    rows = np.asarray(embeddings, dtype=np.float32)
    rows = rows / np.maximum(np.linalg.norm(rows, axis=1, keepdims=True), 1e-12)
    weights = np.maximum(scores, 1e-6)
    rng = np.random.default_rng([int(place) for place in np.sort(line)[:4]])
    centres = rows[_first_centres(rows, weights, wanted, rng)]
    of = _nearest(rows, centres)
    for _ in range(_ROUNDS):
        sums = np.zeros_like(centres, dtype=np.float64)
        np.add.at(sums, of, rows * weights[:, None])
        total = np.bincount(of, weights=weights, minlength=len(centres))
        held = total > 0
        centres[held] = (sums[held] / total[held, None]).astype(np.float32)
        before, of = of, _nearest(rows, centres)
        if np.array_equal(before, of):
            break
    turn = np.empty(m, dtype=np.int64)
    clusters = of[best]
    order = np.argsort(clusters, kind="stable")
    starts = np.r_[0, np.cumsum(np.bincount(clusters, minlength=len(centres)))]
    turn[best[order]] = np.arange(m) - starts[clusters[order]]
    taken: Ints = np.lexsort((line, -scores, turn))
    return taken


def _first_centres(rows: Singles, weights: Floats, wanted: int, rng: np.random.Generator) -> Ints:
    """Rows that lie far apart: each is drawn in proportion to its weight and its squared distance.

    Several are drawn before the distances are computed anew.
    """
    chosen = np.array([int(np.argmax(weights))], dtype=np.int64)
    far = _distances(rows, rows[chosen])
    at_once = max(1, wanted // _DRAWS)
    while chosen.size < wanted:
        mass = np.cumsum(far * weights)
        if mass[-1] <= 0:  # fewer different rows than are wanted
            break
        places = rng.random(min(at_once, wanted - chosen.size)) * mass[-1]
        drawn = np.unique(np.minimum(np.searchsorted(mass, places, side="right"), len(rows) - 1))
        chosen = np.r_[chosen, drawn]
        far = np.minimum(far, _distances(rows, rows[drawn]))
    return chosen


def _distances(rows: Singles, centres: Singles) -> Floats:
    """The squared distance of each row from the nearest centre; lengths are 1, or 0."""
    nearest = (rows @ centres.T).max(axis=1)
    found: Floats = np.maximum(0.0, 2.0 - 2.0 * nearest).astype(np.float64)
    found[found < 1e-6] = 0.0
    return found


def _nearest(rows: Singles, centres: Singles) -> Ints:
    """The nearest centre of each row."""
    squares = (centres**2).sum(axis=1)
    found = np.empty(len(rows), dtype=np.int64)
    for start in range(0, len(rows), _ROWS_AT_ONCE):
        page = rows[start : start + _ROWS_AT_ONCE]
        found[start : start + _ROWS_AT_ONCE] = (squares - 2.0 * (page @ centres.T)).argmin(axis=1)
    return found
