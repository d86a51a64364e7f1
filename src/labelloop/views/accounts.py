"""The accounts of the service, and the token that a new one gets."""

from dataclasses import dataclass
from typing import TYPE_CHECKING

from labelloop.views.table import NONE, Table, names
from labelloop.views.wording import dated, plain

if TYPE_CHECKING:
    from collections.abc import Sequence

    from labelloop.ledger.accounts import Account


@dataclass(frozen=True, slots=True, kw_only=True)
class TokenMade:
    """A new account with its scopes and its token, which is shown this once."""

    name: str
    scopes: tuple[str, ...]
    token: str


def table(found: "Sequence[Account]", timezone: str) -> Table:
    """Every account, what it may do, and since when it may do nothing."""
    return Table(
        title="Accounts",
        columns=names("name", "scopes", "added", "excluded"),
        rows=tuple(
            (
                plain(a.name),
                ", ".join(a.scopes),
                dated(a.added_at, timezone),
                NONE if a.excluded_at is None else dated(a.excluded_at, timezone),
            )
            for a in found
        ),
    )
