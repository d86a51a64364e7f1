"""Probabilities as programs write them: not quite in [0, 1]."""

import numpy as np
import numpy.typing as npt

ROUNDING = 1e-4
"""How far outside [0, 1] the rounding of single precision, and sums of it, may lead."""


def unrounded(values: npt.ArrayLike) -> npt.NDArray[np.float64]:
    """`values` as float64, where what lies outside [0, 1] by no more than ROUNDING is 0 or 1.

    >>> unrounded([1.0000001, -1e-9, 1.2]).tolist()
    [1.0, 0.0, 1.2]
    """
    given = np.asarray(values, dtype=np.float64)
    near = (given >= -ROUNDING) & (given <= 1 + ROUNDING)
    return np.where(near, np.clip(given, 0.0, 1.0), given)
