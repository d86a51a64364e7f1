"""Signed links to the objects of a bucket, at two hashes each.

AWS Signature Version 4 (docs.aws.amazon.com/IAM/latest/UserGuide/reference_sigv-create-signed-request.html).
What all links of a second share is made once; botocore makes it anew for each. A test holds the links to
botocore's.
"""

import hashlib
import hmac
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING
from urllib.parse import quote, urlencode, urlsplit

if TYPE_CHECKING:
    from botocore.credentials import ReadOnlyCredentials
    from mypy_boto3_s3 import S3Client

ALGORITHM = "AWS4-HMAC-SHA256"
SECOND = timedelta(seconds=1)


def bucket_url(client: "S3Client", bucket: str) -> str:
    """The URL below which a bucket's keys lie, as the client addresses it.

    Raises:
        BotoCoreError: there are no credentials, or the bucket can have no such name.
    """
    url = client.generate_presigned_url("get_object", Params={"Bucket": bucket, "Key": "k"})
    return url.partition("?")[0].removesuffix("k")


def quoted(key: str) -> str:
    """A key as the path of a URL."""
    return quote(key, safe="/-_.~")


class LinkSigner:
    """Makes signed links to the objects of one bucket; they live for `life_s` seconds."""

    def __init__(
        self, *, base: str, life_s: int, credentials: "ReadOnlyCredentials", region: str
    ) -> None:
        self._parts = urlsplit(base)
        self._life_s = life_s
        self._credentials = credentials
        self._region = region
        self._signed_at = datetime.min.replace(tzinfo=UTC)

    def link(self, key: str) -> str:
        """The link to a key."""
        now = _now()
        if not self._signed_at <= now < self._signed_at + SECOND:
            self._sign_anew(now.replace(microsecond=0))
        path = self._parts.path + quoted(key)
        request = hashlib.sha256(f"GET\n{path}\n{self._canonical}".encode()).hexdigest()
        signature = hmac.digest(self._key, f"{self._to_sign}{request}".encode(), "sha256").hex()
        server = f"{self._parts.scheme}://{self._parts.netloc}"
        return f"{server}{path}?{self._query}&X-Amz-Signature={signature}"

    def _sign_anew(self, at: datetime) -> None:
        self._signed_at = at
        instant = at.strftime("%Y%m%dT%H%M%SZ")
        scope = f"{instant[:8]}/{self._region}/s3/aws4_request"
        self._key = f"AWS4{self._credentials.secret_key}".encode()
        for part in scope.split("/"):
            self._key = hmac.digest(self._key, part.encode(), "sha256")
        self._to_sign = f"{ALGORITHM}\n{instant}\n{scope}\n"
        asked = {
            "X-Amz-Algorithm": ALGORITHM,
            "X-Amz-Credential": f"{self._credentials.access_key}/{scope}",
            "X-Amz-Date": instant,
            "X-Amz-Expires": str(self._life_s),
        }
        if self._credentials.token:
            asked["X-Amz-Security-Token"] = self._credentials.token
        asked["X-Amz-SignedHeaders"] = "host"
        self._query = urlencode(asked, quote_via=quote, safe="")
        self._canonical = f"{self._query}\nhost:{self._parts.netloc}\n\nhost\nUNSIGNED-PAYLOAD"


def _now() -> datetime:
    return datetime.now(UTC)
