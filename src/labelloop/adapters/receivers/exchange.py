"""One HTTP exchange with a receiver: guarded, short, and with errors that don't show its URL."""

import ssl
from collections.abc import Mapping
from dataclasses import dataclass
from urllib.parse import urlsplit

import httpcore

from labelloop.adapters.receivers.guarded import AddressRefused, GuardedNetwork
from labelloop.errors import ReceiverError

TIMEOUT_S = 10.0
"""How long a receiver may take in all, from the look-up of its name to the end of its answer."""
LONGEST = 1 << 20
_GONE_ELSEWHERE = range(300, 400)


@dataclass(frozen=True, slots=True)
class Answer:
    """What came back; `body` is empty unless it was asked for."""

    status: int
    body: bytes


def exchange(
    method: str,
    url: str,
    *,
    headers: Mapping[str, str],
    content: bytes = b"",
    timeout_s: float = TIMEOUT_S,
    read: bool = False,
) -> Answer:
    """Ask, and return the answer; at most 1 MiB of its body, with `read`.

    Raises:
        ReceiverError: it can't be reached, is too slow, or leads elsewhere.
    """
    shown = masked(url)
    try:
        with (
            httpcore.ConnectionPool(
                ssl_context=ssl.create_default_context(), network_backend=GuardedNetwork(timeout_s)
            ) as pool,
            pool.stream(method, url, headers=list(headers.items()), content=content) as answer,
        ):
            body = b""
            for part in answer.iter_stream() if read else ():
                body += part
                if len(body) > LONGEST:
                    raise ReceiverError(
                        f"{shown} answered with more than {LONGEST:,} bytes",
                        remedy="check the url: this is no answer of what it should be",
                    )
            status = answer.status
    except AddressRefused as exc:
        raise ReceiverError(
            f"{shown}: {exc}",
            remedy="use another url: at link-local addresses cloud machines give out their access keys",
        ) from None
    except httpcore.TimeoutException:
        raise ReceiverError(
            f"{shown} didn't answer within {timeout_s:g} seconds",
            remedy="let the receiver answer first, and work afterwards",
        ) from None
    except (
        httpcore.NetworkError,
        httpcore.ProtocolError,
        httpcore.UnsupportedProtocol,
        OSError,
    ) as exc:
        # no cause: its frames hold the url
        raise ReceiverError(
            f"{shown} can't be reached: {type(exc).__name__} {exc}".rstrip(),
            remedy="check its url in labelloop.toml and the network between",
        ) from None
    if status in _GONE_ELSEWHERE:
        raise ReceiverError(
            f"{shown} answered {status}, which leads elsewhere, and labelloop follows nobody",
            remedy="set its url in labelloop.toml to where it leads",
        )
    return Answer(status, body)


def masked(url: str) -> str:
    """A URL without what may be secret in it: its path, its question, its user.

    >>> masked("https://user:key@hooks.slack.com:443/services/T0/B0/xyz?a=b"), masked("http://[::1]:80")
    ('https://hooks.slack.com:443/***', 'http://[::1]:80')
    """
    found = urlsplit(url)
    host = found.netloc.rpartition("@")[2]
    more = "/***" if found.path.strip("/") or found.query else ""
    return f"{found.scheme}://{host}{more}"
