"""Whether the newest days lie lower than earlier ones, whatever one value a day there is."""

from math import comb

import numpy as np
import numpy.typing as npt

from labelloop.core.arrays import Floats
from labelloop.core.estimate import Undefined
from labelloop.core.low_days import LowDays
from labelloop.errors import ArgumentError

LOOKS_A_YEAR = 365
MOST_FALSE_ALARMS = 0.05


def low_days(before: npt.ArrayLike, now: npt.ArrayLike) -> LowDays | Undefined:
    """How many of the newest days are lower than every earlier day, and whether that is an alarm.

    before, now
        (m,) and (k,) one value a day, such as the mean confidence of its traffic

    Assumes, for the false alarms: without a change every order of the m + k values is equally likely,
    however the values are distributed. A weekly pattern makes false alarms rarer; values that drift, or
    of which neighbours are alike, make them more frequent.

    Method: a precedence test (Nelson 1963). If all orders are equally likely, r given days of k are the
    r lowest of all with probability 1 / C(m + k, r), and any r of them with C(k, r) times that. An alarm
    needs the smallest r with which 365 looks a year stay below 5% together (Bonferroni). Undefined if
    there are too few days for any r.

    Raises:
        ArgumentError: values that aren't finite numbers.

    >>> found = low_days([0.86, 0.85, 0.87, 0.86] * 7, [0.86, 0.8, 0.81, 0.8, 0.79, 0.8, 0.8])
    >>> found.n_low, found.n_needed, found.alarm, round(found.false_alarms_a_year, 3)
    (6, 5, True, 0.024)
    """
    earlier, newest = _finite("before", before), _finite("now", now)
    m, k = earlier.size, newest.size
    for needed in range(1, k + 1):
        false = LOOKS_A_YEAR * comb(k, needed) / comb(m + k, needed)
        if m and false <= MOST_FALSE_ALARMS:
            return LowDays(
                before=float(earlier.mean()),
                now=float(newest.mean()),
                n_low=int((newest < earlier.min()).sum()),
                n_now=k,
                n_before=m,
                n_needed=needed,
                false_alarms_a_year=false,
            )
    return Undefined(f"{k} days against {m} before them: too few to tell")


def _finite(name: str, values: npt.ArrayLike) -> Floats:
    given = np.asarray(values, dtype=np.float64)
    if given.ndim != 1 or not np.isfinite(given).all():
        raise ArgumentError(
            f"{name}: expected a list of finite numbers, got shape {given.shape}",
            remedy="leave out days without a value",
        )
    return given
