"""What queries on several tables need."""

from collections.abc import Iterator, Sequence
from typing import TypeVar

import sqlalchemy as sa

from labelloop.ledger.database import Transaction

T = TypeVar("T")

_CHUNK = 500
"""Values a statement: databases limit how many parameters it may have."""


def per_statement(values: Sequence[T]) -> Iterator[Sequence[T]]:
    """The values, as many at a time as one statement takes."""
    for start in range(0, len(values), _CHUNK):
        yield values[start : start + _CHUNK]


def max_of(tx: Transaction, column: sa.Column[int], *where: sa.ColumnElement[bool]) -> int:
    """The largest value of a column among the rows that meet all conditions; 0 if there are none."""
    query = sa.select(sa.func.coalesce(sa.func.max(column), 0)).where(*where)
    return int(tx.execute(query).scalar_one())
