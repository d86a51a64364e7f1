"""The rule for a sample's identity: a text, or a whole number in its digits."""

import re
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from labelloop.reading.column import Values, each, texts

_WHOLE = re.compile(r"(-?\d+)\.0+")
_EXPONENT = re.compile(r"-?\d(\.\d+)?[eE]\+\d+")


def identity(text: str) -> str | None:
    """The identity that a text holds; None for an empty one.

    A column of whole numbers with a gap becomes one of floats in pandas: its `17.0` is 17.

    >>> identity("17.0"), identity("a 17.0"), identity("")
    ('17', 'a 17.0', None)

    Raises:
        ValueError: it can't be told from others: a number that lost its digits, or a text with a
            NUL, which no database takes.
    """
    if _EXPONENT.fullmatch(text):
        raise ValueError(f"{text} has lost its last digits: write it as a whole number or as text")
    if "\0" in text:
        raise ValueError(f"a NUL in {text}")
    whole = _WHOLE.fullmatch(text)
    return whole[1] if whole else text or None


def identities(column: Any, name: str) -> Values:
    """The same for a column.

    Raises:
        ConfigError: the column holds lists or records.
    """
    said = texts(column, name)
    # most columns hold a different text in each row, and hardly any a number with a point
    odd = pc.match_substring_regex(said, r"^-?\d+\.0+$|^-?\d(\.\d+)?[eE]\+\d+$|\x00|^$")
    if not pc.any(odd, min_count=0).as_py():
        return Values(said, pc.fill_null(odd, False).to_numpy(zero_copy_only=False))
    return each(said, identity, pa.string())
