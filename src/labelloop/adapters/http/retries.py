"""The retry after a 429, a 5xx, a broken connection or a time-out: how often, and after which pause."""

import random
from collections.abc import Callable
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import TYPE_CHECKING, TypeVar

from labelloop.errors import LabelloopError

if TYPE_CHECKING:
    from tenacity import RetryCallState

R = TypeVar("R")

ATTEMPTS = 4
ATTEMPTS_AFTER_TIMEOUT = 2
FIRST_PAUSE_S = 0.4
LONGEST_PAUSE_S = 30.0


class PassingFailure(Exception):
    """A request that failed for now: asking again may work, at most `attempts` times in all.

    `error` is raised once they are used up; `retry_after_s` is what the server asked for.
    """

    def __init__(
        self,
        error: LabelloopError,
        cause: BaseException | None,
        *,
        attempts: int = ATTEMPTS,
        retry_after_s: float | None = None,
    ) -> None:
        super().__init__(str(error))
        self.error = error
        self.cause = cause
        self.attempts = attempts
        self.retry_after_s = retry_after_s


def retried(call: Callable[[], R], *, sleep: Callable[[float], None]) -> R:
    """What `call` returns, asked again after each PassingFailure that it raises.

    A server that wants a pause of more than 30 seconds isn't asked again.

    Raises:
        LabelloopError: the error of the last PassingFailure.
    """
    from tenacity import Retrying, retry_if_exception_type

    retrying = Retrying(
        retry=retry_if_exception_type(PassingFailure),
        wait=_pause_s,
        stop=_is_over,
        sleep=sleep,
        reraise=True,
    )
    try:
        return retrying(call)
    except PassingFailure as failure:
        raise failure.error from failure.cause


def _pause_s(state: "RetryCallState") -> float:
    spread = random.uniform(0.5, 1.5)  # noqa: S311  so that clients don't return together
    growing_s = FIRST_PAUSE_S * 2 ** (state.attempt_number - 1) * spread
    return _failure(state).retry_after_s or growing_s


def _is_over(state: "RetryCallState") -> bool:
    used_up = state.attempt_number >= _failure(state).attempts
    return used_up or state.upcoming_sleep > LONGEST_PAUSE_S


def _failure(state: "RetryCallState") -> PassingFailure:
    failure = state.outcome and state.outcome.exception()
    assert isinstance(failure, PassingFailure)  # noqa: S101  nothing else is retried
    return failure


def retry_after_s(retry_after: str, date: str = "") -> float | None:
    """The seconds that a Retry-After header asks for, as a number or an instant; None: none.

    `date` is the server's own clock, the Date header of the same answer.

    >>> retry_after_s("7")
    7.0
    >>> retry_after_s("Wed, 04 Mar 2026 12:00:30 GMT", "Wed, 04 Mar 2026 12:00:00 GMT")
    30.0
    """
    if retry_after.isascii() and retry_after.isdigit():
        return float(retry_after)
    until = instant(retry_after)
    if until is None:
        return None
    since = instant(date) or datetime.now(UTC)
    return max(0.0, (until - since).total_seconds())


def instant(date: str) -> datetime | None:
    """The instant that an HTTP date names; None where it names none."""
    try:
        return parsedate_to_datetime(date).astimezone(UTC)
    except (ValueError, OverflowError):
        return None
