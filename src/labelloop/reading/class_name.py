"""The rule for a class: spelled as in `[project] classes`, or as it was called before."""

import re
import unicodedata
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import pyarrow as pa

from labelloop.core.sample import NO_CLASS
from labelloop.reading.column import Values, each, texts


def _plain(name: str) -> str:
    """A name without what looks the same: case, blanks, and how Unicode composes letters."""
    composed = unicodedata.normalize("NFKC", name).casefold()
    return re.sub(r"[\s_-]+", "", composed)


OFTEN = 10
"""How many times as often as another spelling one is seen that is surely the right one."""


def misspelt(counts: Mapping[str, int]) -> dict[str, str]:
    """The names that only look unlike one that is seen far more often, and that one.

    >>> misspelt({"Flower": 1, "flower": 150, "hot dog": 9, "Hot dog": 8})
    {'Flower': 'flower'}
    """
    found: dict[str, str] = {}
    for name, n in counts.items():
        alike = [other for other in counts if _plain(other) == _plain(name)]
        usual = max(alike, key=lambda other: counts[other])
        if counts[usual] >= OFTEN * n:
            found[name] = usual
    return found


@dataclass(frozen=True, slots=True)
class Classes:
    """The classes that may be named.

    renamed
        the present name of each that was called otherwise

    >>> Classes(frozenset({"cat"}), {"kitten": "cat"}).named("kitten")
    'cat'
    """

    names: frozenset[str]
    renamed: Mapping[str, str] = field(default_factory=dict)

    def named(self, text: str) -> str | None:
        """The present name of the class that a text names; None for an empty one.

        Raises:
            ValueError: it names none.
        """
        name = self.renamed.get(text, text)
        if name and name not in self.names:
            raise ValueError(f"{text!r} is no class")
        return name or None

    def shown(self, text: str) -> str:
        """What can't be used, beside the class that was likely meant.

        >>> Classes(frozenset({"Hot dog"})).shown("hot_dog ")
        "hot_dog  (meant: 'Hot dog'?)"
        """
        meant = [name for name in sorted(self.names) if _plain(name) == _plain(text)]
        return f"{text} (meant: {meant[0]!r}?)" if meant and text not in self.names else text

    def corrected(self, text: str) -> str:
        """The class that a correction names; an empty one takes an earlier one back.

        Raises:
            ValueError: it names none.
        """
        return self.named(text) or NO_CLASS

    def in_column(self, column: Any, name: str) -> Values:
        """The classes that a column names."""
        return each(texts(column, name), self.named, pa.string())

    def corrected_in(self, column: Any, name: str) -> Values:
        """The corrections that a column holds; null is none."""
        return each(texts(column, name), self.corrected, pa.string())
