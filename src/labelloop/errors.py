"""One tree of errors. Each says what failed, with which value, what was expected, and the remedy."""

from types import TracebackType
from typing import TypeVar


class LabelloopError(Exception):
    """The base class of every error that labelloop raises on purpose.

    `remedy` is what the reader can do about it; it is printed after the message.
    """

    def __init__(self, message: str, *, remedy: str = "") -> None:
        super().__init__(message)
        self.remedy = remedy

    def __str__(self) -> str:
        message = super().__str__()
        return f"{message}\n  remedy: {self.remedy}" if self.remedy else message


class Stopped(Exception):
    """The process was told to end; raised between two transactions, so that nothing is half done."""


E = TypeVar("E", bound=BaseException)


def frameless(exc: E) -> E:
    """The same error without its frames, nor those of its causes: their variables hold keys and passwords.

    Some tools print or send off the variables of every frame of a traceback.
    """
    seen: set[int] = set()
    left: list[BaseException | None] = [exc]
    while left:
        error = left.pop()
        if error is not None and id(error) not in seen:
            seen.add(id(error))
            error.__traceback__ = None
            left += [error.__cause__, error.__context__]
    return exc


class without_frames:  # noqa: N801  used as a function, as contextlib's are
    """Raises labelloop's errors from here, without the frames below: where secrets are handed over."""

    def __enter__(self) -> None: ...

    def __exit__(
        self, kind: type[BaseException] | None, exc: BaseException | None, tb: TracebackType | None
    ) -> None:
        if isinstance(exc, LabelloopError):
            raise frameless(exc)


class ConfigError(LabelloopError):
    """labelloop.toml, or a variable it names, can't be used."""


class WhereError(ConfigError):
    """A queue's `where` isn't a condition that labelloop understands."""


class ArgumentError(LabelloopError, ValueError):
    """A function of the public API was given a value outside its domain."""


class StoreError(LabelloopError):
    """A request to the bucket or folder failed."""


class StoreUnavailable(StoreError):
    """The store can't be reached, or failed for the moment; a second try may work."""


class StoreDenied(StoreError):
    """The store refused: wrong key, missing right, no such bucket."""


class InputTooLarge(StoreDenied):
    """An input has too many bytes to be shown."""


class InputGone(StoreError):
    """The object of a sample no longer exists in the store."""


class InputChanged(InputGone):
    """The object of a sample was overwritten; its old content is gone."""

    @classmethod
    def since_indexed(cls, what: object) -> "InputChanged":
        """The error for a file or an object whose content was another one when it was indexed."""
        return cls(
            f"the content of {what} has changed since it was indexed",
            remedy="restore the old content, or accept that this sample is left out",
        )


class InputDenied(InputGone):
    """One object can't be read, though it exists: access is denied, or it is archived."""


class SourceFileBad(StoreError):
    """One file of a table of predictions can't be read; others may be readable."""


class SourceFileDenied(SourceFileBad):
    """One file of a table of predictions is listed, but can't be opened for the moment."""


class LogError(LabelloopError):
    """The prediction log can't be read or written."""


class AnnotatorError(LabelloopError):
    """A request to the annotator failed."""


class AnnotatorUnavailable(AnnotatorError):
    """The annotator can't be reached, is slow, or failed for the moment.

    `carried_out` is False only if it is certain that nothing was changed, as after a refused
    connection. Otherwise the request may have been carried out.
    """

    def __init__(self, message: str, *, remedy: str = "", carried_out: bool = True) -> None:
        super().__init__(message, remedy=remedy)
        self.carried_out = carried_out


class AnnotatorDenied(AnnotatorError):
    """The annotator refused the account."""


class RequestTooLarge(AnnotatorError):
    """A request is too large for the annotator, or for a proxy before it; nothing was carried out."""


class BucketRefused(AnnotatorError):
    """The annotator can't open the bucket of its tasks, or refuses to."""


class ProjectGone(AnnotatorError):
    """A project that labelloop made no longer exists."""


class LedgerError(LabelloopError):
    """The ledger can't be opened, read or written."""


class LeaseHeld(LedgerError):
    """Another process is running this step."""


class LeaseLost(LedgerError):
    """Another process took over this step; this process may write nothing more."""


class DatasetError(LabelloopError):
    """A dataset version can't be found, read or exported."""


class ReceiverError(LabelloopError):
    """A receiver of events didn't confirm that it heard of one."""


class ReportError(LabelloopError):
    """A report can't be drawn or written."""


def first_line(exc: BaseException) -> str:
    """The first line of what an error says; its kind where it says nothing.

    >>> first_line(ValueError("bad\\nvery bad")), first_line(KeyError())
    ('bad', 'KeyError')
    """
    return (str(exc).splitlines() or [type(exc).__name__])[0]
