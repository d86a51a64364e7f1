"""What a browser gets for a URL, looked at from here."""

from urllib.parse import urlsplit

from labelloop.adapters.http.retries import instant
from labelloop.core.loopback import is_loopback
from labelloop.errors import StoreUnavailable
from labelloop.ports.store import BrowserView


def view(
    url: str, *, origin: str, ca_file: str | None, timeout_s: float, proxy: str | None = None
) -> BrowserView:
    """What a page of `origin` gets for `url`; the body isn't read.

    Raises:
        StoreUnavailable: nothing answers there.
    """
    import ssl

    import httpx

    parts = urlsplit(url)
    verify = ssl.create_default_context(cafile=ca_file) if ca_file else True
    try:
        with (
            httpx.Client(
                timeout=timeout_s, verify=verify, proxy=proxy, trust_env=not is_loopback(url)
            ) as client,
            client.stream("GET", url, headers={"Origin": origin}) as answer,
        ):
            return BrowserView(
                status=answer.status_code,
                content_type=answer.headers.get("content-type", ""),
                allowed_origin=answer.headers.get("access-control-allow-origin"),
                modified_at=instant(answer.headers.get("last-modified", "")),
                served_at=instant(answer.headers.get("date", "")),
            )
    except (httpx.HTTPError, httpx.InvalidURL) as exc:
        # the whole URL is a signed one, and stays out of messages
        raise StoreUnavailable(
            f"nothing answers at {parts.scheme}://{parts.netloc}: {exc or type(exc).__name__}",
            remedy="check public_endpoint_url in [store], and the proxies and firewalls on the way",
        ) from exc
