"""How Label Studio is reached: its address, its token and whom to trust, checked before use."""

import base64
import json
import re
import ssl
from datetime import UTC, datetime

from labelloop.errors import AnnotatorDenied, AnnotatorError


def ssl_context(ca_file: str | None) -> ssl.SSLContext | bool:
    """What httpx is to verify certificates with: those of `ca_file`, or the system's."""
    if ca_file is None:
        return True
    try:
        return ssl.create_default_context(cafile=ca_file)
    except (OSError, ssl.SSLError) as exc:
        raise AnnotatorError(
            f"ca_file {ca_file} can't be read: {exc}", remedy="name a file of PEM certificates"
        ) from exc


def checked_url(url: str) -> str:
    """`url` without what an address of Label Studio can't have, and without a slash at its end."""
    import httpx

    wanted = "write it as http://host:port or https://host/path"
    try:
        parsed = httpx.URL(url.strip())
    except httpx.InvalidURL as exc:
        raise AnnotatorError(f"[label_studio] url is no URL: {exc}", remedy=wanted) from exc
    if parsed.userinfo:
        raise AnnotatorError("[label_studio] url holds a user or password", remedy=wanted)
    if parsed.scheme not in {"http", "https"} or not parsed.host:
        raise AnnotatorError(f"[label_studio] url is no http URL: {url!r}", remedy=wanted)
    return str(parsed.copy_with(query=None, fragment=None)).rstrip("/")


def project_page(address: str, project_ref: str) -> str:
    """Where a person opens a project of the Label Studio at `address`."""
    return f"{address}/projects/{project_ref}/data"


def task_page(address: str, project_ref: str, remote_id: str) -> str:
    """Where a person opens a task of the Label Studio at `address`."""
    return f"{project_page(address, project_ref)}?task={remote_id}"


def checked_key(api_key: str) -> str:
    """`api_key`, fit for a header: a wrong one must not turn up in an error of the HTTP library."""
    key = api_key.strip()
    if not key or not re.fullmatch(r"[!-~]+", key):
        raise AnnotatorDenied(
            "the token of Label Studio is empty, or contains characters that a token can't have",
            remedy="copy the token again from Account & Settings in Label Studio",
        )
    return key


def token_expiry(personal_token: str) -> datetime | None:
    """Until when a personal access token works, as it says itself; None where it doesn't."""
    try:
        payload = personal_token.split(".")[1]
        claims = json.loads(base64.urlsafe_b64decode(payload + "=" * (-len(payload) % 4)))
        return datetime.fromtimestamp(claims["exp"], UTC)
    except (ValueError, KeyError, IndexError, TypeError, OverflowError):
        return None
