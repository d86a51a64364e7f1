"""What the application calls its tags."""

from dataclasses import dataclass, fields
from functools import lru_cache


@dataclass(frozen=True, slots=True, kw_only=True)
class TagNames:
    """How the application calls its tags.

    shadow
        how a tag begins that holds what a shadow model said; its name follows
    """

    predicted_class: str = "predicted_class"
    confidence: str = "confidence"
    timestamp: str = "timestamp"
    model: str = "model"
    flagged: str = "flagged"
    corrected_class: str = "corrected_class"
    sampling_rate: str = "sampling_rate"
    shadow: str = "shadow:"

    def is_attribute(self, tag: str) -> bool:
        """Whether a tag is none of those that have a meaning."""
        return tag not in _meant(self) and not self.shadows(tag)

    def shadows(self, tag: str) -> str:
        """The shadow model that a tag speaks of; empty: it speaks of none.

        >>> TagNames().shadows("shadow:v3")
        'v3'
        """
        return tag.removeprefix(self.shadow).strip() if tag.startswith(self.shadow) else ""


@lru_cache
def _meant(names: TagNames) -> frozenset[str]:
    """The tags that have a meaning."""
    return frozenset(getattr(names, f.name) for f in fields(names))
