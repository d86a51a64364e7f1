"""Guarantees of the model's own labels: what the settings ask for, and what the ledger registers."""

from dataclasses import dataclass
from datetime import datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Terms:
    """The bounds that the settings ask of guarantees.

    max_error, failure_probability
        of each guarantee: with this probability at most its kept labels ever are wrong more often
    """

    max_error: float
    failure_probability: float


@dataclass(frozen=True, slots=True, kw_only=True)
class AuditPlan:
    """What is fixed when a guarantee begins, before its first audit is drawn.

    cutoffs
        the largest bin of risk in each prefix of `labelloop.statistics.sequential_bound.GRID`, as it lay
        in the traffic of its first round; later rounds are cut by the same risks
    shares
        of every round, the part of each prefix that is audited, its smallest places on the line: no
        longer prefix has a larger one
    models
        the model versions whose labels it speaks of
    """

    cutoffs: tuple[int, ...]
    shares: tuple[float, ...]
    models: tuple[str, ...]

    @property
    def closer(self) -> bool:
        """Whether shorter prefixes are audited more closely, so that one round can prove them."""
        return self.shares[0] > self.shares[-1]


@dataclass(frozen=True, slots=True, kw_only=True)
class RegisteredCertificate:
    """A guarantee as the ledger holds it.

    closed
        True if it takes no more rounds; answers that come late still count
    promise
        of what max_error is a share: "model-labels", the kept labels; another of the test that came before
    rounds, within, audits
        the rounds audited, the prefix in which each was audited and its number of audits
    risk_version
        the risk that orders the samples, learned before its first round; None: 1 - confidence
    plan
        None for a certificate of the test that came before: what was decided stays as recorded
    ended
        why it takes no more rounds; empty while it does
    """

    id: int
    closed: bool
    rounds: tuple[int, ...]
    promise: str
    max_error: float
    failure_probability: float
    audits: tuple[int, ...]
    risk_version: int | None
    registered_at: datetime
    plan: AuditPlan | None = None
    within: tuple[float, ...] = ()
    ended: str = ""
