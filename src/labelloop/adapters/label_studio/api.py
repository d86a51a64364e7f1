"""Requests to Label Studio: tokens, retries, and the one place where its errors are translated."""

import json
import re
import time
import weakref
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, TypeVar

from pydantic import SecretStr

from labelloop.adapters.http.patience import Patience
from labelloop.adapters.http.redaction import redact_logs
from labelloop.adapters.http.retries import (
    ATTEMPTS_AFTER_TIMEOUT,
    PassingFailure,
    instant,
    retried,
    retry_after_s,
)
from labelloop.adapters.label_studio.address import (
    checked_key,
    checked_url,
    ssl_context,
    token_expiry,
)
from labelloop.adapters.label_studio.payloads import Access
from labelloop.core.loopback import is_loopback
from labelloop.errors import (
    AnnotatorDenied,
    AnnotatorError,
    AnnotatorUnavailable,
    RequestTooLarge,
    frameless,
)

if TYPE_CHECKING:
    import httpx
    from pydantic import BaseModel

    Sign = Callable[[httpx.Request], httpx.Request]

P = TypeVar("P", bound="BaseModel")

REPEATABLE = frozenset({"GET", "PATCH", "DELETE"})
"""Requests that may be sent twice: they end in the same state."""

LONGEST_DETAIL = 600
NO_CONTENT = 204
RESERVED = "reserved network address"
"""What Label Studio says, since 1.23.1, of a bucket or webhook at a private address."""


class NotFound(AnnotatorError):
    """Label Studio says that what was asked about doesn't exist."""


class InternalError(AnnotatorUnavailable):
    """A 500: Label Studio failed at what was asked, which it also does where it can't open a bucket."""


class AddressRefused(AnnotatorError):
    """Label Studio's protection against requests to private addresses."""


class PageNotFound(AnnotatorUnavailable):
    """A 404 that isn't Label Studio's API speaking: a proxy, another program, or a wrong path."""


