"""The classes people may answer with: added, renamed, merged and retired, never deleted."""

from collections.abc import Mapping
from datetime import UTC, datetime

import sqlalchemy as sa

from labelloop.core.answers import AnswerKind, Answers
from labelloop.ledger import tables as t
from labelloop.ledger.database import SETTINGS, Transaction

_MERGED = sa.select(t.classes.c.name, t.classes.c.merged_into).where(
    t.classes.c.merged_into.is_not(None)
)


def declared(tx: Transaction, named: Answers) -> bool:
    """True if the ledger has the same classes as the settings."""
    rows = {r.name: r for r in tx.execute(sa.select(t.classes))}
    live = {name: r.kind for name, r in rows.items() if r.retired_at is None}
    return live == named.kinds and all(
        old in rows and rows[old].merged_into == new for old, new in named.renamed.items()
    )


def declare(tx: Transaction, named: Answers, now: datetime) -> None:
    """Take over the answers of the settings: add new ones, retire missing ones.

    A name that was merged into another stays so, until it is an answer of its own again.
    """
    rows = {r.name: r.retired_at for r in tx.execute(sa.select(t.classes))}
    for name, kind in named.kinds.items():
        _put(tx, name, {"kind": kind.value, "retired_at": None, "merged_into": None}, rows, now)
    for old, new in named.renamed.items():
        retired_at = rows.get(old) or now
        _put(tx, old, {"retired_at": retired_at, "merged_into": new}, rows, now)
    for name in rows.keys() - named.kinds.keys() - named.renamed.keys():
        if rows[name] is None:
            _put(tx, name, {"retired_at": now}, rows, now)


def dropped(
    tx: Transaction, named: Answers, *, retired_since: datetime | None = None
) -> dict[str, int]:
    """The answers that labels hold and the settings neither name nor rename, with how many labels.

    Those that the ledger retired already are left out, unless that was after `retired_since`.
    """
    known = {*named.kinds, *named.renamed}
    c = t.classes.c
    since = retired_since or datetime.max.replace(tzinfo=UTC)
    recent = c.retired_at.is_(None) | (c.retired_at > since)
    counted = (
        sa.select(t.labels.c.label, sa.func.count())
        .join(t.classes, c.name == t.labels.c.label)
        .where(recent, c.name.not_in(known))
        .group_by(t.labels.c.label)
        .order_by(t.labels.c.label)
    )
    return {name: n for name, n in tx.execute(counted)}  # noqa: C416  the rows are no plain pairs


def _put(
    tx: Transaction,
    name: str,
    values: Mapping[str, object],
    known: Mapping[str, datetime | None],
    now: datetime,
) -> None:
    if name in known:
        tx.execute(t.classes.update().where(t.classes.c.name == name).values(**values))
    else:
        tx.execute(
            t.classes.insert().values(
                {"name": name, "kind": AnswerKind.CLASS.value, "added_at": now, **values}
            )
        )


def live(tx: Transaction) -> frozenset[str]:
    """The answers that aren't retired, extra ones included."""
    return frozenset(
        tx.execute(sa.select(t.classes.c.name).where(t.classes.c.retired_at.is_(None))).scalars()
    )


def n_live(tx: Transaction) -> int:
    """How many classes the model has now, extra answers left out."""
    live = t.classes.c.retired_at.is_(None) & (t.classes.c.kind == AnswerKind.CLASS.value)
    return int(tx.execute(sa.select(sa.func.count()).where(live)).scalar_one())


def answered(tx: Transaction) -> list[str]:
    """The classes and extra answers that labels hold, retired ones included, the oldest first."""
    labels = sa.select(t.labels.c.label)
    return list(
        tx.execute(
            sa.select(t.classes.c.name)
            .where(t.classes.c.name.in_(labels))
            .order_by(t.classes.c.added_at, t.classes.c.name)
        ).scalars()
    )


def extra_answers(tx: Transaction) -> frozenset[str]:
    """The answers that are no class of the model, retired ones included."""
    return frozenset(
        tx.execute(
            sa.select(t.classes.c.name).where(t.classes.c.kind == AnswerKind.EXTRA.value)
        ).scalars()
    )


def renamed(tx: Transaction) -> dict[str, str]:
    """The present name of each old one. What is stored under an old name is read under the present one.

    A ledger that is only read doesn't know yet what the settings merged or took back since: they add it.
    """
    merged = {r.name: r.merged_into for r in tx.execute(_MERGED)}
    named: Answers | None = tx.get_execution_options().get(SETTINGS)
    if named is not None:
        merged = {old: new for old, new in merged.items() if old not in named.kinds}
        merged |= named.renamed
    return {name: _end(merged, name) for name in merged}


def _end(merged: Mapping[str, str], name: str) -> str:
    seen = {name}
    while name in merged and merged[name] not in seen:
        name = merged[name]
        seen.add(name)
    return name
