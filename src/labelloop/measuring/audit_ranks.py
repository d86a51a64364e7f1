"""Where a sample stands in the order that a guarantee fixed: its bin of risk, and its prefix."""

from collections.abc import Iterable

import numpy as np

from labelloop.core.arrays import risk_bins
from labelloop.core.certificate import AuditPlan, RegisteredCertificate
from labelloop.ledger import Transaction, risks
from labelloop.measuring.learned_risk import LearnedRisk
from labelloop.sampling.blind import Cell, by_confidence
from labelloop.statistics.risk import RiskModel
from labelloop.statistics.sequential_bound import GRID


def bins_of(risk: LearnedRisk | None, cells: Iterable[Cell]) -> dict[Cell, int]:
    """The bin of risk of each cell of class and confidence; without a risk that of 1 - confidence."""
    named = sorted(set(cells))
    if not named:
        return {}
    found = risk.of(named) if risk is not None else by_confidence(named)
    return dict(zip(named, risk_bins(found).tolist(), strict=True))


def prefix(risk_bin: int, plan: AuditPlan) -> float:
    """The smallest prefix of the grid that holds a bin of risk."""
    return float(GRID[int(np.searchsorted(plan.cutoffs, risk_bin))])


def kept_risk(tx: Transaction, guarantee: RegisteredCertificate) -> LearnedRisk | None:
    """The risk that a guarantee orders samples by; None: 1 - confidence."""
    if guarantee.risk_version is None:
        return None
    kept = risks.get(tx, guarantee.risk_version)
    return LearnedRisk(RiskModel.from_json(kept.params), kept.rounds)
