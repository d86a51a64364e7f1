"""What S3 and the network answer, in labelloop's errors: once, here, with the remedy."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from labelloop.adapters.s3.access import S3Access
from labelloop.errors import (
    InputChanged,
    InputDenied,
    InputGone,
    StoreDenied,
    StoreError,
    StoreUnavailable,
    frameless,
)

if TYPE_CHECKING:
    from botocore.exceptions import ClientError

GONE = frozenset({"NoSuchKey", "NoSuchVersion"})
NOT_FOUND = 404
PRECONDITION_FAILED = 412

# S3 error code -> what it means, and what to do about it.
DENIED: Mapping[str, tuple[str, str]] = {
    "InvalidAccessKeyId": (
        "the server doesn't know the access key",
        "check access_key and endpoint_url in [store]: the key must belong to that server",
    ),
    "SignatureDoesNotMatch": (
        "the secret key doesn't belong to the access key",
        "check secret_key in [store]; a proxy that rewrites the host name breaks signatures too",
    ),
    "RequestTimeTooSkewed": (
        "this machine's clock and the server's differ by more than 15 minutes",
        "set the clock right (NTP) on both",
    ),
    "NoSuchBucket": (
        "there is no such bucket",
        "check the bucket's name in labelloop.toml, or create it; if it was renamed: `was` in [store]",
    ),
    "ExpiredToken": ("the credentials have expired", "get new credentials"),
    "InvalidToken": ("the session token is not valid", "get new credentials"),
    "AuthorizationHeaderMalformed": (
        "the request was signed for another region",
        "set region in [store] to the bucket's",
    ),
    "PermanentRedirect": (
        "the bucket is at another endpoint or in another region",
        "set endpoint_url and region in [store] to the bucket's",
    ),
    "SecondLevelDomainForbidden": (
        "the server wants the bucket in the host name",
        'set addressing = "virtual" in [store]',
    ),
    "InvalidBucketName": (
        "this name isn't allowed for a bucket",
        "check the bucket's name in labelloop.toml",
    ),
}
FORBIDDEN = (
    "access is denied",
    (
        "check access_key and secret_key in [store] and what they may do: reading needs"
        " s3:ListBucket, s3:GetObject and s3:GetObjectTagging, blind copies s3:PutObject and"
        " s3:DeleteObject"
    ),
)
RETRYABLE = frozenset({"SlowDown", "RequestTimeout", "Throttling", "ThrottlingException"})
NOT_S3 = (
    "the answer doesn't come from S3: it is another kind of page",
    (
        "check endpoint_url in [store]: it must be the S3 port, not a web console, a login page or"
        " a proxy"
    ),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """What was asked of which server. The answer to a `head` has no body, so no error code."""

    doing: str
    access: S3Access
    bucket: str = ""
    key: str | None = None
    head: bool = False

    def __str__(self) -> str:
        where = f"bucket {self.bucket!r}" + (f", key {self.key!r}" if self.key is not None else "")
        server = self.access.endpoint_url or "AWS"
        return f"{self.doing} failed at {server}" + (f", {where}" if self.bucket else "")

    @property
    def at(self) -> Any:
        """The object, as boto3 takes it."""
        return {"Bucket": self.bucket, "Key": self.key}

    def not_s3(self) -> StoreUnavailable:
        """The error for an answer that S3 does not give."""
        meaning, remedy = NOT_S3
        return StoreUnavailable(f"{self}: {meaning}", remedy=remedy + self.without_virtual())

    def without_virtual(self) -> str:
        """What to try where the bucket stands in the host name, and the server may not know that."""
        if self.access.addressing != "virtual":
            return ""
        return '; if the server doesn\'t accept buckets in the host name, set addressing = "path"'


@contextmanager
def translated(request: Request) -> Iterator[None]:
    """Raise what botocore raises inside as StoreUnavailable, StoreDenied or InputGone."""
    from botocore.exceptions import BotoCoreError, ClientError, HTTPClientError
    from botocore.parsers import ResponseParserError

    try:
        yield
    except ClientError as exc:
        raise error_of_answer(exc, request) from frameless(exc)
    except (BotoCoreError, HTTPClientError, ResponseParserError, OSError) as exc:
        raise error_without_answer(exc, request) from frameless(exc)


def error_of_answer(exc: "ClientError", request: Request) -> StoreError:
    """The error for an answer that says no."""
    error = exc.response.get("Error", {})
    metadata = exc.response.get("ResponseMetadata", {})
    code = str(error.get("Code", ""))
    status = int(metadata.get("HTTPStatusCode", 0))
    headers = metadata.get("HTTPHeaders", {})
    if code in DENIED:
        meaning, remedy = DENIED[code]
        request = replace(request, key=None)  # true of every key there
        if code in {"NoSuchBucket", "InvalidBucketName", "SignatureDoesNotMatch"}:
            remedy += request.without_virtual()
        return StoreDenied(f"{request}: {meaning} ({code})", remedy=remedy)
    if 300 <= status < 400:
        return StoreDenied(
            f"{request}: the server redirects to another address ({code})",
            remedy="set endpoint_url in [store] to the address of S3 itself; often it begins with "
            "https://",
        )
    is_page = "html" in str(headers.get("content-type", ""))
    passing = status >= 500 or status in {408, 429} or code in RETRYABLE
    if is_page and passing:
        return StoreUnavailable(
            f"{request}: a proxy in front of the server answered with an error ({status})",
            remedy="check that the server behind the proxy runs, and check endpoint_url in [store]",
        )
    if is_page:
        # A page is never the word on an object: a login page's 404 must not read as "gone".
        return request.not_s3()
    if request.key is None and code in GONE:
        return StoreDenied(
            f"{request}: the server took the bucket for an object ({code})",
            remedy="write only the server into endpoint_url in [store], without the bucket; if the "
            'server expects the bucket in the host name, set addressing = "virtual"',
        )
    if code == "InvalidObjectState":
        return InputDenied(
            f"{request}: the object is archived ({code})",
            remedy="restore the object (`aws s3api restore-object`), or accept that it is left out",
        )
    deleted = str(headers.get("x-amz-delete-marker", "")) == "true"
    if code in GONE or deleted or (request.head and status == NOT_FOUND):
        return InputGone(
            f"{request}: there is no such object",
            remedy="it was deleted or moved since it was indexed; nothing to do",
        )
    if status == PRECONDITION_FAILED:
        return InputChanged(
            f"{request}: the content has changed since it was indexed",
            remedy="restore the old content, or accept that this sample is left out",
        )
    if status == NOT_FOUND:
        return request.not_s3()
    if passing:
        return StoreUnavailable(
            f"{request}: the server failed ({_said(error)})",
            remedy="run again; if the error stays, read the server's log",
        )
    if status in {401, 403}:
        meaning, remedy = FORBIDDEN
        return StoreDenied(f"{request}: {meaning} ({code})", remedy=remedy)
    return StoreDenied(
        f"{request}: the server refused ({_said(error)})",
        remedy="check [store] in labelloop.toml",
    )


def _said(error: Mapping[str, object]) -> str:
    """The code and the message, as far as there are any."""
    return ": ".join(str(error[name]) for name in ("Code", "Message") if error.get(name))


def error_without_answer(exc: Exception, request: Request) -> StoreError:
    """The error where no usable answer came."""
    from botocore import exceptions as boto
    from botocore.parsers import ResponseParserError

    if isinstance(exc, boto.NoCredentialsError | boto.PartialCredentialsError):
        return StoreDenied(
            f"{request}: there are no credentials; looked for "
            + ", ".join(request.access.looked_for()),
            remedy="set access_key and secret_key in [store], or AWS_ACCESS_KEY_ID and"
            ' AWS_SECRET_ACCESS_KEY, or name a profile: profile = "NAME"',
        )
    if isinstance(exc, boto.SSOError | boto.TokenRetrievalError):
        return StoreDenied(
            f"{request}: the login has expired ({exc})",
            remedy="run `aws sso login`, then run labelloop again",
        )
    if isinstance(exc, boto.CredentialRetrievalError | boto.MetadataRetrievalError):
        return StoreDenied(
            f"{request}: the credentials can't be fetched ({exc})",
            remedy="check credential_process or the role in the profile",
        )
    if isinstance(exc, boto.ParamValidationError):
        return StoreDenied(f"{request}: {exc}", remedy="check the uri in labelloop.toml")
    if isinstance(exc, boto.SSLError):
        return StoreDenied(
            f"{request}: no trusted TLS connection ({_cause(exc)})",
            remedy="if the server has its own certificate, set ca_file in [store]; if it has no TLS, "
            "write http:// in endpoint_url",
        )
    if isinstance(exc, boto.ProxyConnectionError):
        return StoreUnavailable(
            f"{request}: the proxy can't be reached",
            remedy="check proxy in [store], or HTTP_PROXY, HTTPS_PROXY and NO_PROXY",
        )
    if isinstance(exc, ResponseParserError):
        _, remedy = NOT_S3
        return StoreUnavailable(
            f"{request}: the answer is incomplete, or doesn't come from S3",
            remedy=f"run again; {remedy}{request.without_virtual()}",
        )
    if isinstance(exc, boto.IncompleteReadError | boto.ConnectionClosedError):
        return StoreUnavailable(
            f"{request}: the connection broke ({_cause(exc)})",
            remedy="check whether the server restarts or a proxy closes connections, then run again",
        )
    if isinstance(exc, boto.ConnectTimeoutError) or is_slow(exc):
        return StoreUnavailable(
            f"{request}: no answer in time",
            remedy="check that the server is up, not overloaded, and not behind a firewall",
        )
    return StoreUnavailable(
        f"{request}: no connection ({_cause(exc)})",
        remedy="check that the server runs and that endpoint_url in [store] is right"
        + request.without_virtual(),
    )


def concerns_one(exc: StoreError) -> bool:
    """Whether a failure may be that of one object: a plain refusal, a 500, or no answer of S3's."""
    from botocore.exceptions import ClientError
    from botocore.parsers import ResponseParserError

    cause = exc.__cause__
    if isinstance(cause, ClientError):  # what is cut short is a 500 to botocore
        code = str(cause.response.get("Error", {}).get("Code", ""))
        status = cause.response.get("ResponseMetadata", {}).get("HTTPStatusCode")
        return status in {401, 403, 500} and code not in {*DENIED, *RETRYABLE}
    return cause is None or isinstance(cause, ResponseParserError)


def is_slow(exc: BaseException | None) -> bool:
    """Whether the server was reached, and gave no answer in time."""
    from botocore.exceptions import ReadTimeoutError

    return isinstance(exc, ReadTimeoutError)


def _cause(exc: Exception) -> str:
    """The innermost reason, in the system's words."""
    reason: BaseException = exc
    while (inner := reason.__cause__ or reason.__context__) is not None:
        reason = inner
    return str(reason) or type(reason).__name__
