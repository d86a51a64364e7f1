"""[project], [[class]] and [input]: what the model is, and what people may answer."""

from typing import Annotated, Literal
from zoneinfo import ZoneInfo

from pydantic import AfterValidator, Field, model_validator

from labelloop.errors import ArgumentError
from labelloop.settings.values import Section


def _timezone(value: str) -> str:
    try:
        ZoneInfo(value)
    except (KeyError, ValueError, OSError) as exc:
        raise ArgumentError(
            "expected a name of the IANA list, such as 'Europe/Zurich'",
            remedy="write such a name, or leave timezone out: then it is UTC",
        ) from exc
    return value


class ProjectSettings(Section):
    """What the model is and what it can answer."""

    name: str = Field(min_length=1, description="The name people see in Label Studio.")
    classes: list[str] = Field(
        min_length=2, description="The model's classes, spelled as in the predictions."
    )
    extra_answers: list[str] = Field(
        default_factory=list,
        description="Further answers that people may give, such as `Not food`. They count as an error "
        "of the model, and aren't a class to train.",
    )
    timezone: Annotated[str, AfterValidator(_timezone)] = Field(
        "UTC",
        description="The time zone in which days and weeks begin. All stored instants are UTC.",
    )
    invalid_prediction: Literal["set-aside", "wrong"] = Field(
        "set-aside",
        description="What happens to a prediction that isn't a class. `set-aside`: it is rejected. "
        "`wrong`: it stays in the traffic and counts as an error, which suits language "
        "models.",
    )

    @model_validator(mode="after")
    def _classes_are_names(self) -> "ProjectSettings":
        every = [*self.classes, *self.extra_answers]
        for name in every:
            if not name or name != name.strip() or not name.isprintable():
                raise ValueError(
                    f"class {name!r}: expected printable text without blanks at its ends"
                )
        twice = sorted({name for name in every if every.count(name) > 1})
        if twice:
            raise ArgumentError(
                f"class {twice[0]!r} is listed twice", remedy="remove one of the two"
            )
        return self


class ClassSettings(Section):
    """A class by itself, in place of `classes` in [project]: for classes that had other names before."""

    name: str = Field(min_length=1, description="The present name of the class.")
    was: list[str] = Field(
        default_factory=list,
        description="Old names of the class, and names of classes that were merged into it. "
        "Predictions, labels and corrections with these names count as this class.",
    )


class InputSettings(Section):
    """What people label."""

    kind: Literal["image", "text"] = Field(
        "image", description="The kind of input that people label."
    )
    max_text_bytes: int = Field(
        100_000,
        ge=1,
        description="The largest text in bytes. A longer text is rejected when it is indexed; if only "
        "its object tells the length, it is never sent.",
    )
