"""The mean cost of a prediction over rounds, or over a part of their traffic."""

from collections.abc import Sequence

from labelloop.core.costs import Costs
from labelloop.core.estimate import Undefined
from labelloop.ledger.rounds import DrawWithLabel
from labelloop.measuring.accuracy import Keep, missed_of, of_part
from labelloop.measuring.blind_frame import BlindFrame, looks_of
from labelloop.statistics.cost import MeanCost, part_cost, pooled_cost


def cost_of(
    frames: Sequence[BlindFrame], keep: Keep, costs: Costs, level: float
) -> MeanCost | Undefined:
    """The mean cost of the predictions that `keep` names; whole rounds by regression on the risk.

    In rounds with second looks an error costs once it is confirmed; those that people overlooked are
    added, as in the accuracy.
    """
    reached = [f for f in frames if f.n_reached and any(keep(d) for d in f.draws)]
    missed = missed_of(reached, keep)
    if all(keep(d) for f in reached for d in f.draws):
        return pooled_cost(
            [f.blind_round(corrected=True) for f in reached],
            [costs_of(f, f.reached, costs) for f in reached],
            possible=costs.possible,
            level=level,
            missed=missed,
        )
    return part_cost(
        [of_part(f, keep) for f in reached],
        [costs_of(f, [d for d in f.reached if keep(d)], costs) for f in reached],
        possible=costs.possible,
        level=level,
        missed=missed,
    )


def costs_of(frame: BlindFrame, draws: Sequence[DrawWithLabel], costs: Costs) -> list[float]:
    """What each prediction costs by its label; 0 where there is none."""
    score = looks_of(draws).score if frame.round.second_look else [0.0] * len(draws)
    return [
        costs.of(d.label, d.predicted_class) if d.label is not None and s < 1 else 0.0
        for d, s in zip(draws, score, strict=True)
    ]
