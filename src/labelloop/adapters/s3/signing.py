"""Signatures of requests to S3, and signed links, at two hashes each.

AWS Signature Version 4 (docs.aws.amazon.com/IAM/latest/UserGuide/reference_sigv-create-signed-request.html).
What all of a minute share is made once; botocore makes it anew for each. Tests hold every signature to
botocore's.
"""

import hashlib
import hmac
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING
from urllib.parse import quote, urlsplit

if TYPE_CHECKING:
    from botocore.credentials import ReadOnlyCredentials
    from mypy_boto3_s3 import S3Client

EMPTY = hashlib.sha256(b"").hexdigest()
ALGORITHM = "AWS4-HMAC-SHA256"
_LONG_AGO = datetime.min.replace(tzinfo=UTC)


def place_of(client: "S3Client", bucket: str) -> str:
    """The URL below which a bucket's keys lie, as the client addresses it.

    Raises:
        BotoCoreError: there are no credentials, or the bucket can have no such name.
    """
    url = client.generate_presigned_url("get_object", Params={"Bucket": bucket, "Key": "k"})
    return url.partition("?")[0].removesuffix("k")


def query(**parameters: str) -> str:
    """Parameters as a signature wants them: quoted, and in order."""
    named = {n.replace("_", "-"): v for n, v in parameters.items()}
    return "&".join(f"{n}={quote(named[n], safe='-_.~')}" for n in sorted(named))


class _Minute:
    """What signs in one minute: the key of its day, and the bucket's place in parts."""

    def __init__(self, base: str, credentials: "ReadOnlyCredentials", region: str) -> None:
        parts = urlsplit(base)
        self.path = parts.path
        self.server = base.removesuffix(parts.path)
        self.host = parts.netloc
        self.credentials = credentials
        self._region = region
        self._begin = self._end = _LONG_AGO

    def begin(self) -> bool:
        """Whether a new minute has begun; then the rest has to be made anew."""
        now = _now()
        if self._begin <= now < self._end:
            return False
        self._begin = now.replace(second=0, microsecond=0)
        self._end = self._begin + timedelta(minutes=1)
        self.at = now.strftime("%Y%m%dT%H%M%SZ")
        self.scope = f"{self.at[:8]}/{self._region}/s3/aws4_request"
        secret = f"AWS4{self.credentials.secret_key}".encode()
        for part in self.scope.split("/"):
            secret = hmac.digest(secret, part.encode(), "sha256")
        self._key = secret
        self._prefix = f"{ALGORITHM}\n{self.at}\n{self.scope}\n"
        return True

    def signature(self, canonical: str) -> str:
        """The signature of a canonical request."""
        digest = hashlib.sha256(canonical.encode()).hexdigest()
        return hmac.digest(self._key, f"{self._prefix}{digest}".encode(), "sha256").hex()


class Signer:
    """Signs requests on one bucket with one query, in their headers. `base` is the bucket's place."""

    def __init__(
        self,
        *,
        base: str,
        query: str,
        credentials: "ReadOnlyCredentials",
        region: str,
        head: bool = False,
    ) -> None:
        self.base = base
        self.head = head
        self._minute = _Minute(base, credentials, region)
        self._method = "HEAD" if head else "GET"
        self._query = f"?{query}" if query else ""
        self._canonical_query = "&".join(p if "=" in p else f"{p}=" for p in query.split("&") if p)

    def signed(self, key: str) -> tuple[str, list[str]]:
        """The URL and the headers of the request for a key."""
        minute = self._minute
        if minute.begin():
            self._prepare()
        path = minute.path + quote(key, safe="/-_.~")
        signature = minute.signature(f"{self._method}\n{path}\n{self._canonical}")
        url = f"{minute.server}{path}{self._query}"
        return url, [f"{self._authorization}{signature}", *self._headers]

    def _prepare(self) -> None:
        minute = self._minute
        headers = {"host": minute.host, "x-amz-content-sha256": EMPTY, "x-amz-date": minute.at}
        if minute.credentials.token:
            headers["x-amz-security-token"] = minute.credentials.token
        names = ";".join(headers)
        lines = "".join(f"{name}:{value}\n" for name, value in headers.items())
        self._canonical = f"{self._canonical_query}\n{lines}\n{names}\n{EMPTY}"
        self._headers = [f"{n}: {v}" for n, v in headers.items() if n != "host"]
        self._authorization = (
            f"Authorization: {ALGORITHM} Credential={minute.credentials.access_key}/{minute.scope}, "
            f"SignedHeaders={names}, Signature="
        )


class Links:
    """Makes signed links to the objects of one bucket; they live for `life_s` seconds."""

    def __init__(
        self, *, base: str, life_s: int, credentials: "ReadOnlyCredentials", region: str
    ) -> None:
        self._minute = _Minute(base, credentials, region)
        self._life_s = life_s

    def link(self, key: str) -> str:
        """The link to a key."""
        minute = self._minute
        if minute.begin():
            self._prepare()
        path = minute.path + quote(key, safe="/-_.~")
        signature = minute.signature(f"GET\n{path}\n{self._canonical}")
        return f"{minute.server}{path}?{self._query}&X-Amz-Signature={signature}"

    def _prepare(self) -> None:
        minute = self._minute
        credentials = minute.credentials
        asked = {
            "X_Amz_Algorithm": ALGORITHM,
            "X_Amz_Credential": f"{credentials.access_key}/{minute.scope}",
            "X_Amz_Date": minute.at,
            "X_Amz_Expires": str(self._life_s),
            "X_Amz_SignedHeaders": "host",
        }
        if credentials.token:
            asked["X_Amz_Security_Token"] = credentials.token
        self._query = query(**asked)
        self._canonical = f"{self._query}\nhost:{minute.host}\n\nhost\nUNSIGNED-PAYLOAD"


def _now() -> datetime:
    return datetime.now(UTC)
