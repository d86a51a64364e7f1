"""boto3's sessions and clients for an S3 server, and the credentials that they find."""

import os
from bisect import bisect_left
from dataclasses import replace
from datetime import timedelta
from difflib import get_close_matches
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

from labelloop.adapters.http.redaction import redact_logs
from labelloop.adapters.s3.access import DEFAULT_REGION, S3Access, aws_files
from labelloop.adapters.s3.curl import ConnectionOptions, Transport
from labelloop.adapters.s3.errors import Request, translated
from labelloop.errors import ConfigError

if TYPE_CHECKING:
    import boto3
    from mypy_boto3_s3 import S3Client


def session_of(access: S3Access) -> "boto3.Session":
    """A boto3 session; nothing is asked over the network yet.

    Raises:
        ConfigError: a profile that isn't there, files of AWS's tools that can't be read, or the
            extra `s3` isn't installed.
    """
    missing = [name for name in ("boto3", "pycurl") if find_spec(name) is None]
    if missing:
        raise ConfigError(
            f"a bucket needs {' and '.join(missing)}, which aren't installed",
            remedy="install the extra `s3`: pip install 'labelloop[s3]'",
        )
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
            f"the settings of AWS's tools can't be read: {exc}", remedy="correct that file"
        ) from exc
    return session


def client_of(access: S3Access, session: "boto3.Session", url: str | None) -> "S3Client":
    """A client of the server at `url`; None is AWS. It tries nothing twice: `Retries` does.

    Raises:
        ConfigError: a URL or CA file that can't be one.
    """
    from botocore import exceptions
    from botocore.config import Config

    if access.ca_file is not None and not Path(access.ca_file).is_file():
        raise ConfigError(
            f"ca_file {access.ca_file!r} does not exist", remedy="check [store] ca_file"
        )
    # Signed links to AWS must name the region's host: the global one redirects, which browsers
    # follow with a signature for another host.
    by_host = access.addressing == "virtual" or (access.addressing == "auto" and url is None)
    config = Config(
        signature_version="s3v4",
        s3={"addressing_style": "virtual" if by_host else "path"},
        retries={"mode": "standard", "total_max_attempts": 1},
        # Newer checksums by default: many S3-compatible servers refuse them.
        request_checksum_calculation="when_required",
        response_checksum_validation="when_required",
    )
    try:
        client = session.client("s3", endpoint_url=url, config=config)
    except exceptions.ProfileNotFound as exc:
        raise _unknown_profile(access) from exc
    except ValueError as exc:
        raise ConfigError(
            f"{url!r} can't be an S3 endpoint",
            remedy="write http:// or https://, a host and, if needed, a port",
        ) from exc
    client.meta.events.register("before-call.s3.HeadBucket", _follow_no_further)
    redact_logs()
    reach = ConnectionOptions.of(access, client.meta.endpoint_url)
    client.meta.events.register(
        "before-send.s3",
        Transport(reach, access.read_timeout_s),  # type: ignore[arg-type]  # the stubs know no answer
    )
    return client


def resolved(access: S3Access, *, required: bool = True) -> S3Access:
    """The same access with the keys that the chain finds now, for what can't ask it.

    The role of a container or machine stays unresolved: its keys change within hours, and
    whoever reads them afresh outlives that.

    Raises:
        StoreDenied: there are no credentials, though `required`, or they can't be fetched.
    """
    session = session_of(access)
    from botocore.credentials import RefreshableCredentials
    from botocore.exceptions import NoCredentialsError

    with translated(Request(doing="reading credentials", access=access)):
        credentials = session.get_credentials()
        if credentials is None and required:
            raise NoCredentialsError
        passing = isinstance(credentials, RefreshableCredentials) and access.profile is None
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


def link_life(session: "boto3.Session", life: timedelta) -> timedelta:
    """How long a link signed now works: no longer than the credentials that sign it."""
    from botocore.credentials import RefreshableCredentials

    credentials = session.get_credentials()
    if not isinstance(credentials, RefreshableCredentials):
        return life
    credentials.get_frozen_credentials()  # renews those that are about to lapse
    # It tells when it lapses only by whether that is within so many seconds.
    seconds = range(1, int(life.total_seconds()) + 1)
    left_s = bisect_left(seconds, True, key=credentials.refresh_needed)
    return timedelta(seconds=max(1, left_s))


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
