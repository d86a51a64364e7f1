"""The rule for a model that answers with probabilities alone: the likeliest class is its answer."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from labelloop.reading.column import Values
from labelloop.reading.confidence import share

_FLOAT32_DIGITS = 7


@dataclass(frozen=True, slots=True)
class Likeliest:
    """What probabilities say: null where a row has none.

    classes
        the names of the likeliest classes, a pyarrow array; of two that are as likely the first
    confidences
        how likely they are; `bad` where that isn't in [0, 1], as for logits
    unfit
        (N,) bool: the rows whose number of probabilities isn't that of the classes
    """

    classes: Any
    confidences: Values
    unfit: Any


def likeliest(probabilities: Any, order: Sequence[str]) -> Likeliest:
    """What a column of lists says about the classes in `order`; one number is that of the second of two.

    >>> lists = pa.array([[0.2, 0.7, 0.1], None, [0.5]])
    >>> found = likeliest(lists, ["cat", "dog", "cow"])
    >>> found.classes.to_pylist(), found.confidences.values.to_pylist(), found.unfit.tolist()
    (['dog', None, None], [0.7, None, None], [False, False, True])
    >>> likeliest(pa.array([[0.1]]), ["ham", "spam"]).classes.to_pylist()
    ['ham']
    """
    n, k = len(probabilities), len(order)
    lengths = pc.fill_null(pc.list_value_length(probabilities), -1).to_numpy()
    alone = (lengths == 1) & (k == 2)
    fits = (lengths == k) | alone
    held = np.full((n, k), np.nan)
    held[lengths == k] = _flat(probabilities, lengths == k).reshape(-1, k)
    if alone.any():
        second = _flat(probabilities, alone)
        held[alone] = np.column_stack([1 - second, second])
    known = fits & ~np.isnan(held).any(axis=1)
    places = np.argmax(np.where(known[:, None], held, 0.0), axis=1)
    sure = np.round(held[np.arange(n), places], _FLOAT32_DIGITS)
    bad = np.zeros(n, bool)
    for i in np.flatnonzero(known & ((sure < 0) | (sure > 1))):
        try:
            sure[i] = share(float(sure[i]))
        except ValueError:
            bad[i] = True
    return Likeliest(
        classes=pa.array(order, pa.string()).take(pa.array(places, mask=~known)),
        confidences=Values(pa.array(sure, pa.float64(), mask=~known | bad), bad),
        unfit=(lengths >= 0) & ~known,
    )


def _flat(lists: Any, chosen: Any) -> Any:
    """The numbers of the chosen lists, one after the other; a null is NaN."""
    values = lists.filter(pa.array(chosen)).flatten().cast(pa.float64(), safe=False)
    return values.to_numpy(zero_copy_only=False).astype(np.float64)
