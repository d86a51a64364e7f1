"""Years of daily runs in which a model exactly at the gate gets a verdict, and how soon others do."""

from collections.abc import Sequence

import numpy as np
from bench.demands import Demand, share
from tests.property.sets import CIFAR, NEWS, SHARE_WRONG

from labelloop.core.estimate import Estimate
from labelloop.core.line import LINE_END
from labelloop.measuring.gate import WINDOWS
from labelloop.sampling import draw, inclusion_probabilities
from labelloop.statistics import BlindRound, Frame, Verdict, pooled
from labelloop.statistics.accuracy import share_right
from labelloop.statistics.gate import FALSE_A_YEAR, daily_level

DAYS, N_FRAME, BUDGET = 365, 200, 60
LOOKED_AT = 3.0
"""Standard errors from the gate above which the bounds themselves are asked; they need 4.2."""


class _Day:
    """A day's traffic, of which exactly the known share is wrong, drawn by risk and answered."""

    def __init__(self, name: str, shift: float = 0.0) -> None:
        self._rates = np.clip(np.array(SHARE_WRONG[name]) + shift, 0, 1)
        self.accuracy = 1 - float(self._rates.mean())
        risk = np.repeat(np.array(SHARE_WRONG[name]), N_FRAME // self._rates.size)
        self._risk = np.clip(risk, 0.01, 0.99)
        self._inclusion = inclusion_probabilities(self._risk, budget=BUDGET, n_uniform=18)
        self._frame = Frame.from_arrays(self._risk, self._inclusion)
        self._wrong_share = np.repeat(self._rates, N_FRAME // self._rates.size)

    def round(self, rng: np.random.Generator) -> BlindRound:
        """One day's labels: samples are wrong by chance, as the gate's estimand is the model's."""
        places = rng.integers(0, LINE_END, self._risk.size)
        picked = draw(self._inclusion, places, n_uniform=18).picked
        right = rng.random(int(picked.sum())) >= self._wrong_share[picked]
        return BlindRound.checked(right, self._risk[picked], self._inclusion[picked], self._frame)


def gates(runs: int) -> list[Demand]:
    """False verdicts of a gate that is asked every day for a year; days until others are settled.

    Each day 60 labels are drawn by risk from 200 predictions, so that a day's luck matters. Bounds are
    computed where the estimate is over three standard errors from the gate.
    """
    found = []
    for number, name in enumerate((CIFAR, NEWS)):
        day = _Day(name)
        years = (_year([day] * DAYS, day.accuracy, [41, number, y]) for y in range(runs))
        said = [{verdict for _, verdict in year} for year in years]
        for verdict, word in ((Verdict.FAIL, "fails"), (Verdict.PASS, "passes")):
            what = f"a model exactly at the gate {word} in a year of daily runs, {name}"
            found.append(share(what, [verdict in v for v in said], FALSE_A_YEAR, most=True))
    gate = _Day(CIFAR).accuracy
    for shift, verdict, n_days in ((-0.04, Verdict.PASS, 91), (0.04, Verdict.FAIL, 28)):
        day = _Day(CIFAR, shift)
        firsts = [_year([day] * n_days, gate, [42, y], stop=True) for y in range(runs)]
        soon = [any(v is verdict for _, v in settled) for settled in firsts]
        points = 100 * (day.accuracy - gate)
        what = (
            f"{verdict} within {n_days} days, a model {points:+.1f} points from the gate, {CIFAR}"
        )
        found.append(share(what, soon, 0.5))
    return found


def _year(
    days: Sequence[_Day], gate: float, seed: Sequence[int], *, stop: bool = False
) -> list[tuple[int, Verdict]]:
    """The days, from 1, on which the gate was settled, and how; `stop` at the first of them."""
    rng = np.random.default_rng(seed)
    rounds: list[BlindRound] = []
    value, variance = np.zeros(len(days)), np.zeros(len(days))
    settled: list[tuple[int, Verdict]] = []
    for today, day in enumerate(days):
        rounds.append(day.round(rng))
        found = share_right(rounds[-1:], level=0.95, fresh=True)
        value[today], variance[today] = found.value, found.variance
        for window in WINDOWS:
            first = max(0, today + 1 - window)
            n = today + 1 - first
            error = np.sqrt(variance[first : today + 1].sum()) / n
            near = abs(value[first : today + 1].mean() - gate) < LOOKED_AT * error
            if near and n * BUDGET > 200:
                continue
            bounds = pooled(rounds[first:], level=daily_level(len(WINDOWS)), fresh=True)
            if not isinstance(bounds, Estimate):
                continue
            verdict = Verdict.of(bounds.low, bounds.high, gate)
            if verdict is not Verdict.NOT_YET:
                settled.append((today + 1, verdict))
                if stop:
                    return settled
                break
    return settled
