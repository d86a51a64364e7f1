"""The names of a table's columns: paths into the JSON that one holds, and templates of several.

A path is a singular query of RFC 9535: it names one value at most.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass

PLACEHOLDER = re.compile(r"\{([^{}]+)\}")
"""A column's name in a template of uris."""

_STEP = re.compile(
    r"""\.(?P<name>[A-Za-z_\u0080-\U0010ffff][\w\u0080-\U0010ffff]*)
      | \[\s*(?P<index>0|-?[1-9]\d{0,8})\s*\]
      | \[\s*'(?P<single>(?:[^'\\]|\\['\\])*)'\s*\]
      | \[\s*"(?P<double>(?:[^"\\]|\\["\\])*)"\s*\]""",
    re.VERBOSE,
)
"""A name, the place of an item (-1 is the last), or a name in quotes."""


@dataclass(frozen=True, slots=True)
class JsonPath:
    """Where a value lies: in which column, and where in the JSON that stands there.

    >>> JsonPath.parse("$.response.predictions[0]['my score']")
    JsonPath(text="$.response.predictions[0]['my score']", column='response', steps=('predictions', 0, 'my score'))
    """  # noqa: E501  an output stands on one line

    text: str
    column: str
    steps: tuple[str | int, ...]

    @classmethod
    def parse(cls, text: str) -> "JsonPath":
        """The path that a text names.

        Raises:
            ValueError: it names none, or one that may name several values.
        """
        steps: list[str | int] = []
        at = 1
        while at < len(text):
            found = _STEP.match(text, at)
            if found is None:
                raise ValueError(
                    f"{text!r} can't be read from {text[at:]!r} on: expected names and places, such as "
                    "$.response.predictions[0].label or $.response['my label']; a path that could name "
                    "several values (*, .., a slice or a filter) isn't allowed"
                )
            steps.append(_step(found))
            at = found.end()
        if not text.startswith("$") or not steps or not isinstance(steps[0], str):
            raise ValueError(f"{text!r} names no column: expected a path such as $.response.label")
        return cls(text, steps[0], tuple(steps[1:]))

    @property
    def name(self) -> str:
        """The last name in the path: what its value is called among the attributes."""
        return next(str(s) for s in (*reversed(self.steps), self.column) if isinstance(s, str))


def is_json_path(column: str) -> bool:
    """Whether the name of a column is a path into one: no other begins so.

    >>> is_json_path("$.response.label"), is_json_path("$amount")
    (True, False)
    """
    return column.startswith(("$.", "$["))


def attribute_name(column: str) -> str:
    """What a column is called among the attributes.

    >>> attribute_name("$.request.country"), attribute_name("country")
    ('country', 'country')
    """
    return JsonPath.parse(column).name if is_json_path(column) else column


def json_paths(columns: Sequence[str]) -> tuple[JsonPath, ...]:
    """The paths among the names of columns."""
    return tuple(JsonPath.parse(name) for name in dict.fromkeys(columns) if is_json_path(name))


def _step(found: re.Match[str]) -> str | int:
    if found["index"] is not None:
        return int(found["index"])
    if found["name"] is not None:
        return found["name"]
    quoted = found["single"] if found["single"] is not None else found["double"]
    return re.sub(r"\\(.)", r"\1", quoted)
