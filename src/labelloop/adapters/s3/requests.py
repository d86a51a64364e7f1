"""Requests to S3: tried again after passing failures, and given up where the answer drips.

Each of labelloop's ends in the same state however often it is carried out. botocore's own retries are
switched off: they know neither an answer that was cut short nor Retry-After.
"""

import io
import time
from collections.abc import Callable
from http.client import HTTPResponse
from typing import TYPE_CHECKING, Any, TypeVar

from labelloop.adapters.http.patience import Patience, PatientReader
from labelloop.adapters.http.retries import (
    ATTEMPTS,
    ATTEMPTS_AFTER_TIMEOUT,
    PassingFailure,
    retried,
    retry_after_s,
)
from labelloop.adapters.s3.errors import Request, is_slow, translated
from labelloop.errors import StoreUnavailable

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

R = TypeVar("R")


class Asking:
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


def limit_answers(client: "S3Client", timeout_s: float) -> None:
    """Let a client's answers, heads included, take no longer than `Patience` allows."""
    from botocore.awsrequest import (
        AWSHTTPConnection,
        AWSHTTPConnectionPool,
        AWSHTTPSConnection,
        AWSHTTPSConnectionPool,
    )

    class Answer(HTTPResponse):
        def __init__(self, *args: Any, **kwargs: Any) -> None:
            super().__init__(*args, **kwargs)
            self.fp = io.BufferedReader(PatientReader(self.fp.detach(), Patience(timeout_s)))

    class Connection(AWSHTTPConnection):
        response_class = Answer  # type: ignore[assignment]  # of http.client too

    class SecureConnection(AWSHTTPSConnection):
        response_class = Answer  # type: ignore[assignment]  # of http.client too

    class Pool(AWSHTTPConnectionPool):
        ConnectionCls = Connection

    class SecurePool(AWSHTTPSConnectionPool):
        ConnectionCls = SecureConnection

    # botocore has no public way to its connections; a test with an answer that drips watches it.
    session = getattr(getattr(client, "_endpoint", None), "http_session", None)
    pools = getattr(session, "_pool_classes_by_scheme", {})
    pools.update(http=Pool, https=SecurePool)
