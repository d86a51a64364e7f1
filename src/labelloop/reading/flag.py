"""The rule that a flag is true."""

from typing import Any

import pyarrow as pa

from labelloop.reading.column import Values, each, texts

TRUE = frozenset({"true", "1", "1.0"})
FALSE = frozenset({"false", "0", "0.0"})
"""Numbers are what a column of truths with gaps becomes in pandas."""


def flag(text: str) -> bool | None:
    """Whether a text says true or false, in any case; None for a blank one.

    >>> flag(" True "), flag("0"), flag("")
    (True, False, None)

    Raises:
        ValueError: it says neither.
    """
    word = text.strip().lower()
    if word not in TRUE | FALSE and word:
        raise ValueError(f"{text!r} is neither true nor false")
    return word in TRUE if word else None


def flags(column: Any, name: str) -> Values:
    """The same for a column.

    Raises:
        ConfigError: the column holds lists or records.
    """
    return each(texts(column, name), flag, pa.bool_())
