"""How often the values of attributes occur in a frame."""

from dataclasses import dataclass

MOST_ATTRIBUTES = 50
"""So many attributes of a frame are counted, those that most rows have."""
MOST_VALUES = 100
"""So many values of each, the most frequent."""
LEAST_ROWS = 10
"""Values of fewer rows aren't counted: they say little, and might name a person."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SliceCount:
    """The number of rows of a frame whose attribute has a value."""

    attribute: str
    value: str
    n: int


def most_common(found: list[SliceCount]) -> list[SliceCount]:
    """The counts of the attributes that most rows have, by attribute and value."""
    of_attribute: dict[str, int] = {}
    for c in found:
        of_attribute[c.attribute] = of_attribute.get(c.attribute, 0) + c.n
    kept = sorted(of_attribute, key=lambda name: (-of_attribute[name], name))[:MOST_ATTRIBUTES]
    return sorted((c for c in found if c.attribute in kept), key=lambda c: (c.attribute, c.value))
