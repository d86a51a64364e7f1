"""Where parts of the traffic are logged at different rates, intervals hold the accuracy of the traffic."""

import numpy as np
import pytest

from labelloop.core.arrays import BIN_RISKS, Floats
from labelloop.core.estimate import Estimate
from labelloop.sampling import auto_inclusion
from labelloop.statistics.accuracy import pooled
from labelloop.statistics.frame import BlindRound, Frame
from labelloop.statistics.part import PartRound, part_accuracy
from tests.property.coverage import least

RUNS = 400
TRAFFIC = 12_000


def a_day(rng: np.random.Generator, *, uneven: bool, n: int) -> tuple[BlindRound, float, PartRound]:
    """A day whose errors are logged more often; its truth is that of all the traffic."""
    risk_bins = rng.choice([30, 150, 400], size=TRAFFIC, p=[0.7, 0.2, 0.1])
    wrong = rng.random(TRAFFIC) < BIN_RISKS[risk_bins]
    # hard traffic is logged whole, easy traffic at a tenth, and what turns out wrong more often
    rates = np.where(risk_bins == 400, 1.0, np.where(wrong, 0.3, 0.1))
    logged = rng.random(TRAFFIC) < rates
    bins, bad, rate = risk_bins[logged], wrong[logged], rates[logged]
    counts = np.bincount(bins, minlength=1024)
    chance = np.full(1024, n / bins.size)
    if uneven:
        chance = auto_inclusion(counts, budget=n)
    drawn = rng.random(bins.size) < chance[bins]
    cells, size = np.unique(bins + 1j * rate, return_counts=True)
    at, of_rate = cells.real.astype(np.int64), cells.imag
    frame = Frame(
        size / of_rate, at, chance[at] * of_rate, unlogged=size * (1 - of_rate) / of_rate**2
    )
    inclusion: Floats = (chance[bins] * rate)[drawn]
    one = BlindRound.checked(~bad[drawn], BIN_RISKS[bins[drawn]], inclusion, frame)
    part = PartRound(~bad[drawn], np.ones(int(drawn.sum()), dtype=bool), inclusion)
    return one, float(1 - wrong.mean()), part


@pytest.mark.parametrize("n", [300, 1_000])
@pytest.mark.parametrize("uneven", [False, True], ids=["uniform", "uneven"])
def test_mixed_rates_cover_the_accuracy_of_the_traffic(uneven: bool, n: int) -> None:
    rng = np.random.default_rng(n)
    hits, parts, off = 0, 0, []
    for _ in range(RUNS):
        one, truth, part = a_day(rng, uneven=uneven, n=n)
        found, of_part = pooled([one]), part_accuracy([part])
        assert isinstance(found, Estimate)
        assert isinstance(of_part, Estimate)
        hits += found.low <= truth <= found.high
        parts += of_part.low <= truth <= of_part.high
        off.append(found.value - truth)
    assert hits / RUNS >= least(0.95, RUNS)
    assert parts / RUNS >= least(0.95, RUNS)
    assert abs(np.mean(off)) < 4 * np.std(off) / np.sqrt(RUNS) + 0.002


def test_rounds_of_other_rates_are_pooled_by_traffic() -> None:
    rng = np.random.default_rng(3)
    hits = 0
    for _ in range(RUNS):
        one, truth, _ = a_day(rng, uneven=False, n=200)
        other, worse, _ = a_day(rng, uneven=True, n=200)
        found = pooled([one, other])
        assert isinstance(found, Estimate)
        hits += found.low <= (truth + worse) / 2 <= found.high
    assert hits / RUNS >= least(0.95, RUNS)
