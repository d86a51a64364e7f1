"""Ports for `labelloop init`: opened from what it knows so far, before there is a labelloop.toml."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING, TypeVar

from pydantic import ValidationError

from labelloop.errors import ArgumentError
from labelloop.project import adapters
from labelloop.settings.label_studio import LabelStudioSettings
from labelloop.settings.source import SourceSettings
from labelloop.settings.store import StoreSettings
from labelloop.settings.values import Section

if TYPE_CHECKING:
    from labelloop.ports.annotator import Annotator
    from labelloop.ports.source import Source
    from labelloop.ports.store import Store

S = TypeVar("S", bound=Section)
T = TypeVar("T")


@contextmanager
def store(given: Mapping[str, str]) -> Iterator["Store"]:
    """The store that [store] would name.

    Raises:
        ArgumentError: what was given can't be used; so for the others here.
    """
    yield from _closing(adapters.store(_section(StoreSettings, "store", given)))


@contextmanager
def source(given: Mapping[str, str], *, inputs: Mapping[str, str]) -> Iterator["Source"]:
    """The table that [source] would name; `inputs` is what [store] would say."""
    own = _section(SourceSettings, "source", given)
    yield from _closing(adapters.source(own, _section(StoreSettings, "store", inputs)))


@contextmanager
def label_studio(given: Mapping[str, str]) -> Iterator["Annotator"]:
    """The Label Studio that [label_studio] would name."""
    own = _section(LabelStudioSettings, "label_studio", given)
    yield from _closing(adapters.label_studio(own))


def buckets(server: Mapping[str, str]) -> list[str]:
    """The buckets that the key may list, on the server that [store] would name."""
    own = _section(StoreSettings, "store", {**server, "uri": "s3://none"})
    return adapters.s3_store(own).buckets()


def _section(kind: type[S], name: str, given: Mapping[str, str]) -> S:
    try:
        return kind.model_validate(dict(given))
    except ValidationError as exc:
        fault = exc.errors(include_url=False, include_input=False)[0]
        where = ".".join(map(str, (name, *fault["loc"])))
        raise ArgumentError(
            f"{where}: {fault['msg'].removeprefix('Value error, ')}",
            remedy="correct it, and run this again",
        ) from None


def _closing(opened: T) -> Iterator[T]:
    try:
        yield opened
    finally:
        close = getattr(opened, "close", None)
        if close is not None:
            close()
