"""A network that refuses addresses of the machine's own link, and ends what takes too long."""

import socket
import ssl
import time
from collections.abc import Iterable
from ipaddress import IPv4Address, IPv6Address, ip_address, ip_network
from typing import Any

import httpcore

METADATA = frozenset({ip_address("fd00:ec2::254"), ip_address("100.100.100.200")})
"""Where clouds hand their keys to whoever asks, beside the link-local 169.254.169.254."""
_NAT64 = ip_network("64:ff9b::/96")


class AddressRefused(httpcore.ConnectError):
    """A name stands for an address that nobody may be sent to."""


def is_refused(address: str) -> bool:
    """Whether nothing may be sent to an address: it is link-local, or hands out a cloud's keys.

    >>> [is_refused(a) for a in ("169.254.169.254", "::ffff:169.254.1.1", "fe80::1", "10.0.0.1")]
    [True, True, True, False]
    """
    found: IPv4Address | IPv6Address | None = ip_address(address.partition("%")[0])
    if isinstance(found, IPv6Address):
        inner = found.ipv4_mapped or found.sixtofour
        if found in _NAT64:
            inner = IPv4Address(int(found) & 0xFFFFFFFF)
        if inner is not None:
            found = inner
    assert found is not None  # noqa: S101  an address is parsed or an error
    return found.is_link_local or found.is_multicast or found.is_unspecified or found in METADATA


class GuardedNetwork(httpcore.NetworkBackend):
    """Connects only to addresses that may be reached, and lets all take `timeout_s` together.

    A name is looked up once, and connected to where it was found: it can't stand for another address
    a moment later.
    """

    def __init__(self, timeout_s: float) -> None:
        self._network = httpcore.SyncBackend()
        self._until_s = time.monotonic() + timeout_s

    def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,  # noqa: ARG002  one limit holds for all
        local_address: str | None = None,
        socket_options: Iterable[Any] | None = None,
    ) -> httpcore.NetworkStream:
        """Connect to the first address of a host that answers.

        Raises:
            ConnectError: none answers, or one of them is refused.
        """
        try:
            found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
        except (OSError, UnicodeError) as exc:
            raise httpcore.ConnectError(str(exc)) from exc
        addresses = list(dict.fromkeys(str(where[0]) for *_, where in found))
        for address in addresses:
            if is_refused(address):
                raise AddressRefused(f"{host} is {address}, which nothing is sent to")
        for address in addresses[:-1]:
            try:
                return self._connect(address, port, local_address, socket_options)
            except (httpcore.ConnectError, httpcore.ConnectTimeout):
                continue
        return self._connect(addresses[-1], port, local_address, socket_options)

    def _connect(
        self, address: str, port: int, local_address: str | None, options: Iterable[Any] | None
    ) -> httpcore.NetworkStream:
        left_s = _left(self._until_s, httpcore.ConnectTimeout)
        stream = self._network.connect_tcp(address, port, left_s, local_address, options)
        return _EndingStream(stream, self._until_s)


class _EndingStream(httpcore.NetworkStream):
    """A stream that ends at an instant, however often a little arrives before."""

    def __init__(self, stream: httpcore.NetworkStream, until_s: float) -> None:
        self._stream = stream
        self._until_s = until_s

    def read(self, max_bytes: int, timeout: float | None = None) -> bytes:  # noqa: ARG002
        """What arrives next."""
        return self._stream.read(max_bytes, _left(self._until_s, httpcore.ReadTimeout))

    def write(self, buffer: bytes, timeout: float | None = None) -> None:  # noqa: ARG002
        """Send bytes."""
        self._stream.write(buffer, _left(self._until_s, httpcore.WriteTimeout))

    def close(self) -> None:
        """Close the connection."""
        self._stream.close()

    def start_tls(
        self,
        ssl_context: ssl.SSLContext,
        server_hostname: str | None = None,
        timeout: float | None = None,  # noqa: ARG002
    ) -> httpcore.NetworkStream:
        """The same, encrypted."""
        left_s = _left(self._until_s, httpcore.ConnectTimeout)
        secure = self._stream.start_tls(ssl_context, server_hostname, left_s)
        return _EndingStream(secure, self._until_s)

    def get_extra_info(self, info: str) -> Any:
        """What the stream knows of itself."""
        return self._stream.get_extra_info(info)


def _left(until_s: float, late: type[httpcore.TimeoutException]) -> float:
    left_s = until_s - time.monotonic()
    if left_s <= 0:
        raise late("it took too long")
    return left_s
