"""The accounts of the service, and the token that a new one gets."""

from dataclasses import dataclass
from typing import TYPE_CHECKING

from labelloop.views.table import NONE, Table, names
from labelloop.views.wording import dated, plain

if TYPE_CHECKING:
    from collections.abc import Sequence

    from labelloop.ledger.accounts import Account
    from labelloop.ports.desk import Member


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


def members(found: "Sequence[Member]", timezone: str) -> Table:
    """Everybody whom the labelling page knows, and whether their answers count."""

    def counts(member: "Member") -> str:
        if member.excluded_at is not None:
            return f"excluded {dated(member.excluded_at, timezone)}"
        return "count" if member.approved_at is not None else "wait for an approval"

    return Table(
        title="People of the labelling page",
        columns=names("name", "queues", "answers", "which"),
        rows=tuple(
            (
                plain(m.name),
                "all" if m.queues is None else ", ".join(m.queues),
                f"{m.n_answers:,}",
                counts(m),
            )
            for m in found
        ),
    )
