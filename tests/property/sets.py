"""Populations like the predictions of published models: confidence and share wrong in 20 equal parts.

Measured on CIFAR-10, 20 newsgroups and ImageNet-v2: the parts go from the least confident to the surest.
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from labelloop.sampling import BIN_RISKS, auto_inclusion, risk_bins
from labelloop.statistics import BlindRound, Frame, RiskModel

Floats = npt.NDArray[np.float64]
Bools = npt.NDArray[np.bool_]

CIFAR = "CIFAR-10-like"
NEWS = "20news-like"
IMAGENET = "ImageNet-v2-like"

# fmt: off
CONFIDENCE = {
    CIFAR: [.5760, .7936, .9174, .9687, .9878, .9945, .9972, .9983, .9989, .9992,
            .9994, .9996, .9997, .9997, .9998, .9998, .9999, .9999, .9999, 1.0],
    NEWS: [.2694, .3720, .4426, .5038, .5552, .5981, .6408, .6813, .7159, .7497,
           .7793, .8062, .8326, .8587, .8826, .9065, .9291, .9524, .9753, .9977],
    IMAGENET: [.1707, .2880, .3744, .4490, .5172, .5860, .6524, .7179, .7803, .8377,
               .8868, .9287, .9577, .9762, .9875, .9940, .9974, .9991, .9998, 1.0],
}
SHARE_WRONG = {
    CIFAR: [.506, .342, .232, .120, .090, .048, .026, .018, .006, .014,
            .002, .002, 0, .002, .004, 0, 0, 0, 0, 0],
    NEWS: [.533, .292, .215, .138, .111, .058, .045, .037, .027, .021,
           .016, .005, .008, .013, 0, 0, 0, .008, .003, 0],
    IMAGENET: [.902, .792, .746, .684, .592, .546, .510, .424, .410, .342,
               .310, .250, .170, .112, .120, .076, .026, .028, .016, .010],
}
# fmt: on
PARTS = 20


@dataclass(frozen=True, slots=True, eq=False)
class Served:
    """Traffic: confidence (N,) and whether the model was wrong (N,), each as in one of the parts."""

    confidence: Floats
    wrong: Bools

    @property
    def accuracy(self) -> float:
        """The share of the traffic on which the model was right."""
        return float(1 - self.wrong.mean())


def served(name: str, size: int, rng: np.random.Generator, *, told: bool = True) -> Served:
    """Traffic of a set; with `told` False the confidence says nothing about the errors."""
    part = rng.integers(0, PARTS, size)
    wrong = rng.random(size) < np.array(SHARE_WRONG[name])[part]
    at = (part + rng.random(size) - 0.5).clip(0, PARTS - 1)
    confidence = np.interp(at, np.arange(PARTS), CONFIDENCE[name])
    return Served(confidence if told else rng.permutation(confidence), wrong)


@dataclass(frozen=True, slots=True, eq=False)
class Drawing:
    """The chances of a frame by its risk, as a round of the rule "auto" draws."""

    traffic: Served
    risk: Floats
    inclusion: Floats
    frame: Frame

    def draw(self, rng: np.random.Generator) -> npt.NDArray[np.int64]:
        """The rows drawn."""
        return np.flatnonzero(rng.random(self.risk.size) < self.inclusion)

    def round(self, picked: npt.NDArray[np.int64]) -> BlindRound:
        """The round as the estimators take it, everything answered rightly."""
        return BlindRound.checked(
            ~self.traffic.wrong[picked], self.risk[picked], self.inclusion[picked], self.frame
        )


def drawing(traffic: Served, n: int, model: RiskModel | None) -> Drawing:
    """Uniform, until a model of the risk is there; then by "auto"."""
    risk = 1 - traffic.confidence if model is None else model.predict(traffic.confidence)
    bins = risk_bins(risk)
    inclusion = np.full(risk.size, n / risk.size)
    if model is not None:
        inclusion = auto_inclusion(np.bincount(bins, minlength=1024), budget=n)[bins]
    return Drawing(traffic, risk, inclusion, Frame.from_arrays(risk, inclusion))


def learned(
    name: str, n: int, rng: np.random.Generator, *, size: int = 20_000, told: bool = True
) -> RiskModel | None:
    """The risk after three rounds of the rule "auto", learned from where there is enough to learn."""
    model: RiskModel | None = None
    sure, right, chance = [], [], []
    for _ in range(3):
        design = drawing(served(name, size, rng, told=told), n, model)
        picked = design.draw(rng)
        sure.append(design.traffic.confidence[picked])
        right.append(~design.traffic.wrong[picked])
        chance.append(design.inclusion[picked])
        answers = np.concatenate(right)
        if answers.size >= 100 and min(answers.sum(), (~answers).sum()) >= 8:
            model = RiskModel.fit(np.concatenate(sure), answers, np.concatenate(chance))
    return model


def limit(name: str) -> float:
    """The share of labels that the optimal allocation saves, the true error rates being known."""
    rate = np.array(SHARE_WRONG[name])
    deviation = np.sqrt(rate * (1 - rate))
    m = float(rate.mean())
    return 1 - float(deviation.mean()) ** 2 / (m * (1 - m))


def saved(at: Drawing, n: int) -> float:
    """The share of n labels saved, in the exact variance of the regression estimator over draws."""
    risk = BIN_RISKS[risk_bins(at.risk)]
    x = np.column_stack([np.ones_like(risk), risk])
    wrong = at.traffic.wrong.astype(float)
    residual = wrong - x @ np.linalg.lstsq(x, wrong, rcond=None)[0]
    variance = float(((1 - at.inclusion) / at.inclusion * residual**2).sum()) / wrong.size**2
    return 1 - variance * n / float(wrong.mean() * (1 - wrong.mean()))
