"""What people may answer: the model's classes, and answers beside them."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum


class AnswerKind(StrEnum):
    """A class of the model, or an extra answer, which no prediction can equal."""

    CLASS = "class"
    EXTRA = "extra"


@dataclass(frozen=True, slots=True, kw_only=True)
class Answers:
    """The answers as the settings name them.

    extra
        answers beside the classes
    renamed
        old names, and the class that each counts as now
    """

    classes: Sequence[str]
    extra: Sequence[str] = ()
    renamed: Mapping[str, str] = field(default_factory=dict)

    @property
    def kinds(self) -> dict[str, AnswerKind]:
        """The kind of every answer, in the order that people see."""
        classes = dict.fromkeys(self.classes, AnswerKind.CLASS)
        return classes | dict.fromkeys(self.extra, AnswerKind.EXTRA)
