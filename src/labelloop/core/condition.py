"""The checked form of a queue's `where`: a small tree that renders as SQL and judges a row.

Nothing here comes from the text unchecked: `labelloop.core.where` builds these nodes one by one.
"""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from operator import eq, ge, gt, le, lt, ne
from typing import Any

Atom = float | str | bool | datetime
"""A value that a condition compares; instants are UTC."""


class Comparison(StrEnum):
    """The six comparisons, named as sqlglot names them."""

    EQ = "EQ"
    NEQ = "NEQ"
    LT = "LT"
    LTE = "LTE"
    GT = "GT"
    GTE = "GTE"


_HOLDS = {
    Comparison.EQ: eq,
    Comparison.NEQ: ne,
    Comparison.LT: lt,
    Comparison.LTE: le,
    Comparison.GT: gt,
    Comparison.GTE: ge,
}


@dataclass(frozen=True, slots=True)
class Column:
    """A column of the log."""

    name: str


@dataclass(frozen=True, slots=True)
class Attribute:
    """An attribute of the sample; null where it has none of that name."""

    name: str


@dataclass(frozen=True, slots=True)
class Value:
    """A value as written."""

    value: Atom


@dataclass(frozen=True, slots=True)
class Compare:
    """left OP right."""

    comparison: Comparison
    left: "Node"
    right: "Node"


@dataclass(frozen=True, slots=True)
class Between:
    """low <= subject <= high."""

    subject: "Node"
    low: "Node"
    high: "Node"


@dataclass(frozen=True, slots=True)
class OneOf:
    """Subject in (options)."""

    subject: "Node"
    options: tuple["Node", ...]


@dataclass(frozen=True, slots=True)
class Like:
    """Subject like pattern: % stands for any text, _ for one character."""

    subject: "Node"
    pattern: str


@dataclass(frozen=True, slots=True)
class Is:
    """Subject is null, true or false; never null itself."""

    subject: "Node"
    wanted: bool | None


@dataclass(frozen=True, slots=True)
class Not:
    """Not part."""

    part: "Node"


@dataclass(frozen=True, slots=True)
class Every:
    """All parts hold."""

    parts: tuple["Node", ...]


@dataclass(frozen=True, slots=True)
class Some:
    """At least one part holds."""

    parts: tuple["Node", ...]


Node = Column | Attribute | Value | Compare | Between | OneOf | Like | Is | Not | Every | Some


def evaluate(node: Node, row: Mapping[str, Any]) -> Any:
    """The value of a node for a row, in the three-valued logic of SQL: None is null."""
    match node:
        case Column(name):
            found = row.get(name)
            # An engine compares a whole number with a double as doubles.
            return float(found) if type(found) is int else found
        case Attribute(name):
            return row.get("attributes", {}).get(name)
        case Value(value):
            return value
        case Compare(comparison, left, right):
            return _compared(comparison, evaluate(left, row), evaluate(right, row))
        case Between(subject, low, high):
            value, floor, top = (evaluate(part, row) for part in (subject, low, high))
            return _every(
                (_compared(Comparison.GTE, value, floor), _compared(Comparison.LTE, value, top))
            )
        case OneOf(subject, options):
            value = evaluate(subject, row)
            return _some(_compared(Comparison.EQ, value, evaluate(o, row)) for o in options)
        case Like(subject, pattern):
            text = evaluate(subject, row)
            return None if text is None else _like(pattern).fullmatch(text) is not None
        case Is(subject, wanted):
            return evaluate(subject, row) is wanted
        case Not(part):
            inner = evaluate(part, row)
            return None if inner is None else not inner
        case Every(parts):
            return _every(evaluate(part, row) for part in parts)
        case Some(parts):
            return _some(evaluate(part, row) for part in parts)


def _compared(comparison: Comparison, left: Any, right: Any) -> bool | None:
    return None if left is None or right is None else bool(_HOLDS[comparison](left, right))


def _every(parts: Iterable[bool | None]) -> bool | None:
    seen = set(parts)
    return False if False in seen else None if None in seen else True


def _some(parts: Iterable[bool | None]) -> bool | None:
    seen = set(parts)
    return True if True in seen else None if None in seen else False


def _like(pattern: str) -> re.Pattern[str]:
    parts = {"%": ".*", "_": "."}
    return re.compile("".join(parts.get(c, re.escape(c)) for c in pattern), re.DOTALL)


def expression(node: Node) -> Any:
    """The node as a sqlglot expression: names quoted, numbers doubles, instants UTC."""
    from sqlglot import exp

    match node:
        case Column(name):
            return exp.column(name, quoted=True)
        case Attribute(name):
            return exp.Bracket(
                this=exp.column("attributes", quoted=True), expressions=[exp.Literal.string(name)]
            )
        case Value(value):
            return _literal(value)
        case Compare(comparison, left, right):
            build = getattr(exp, comparison)
            return build(this=_operand(left), expression=_operand(right))
        case Between(subject, low, high):
            return exp.Between(this=_operand(subject), low=_operand(low), high=_operand(high))
        case OneOf(subject, options):
            return exp.In(this=_operand(subject), expressions=[_operand(o) for o in options])
        case Like(subject, pattern):
            return exp.Like(this=_operand(subject), expression=exp.Literal.string(pattern))
        case Is(subject, wanted):
            truth = exp.Null() if wanted is None else exp.Boolean(this=wanted)
            return exp.Is(this=_operand(subject), expression=truth)
        case Not(part):
            return exp.Not(this=_operand(part))
        case Every(parts):
            return exp.and_(*(_operand(part) for part in parts), wrap=False, copy=False)
        case Some(parts):
            return exp.or_(*(_operand(part) for part in parts), wrap=False, copy=False)


def _operand(node: Node) -> Any:
    from sqlglot import exp

    inner = expression(node)
    return inner if isinstance(node, Column | Attribute | Value) else exp.Paren(this=inner)


def _literal(value: Atom) -> Any:
    from sqlglot import exp

    if isinstance(value, bool):
        return exp.Boolean(this=value)
    if isinstance(value, datetime):
        return exp.cast(exp.Literal.string(value.isoformat(sep=" ")), "timestamptz")
    if isinstance(value, str):
        return exp.Literal.string(value)
    return exp.cast(exp.Literal.string(repr(value)), "double")
