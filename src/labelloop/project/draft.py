"""Ports for `labelloop init`: opened from what it knows so far, before there is a labelloop.toml."""

from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager
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


def platform(uri: str, *, inputs: Mapping[str, str]) -> str | None:
    """The kind of [source] whose platform wrote the log at `uri`; None: no known one did."""
    from labelloop.adapters.sources.recognised import platform_of

    return platform_of(uri, adapters.s3_access(_section(StoreSettings, "store", inputs)))


def logged(
    kind: str, uri: str, *, inputs: Mapping[str, str], score: str = ""
) -> tuple[str, list[dict[str, str]], int]:
    """The newest file of a platform's log, some of its rows as text, and how many were read."""
    from labelloop.adapters.sources.recognised import MAKERS, rows_of

    s3 = adapters.s3_access(_section(StoreSettings, "store", inputs))
    named = {"score": score} if kind == "langfuse" else {}
    with closing(MAKERS[kind](uri, s3=s3, **named)) as source:
        return rows_of(source)


def scores(uri: str, *, inputs: Mapping[str, str]) -> dict[str, int]:
    """How often each score of evaluators occurs in an export of Langfuse."""
    from labelloop.adapters.sources.langfuse import LangfuseSource
    from labelloop.adapters.sources.recognised import score_names

    s3 = adapters.s3_access(_section(StoreSettings, "store", inputs))
    with closing(LangfuseSource(uri, s3=s3)) as source:
        return score_names(source)


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
