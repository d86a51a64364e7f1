"""What a rule says of a frame before any row of it is read."""

from dataclasses import dataclass

from labelloop.core.arrays import Floats


@dataclass(frozen=True, slots=True, eq=False)
class Chances:
    """The chance of each risk bin to be drawn, and how many draws are a simple random sample first.

    by_bin
        (1024,) float64 in (0, 1]; the sum over the frame's samples is the budget
    """

    by_bin: Floats
    n_uniform: int
