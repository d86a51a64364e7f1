"""Guarantees: registered with a round, given more rounds until they end, decided by `build`."""

import json
from collections.abc import Collection
from dataclasses import asdict, replace
from datetime import datetime

import sqlalchemy as sa

from labelloop.core.certificate import AuditPlan, RegisteredCertificate
from labelloop.ledger import tables as t
from labelloop.ledger.database import Transaction
from labelloop.ledger.queries import max_of

OPEN, CLOSED = "open", "closed"


def every(tx: Transaction) -> list[RegisteredCertificate]:
    """All guarantees, oldest first."""
    return [_read(r) for r in tx.execute(sa.select(t.certificates).order_by(t.certificates.c.id))]


def open_one(tx: Transaction) -> RegisteredCertificate | None:
    """The guarantee that still takes rounds, if there is one."""
    row = tx.execute(sa.select(t.certificates).where(t.certificates.c.state == OPEN)).one_or_none()
    return None if row is None else _read(row)


def next_id(tx: Transaction) -> int:
    """The number that the next guarantee gets."""
    return 1 + max_of(tx, t.certificates.c.id)


def put(tx: Transaction, made: RegisteredCertificate) -> None:
    """Write a guarantee with its rounds: a new one, or one that has changed."""
    values = {
        "state": CLOSED if made.closed else OPEN,
        "rounds_json": json.dumps(made.rounds),
        "promise": made.promise,
        "max_error": made.max_error,
        "failure_probability": made.failure_probability,
        "audits_json": json.dumps(made.audits),
        "risk_version": made.risk_version,
        "registered_at": made.registered_at,
        "grid_json": _grid(made),
    }
    known = tx.execute(
        t.certificates.update().where(t.certificates.c.id == made.id).values(**values)
    )
    if not known.rowcount:
        tx.execute(t.certificates.insert().values(id=made.id, **values))


def end(tx: Transaction, made: RegisteredCertificate, why: str) -> None:
    """Let a guarantee take no more rounds."""
    put(tx, replace(made, closed=True, ended=why))


def leave_out(tx: Transaction, numbers: Collection[int]) -> None:
    """Take rounds out of the guarantee that is open: their labels may train, and so prove nothing."""
    found = open_one(tx)
    if found is None or not set(found.rounds) & set(numbers):
        return
    left = [i for i, number in enumerate(found.rounds) if number not in numbers]
    put(
        tx,
        replace(
            found,
            rounds=tuple(found.rounds[i] for i in left),
            audits=tuple(found.audits[i] for i in left),
            within=tuple(found.within[i] for i in left),
        ),
    )


def results(tx: Transaction) -> dict[int, str]:
    """The last decision on each guarantee, as text; without those that had none yet."""
    rows = tx.execute(sa.select(t.certificates.c.id, t.certificates.c.result_json))
    return {r.id: r.result_json for r in rows if r.result_json is not None}


def decide(tx: Transaction, certificate: int, result: str, at: datetime) -> None:
    """Store a decision, as text."""
    tx.execute(
        t.certificates.update()
        .where(t.certificates.c.id == certificate)
        .values(result_json=result, decided_at=at)
    )


def _grid(made: RegisteredCertificate) -> str | None:
    if made.plan is None:
        return None
    return json.dumps({**asdict(made.plan), "within": made.within, "ended": made.ended})


def _read(r: sa.Row[tuple[object, ...]]) -> RegisteredCertificate:
    grid = json.loads(r.grid_json) if r.grid_json else None
    return RegisteredCertificate(
        id=r.id,
        closed=r.state == CLOSED,
        rounds=tuple(json.loads(r.rounds_json)),
        promise=r.promise,
        max_error=r.max_error,
        failure_probability=r.failure_probability,
        audits=tuple(json.loads(r.audits_json)),
        risk_version=r.risk_version,
        registered_at=r.registered_at,
        plan=grid
        and AuditPlan(
            cutoffs=tuple(grid["cutoffs"]),
            shares=tuple(grid["shares"]),
            models=tuple(grid["models"]),
        ),
        within=tuple(grid["within"]) if grid else (),
        ended=grid["ended"] if grid else "",
    )
