"""What a simulated share of hits must be, given how many runs there were."""

from math import sqrt


def least(level: float, runs: int) -> float:
    """The least share of covering runs: nominal less 2 points and 2.5 standard errors."""
    return level - 0.02 - 2.5 * sqrt(level * (1 - level) / runs)


def most(share: float, runs: int) -> float:
    """The largest share of failing runs: the stated one and 2.5 standard errors."""
    return share + 2.5 * sqrt(share * (1 - share) / runs)
