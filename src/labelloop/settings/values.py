"""The kinds of values that settings have: spans of time, addresses, places."""

import re
from datetime import timedelta
from typing import Annotated

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
)

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


class Section(BaseModel):
    """A table of labelloop.toml: frozen, and no key beside those declared."""

    model_config = ConfigDict(extra="forbid", frozen=True, hide_input_in_errors=True)


def inside(uri: str, outer: str) -> bool:
    """Whether `uri` lies at or below `outer`."""
    return (uri.rstrip("/") + "/").startswith(outer.rstrip("/") + "/")
