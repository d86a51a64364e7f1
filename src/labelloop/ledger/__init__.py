"""The ledger: what was decided, sent, answered and released. Every SQL statement on it lives here."""

from labelloop.ledger.database import Lease, Ledger, Transaction

__all__ = ["Lease", "Ledger", "Transaction"]
