"""The kinds of values that settings have: spans of time, addresses, places, variables that aren't set."""

import re
from collections.abc import Callable, Iterator, Mapping
from datetime import timedelta
from typing import TYPE_CHECKING, Annotated, Any, Self, TypeVar

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    PrivateAttr,
    WrapValidator,
    create_model,
    model_validator,
)

from labelloop.errors import ConfigError

MAX_PRESIGN_LIFE = timedelta(days=7)

SECONDS_OF = {"second": 1, "minute": 60, "hour": 3600, "day": 86400, "week": 604800}


def duration(text: object) -> timedelta:
    """The span of time that `text` names: a number and a unit.

    Raises:
        ValueError: it names none.

    >>> duration("7 days"), duration("1 hour")
    (datetime.timedelta(days=7), datetime.timedelta(seconds=3600))
    """
    if isinstance(text, timedelta):
        return text
    found = re.fullmatch(r"\s*(\d+(?:\.\d+)?)\s*([a-z]+?)s?\s*", str(text))
    if not found or found[2] not in SECONDS_OF:
        raise ValueError("expected a number and a unit, such as '7 days', '12 hours', '90 seconds'")
    try:
        return timedelta(seconds=float(found[1]) * SECONDS_OF[found[2]])
    except OverflowError:
        raise ValueError("expected a span of time that ends before the year 9999") from None


def _web_address(value: str) -> str:
    if not re.match(r"https?://[^/\s]+", value):
        raise ValueError("expected a URL that begins with http:// or https://")
    return open_to_all(value.rstrip("/"))


def open_to_all(value: str) -> str:
    """A URI that may be shown, as it holds no password."""
    if re.match(r"[a-z0-9+.-]+://[^/?#]*@", value, re.IGNORECASE):
        raise ValueError("it holds a user or a password, and this setting is shown in messages")
    return value


def _place(value: str) -> str:
    if not re.fullmatch(r"s3://[^/]+(/.*)?|file:///.+", value):
        raise ValueError("expected s3://bucket, s3://bucket/prefix, or the path of a folder")
    return open_to_all(value)


Duration = Annotated[timedelta, BeforeValidator(duration)]

WebAddress = Annotated[str, AfterValidator(_web_address)]

PlaceUri = Annotated[str, AfterValidator(_place)]


class Unset(str):
    """The text of a setting that names an environment variable which isn't set; `error` says so."""

    __slots__ = ("error",)
    error: ConfigError

    @classmethod
    def because(cls, error: ConfigError, text: str) -> Self:
        """The text, with the error that using the setting is."""
        made = cls(text)
        made.error = error
        return made


class Section(BaseModel):
    """A table of labelloop.toml: frozen, and no key beside those declared.

    A setting that names a variable which isn't set raises ConfigError when it is read, not before.
    """

    model_config = ConfigDict(
        extra="forbid",
        frozen=True,
        hide_input_in_errors=True,
        defer_build=True,  # most sections are built as part of Settings alone
    )

    _unset: dict[str, ConfigError] = PrivateAttr(default_factory=dict)

    if not TYPE_CHECKING:  # else every name would pass for a setting

        def __getattr__(self, name: str) -> Any:
            if name in type(self).model_fields and name in self._unset:
                raise self._unset[name]
            return super().__getattr__(name)

    @property
    def is_complete(self) -> bool:
        """Whether every variable that it names is set."""
        return not any(isinstance(value, Unset) for value in self.__dict__.values()) and all(
            section.is_complete for section in self._sections()
        )

    def _sections(self) -> Iterator["Section"]:
        """The sections inside, those of lists too."""
        for value in self.__dict__.values():
            for held in value if isinstance(value, list) else [value]:
                if isinstance(held, Section):
                    yield held

    def set_apart_unset(self) -> None:
        """Let settings whose variable isn't set raise from now on."""
        for name, value in list(self.__dict__.items()):
            if isinstance(value, Unset):
                self._unset[name] = value.error
                del self.__dict__[name]
        for section in self._sections():
            section.set_apart_unset()

    def unset(self) -> Iterator[ConfigError]:
        """What reading each setting raises whose variable isn't set."""
        yield from self._unset.values()
        for section in self._sections():
            yield from section.unset()


S = TypeVar("S", bound=Section)


def taking_unset(kind: type[S], raw: Mapping[str, Any]) -> type[S]:
    """A section like `kind` for `raw`, in which the variables of some settings aren't set."""
    loose = {k: _loose(kind, k) for k, v in raw.items() if isinstance(v, Unset)}
    return create_model(kind.__name__, __base__=kind, **loose) if loose else kind


def _loose(kind: type[Section], name: str) -> Any:
    """A setting as it is declared, for the other sections of a list, that takes what isn't set too."""
    field = kind.model_fields.get(name)
    if field is None:
        return Any, ...
    default = ... if field.is_required() else field.get_default(call_default_factory=True)
    return Annotated[field.annotation, *field.metadata, WrapValidator(_or_unset)], default


def _or_unset(value: Any, validate: Callable[[Any], Any]) -> Any:
    return value if isinstance(value, Unset) else validate(value)


def when_complete(check: Callable[[S], None]) -> Any:
    """A model validator that lets a section pass while a variable that it names isn't set."""

    def checked(self: S) -> S:
        if self.is_complete:
            check(self)
        return self

    return model_validator(mode="after")(checked)


def inside(uri: str, outer: str) -> bool:
    """Whether `uri` lies at or below `outer`."""
    return (uri.rstrip("/") + "/").startswith(outer.rstrip("/") + "/")