class LabelStudioApi:
    """Label Studio's HTTP API at `url`, which may lie under a path of its host."""

    def __init__(
        self,
        *,
        url: str,
        api_key: str,
        timeout_s: float,
        ca_file: str | None,
        proxy: str | None = None,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        import httpx

        redact_logs()
        self.url = checked_url(url)
        self._api_key = checked_key(api_key)
        self.personal = self._api_key.count(".") == 2
        self.served_at: datetime | None = None
        """The server's clock at its last answer."""
        self._access: str | None = None
        self._timeout_s = timeout_s
        self._proxied = proxy is not None
        self._sleep = sleep
        self._client = httpx.Client(
            timeout=httpx.Timeout(timeout_s, connect=min(10.0, timeout_s)),
            verify=ssl_context(ca_file),
            proxy=proxy,
            headers={"Accept": "application/json"},
            # A proxy from the environment never leads to this machine itself.
            trust_env=not is_loopback(self.url),
            event_hooks={"response": [self._limit]},
        )
        self._close = weakref.finalize(self, self._client.close)

    @property
    def token_expires_at(self) -> datetime | None:
        """Until when the token works; None where it doesn't say."""
        return token_expiry(self._api_key) if self.personal else None

    def close(self) -> None:
        """Close the connections; calling it again is fine."""
        self._close()

    def ask(
        self,
        method: str,
        path: str,
        shape: type[P],
        *,
        params: Mapping[str, str | int] | None = None,
        body: object = None,
    ) -> P:
        """The answer to a request, parsed.

        Raises:
            NotFound, PageNotFound, AnnotatorDenied, AnnotatorUnavailable, AnnotatorError.
        """
        response = self._authorised(_Call(method, path, params, _Sealed.of(body)))
        self._check(response)
        return self._parsed(response, shape)

    def delete(self, path: str) -> None:
        """Delete what stands at `path`."""
        self._check(self._authorised(_Call("DELETE", path)))

    # --- sending -----------------------------------------------------------------------------

    def _authorised(self, call: "_Call") -> "httpx.Response":
        fresh = self._access is None
        response = self._retried(call, self._authorisation())
        if response.status_code == 401 and self.personal and not fresh:
            # Access tokens live for minutes; a 401 is certain to have changed nothing.
            self._access = None
            response = self._retried(call, self._authorisation())
        return response

    def _authorisation(self) -> "Sign":
        """What signs a request; no variable holds the token, as tracebacks may show variables."""
        if self.personal and self._access is None:
            body = _Sealed.of({"refresh": SecretStr(self._api_key)})
            refresh = _Call("POST", "/api/token/refresh/", content=body, repeatable=True)
            response = self._retried(refresh, None)
            self._check(response)
            self._access = self._parsed(response, Access).access

        def sign(request: "httpx.Request") -> "httpx.Request":
            kind, token = ("Bearer", self._access) if self.personal else ("Token", self._api_key)
            request.headers["Authorization"] = f"{kind} {token}"
            return request

        return sign

    def _retried(self, call: "_Call", sign: "Sign | None") -> "httpx.Response":
        """The response; one that tells of a passing failure only once the retries are used up."""

        def once() -> "httpx.Response":
            try:
                return self._once(call, sign)
            except PassingFailure as failure:
                if not (call.repeatable or call.method in REPEATABLE):
                    failure.attempts = 1
                raise

        return retried(once, sleep=self._sleep)

    def _once(self, call: "_Call", sign: "Sign | None") -> "httpx.Response":
        import httpx

        try:
            response = self._client.request(
                call.method,
                self.url + call.path,
                params=call.params,
                content=None if call.content is None else call.content.body,
                headers=None if call.content is None else {"Content-Type": "application/json"},
                auth=sign,
            )
        except (httpx.ConnectError, httpx.ConnectTimeout) as exc:
            raise PassingFailure(self._unreachable(exc), frameless(exc)) from None
        except httpx.TimeoutException as exc:
            error = AnnotatorUnavailable(
                f"Label Studio at {self.url} gave no answer within {self._timeout_s:g} s",
                remedy="check whether Label Studio is overloaded, then run again",
            )
            raise PassingFailure(error, frameless(exc), attempts=ATTEMPTS_AFTER_TIMEOUT) from None
        except (httpx.TransportError, httpx.DecodingError) as exc:
            error = AnnotatorUnavailable(
                f"the connection to Label Studio at {self.url} broke: {type(exc).__name__}",
                remedy="check whether Label Studio restarts or a proxy closes connections, then run again",
            )
            raise PassingFailure(error, frameless(exc)) from None
        date = response.headers.get("date", "")
        self.served_at = instant(date) or self.served_at
        if response.status_code >= 500 or response.status_code == 429:
            kind = InternalError if response.status_code == 500 else AnnotatorUnavailable
            pause_s = retry_after_s(response.headers.get("retry-after", ""), date)
            later = f" and asks to come back after {pause_s:.0f} s" if pause_s else ""
            error = kind(
                f"Label Studio at {self.url} answered {response.status_code}"
                f" to {call.method} {response.url.path}{self._said(response)}{later}",
                remedy="see Label Studio's own log, then run again",
            )
            raise PassingFailure(error, None, retry_after_s=pause_s)
        if _is_cut_short(response):
            raise PassingFailure(self._not_understood(response), None)
        return response

    def _limit(self, response: "httpx.Response") -> None:
        """Let the rest of an answer take no longer than it may."""
        import httpx

        assert isinstance(response.stream, httpx.SyncByteStream)  # noqa: S101  of a sync client
        response.stream = _patient(response.stream, Patience(self._timeout_s))

    # --- translating -------------------------------------------------------------------------

    def _unreachable(self, exc: Exception) -> AnnotatorUnavailable:
        if "CERTIFICATE_VERIFY_FAILED" in str(exc):
            return AnnotatorUnavailable(
                f"the certificate of Label Studio at {self.url} isn't trusted",
                remedy="name the authority's file as [label_studio] ca_file",
                carried_out=False,
            )
        by_way, remedy = "", "start Label Studio, or correct [label_studio] url"
        if self._proxied:
            by_way = " through the proxy"
            remedy = "check [label_studio] proxy and url, and that both run"
        return AnnotatorUnavailable(
            f"Label Studio can't be reached at {self.url}{by_way}: {exc or type(exc).__name__}",
            remedy=remedy,
            carried_out=False,
        )

    def _check(self, response: "httpx.Response") -> None:
        status = response.status_code
        if 200 <= status < 300:
            return
        asked = f"{response.request.method} {response.url.path}"
        said = self._said(response)
        if status == 403 and RESERVED in said:
            raise AddressRefused(
                f"Label Studio at {self.url} opens no private address{said}",
                remedy="set SSRF_PROTECTION_ENABLED=false in Label Studio's environment, if you trust "
                "everyone who has an account there",
            )
        if status in {401, 403}:
            raise AnnotatorDenied(
                f"Label Studio at {self.url} refused the token{said}", remedy=self._token_remedy()
            )
        if status == 413:
            size = response.request.headers.get("content-length", "some")
            raise RequestTooLarge(
                f"{self.url} refused a request of {size} bytes as too large{said}",
                remedy="raise the limit of the proxy in front of Label Studio (nginx: "
                "client_max_body_size), or DATA_UPLOAD_MAX_MEMORY_SIZE of Label Studio",
            )
        if status == 404 and _is_json(response):
            raise NotFound(f"Label Studio at {self.url} knows nothing at {asked}{said}")
        if status == 404:
            raise PageNotFound(
                f"{self.url} answered 404 to {asked}, and not as Label Studio does",
                remedy="check [label_studio] url, and that Label Studio runs there",
            )
        if 300 <= status < 400:
            target = _without_query(response.headers.get("location", "elsewhere"))
            raise AnnotatorError(
                f"{self.url} redirects to {target}, and labelloop follows no redirects",
                remedy="set [label_studio] url to the final address",
            )
        raise AnnotatorError(
            f"Label Studio at {self.url} answered {status} to {asked}{said}",
            remedy=""
            if _is_json(response)
            else "check [label_studio] url, and that Label Studio runs there",
        )

    def _parsed(self, response: "httpx.Response", shape: type[P]) -> P:
        from pydantic import ValidationError

        try:
            return shape.model_validate_json(response.content)
        except ValidationError as exc:
            # The parser's own words would repeat what was received, tokens and links included.
            raise self._not_understood(response) from _Quiet(
                f"{exc.error_count()} errors in {shape.__name__}"
            )

    def _not_understood(self, response: "httpx.Response") -> AnnotatorUnavailable:
        kind = "HTML" if _is_html(response) else "something unexpected or cut short"
        return AnnotatorUnavailable(
            f"{self.url} answered {response.request.method} {response.url.path} with {kind},"
            " not with Label Studio's JSON",
            remedy="check [label_studio] url and the proxies on the way, then run again",
        )

    def _token_remedy(self) -> str:
        account = f"{self.url}/user/account"
        if self.personal:
            return f"it may have expired or been revoked: make a personal access token at {account}"
        return (
            f"legacy tokens may be switched off: make a personal access token at {account}"
            " and put it into the variable that [label_studio] api_key names"
        )

    def _said(self, response: "httpx.Response") -> str:
        """Label Studio's own words, without anything secret; empty where it said nothing."""
        try:
            body = json.loads(response.content)
        except ValueError:
            return ""
        if not isinstance(body, dict):
            return ""
        parts = [body.get("detail"), *_texts(body.get("validation_errors"))]
        # Its complaint about a task ends with the task itself, and that holds a signed link.
        texts = [str(part).split(" :: {")[0] for part in parts if part]
        said = _without_query("; ".join(texts)).replace(self._api_key, "***")
        return f": {said[:LONGEST_DETAIL]}" if said else ""


class _Quiet(Exception):
    pass


class _Sealed:
    """The body of a request, as JSON; what a variable holds of it shows nothing."""

    def __init__(self, body: object) -> None:
        self.body = json.dumps(body, allow_nan=False, default=_revealed).encode()

    @classmethod
    def of(cls, body: object) -> "_Sealed | None":
        """The body where there is one."""
        return None if body is None else cls(body)


@dataclass(frozen=True, slots=True)
class _Call:
    """A request. `repeatable`: it may be sent twice, whatever its method."""

    method: str
    path: str
    params: Mapping[str, str | int] | None = None
    content: _Sealed | None = None
    repeatable: bool = False


def _revealed(secret: object) -> str:
    if not isinstance(secret, SecretStr):
        raise TypeError(f"{type(secret).__name__} is nothing that JSON knows")
    return secret.get_secret_value()


def _texts(errors: object) -> list[str]:
    if isinstance(errors, dict):
        return [f"{name}: {text}" for name, inner in errors.items() for text in _texts(inner)]
    if isinstance(errors, list):
        return [text for inner in errors for text in _texts(inner)]
    return [str(errors)] if errors else []


def _without_query(text: str) -> str:
    return re.sub(r"(https?://[^\s'\"?]+)\?[^\s'\"]*", r"\1?…", text)


def _is_json(response: "httpx.Response") -> bool:
    return "json" in response.headers.get("content-type", "")


def _is_html(response: "httpx.Response") -> bool:
    return response.content.lstrip()[:1] == b"<"


def _is_cut_short(response: "httpx.Response") -> bool:
    """Whether it is the beginning of what was meant: valid HTTP, as a bad proxy makes it, but no JSON."""
    if not response.is_success or not _is_json(response) or response.status_code == NO_CONTENT:
        return False
    try:
        json.loads(response.content)
    except ValueError:
        return True
    return False


def _patient(stream: "httpx.SyncByteStream", patience: Patience) -> "httpx.SyncByteStream":
    """The bytes of `stream`, as long as they come fast enough."""
    import httpx

    class Patient(httpx.SyncByteStream):
        def __iter__(self) -> Iterator[bytes]:
            for chunk in stream:
                try:
                    patience.received(len(chunk))
                except TimeoutError as exc:
                    raise httpx.ReadTimeout(str(exc)) from exc
                yield chunk

        def close(self) -> None:
            stream.close()

    return Patient()
