"""libcurl for S3: the options of all requests, and how what boto3 asks is sent."""

import os
import time
from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from io import BytesIO
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from labelloop.adapters.http.patience import SLOWEST_BYTES_PER_S
from labelloop.adapters.s3.access import S3Access
from labelloop.core.loopback import is_loopback

if TYPE_CHECKING:
    import pycurl
    from botocore.awsrequest import AWSPreparedRequest, AWSResponse

# libcurl's errors (curl.se/libcurl/c/libcurl-errors.html)
UNREACHED = frozenset({5, 6, 7})
"""No name for the proxy or the host, or no connection."""
TLS_FAULTS = frozenset({35, 53, 54, 58, 59, 60, 66, 77, 80, 82, 83, 90, 91})
"""A certificate or a handshake."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ConnectionOptions:
    """How a server is reached: by which proxy ("": none), and whose certificates are trusted."""

    proxy: str
    ca_file: str
    connect_timeout_s: float

    @classmethod
    def of(cls, access: S3Access, url: str) -> "ConnectionOptions":
        """As `access` says, or else as AWS's tools and the environment do."""
        import botocore.session
        from botocore.httpsession import where
        from botocore.utils import get_environ_proxies

        session = botocore.session.Session(profile=access.profile)
        by_environment = {} if is_loopback(url) else get_environ_proxies(url)
        return cls(
            proxy=access.proxy or by_environment.get(urlsplit(url).scheme, ""),
            ca_file=access.ca_file or session.get_config_variable("ca_bundle") or where(),
            connect_timeout_s=access.connect_timeout_s,
        )

    def set_on(self, curl: "pycurl.Curl") -> None:
        """Prepare a handle to send a URL as it stands."""
        import pycurl

        curl.setopt(pycurl.NOSIGNAL, 1)
        curl.setopt(pycurl.PROTOCOLS, pycurl.PROTO_HTTP | pycurl.PROTO_HTTPS)
        curl.setopt(pycurl.HTTP_VERSION, pycurl.CURL_HTTP_VERSION_1_1)
        curl.setopt(pycurl.CONNECTTIMEOUT_MS, int(1000 * self.connect_timeout_s))
        curl.setopt(pycurl.CAINFO, self.ca_file)
        curl.setopt(pycurl.PROXY, self.proxy)
        curl.setopt(pycurl.NOPROXY, "")


class Transport:
    """Sends what botocore has signed, in place of botocore's own connections. Thread-safe.

    Their time-out holds for each read alone: a server that sends a byte now and then is waited for without
    an end. Here an answer may take `timeout_s`, and a second more for each 10,000 bytes. It is a handler
    of botocore's event "before-send", which is there for that.
    """

    def __init__(self, reach: ConnectionOptions, timeout_s: float) -> None:
        self._reach = reach
        self._timeout_s = timeout_s
        self._idle: deque[pycurl.Curl] = deque()

    def __call__(self, request: "AWSPreparedRequest", **_: object) -> "AWSResponse":
        """The answer, whole.

        Raises:
            HTTPClientError: none came, or a part.
        """
        import pycurl
        from botocore.awsrequest import AWSResponse
        from botocore.compat import HTTPHeaders

        try:
            curl = self._idle.pop()
        except IndexError:
            curl = pycurl.Curl()
        curl.reset()  # its connections stay
        self._reach.set_on(curl)
        head, body = BytesIO(), _Body()
        curl.setopt(pycurl.PATH_AS_IS, 1)
        curl.setopt(pycurl.URL, request.url)
        curl.setopt(pycurl.CUSTOMREQUEST, request.method)
        said = {name: _text(value) for name, value in request.headers.items()}
        if request.method == "HEAD":
            curl.setopt(pycurl.NOBODY, 1)
        elif request.body is not None:
            curl.setopt(pycurl.POSTFIELDS, _read(request.body))
            said.setdefault("Content-Type", "")
        curl.setopt(pycurl.HTTPHEADER, [f"{name}: {value}" for name, value in said.items()])
        curl.setopt(pycurl.HEADERFUNCTION, head.write)
        curl.setopt(pycurl.WRITEDATA, body)
        curl.setopt(pycurl.NOPROGRESS, 0)
        curl.setopt(pycurl.XFERINFOFUNCTION, self._limit())
        try:
            curl.perform()
        except pycurl.error as exc:
            number = curl.getinfo(pycurl.OS_ERRNO)
            reason = OSError(os.strerror(number) if number else curl.errstr())
            raise self._failure(curl, exc.args[0], reason) from reason
        status = curl.getinfo(pycurl.RESPONSE_CODE)
        self._idle.append(curl)
        body.seek(0)
        headers = HTTPHeaders.from_dict(headers_of(head.getvalue()))
        return AWSResponse(request.url, status, headers, body)

    def _limit(self) -> Callable[[int, int, int, int], bool]:
        ends_at = time.monotonic() + self._timeout_s

        def is_over(_total: int, received: int, _to_send: int, sent: int) -> bool:
            return time.monotonic() > ends_at + (received + sent) / SLOWEST_BYTES_PER_S

        return is_over

    def _failure(self, curl: "pycurl.Curl", code: object, reason: Exception) -> Exception:
        import pycurl
        from botocore import exceptions as boto
        from botocore.httpsession import mask_proxy_url

        url = curl.getinfo(pycurl.EFFECTIVE_URL)
        if code in {pycurl.E_OPERATION_TIMEDOUT, pycurl.E_ABORTED_BY_CALLBACK}:
            was_sent = curl.getinfo(pycurl.REQUEST_SIZE)
            slow = boto.ReadTimeoutError if was_sent else boto.ConnectTimeoutError
            return slow(endpoint_url=url)
        if code in TLS_FAULTS:
            return boto.SSLError(endpoint_url=url, error=reason)
        if code not in UNREACHED:
            return boto.ConnectionClosedError(endpoint_url=url)
        if self._reach.proxy:
            return boto.ProxyConnectionError(proxy_url=mask_proxy_url(self._reach.proxy))
        return boto.EndpointConnectionError(endpoint_url=url)


class _Body(BytesIO):
    """A body as botocore reads it: as a file, or as a stream."""

    def stream(self) -> Iterator[bytes]:
        """All of it."""
        yield self.read()


def headers_of(head: bytes) -> dict[str, str]:
    """The headers of an answer by their names in lower case; of several answers, those of the last."""
    lines = head.decode("latin-1").strip().rpartition("\r\n\r\n")[2].split("\r\n")
    named = (line.partition(":") for line in lines[1:])
    return {name.strip().lower(): value.strip() for name, _, value in named}


def _read(body: Any) -> bytes:
    return body if isinstance(body, bytes) else bytes(body.read())


def _text(value: str | bytes) -> str:
    return value.decode("latin-1") if isinstance(value, bytes) else value
