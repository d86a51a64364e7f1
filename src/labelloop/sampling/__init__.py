"""Counts of a frame -> cuts and draws, one file a rule. Pure; places on the line are integers."""

from labelloop.core.arrays import BIN_RISKS, risk_bins
from labelloop.sampling.auto import auto_inclusion
from labelloop.sampling.drawing import (
    Drawn,
    bin_cuts,
    draw,
    reached_inclusion,
    uniform_cut,
)
from labelloop.sampling.inclusion import bin_inclusion, inclusion_probabilities

__all__ = [
    "BIN_RISKS",
    "Drawn",
    "auto_inclusion",
    "bin_cuts",
    "bin_inclusion",
    "draw",
    "inclusion_probabilities",
    "reached_inclusion",
    "risk_bins",
    "uniform_cut",
]
