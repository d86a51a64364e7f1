"""A top-up: more draws of a round, on the same line, and the chances that all of its draws have then."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class TopUp:
    """What a later selection added to a round, on the same line.

    round, of
        its own number in the ledger, and the round that it continues
    scale
        what the chances of that round's first draw are multiplied with from now on, 1 at most each
    at_random
        the share of the frame that an uneven first draw took at random, which isn't multiplied
    """

    round: int
    of: int
    scale: float
    at_random: float = 0.0


def raised(inclusion: float, scale: float, *, at_random: float = 0.0) -> float:
    """The chance once that of a first draw is multiplied by `scale`, 1 at most.

    at_random
        the share of the frame that the first draw took at random before it drew unevenly: that part
        stays as it is, and what is multiplied is the chance above it

    >>> raised(0.1, 2), raised(0.6, 2)
    (0.2, 1.0)
    """
    if at_random >= 1:
        return inclusion
    above = min(1.0, scale * (inclusion - at_random) / (1 - at_random))
    # rounding must not lower a chance: what was drawn stays drawn
    return min(1.0, max(inclusion, at_random + (1 - at_random) * above))
