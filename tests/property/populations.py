"""Made-up traffic of which the truth is known: errors, and risks that are good, bad or useless."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from labelloop.core.line import LINE_END
from labelloop.sampling import draw, inclusion_probabilities, uniform_cut
from labelloop.statistics import Frame

KINDS = (
    "calibrated",
    "over-confident",
    "under-confident",
    "permuted",
    "ties",
    "twelve values",
)


@dataclass(frozen=True, slots=True)
class Population:
    """Whether the model is wrong (N,) bool, and the risk that is known beforehand (N,)."""

    wrong: npt.NDArray[np.bool_]
    risk: npt.NDArray[np.float64]

    @property
    def accuracy(self) -> float:
        return 1 - float(self.wrong.mean())


def population(kind: str, error_rate: float, *, size: int = 20_000, seed: int = 0) -> Population:
    """Traffic with exactly round(error_rate * size) errors and a risk of the kind."""
    rng = np.random.default_rng(seed)
    shape = 0.3
    true_risk = rng.beta(shape, shape * (1 - error_rate) / error_rate, size)
    n_wrong = round(error_rate * size)
    # the same number of errors whatever the luck, each falling where the true risk says
    order = np.argsort(rng.random(size) - true_risk)
    wrong = np.zeros(size, dtype=bool)
    wrong[order[:n_wrong]] = True
    return Population(wrong, _known(kind, true_risk, rng))


def _known(
    kind: str, true_risk: npt.NDArray[np.float64], rng: np.random.Generator
) -> npt.NDArray[np.float64]:
    inside = np.clip(true_risk, 1e-9, 1 - 1e-9)
    logit = np.log(inside / (1 - inside))
    match kind:
        case "calibrated":
            return true_risk
        case "over-confident":
            return 1 / (1 + np.exp(-(2 * logit - 1)))
        case "under-confident":
            return 1 / (1 + np.exp(-0.4 * logit))
        case "permuted":
            return rng.permutation(true_risk)
        case "ties":
            return np.where(true_risk > np.median(true_risk), 0.3, 0.1)
        case "twelve values":
            return np.round(np.clip(true_risk, 0, 0.55) * 20) / 20
        case "inverted":
            return 1 / (1 + np.exp(logit))
        case "constant":
            return np.full(true_risk.size, 0.1)
    raise ValueError(kind)


@dataclass(frozen=True, slots=True)
class Labelled:
    """One draw, answered without mistakes."""

    correct: npt.NDArray[np.bool_]
    risk: npt.NDArray[np.float64]
    inclusion: npt.NDArray[np.float64]
    uniform: npt.NDArray[np.bool_]
    picked: npt.NDArray[np.int64]


class Design:
    """One frame with its inclusion probabilities, drawn again and again."""

    def __init__(self, traffic: Population, n: int, *, uniform_share: float = 0.3) -> None:
        self.traffic = traffic
        self.n_uniform = round(uniform_share * n)
        self.inclusion = inclusion_probabilities(traffic.risk, budget=n, n_uniform=self.n_uniform)
        self.frame = Frame.from_arrays(traffic.risk, self.inclusion)

    def label(self, rng: np.random.Generator) -> Labelled:
        line = rng.integers(0, LINE_END, self.inclusion.size)
        drawn = draw(self.inclusion, line, n_uniform=self.n_uniform)
        picked = np.flatnonzero(drawn.picked)
        return Labelled(
            ~self.traffic.wrong[picked],
            self.traffic.risk[picked],
            self.inclusion[picked],
            drawn.uniform[picked],
            picked,
        )


def sending_order(
    inclusion: npt.NDArray[np.float64], line: npt.ArrayLike, *, n_uniform: int
) -> npt.NDArray[np.int64]:
    """The indices drawn, in the order in which people get them: what BlindDesign does with counts."""
    places = np.asarray(line)
    drawn = draw(inclusion, places, n_uniform=n_uniform)
    first = np.flatnonzero(drawn.uniform)
    first = first[np.argsort(places[first], kind="stable")]
    rest = np.flatnonzero(drawn.picked & ~drawn.uniform)
    if rest.size == 0:
        return first
    n, floor = places.size, uniform_cut(places, n_uniform=n_uniform) or 0
    p = (inclusion[rest] * n - n_uniform) / (n - n_uniform)
    v = (places[rest] - floor) / (LINE_END - floor)
    return np.concatenate([first, rest[np.lexsort((places[rest], v / p))]])
