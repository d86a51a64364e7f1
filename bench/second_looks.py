"""The true accuracy although people err and although they skip what is hard: one line a demand."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from bench.demands import Demand, mean, share
from tests.property.sets import CIFAR, IMAGENET, NEWS, Drawing, drawing, learned, served

from labelloop.core.looks import CHECKED_SHARE, POOLED_ROUNDS
from labelloop.statistics import BlindRound, Estimate, Undefined, accuracy, missed, pooled

Bools = npt.NDArray[np.bool_]
Floats = npt.NDArray[np.float64]
SIZE, CLASSES = 20_000, 10
SETS = (CIFAR, NEWS, IMAGENET)
REFEREE_ERRS = 0.03
BY_CHANCE, SIMILAR, FALLS = 1 / (CLASSES - 1), 0.5, 1.0
"""How often a slip at one of the model's errors is the model's answer."""


@dataclass(frozen=True, slots=True)
class People:
    """Who answers: wrong in `errs` of cases; at the model's errors the slip is its answer by `alike`.

    uneven
        20% of the errors are overlooked by each person in 80% of cases, and the rest in `errs`
    referees_err
        how often referees are wrong, by chance
    """

    errs: float
    alike: float
    uneven: bool = False
    referees_err: float = REFEREE_ERRS

    def hard(self, wrong: Bools, rng: np.random.Generator) -> Floats:
        """How often each sample's error is overlooked, or its right answer contradicted."""
        chance = np.full(wrong.size, self.errs)
        if self.uneven:
            chance[wrong & (rng.random(wrong.size) < 0.2)] = 0.8
        return chance

    def agree(self, wrong: Bools, hard: Floats, rng: np.random.Generator) -> Bools:
        """Whether an answer equals the prediction."""
        slip = rng.random(wrong.size) < hard
        return np.where(wrong, slip & (rng.random(wrong.size) < self.alike), ~slip)


def confirm(wrong: Bools, rng: np.random.Generator, errs: float = REFEREE_ERRS) -> Bools:
    """Whether a referee's answer differs from the prediction too."""
    slip = rng.random(wrong.size) < errs
    return np.where(wrong, ~(slip & (rng.random(wrong.size) < BY_CHANCE)), slip)


def overlooked(wrong: Bools, rng: np.random.Generator) -> Bools:
    """Whether a referee finds an error at an agreeing draw, and a second one says so too."""
    return confirm(wrong, rng) & confirm(wrong, rng)


def second_looks(runs: int) -> list[Demand]:
    """Coverage of the true accuracy at nominal 95%, with the public functions; frames of 20,000.

    Uneven draws are those of "auto" with a risk learned over three rounds. Referees are wrong in 3% of cases,
    by chance, but where the line says that they are right. Lines with several sets tell the lowest of them.
    """
    found = []
    for kind, alike in (
        ("by chance", BY_CHANCE),
        ("between similar", SIMILAR),
        ("as the model", FALLS),
    ):
        for n in (200, 1_000):
            for draw in (True, False):
                what = f"people wrong 5%, {kind}, {n:,} {_said(draw)} draws"
                found.append(_lowest(what, People(0.05, alike), n, draw, by_recapture, 0.93, runs))
    for n in (200, 750):
        for draw in (True, False):
            what = f"a fifth of errors overlooked by 80%, pooled looks, {n} {_said(draw)} draws"
            people = People(0.05, FALLS, uneven=True)
            found.append(_lowest(what, people, n, draw, by_looks, 0.93, runs))
    for errs in (0.18, 0.3):
        for referees, said in ((0.0, "right"), (REFEREE_ERRS, f"wrong {REFEREE_ERRS:.0%}")):
            what = f"crowd wrong {errs:.0%}, referees {said}, 200 even draws"
            crowd = People(errs, BY_CHANCE, referees_err=referees)
            found.append(_lowest(what, crowd, 200, True, by_recapture, 0.95, runs))
    return found + [_answers(name, runs) for name in SETS]


def _said(even: bool) -> str:
    return "even" if even else "uneven"


def _design(name: str, n: int, *, even: bool) -> Drawing:
    rng = np.random.default_rng(51)
    model = learned(name, 200, rng)
    traffic = served(name, SIZE, rng)
    auto = drawing(traffic, n, model)
    if not even:
        return auto
    chance = np.full(SIZE, n / SIZE)
    return Drawing(traffic, auto.risk, chance, type(auto.frame).from_arrays(auto.risk, chance))


Ask = Callable[[Drawing, People, np.random.Generator], Estimate | Undefined]


