"""Requests to S3, tried again after passing failures.

Each of labelloop's ends in the same state however often it is carried out. botocore's own retries are
switched off: they know neither an answer that was cut short nor Retry-After.
"""

import time
from collections.abc import Callable
from typing import TypeVar

from labelloop.adapters.http.retries import (
    ATTEMPTS,
    ATTEMPTS_AFTER_TIMEOUT,
    PassingFailure,
    retried,
    retry_after_s,
)
from labelloop.adapters.s3.errors import Request, is_slow, translated
from labelloop.errors import StoreUnavailable

R = TypeVar("R")


class Retries:
    """Carries requests out, each at most `attempts` times; `sleep` is how to wait between two."""

    def __init__(
        self, *, attempts: int = ATTEMPTS, sleep: Callable[[float], None] = time.sleep
    ) -> None:
        self._attempts = attempts
        self._sleep = sleep

    def __call__(self, request: Request, call: Callable[[], R]) -> R:
        """What `call` returns, in the end.

        Raises:
            StoreError: it failed for good, or as often as it is tried.
        """

        def once() -> R:
            try:
                with translated(request):
                    return call()
            except StoreUnavailable as exc:
                raise self._passing(exc) from None

        return retried(once, sleep=self._sleep)

    def _passing(self, error: StoreUnavailable) -> PassingFailure:
        cause = error.__cause__
        limit = ATTEMPTS_AFTER_TIMEOUT if is_slow(cause) else ATTEMPTS
        return PassingFailure(
            error,
            cause,
            attempts=min(self._attempts, limit),
            retry_after_s=_retry_after_s(cause),
        )


def _retry_after_s(cause: BaseException | None) -> float | None:
    from botocore.exceptions import ClientError

    if not isinstance(cause, ClientError):
        return None
    headers = cause.response.get("ResponseMetadata", {}).get("HTTPHeaders", {})
    return retry_after_s(headers.get("retry-after", ""), headers.get("date", ""))
