"""Labels -> numbers. Pure functions, one file a method."""

from labelloop.core.estimate import Estimate, Undefined
from labelloop.core.low_days import LowDays
from labelloop.statistics.accuracy import accuracy, pooled
from labelloop.statistics.blind_uniform import Stratum, uniform_accuracy
from labelloop.statistics.calibration import (
    Calibration,
    CalibrationError,
    ConfidencePart,
    calibration,
)
from labelloop.statistics.classes import ClassRow, ClassTable, Unheard, by_class
from labelloop.statistics.compare import Difference, Verdict, compare, where_they_differ
from labelloop.statistics.confidence_sequence import ConfidenceSequence
from labelloop.statistics.cost import (
    CostDifference,
    MeanCost,
    cost_difference,
    mean_cost,
    pooled_cost,
)
from labelloop.statistics.drop import (
    Drop,
    Window,
    days_to_show,
    latest_drop,
    sudden_drop,
)
from labelloop.statistics.frame import BlindRound, Frame
from labelloop.statistics.low_days import low_days
from labelloop.statistics.people import Missed, assuming_errors, missed
from labelloop.statistics.risk import RiskModel
from labelloop.statistics.rounds_sequence import RoundsSequence
from labelloop.statistics.sequential_bound import SequentialBound
from labelloop.statistics.wilson import wilson

__all__ = [
    "BlindRound",
    "Calibration",
    "CalibrationError",
    "ClassRow",
    "ClassTable",
    "ConfidencePart",
    "ConfidenceSequence",
    "CostDifference",
    "Difference",
    "Drop",
    "Estimate",
    "Frame",
    "LowDays",
    "MeanCost",
    "Missed",
    "RiskModel",
    "RoundsSequence",
    "SequentialBound",
    "Stratum",
    "Undefined",
    "Unheard",
    "Verdict",
    "Window",
    "accuracy",
    "assuming_errors",
    "by_class",
    "calibration",
    "compare",
    "cost_difference",
    "days_to_show",
    "latest_drop",
    "low_days",
    "mean_cost",
    "missed",
    "pooled",
    "pooled_cost",
    "sudden_drop",
    "uniform_accuracy",
    "where_they_differ",
    "wilson",
]
