"""The `where` of a queue: parsed once, checked against a closed list, rendered for each engine.

The text is SQL's own language for conditions, cut down to comparisons: no function, no subquery,
no arithmetic. Nothing is ever evaluated as code.
"""

import math
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from difflib import get_close_matches
from enum import StrEnum
from typing import Any

from labelloop.core.condition import (
    Attribute,
    Between,
    Column,
    Compare,
    Comparison,
    Every,
    Is,
    Like,
    Node,
    Not,
    OneOf,
    Some,
    Value,
    evaluate,
    expression,
)
from labelloop.errors import WhereError


class Kind(StrEnum):
    """The kinds of value that a condition compares."""

    NUMBER = "number"
    TEXT = "text"
    TRUTH = "true or false"
    INSTANT = "instant"


COLUMNS: Mapping[str, Kind] = {
    "sample_id": Kind.TEXT,
    "uri": Kind.TEXT,
    "predicted_at": Kind.INSTANT,
    "model": Kind.TEXT,
    "predicted_class": Kind.TEXT,
    "confidence": Kind.NUMBER,
    "size_bytes": Kind.NUMBER,
    "content_hash": Kind.TEXT,
    "flagged": Kind.TRUTH,
    "corrected_class": Kind.TEXT,
}
FEEDBACK_COLUMNS = frozenset({"flagged", "corrected_class"})
"""A condition that names one of these follows the clock of feedback."""


@dataclass(frozen=True, slots=True)
class Where:
    """A checked condition.

    text
        as written in labelloop.toml
    columns, attributes
        the columns of the log, and the attributes (tags beyond the known ones), that it names

    >>> low = Where.parse("confidence < 0.7 and attributes.site = 'Bern'")
    >>> print(low.sql("duckdb"))
    ("confidence" < CAST('0.7' AS DOUBLE)) AND ("attributes"['site'] = 'Bern')
    >>> low.matches({"confidence": 0.5, "attributes": {"site": "Bern"}})
    True
    >>> low.matches({"confidence": None, "attributes": {"site": "Bern"}})
    False
    """

    text: str
    columns: frozenset[str]
    attributes: frozenset[str]
    _tree: Node = field(compare=False, repr=False)

    @classmethod
    def parse(cls, text: str) -> "Where":
        """The condition in `text`.

        Raises:
            WhereError: it isn't a condition, uses something outside the closed list, names an
                unknown column, or compares values of different kinds.
        """
        reader = _Reader(text)
        tree = reader.condition()
        return cls(text, frozenset(reader.columns), frozenset(reader.attributes), tree)

    @property
    def names_feedback(self) -> bool:
        """Whether it names a column that users' feedback fills."""
        return bool(self.columns & FEEDBACK_COLUMNS)

    @property
    def confidence_bounds(self) -> tuple[float, ...]:
        """The numbers that it compares confidences with.

        >>> Where.parse("flagged or not confidence between 0.5 and 70").confidence_bounds
        (0.5, 70.0)
        """
        return tuple(_compared_with(self._tree, "confidence"))

    def sql(self, dialect: str) -> str:
        """The condition for an engine; null where SQL makes it null.

        Numbers are double literals, instants are UTC, and names are quoted.
        """
        return str(expression(self._tree).sql(dialect=dialect))

    def matches(self, row: Mapping[str, Any]) -> bool:
        """Whether a row (columns, and a mapping `attributes`) meets the condition; null is no."""
        return evaluate(self._tree, row) is True


def instant(text: str) -> datetime:
    """The UTC instant that ISO 8601 `text` names; one without an offset is UTC.

    Raises:
        ValueError: it names none.

    >>> instant("2026-03-01T12:00:00+01:00").isoformat(), instant("2026-03-01").isoformat()
    ('2026-03-01T11:00:00+00:00', '2026-03-01T00:00:00+00:00')
    """
    parsed = datetime.fromisoformat(text.strip())
    if parsed.tzinfo is None:
        return parsed.replace(tzinfo=UTC)
    try:
        return parsed.astimezone(UTC)
    except OverflowError as exc:
        raise ValueError(f"{text!r} is outside the years 1 to 9999 in UTC") from exc


