"""What may be promised of the model's own labels, as the settings ask and as the ledger registers it."""

from dataclasses import dataclass
from datetime import datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Terms:
    """What the settings ask of certificates; the words are those of `labelloop.statistics.certify`.

    failure_probability is for all certificates of the project together, for ever.
    """

    max_error: float
    failure_probability: float
    promise: str


@dataclass(frozen=True, slots=True, kw_only=True)
class RegisteredCertificate:
    """A certificate as it was fixed before the labels of its audits were seen.

    rounds
        the rounds it speaks of; complete once it is closed
    failure_probability
        its own part of what the settings grant
    audits
        audits drawn in each of its rounds
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
