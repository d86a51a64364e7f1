"""Certificates of the model's own labels: what the settings ask for, and what the ledger registers."""

from dataclasses import dataclass
from datetime import datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Terms:
    """The bounds that the settings ask of certificates, named as in `labelloop.statistics.certify`.

    failure_probability
        of all certificates of the project together, for ever
    """

    max_error: float
    failure_probability: float
    promise: str


@dataclass(frozen=True, slots=True, kw_only=True)
class RegisteredCertificate:
    """A certificate with all that is fixed before its audits are answered.

    rounds
        the rounds whose labels it covers; complete once it is closed
    failure_probability
        its share of the failure probability in the settings
    audits
        the number of audits drawn in each of its rounds
    risk_version
        the risk that orders its samples, learned before its first round; None: 1 - confidence
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
