"""How an S3 server is reached, and as whom: keys, a profile, or what AWS's chain finds."""

import os
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Literal

Addressing = Literal["auto", "path", "virtual"]

DEFAULT_REGION = "us-east-1"


@dataclass(frozen=True, slots=True, kw_only=True)
class S3Access:
    """How an S3 server is reached, and as whom.

    Without keys the chain of AWS's own tools decides: the environment, the profile (`profile`, or
    AWS_PROFILE, or "default") in the files below ~/.aws, then the role of the container or machine.
    Without `endpoint_url` the server is AWS itself. `addressing` "auto" puts the bucket into the
    path at an `endpoint_url`, and into the host name at AWS.
    """

    endpoint_url: str | None = None
    access_key: str | None = field(default=None, repr=False)
    secret_key: str | None = field(default=None, repr=False)
    session_token: str | None = field(default=None, repr=False)
    profile: str | None = None
    region: str | None = None
    addressing: Addressing = "auto"
    proxy: str | None = field(default=None, repr=False)
    ca_file: str | None = None
    connect_timeout_s: float = 5.0
    read_timeout_s: float = 30.0

    def looked_for(self) -> Sequence[str]:
        """Where credentials were looked for, in the order of looking."""
        if self.access_key:
            return ["access_key in [store]"]
        profile = self.profile or os.environ.get("AWS_PROFILE") or "default"
        places = ["access_key in [store]"]
        if not self.profile:
            places.append("AWS_ACCESS_KEY_ID")
        places.append(f"profile {profile!r} in {' and '.join(aws_files())}")
        return [*places, "the role of this container or machine"]


def aws_files() -> list[str]:
    """The files in which AWS's tools keep profiles, as this environment names them."""
    named = {
        "AWS_SHARED_CREDENTIALS_FILE": "~/.aws/credentials",
        "AWS_CONFIG_FILE": "~/.aws/config",
    }
    return [os.environ.get(name) or usual for name, usual in named.items()]
