"""Certificates: registered with a round, closed by counts alone, decided by `build`."""

import json
from collections.abc import Collection
from dataclasses import replace
from datetime import datetime

import sqlalchemy as sa

from labelloop.core.certificate import RegisteredCertificate
from labelloop.ledger import tables as t
from labelloop.ledger.database import Transaction
from labelloop.ledger.queries import max_of

OPEN, CLOSED = "open", "closed"


def every(tx: Transaction) -> list[RegisteredCertificate]:
    """All certificates, oldest first."""
    return [_read(r) for r in tx.execute(sa.select(t.certificates).order_by(t.certificates.c.id))]


def open_one(tx: Transaction) -> RegisteredCertificate | None:
    """The certificate that still takes rounds, if there is one."""
    row = tx.execute(sa.select(t.certificates).where(t.certificates.c.state == OPEN)).one_or_none()
    return None if row is None else _read(row)


def next_id(tx: Transaction) -> int:
    """The number that the next certificate gets."""
    return 1 + max_of(tx, t.certificates.c.id)


def register(tx: Transaction, made: RegisteredCertificate) -> None:
    """Write a certificate that takes rounds from now on."""
    tx.execute(
        t.certificates.insert().values(
            id=made.id,
            state=OPEN,
            rounds_json=json.dumps(made.rounds),
            promise=made.promise,
            max_error=made.max_error,
            failure_probability=made.failure_probability,
            audits_json=json.dumps(made.audits),
            risk_version=made.risk_version,
            registered_at=made.registered_at,
        )
    )


def add_round(
    tx: Transaction, to: RegisteredCertificate, round_number: int, *, n_audits: int, closed: bool
) -> RegisteredCertificate:
    """The certificate with one more round; `closed`: the last one."""
    grown = replace(
        to, rounds=(*to.rounds, round_number), audits=(*to.audits, n_audits), closed=closed
    )
    tx.execute(
        t.certificates.update()
        .where(t.certificates.c.id == to.id)
        .values(
            state=CLOSED if closed else OPEN,
            rounds_json=json.dumps(grown.rounds),
            audits_json=json.dumps(grown.audits),
        )
    )
    return grown


def leave_out(tx: Transaction, numbers: Collection[int]) -> None:
    """Take rounds out of the certificate that is open: their labels may train, and so prove nothing."""
    found = open_one(tx)
    if found is None or not set(found.rounds) & set(numbers):
        return
    audits = dict(zip(found.rounds, found.audits, strict=True))
    left = [number for number in found.rounds if number not in numbers]
    tx.execute(
        t.certificates.update()
        .where(t.certificates.c.id == found.id)
        .values(
            rounds_json=json.dumps(left),
            audits_json=json.dumps([audits[number] for number in left]),
        )
    )


def results(tx: Transaction) -> dict[int, str]:
    """The last decision on each certificate, as text; without those that had none yet."""
    rows = tx.execute(sa.select(t.certificates.c.id, t.certificates.c.result_json))
    return {r.id: r.result_json for r in rows if r.result_json is not None}


def decide(tx: Transaction, certificate: int, result: str, at: datetime) -> None:
    """Store a decision, as text."""
    tx.execute(
        t.certificates.update()
        .where(t.certificates.c.id == certificate)
        .values(result_json=result, decided_at=at)
    )


def _read(r: sa.Row[tuple[object, ...]]) -> RegisteredCertificate:
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
    )
