"""[store] and [store.tags]: where the inputs lie, and how their tags are called."""

import re
from datetime import timedelta
from hashlib import sha256
from itertools import pairwise
from pathlib import Path
from typing import Annotated, Literal
from urllib.parse import quote

from pydantic import Field, SecretStr

from labelloop.settings.values import (
    MAX_PRESIGN_LIFE,
    Duration,
    PlaceUri,
    Section,
    WebAddress,
    when_complete,
)


class TagSettings(Section):
    """How the application calls its tags. All other tags become attributes."""

    predicted_class: str = Field("predicted_class", description="The class the model predicted.")
    confidence: str = Field(
        "confidence", description="The model's confidence, from 0 to 1; may be missing."
    )
    timestamp: str = Field(
        "timestamp",
        description="The time of the prediction, in ISO 8601, with Z or an offset. Without either it "
        "counts as UTC.",
    )
    model: str = Field("model", description="The model's version; may be missing.")
    flagged: str = Field("flagged", description="`true` if a user flagged the prediction as wrong.")
    corrected_class: str = Field("corrected_class", description="The class a user says is right.")
    sampling_rate: str = Field(
        "sampling_rate",
        description="The share of traffic like this that the application logged, above 0, at most 1; may "
        "be missing, and is 1 then.",
    )
    shadow: str = Field(
        "shadow:",
        min_length=1,
        description="The beginning of a tag that holds a shadow model's prediction. The model's name "
        "follows: `shadow:v3`.",
    )


