"""Labels -> numbers. Pure functions, one file a method."""

from labelloop.core.estimate import Estimate, Undefined
from labelloop.statistics.accuracy import accuracy, pooled
from labelloop.statistics.blind_uniform import Stratum, uniform_accuracy
from labelloop.statistics.certify import Certificate, Promise, certify
from labelloop.statistics.certify_counts import CountsCertificate, ListCounts, certify_counts
from labelloop.statistics.compare import Difference, Verdict, compare
from labelloop.statistics.confidence_sequence import ConfidenceSequence
from labelloop.statistics.drop import Drop, Window, latest_drop, level_spent, looks_to_show
from labelloop.statistics.frame import BlindRound, Frame
from labelloop.statistics.risk import RiskModel
from labelloop.statistics.rounds_sequence import RoundsSequence
from labelloop.statistics.wilson import wilson

__all__ = [
    "BlindRound",
    "Certificate",
    "ConfidenceSequence",
    "CountsCertificate",
    "Difference",
    "Drop",
    "Estimate",
    "Frame",
    "ListCounts",
    "Promise",
    "RiskModel",
    "RoundsSequence",
    "Stratum",
    "Undefined",
    "Verdict",
    "Window",
    "accuracy",
    "certify",
    "certify_counts",
    "compare",
    "latest_drop",
    "level_spent",
    "looks_to_show",
    "pooled",
    "uniform_accuracy",
    "wilson",
]