def _lowest(
    what: str, people: People, n: int, even: bool, ask: Ask, asked: float, runs: int
) -> Demand:
    held: dict[str, list[bool]] = {}
    for name in SETS:
        rng, design = np.random.default_rng(52), _design(name, n, even=even)
        held[name] = [_covers(ask(design, people, rng), design) for _ in range(runs)]
    worst = min(held, key=lambda name: np.mean(held[name]))
    others = ", ".join(f"{np.mean(h):.1%} {name}" for name, h in held.items() if name != worst)
    return share(f"coverage: {what}, {worst}", held[worst], asked, beside=others)


def _covers(found: Estimate | Undefined, design: Drawing) -> bool:
    return isinstance(found, Estimate) and found.low <= design.traffic.accuracy <= found.high


def by_recapture(at: Drawing, people: People, rng: np.random.Generator) -> Estimate | Undefined:
    """Second looks where the first answer differs, and a further answer to each confirmed error."""
    picked = at.draw(rng)
    wrong = at.traffic.wrong[picked]
    hard = people.hard(wrong, rng)
    agreed = people.agree(wrong, hard, rng)
    confirmed = ~agreed & confirm(wrong, rng, people.referees_err)
    again = np.where(confirmed, people.agree(wrong, hard, rng).astype(float), np.nan)
    return accuracy(
        ~confirmed,
        at.risk[picked],
        at.inclusion[picked],
        at.frame,
        agreed=agreed,
        recapture=again,
    )


def by_looks(at: Drawing, people: People, rng: np.random.Generator) -> Estimate | Undefined:
    """Second looks where the first answer differs, and at a tenth of the agreeing draws of ten rounds."""
    found, chances = [], []
    for number in range(POOLED_ROUNDS):
        picked = at.draw(rng)
        wrong = at.traffic.wrong[picked]
        agreed = people.agree(wrong, people.hard(wrong, rng), rng)
        looked = agreed & (rng.random(picked.size) < CHECKED_SHARE)
        found.append(overlooked(wrong[looked], rng))
        chances.append(CHECKED_SHARE * at.inclusion[picked][looked])
        if number == 0:
            now, first, confirmed = picked, agreed, ~agreed & confirm(wrong, rng)
    return accuracy(
        ~confirmed,
        at.risk[now],
        at.inclusion[now],
        at.frame,
        agreed=first,
        missed=missed(np.concatenate(found), np.concatenate(chances)),
    )


def _answers(name: str, runs: int) -> Demand:
    """All answers a draw before 150 looks exist, on uneven draws with people wrong in 5%, by chance."""
    rng, design, people = (
        np.random.default_rng(53),
        _design(name, 200, even=False),
        People(0.05, BY_CHANCE),
    )
    given, differs = [], []
    for _ in range(runs):
        picked = design.draw(rng)
        wrong = design.traffic.wrong[picked]
        agreed = people.agree(wrong, people.hard(wrong, rng), rng)
        confirmed = ~agreed & confirm(wrong, rng)
        looked = agreed & (rng.random(picked.size) < CHECKED_SHARE)
        settled = confirm(wrong[looked], rng)
        n = picked.size + (~agreed).sum() + looked.sum() + settled.sum() + confirmed.sum()
        given.append(n / picked.size)
        differs.append(float(np.mean(~agreed)))
    asked = 1.5 if name == CIFAR else 1.1 + 2 * float(np.mean(differs))
    beside = f"{np.mean(differs):.0%} of the draws differ"
    what = f"answers a draw, all looks included, {name}"
    return mean(what, given, asked, most=True, beside=beside, shown=".3f")


def skips(runs: int) -> list[Demand]:
    """Coverage at nominal 95% if people skip a quarter of the riskier half and 2% of the rest.

    One round of 700 draws, and a week of seven rounds of 100.
    """
    return [
        _skipped(name, even, n_rounds, runs)
        for name in SETS
        for even in (True, False)
        for n_rounds in (1, 7)
    ]


def _skipped(name: str, even: bool, n_rounds: int, runs: int) -> Demand:
    rng, design = np.random.default_rng(54), _design(name, 700 // n_rounds, even=even)
    median = np.median(design.risk)

    def round_() -> BlindRound:
        picked = design.draw(rng)
        risk = design.risk[picked]
        answered = rng.random(picked.size) >= np.where(risk > median, 0.25, 0.02)
        right = ~design.traffic.wrong[picked]
        chance = design.inclusion[picked]
        return BlindRound.checked(right, risk, chance, design.frame, answered=answered)

    held = [_covers(pooled([round_() for _ in range(n_rounds)]), design) for _ in range(runs)]
    over = "one round of 700" if n_rounds == 1 else "a week of seven rounds"
    return share(f"coverage: hard ones skipped, {over}, {_said(even)} draws, {name}", held, 0.94)
