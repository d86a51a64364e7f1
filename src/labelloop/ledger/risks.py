"""Versions of the learned risk: stored before the draw that uses them, and never changed."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from hashlib import sha256

import sqlalchemy as sa

from labelloop.ledger import tables as t
from labelloop.ledger.database import Transaction


@dataclass(frozen=True, slots=True)
class Risk:
    """A version of the risk: the rounds whose labels it learned from, and its parameters."""

    version: int
    rounds: tuple[int, ...]
    params: str


def put(tx: Transaction, rounds: Sequence[int], params: str, now: datetime) -> int:
    """The version number of a risk: a new one, unless the newest version is the same."""
    digest = sha256(params.encode()).hexdigest()
    newest = tx.execute(
        sa.select(t.risks).order_by(t.risks.c.version.desc()).limit(1)
    ).one_or_none()
    if newest is not None and newest.hash == digest:
        return int(newest.version)
    version = (newest.version if newest is not None else 0) + 1
    tx.execute(
        t.risks.insert().values(
            version=version,
            rounds_json=json.dumps(list(rounds)),
            params=params,
            hash=digest,
            created_at=now,
        )
    )
    return int(version)


def get(tx: Transaction, version: int) -> Risk:
    """One version."""
    row = tx.execute(sa.select(t.risks).where(t.risks.c.version == version)).one()
    return Risk(row.version, tuple(json.loads(row.rounds_json)), row.params)
