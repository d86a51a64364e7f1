"""What is asked of the statistics, and what simulation measures: one line a demand.

A file of demands has a function that takes the number of runs and returns its lines; `DEMANDS` in
bench/estimates.py names it.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

LEAST_RUNS = 500
HEADS = ["demand", "asked", "measured", "runs", "beside it", "met"]
_SLACK = 2.5
"""Standard errors by which a measured number may miss what is asked before it counts as missed."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Demand:
    """One line: `asked` is the least or, with `most`, the most that `measured` may be.

    error
        the standard error of `measured` by simulation
    beside
        what else was measured in the same runs
    shown
        how its numbers are written
    """

    what: str
    asked: float
    measured: float
    error: float
    runs: int
    most: bool = False
    beside: str = ""
    shown: str = ".1%"

    @property
    def met(self) -> str:
        """yes, NO, or that the simulation can't tell."""
        over = (self.measured - self.asked) * (1 if self.most else -1)
        if over <= 1e-12:
            return "yes"
        return "within error" if over <= _SLACK * self.error else "NO"

    @property
    def row(self) -> list[str]:
        """The line of a table with `HEADS`."""
        bound = "at most" if self.most else "at least"
        return [
            self.what,
            f"{bound} {self.asked:{self.shown}}",
            f"{self.measured:{self.shown}} ({self.error:{self.shown}})",
            f"{self.runs:,}",
            self.beside,
            self.met,
        ]


def share(
    what: str,
    held: Sequence[bool] | npt.NDArray[np.bool_],
    asked: float,
    *,
    most: bool = False,
    beside: str = "",
) -> Demand:
    """A demand on the share of runs in which something held."""
    measured, runs = float(np.mean(held)), len(held)
    # by the asked share too: none of 500 runs is no proof of never
    error = max(np.sqrt(p * (1 - p) / runs) for p in (measured, asked))
    return Demand(
        what=what,
        asked=asked,
        measured=measured,
        error=float(error),
        runs=runs,
        most=most,
        beside=beside,
    )


def mean(
    what: str,
    values: Sequence[float] | npt.NDArray[np.float64],
    asked: float,
    *,
    most: bool = False,
    beside: str = "",
    shown: str = ".1%",
) -> Demand:
    """A demand on the mean over runs."""
    return Demand(
        what=what,
        asked=asked,
        measured=float(np.mean(values)),
        error=float(np.std(values) / np.sqrt(len(values))),
        runs=len(values),
        most=most,
        beside=beside,
        shown=shown,
    )
