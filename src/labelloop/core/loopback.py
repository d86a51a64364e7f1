"""Which URLs name this machine itself."""

from ipaddress import ip_address
from urllib.parse import urlsplit


def is_loopback(url: str) -> bool:
    """True if the host of `url` is this machine, which no proxy is asked for.

    >>> is_loopback("http://127.0.0.1:9000"), is_loopback("http://[::1]/"), is_loopback("http://a.b")
    (True, True, False)
    """
    host = urlsplit(url).hostname or ""
    if host == "localhost":
        return True
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return False
