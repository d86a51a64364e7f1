"""The levels at which an interval can decide a gate, however often the gate is asked."""

import math

FALSE_A_YEAR = 0.02
"""A model exactly at the gate passes, and fails, in at most this share of years of daily looks."""
LOOKS_A_YEAR = 365
USUAL_LABELS = 60
"""The number of labels at which `level_at_every_look` begins to be near its narrowest."""


def daily_level(n_windows: int) -> float:
    """The level of each interval if a gate looks at `n_windows` periods a day, for a year.

    The chance of a false verdict is shared among all of them evenly (Bonferroni), so it holds for
    periods that overlap, and for answers that come late.

    >>> round(1 - daily_level(1), 6), round(1 - daily_level(4), 7)
    (0.00011, 2.74e-05)
    """
    return 1 - 2 * FALSE_A_YEAR / (LOOKS_A_YEAR * n_windows)


def level_at_every_look(n: int) -> float:
    """The level of an interval from the `n` labels so far, so that it holds at every look ever.

    Assumes an estimate whose information grows with its labels, of one unknown that stays the same.

    Source: the normal mixture boundary (Robbins 1970; Howard, Ramdas, McAuliffe, Sekhon 2021,
    equation 14) in units of information, asymptotic as in Waudby-Smith, Arbour, Sinha, Kennedy,
    Ramdas 2024, "Time-uniform central limit theory and asymptotic confidence sequences": abs(z) <=
    sqrt((1 + r / n) log((n + r) / (r alpha^2))), with r = USUAL_LABELS.

    >>> [round(level_at_every_look(n), 5) for n in (10, 60, 600, 6000)]
    [1.0, 0.99984, 0.99818, 0.99917]
    """
    alpha = 2 * FALSE_A_YEAR
    mixed = n + USUAL_LABELS
    z = math.sqrt(mixed / max(n, 1) * math.log(mixed / (USUAL_LABELS * alpha**2)))
    # never 1, which is no level
    return min(math.erf(z / math.sqrt(2)), 1 - 1e-12)