def _compared_with(node: Node, column: str) -> Iterator[float]:
    """The numbers beside a column in the comparisons of a condition."""
    if isinstance(node, Every | Some):
        for part in node.parts:
            yield from _compared_with(part, column)
    elif isinstance(node, Not):
        yield from _compared_with(node.part, column)
    elif isinstance(node, Compare | Between | OneOf):
        sides: tuple[Node, ...]
        if isinstance(node, Compare):
            sides = (node.left, node.right)
        elif isinstance(node, Between):
            sides = (node.subject, node.low, node.high)
        else:
            sides = (node.subject, *node.options)
        if Column(column) in sides:
            yield from (
                s.value for s in sides if isinstance(s, Value) and isinstance(s.value, float)
            )


_Read = tuple[Node, Kind | None]
"""A node and the kind of its value; None for null."""


class _Reader:
    """Turns a parsed text into nodes, collects its names, and refuses what isn't on the list."""

    def __init__(self, text: str) -> None:
        self.text = text
        self.columns: set[str] = set()
        self.attributes: set[str] = set()

    def condition(self) -> Node:
        import sqlglot
        from sqlglot import exp
        from sqlglot.errors import SqlglotError

        remedy = (
            "write comparisons joined by and, or, not: confidence < 0.7 and predicted_class = 'cat'"
        )
        if "\0" in self.text:
            raise self.refuse("it holds a zero character", "leave it out")
        try:
            parsed = sqlglot.parse_one(self.text, read="duckdb", into=exp.Condition)
            node, kind = self.read(parsed)
        except (SqlglotError, ValueError) as exc:
            said = re.sub(r"\x1b\[[0-9;]*m", "", str(exc)).splitlines()
            # the parser's own words where it names a place, not where it names its classes
            why = f": {said[0]}" if said and "<class" not in said[0] else ""
            raise WhereError(
                f"where = {self.text!r} isn't a condition{why}",
                remedy=remedy,
            ) from exc
        except RecursionError as exc:
            raise WhereError(
                f"where = {self.text[:60]!r}... is nested too deeply",
                remedy="join fewer conditions; `predicted_class in ('a', 'b')` replaces many ors",
            ) from exc
        if kind is not Kind.TRUTH:
            raise WhereError(
                f"where = {self.text!r} is a {kind or 'null'}, not a condition", remedy=remedy
            )
        return node

    def refuse(self, what: str, remedy: str) -> WhereError:
        return WhereError(f"where = {self.text!r}: {what}", remedy=remedy)

    def read(self, node: Any) -> _Read:
        from sqlglot import exp

        if isinstance(node, exp.Paren):
            return self.read(node.this)
        if isinstance(node, exp.And | exp.Or):
            parts = tuple(self.truth(part) for part in node.flatten())
            return (Every(parts) if isinstance(node, exp.And) else Some(parts)), Kind.TRUTH
        if isinstance(node, exp.Not):
            return Not(self.truth(node.this)), Kind.TRUTH
        if isinstance(node, exp.EQ | exp.NEQ | exp.LT | exp.LTE | exp.GT | exp.GTE):
            left, right = self.alike(node, node.this, node.expression)
            return Compare(Comparison(type(node).__name__), left, right), Kind.TRUTH
        if isinstance(node, exp.Between) and not node.args.get("symmetric"):
            subject, low, high = self.alike(node, node.this, node.args["low"], node.args["high"])
            return Between(subject, low, high), Kind.TRUTH
        if isinstance(node, exp.In) and node.expressions and not node.args.get("query"):
            subject, *options = self.alike(node, node.this, *node.expressions)
            return OneOf(subject, tuple(options)), Kind.TRUTH
        if isinstance(node, exp.Is) and isinstance(node.expression, exp.Null):
            subject, kind = self.read(node.this)
            if kind is None:
                raise self.refuse(f"{node.sql()} always holds", "name a column before `is null`")
            return Is(subject, None), Kind.TRUTH
        if isinstance(node, exp.Is) and isinstance(node.expression, exp.Boolean):
            return Is(self.truth(node.this), bool(node.expression.this)), Kind.TRUTH
        if isinstance(node, exp.Like):
            subject, pattern = self.alike(node, node.this, node.expression)
            if not isinstance(pattern, Value) or not isinstance(pattern.value, str):
                raise self.refuse(f"{node.sql()} has no quoted pattern", "write like 'beginning%'")
            return Like(subject, pattern.value), Kind.TRUTH
        return self.value(node)

    def truth(self, node: Any) -> Node:
        part, kind = self.read(node)
        if kind is not Kind.TRUTH:
            raise self.refuse(
                f"{node.sql()} is a {kind or 'null'}, not a condition",
                "join conditions, such as confidence < 0.7 or flagged; for a value's absence "
                "write `is null`",
            )
        return part

    def value(self, node: Any) -> _Read:
        from sqlglot import exp

        if isinstance(node, exp.Column):
            return self.column(node)
        if isinstance(node, exp.Bracket):
            named, keys = node.this, node.expressions
            if (
                isinstance(named, exp.Column)
                and (named.table, named.name) == ("", "attributes")
                and len(keys) == 1
                and isinstance(keys[0], exp.Literal)
                and keys[0].is_string
            ):
                return self.attribute(keys[0].this)
        if isinstance(node, exp.Literal) and node.is_string:
            return Value(str(node.this)), Kind.TEXT
        if isinstance(node, exp.Literal):
            return Value(self.number(node)), Kind.NUMBER
        if isinstance(node, exp.Neg):
            inner, kind = self.value(node.this)
            if isinstance(inner, Value) and kind is Kind.NUMBER and isinstance(inner.value, float):
                return Value(-inner.value), Kind.NUMBER
        if isinstance(node, exp.Boolean):
            return Value(bool(node.this)), Kind.TRUTH
        if isinstance(node, exp.Null):
            return Value(False), None
        raise self.refuse(
            f"{node.sql()!r} can't be used here",
            "compare columns with values; functions, arithmetic and subqueries aren't allowed",
        )

    def number(self, node: Any) -> float:
        value = float(node.this)
        if not math.isfinite(value):
            raise self.refuse(f"{node.this} is too large a number", "write a smaller number")
        return value

    def attribute(self, name: str) -> _Read:
        self.attributes.add(name)
        return Attribute(name), Kind.TEXT

    def column(self, node: Any) -> _Read:
        path = [part.name for part in node.parts]
        shown = ".".join(path)
        if len(path) == 2 and path[0] == "attributes":
            return self.attribute(path[1])
        if path[0] == "attributes":
            name = shown.removeprefix("attributes").lstrip(".") or "NAME"
            raise self.refuse(f"{shown!r} names no attribute", f"write attributes['{name}']")
        if len(path) == 1 and shown in COLUMNS:
            self.columns.add(shown)
            return Column(shown), COLUMNS[shown]
        near = get_close_matches(shown.lower(), COLUMNS, n=1, cutoff=0.5)
        hint = f"did you mean {near[0]}? " if near else ""
        if node.this.args.get("quoted"):
            hint = f"a text stands in single quotes: '{shown}'; {hint}"
        raise self.refuse(
            f"unknown column {shown!r}",
            f"{hint}known are {', '.join(COLUMNS)}; write any other tag as attributes.NAME",
        )

    def alike(self, node: Any, *parts: Any) -> list[Node]:
        """The parts of a comparison, once they are of one kind; texts beside instants are read."""
        read = [self.read(part) for part in parts]
        kinds = {kind for _, kind in read}
        if None in kinds:
            raise self.refuse(
                f"{node.sql()} compares with null, which never holds", "use `is null`"
            )
        if kinds == {Kind.INSTANT, Kind.TEXT}:
            read = [(self.moment(part), Kind.INSTANT) for part, _ in read]
        elif len(kinds) != 1:
            found = " with a ".join(sorted(kind for kind in kinds if kind))
            raise self.refuse(
                f"{node.sql()} compares a {found}",
                "quote texts with ' and leave numbers unquoted",
            )
        return [part for part, _ in read]

    def moment(self, part: Node) -> Node:
        if isinstance(part, Column) and COLUMNS[part.name] is Kind.INSTANT:
            return part
        if not isinstance(part, Value):
            raise self.refuse(
                f"{part.name if isinstance(part, Column | Attribute) else 'a condition'} "
                "is a text, not an instant",
                "compare predicted_at with a text such as '2026-03-01T12:00:00Z'",
            )
        try:
            return Value(instant(str(part.value)))
        except ValueError as exc:
            raise self.refuse(
                f"{part.value!r} is no date or time", "write '2026-03-01T12:00:00Z'"
            ) from exc
