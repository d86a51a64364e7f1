"""boto3's sessions and clients for an S3 server, and the credentials that they find."""

import os
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from difflib import get_close_matches
from pathlib import Path
from typing import TYPE_CHECKING, Any

from labelloop.adapters.http.loopback import is_loopback
from labelloop.adapters.http.redaction import redact_logs
from labelloop.adapters.s3.access import DEFAULT_REGION, S3Access, aws_files
from labelloop.adapters.s3.errors import Request, translated
from labelloop.adapters.s3.requests import limit_answers
from labelloop.errors import ConfigError

if TYPE_CHECKING:
    import boto3
    from mypy_boto3_s3 import S3Client


def session_of(access: S3Access) -> "boto3.Session":
    """A boto3 session; nothing is asked over the network yet.

    Raises:
        ConfigError: a profile that isn't there, or files of AWS's tools that can't be read.
    """
    import boto3
    from botocore import exceptions

    try:
        session = boto3.Session(
            aws_access_key_id=access.access_key,
            aws_secret_access_key=access.secret_key,
            aws_session_token=access.session_token,
            profile_name=access.profile,
            region_name=access.region,
        )
        if session.region_name is None:
            session = session_of(replace(access, region=DEFAULT_REGION))
    except exceptions.ProfileNotFound as exc:
        raise _unknown_profile(access) from exc
    except (exceptions.ConfigParseError, exceptions.InvalidConfigError) as exc:
        raise ConfigError(
            f"the settings of AWS's tools can't be read: {exc}", remedy="mend that file"
        ) from exc
    return session


def client_of(
    access: S3Access,
    session: "boto3.Session",
    url: str | None,
    *,
    workers: int = 10,
    connect_timeout_s: float = 5.0,
    read_timeout_s: float = 30.0,
) -> "S3Client":
    """A client of the server at `url`; None is AWS. It tries nothing twice: `Asking` does.

    Raises:
        ConfigError: a URL or CA file that can't be one.
    """
    from botocore import exceptions
    from botocore.config import Config

    if access.ca_file is not None and not Path(access.ca_file).is_file():
        raise ConfigError(
            f"ca_file {access.ca_file!r} does not exist", remedy="check [store] ca_file"
        )
    proxies = {"http": access.proxy, "https": access.proxy} if access.proxy else None
    if proxies is None and url and is_loopback(url):
        proxies = {}
    # Signed links to AWS must name the region's host: the global one redirects, which browsers
    # follow with a signature for another host.
    by_host = access.addressing == "virtual" or (access.addressing == "auto" and url is None)
    config = Config(
        signature_version="s3v4",
        s3={"addressing_style": "virtual" if by_host else "path"},
        max_pool_connections=workers,
        connect_timeout=connect_timeout_s,
        read_timeout=read_timeout_s,
        retries={"mode": "standard", "total_max_attempts": 1},
        # Newer checksums by default: many S3-compatible servers refuse them.
        request_checksum_calculation="when_required",
        response_checksum_validation="when_required",
        proxies=proxies,
    )
    try:
        client = session.client("s3", endpoint_url=url, config=config, verify=access.ca_file)
    except exceptions.ProfileNotFound as exc:
        raise _unknown_profile(access) from exc
    except ValueError as exc:
        raise ConfigError(
            f"{url!r} can't be an S3 endpoint",
            remedy="write it with http:// or https://, a host and, where needed, a port",
        ) from exc
    client.meta.events.register("before-call.s3.HeadBucket", _follow_no_further)
    redact_logs()
    limit_answers(client, read_timeout_s)
    return client


def resolved(access: S3Access, *, required: bool = True) -> S3Access:
    """The same access with the keys that the chain finds now, for what can't ask it.

    The role of a container or machine stays unresolved: its keys change within hours, and
    whoever reads them afresh outlives that.

    Raises:
        StoreDenied: there are no credentials, though `required`, or they can't be fetched.
    """
    from botocore.exceptions import NoCredentialsError

    session = session_of(access)
    with translated(Request(doing="reading credentials", access=access)):
        credentials = session.get_credentials()
        if credentials is None and required:
            raise NoCredentialsError
        passing = expires_at(credentials) is not None and access.profile is None
        if credentials is None or passing:
            return replace(access, region=session.region_name)
        found = credentials.get_frozen_credentials()
    return replace(
        access,
        access_key=found.access_key,
        secret_key=found.secret_key,
        session_token=found.token,
        region=session.region_name,
    )


def expires_at(credentials: object) -> datetime | None:
    """When temporary credentials that renew themselves lapse; None for lasting ones."""
    # botocore has no public name for it; a test with a real credential_process watches it.
    found = getattr(credentials, "_expiry_time", None)
    return found.astimezone(UTC) if isinstance(found, datetime) else None


def link_life(session: "boto3.Session", life: timedelta, now: datetime) -> timedelta:
    """How long a link signed now works: no longer than the credentials that sign it."""
    credentials = session.get_credentials()
    if credentials is None:
        return life
    credentials.get_frozen_credentials()  # renews those that are about to lapse
    end = expires_at(credentials)
    return life if end is None else max(timedelta(seconds=1), min(life, end - now))


def _follow_no_further(context: "dict[str, Any]", **_: object) -> None:
    """Let botocore's own question where a bucket lies not be sent on: it would ask without an end."""
    context.setdefault("s3_redirect", {})["redirected"] = True


def _unknown_profile(access: S3Access) -> ConfigError:
    import botocore.session

    named = access.profile or os.environ.get("AWS_PROFILE", "")
    where = "[store] profile" if access.profile else "AWS_PROFILE"
    known = botocore.session.Session(profile="default").available_profiles
    near = get_close_matches(named, known, n=1, cutoff=0.5)
    hint = f"did you mean {near[0]!r}? " if near else ""
    listed = f"there are {', '.join(map(repr, known))}" if known else "there are none"
    return ConfigError(
        f"{where} is {named!r}, and {' and '.join(aws_files())} have no such profile",
        remedy=f"{hint}{listed}; `aws configure --profile NAME` makes one",
    )
