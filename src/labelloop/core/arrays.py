"""Checks of the arrays that callers pass, and the 1,024 bins of risk."""

import numpy as np
import numpy.typing as npt

from labelloop.core.probability import unrounded
from labelloop.core.sample import RISK_BINS
from labelloop.errors import ArgumentError

Bools = npt.NDArray[np.bool_]
Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]

BIN_RISKS: Floats = (np.arange(RISK_BINS, dtype=np.float64) + 0.5) / RISK_BINS
"""The risk that stands for each bin: its midpoint, so never 0 or 1."""


def scores(name: str, values: npt.ArrayLike) -> Floats:
    """`values` as float64; ArgumentError for anything but True, False and numbers from 0 to 1."""
    given = np.asarray(values)
    if given.ndim != 1 or given.dtype.kind not in "biuf" or not ((given >= 0) & (given <= 1)).all():
        raise ArgumentError(
            f"{name}: expected a list of True and False, or of scores from 0 to 1, "
            f"got shape {given.shape} of {given.dtype}",
            remedy="leave out samples without an answer",
        )
    return given.astype(np.float64)


def truths(name: str, values: npt.ArrayLike) -> Bools:
    """`values` as a list of bool; ArgumentError for anything but True, False, 1 and 0."""
    given = np.asarray(values)
    if given.ndim != 1 or not (given.dtype == np.bool_ or np.isin(given, (0, 1)).all()):
        raise ArgumentError(
            f"{name}: expected a list of True and False, got shape {given.shape} of {given.dtype}",
            remedy="leave out samples without an answer",
        )
    return given.astype(bool)


def risk_bins(risk: npt.ArrayLike) -> Ints:
    """The bin of each risk: (N,) int64, min(1023, floor(1024 risk)).

    Raises:
        ArgumentError: not a list of numbers in [0, 1].

    >>> risk_bins([0.0, 0.5, 1.0]).tolist()
    [0, 512, 1023]
    """
    given = in_range("risk", risk, np.greater_equal, "[0, 1]")
    return np.minimum((given * RISK_BINS).astype(np.int64), RISK_BINS - 1)


def probabilities(name: str, values: npt.ArrayLike) -> Floats:
    """`values` as float64; ArgumentError outside (0, 1]."""
    return in_range(name, values, np.greater, "(0, 1]")


def in_range(name: str, values: npt.ArrayLike, above: np.ufunc, shown: str) -> Floats:
    """`values` as float64, rounding errors undone; ArgumentError if one is not in the range `shown`."""
    given = unrounded(values)
    if given.ndim != 1:
        raise ArgumentError(
            f"{name}: expected a list, got shape {given.shape}",
            remedy="pass one number for each sample",
        )
    bad = ~(above(given, 0) & (given <= 1))
    if bad.any():
        where = int(np.argmax(bad))
        raise ArgumentError(
            f"{name}[{where}] = {given[where]}: expected a number in {shown}",
            remedy="pass probabilities; only a confidence may be missing",
        )
    return given


def same_length(**arrays: npt.NDArray[np.generic]) -> None:
    """Raise ArgumentError unless all have one length."""
    if len({array.size for array in arrays.values()}) > 1:
        lengths = ", ".join(f"{name} {array.size}" for name, array in arrays.items())
        raise ArgumentError(
            f"lists of different length: {lengths}", remedy="pass the same samples in each"
        )


def check_level(level: float) -> None:
    """Raise ArgumentError unless 0 < level < 1."""
    if not 0 < level < 1:
        raise ArgumentError(
            f"level = {level}: expected a number between 0 and 1", remedy="write 0.95 for 95%"
        )