class StoreSettings(Section):
    """The S3-compatible bucket or the folder that holds the inputs. It may be read-only."""

    uri: PlaceUri = Field(
        description="A bucket, `s3://bucket` or `s3://bucket/prefix`, or a folder, `file:///path` or a "
        "path relative to this file."
    )
    was: list[PlaceUri] = Field(
        default_factory=list,
        description="Old names of the bucket or folder, if it was renamed. Inputs that were indexed "
        "under an old name are then found here.",
    )
    prefixes: list[str] = Field(
        default_factory=list,
        description="The folders below `uri` that hold inputs. Default: everything below `uri`.",
    )
    endpoint_url: WebAddress | None = Field(
        None, description="The URL of the server for labelloop. Default: AWS."
    )
    public_endpoint_url: WebAddress | None = Field(
        None,
        description="The URL of the server for annotators' browsers, if it differs. For a folder: the "
        "URL at which a web server serves it. Default: images of a folder are sent inside "
        "the tasks.",
    )
    access_key: SecretStr | None = Field(
        None,
        description="The access key. Default: the credentials that AWS's tools find in the "
        "environment, the profile or the role of the machine.",
    )
    secret_key: SecretStr | None = Field(None, description="The secret key.")
    session_token: SecretStr | None = Field(
        None, description="The session token that belongs to a temporary key."
    )
    profile: str | None = Field(
        None, min_length=1, description="A profile in `~/.aws`, instead of the keys."
    )
    region: str | None = Field(
        None,
        min_length=1,
        description="The region of the bucket. Default: the profile's region, or `us-east-1`.",
    )
    addressing: Literal["auto", "path", "virtual"] = Field(
        "auto",
        description="Where URLs have the name of the bucket: in the `path` or in the host name "
        "(`virtual`). `auto`: in the path if `endpoint_url` is set, in the host name at "
        "AWS.",
    )
    proxy: SecretStr | None = Field(
        None,
        description="The HTTP proxy to the server. Default: `HTTPS_PROXY` and similar variables.",
    )
    ca_file: Path | None = Field(
        None, description="A file of CA certificates, if the server has its own CA."
    )
    timeout: Duration = Field(
        timedelta(seconds=30),
        gt=timedelta(),
        description="How long the server may take to begin its answer. The server answers a copy of a "
        "large object only after making it.",
    )
    exclude: list[Annotated[str, Field(min_length=1)]] = Field(
        default_factory=list,
        description="Patterns of files that aren't inputs, in any folder: `*.txt`, `Thumbs.db`, "
        "`@eaDir/**`.",
    )
    confidence_divisor: float | None = Field(
        None,
        gt=0,
        description="The number by which confidences in tags are divided: 100 for percent, such as "
        "`44.5` or `44.5%`. If it is set (1 is allowed), a decimal comma counts as a point.",
    )
    presign_life: Duration = Field(
        timedelta(days=7), description="How long an image URL in a task works, at most 7 days."
    )
    blind_uri: PlaceUri | None = Field(
        None,
        description="A writable bucket or folder for the copies that blind queues show, because object "
        "keys often contain the predicted class.",
    )
    notifications: Path | None = Field(
        None,
        description="A file, or a folder of files, to which the bucket's notifications are written, "
        "one on each line. They replace most listings: see docs/how-to/notifications.md.",
    )
    list_every: Duration = Field(
        timedelta(days=7),
        gt=timedelta(),
        description="How often the bucket is still listed if `notifications` is set, because "
        "notifications can get lost.",
    )
    tags: TagSettings = Field(default_factory=lambda: TagSettings())

    @when_complete
    def _only_buckets_notify(self) -> None:
        if self.notifications is not None and self.is_folder:
            raise ValueError(
                f"notifications = {str(self.notifications)!r}: only buckets have any, and uri is a folder; "
                "leave it out"
            )

    @when_complete
    def _life_is_possible(self) -> None:
        if not timedelta(seconds=1) <= self.presign_life <= MAX_PRESIGN_LIFE:
            raise ValueError(
                f"presign_life is {self.presign_life}: S3 signatures last 1 second to 7 days"
            )

    @when_complete
    def _keys_fit_together(self) -> None:
        if (self.access_key is None) != (self.secret_key is None):
            raise ValueError("access_key and secret_key go together: give both, or neither")
        if self.profile is not None and self.access_key is not None:
            raise ValueError(
                "profile stands in place of access_key and secret_key: give one of them"
            )
        if self.session_token is not None and self.access_key is None:
            raise ValueError("session_token belongs to an access_key, which is missing")
        proxy = self.proxy.get_secret_value() if self.proxy else "http://none"
        if not re.match(r"https?://[^/\s]+", proxy):
            raise ValueError("proxy: expected a URL that begins with http:// or https://")

    @when_complete
    def _prefixes_are_apart(self) -> None:
        folders = sorted(f"{name.strip('/')}/" for name in self.prefixes)
        if "/" in folders:
            raise ValueError("a prefix is empty: name a folder below uri, such as 'images/'")
        if any(part in {".", ".."} for name in folders for part in name.split("/")):
            raise ValueError("a prefix holds . or ..: name a folder below uri")
        for outer, inner in pairwise(folders):
            if inner.startswith(outer):
                raise ValueError(f"prefix {inner!r} lies inside {outer!r}: it would count twice")

    @when_complete
    def _places_are_of_one_kind(self) -> None:
        if self.blind_uri and self.blind_uri.startswith("s3:") is self.is_folder:
            raise ValueError(
                "uri and blind_uri: one is a bucket and the other a folder; both must be of one kind. "
                "For inputs in a bucket name a second bucket, for those in a folder a second folder"
            )

    @when_complete
    def _was_another(self) -> None:
        for before in self.was:
            if before.startswith("s3:") is self.is_folder:
                raise ValueError(
                    f"was = {before!r}: uri is of another kind; expected one like {self.uri!r}"
                )
            if self.root_of(before) == self.root_of(self.uri):
                raise ValueError(f"was = {before!r} is what uri is: name what it was called before")

    def signed_by(self) -> str:
        """What tells the signer and the address of links from others, and neither of them."""
        key = self.access_key.get_secret_value() if self.access_key else self.profile or ""
        address = self.public_endpoint_url or self.endpoint_url or ""
        names = (key, address, self.region or "", self.addressing, self.root_of(self.uri))
        return sha256("\0".join(names).encode()).hexdigest()

    def root_of(self, uri: str) -> str:
        """The bucket of a uri, below which keys begin; of a folder the folder itself."""
        return uri.rstrip("/") if self.is_folder else "/".join(uri.split("/")[:3])

    @property
    def is_folder(self) -> bool:
        """Whether the inputs lie in a folder."""
        return self.uri.startswith("file:")

    def places(self) -> list[str]:
        """The uris that are listed."""
        names = [quote(name) if self.is_folder else name for name in self.prefixes]
        below = [f"{self.uri.rstrip('/')}/{name.strip('/')}" for name in names]
        return below or [self.uri]
