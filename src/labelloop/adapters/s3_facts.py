"""What the doctor asks of an S3 server: what a browser gets there, and what a bucket's rules delete."""

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from labelloop.errors import StoreUnavailable
from labelloop.ports import BrowserView

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

NO_RULES = "NoSuchLifecycleConfiguration"


def view(url: str, *, origin: str, ca_file: str | None, timeout_s: float) -> BrowserView:
    """What a page of `origin` gets for `url`; the body isn't read.

    Raises:
        StoreUnavailable: nothing answers there.
    """
    import ssl

    import httpx

    parts = urlsplit(url)
    local = parts.hostname in {"127.0.0.1", "localhost", "::1"}
    verify = ssl.create_default_context(cafile=ca_file) if ca_file else True
    try:
        with (
            httpx.Client(timeout=timeout_s, verify=verify, trust_env=not local) as client,
            client.stream("GET", url, headers={"Origin": origin}) as answer,
        ):
            return BrowserView(
                status=answer.status_code,
                content_type=answer.headers.get("content-type", ""),
                allowed_origin=answer.headers.get("access-control-allow-origin"),
                modified_at=_instant(answer.headers.get("last-modified")),
                served_at=_instant(answer.headers.get("date")),
            )
    except (httpx.HTTPError, httpx.InvalidURL) as exc:
        # the whole URL is a signed one, and stays out of messages
        raise StoreUnavailable(
            f"nothing answers at {parts.scheme}://{parts.netloc}: {exc or type(exc).__name__}",
            remedy="check public_endpoint_url in [store], and what stands between",
        ) from exc


def retention(client: "S3Client", bucket: str, key: str) -> timedelta | None:
    """After how long a rule of the bucket deletes what lies at or below `key`; None: no rule does.

    Rules that ask for tags, sizes or a date are left out: they speak of some objects, or of one day.
    """
    from botocore.exceptions import ClientError

    try:
        rules = client.get_bucket_lifecycle_configuration(Bucket=bucket).get("Rules", [])
    except ClientError as exc:
        if exc.response.get("Error", {}).get("Code") == NO_RULES:
            return None
        raise
    days = [d for rule in rules if (d := _days(rule, key)) is not None]
    return timedelta(days=min(days)) if days else None


def _days(rule: Mapping[str, object], key: str) -> int | None:
    expiration, narrowed = rule.get("Expiration"), rule.get("Filter")
    if rule.get("Status") != "Enabled" or not isinstance(expiration, Mapping):
        return None
    chosen = narrowed if isinstance(narrowed, Mapping) else {}
    if chosen.keys() - {"Prefix"}:
        return None
    prefix = str(chosen.get("Prefix", rule.get("Prefix", "")) or "")
    days = expiration.get("Days")
    # a rule on a folder inside of `key` deletes part of what lies below
    return days if isinstance(days, int) and _meet(prefix, key) else None


def _meet(prefix: str, key: str) -> bool:
    return key.startswith(prefix) or prefix.startswith(key)


def _instant(date: str | None) -> datetime | None:
    try:
        return parsedate_to_datetime(date).astimezone(UTC) if date else None
    except ValueError:
        return None
