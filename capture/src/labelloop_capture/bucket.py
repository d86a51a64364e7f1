"""The bucket, as far as capturing needs it: inputs with tags, and files of a log."""

import io
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any
from urllib.parse import urlencode, urlsplit

from labelloop_capture.record import Prediction, Word

REFUSED = {"InvalidTag", "InvalidArgument", "EntityTooLarge", "KeyTooLongError", "InvalidRequest"}
"""Errors that the same request would meet again."""


class Refused(Exception):
    """The store will never take this."""


class Missing(Exception):
    """The sample isn't stored, or not yet."""


class Bucket:
    """One bucket; its client is made at first use, since botocore takes a fifth of a second to import."""

    def __init__(self, target: str, *, form: str, rows: str, client: Mapping[str, Any]) -> None:
        parts = urlsplit(target)
        if parts.scheme != "s3" or not parts.netloc:
            raise ValueError(f"target {target!r}: expected s3://BUCKET or s3://BUCKET/PREFIX")
        if form not in {"tags", "jsonl", "parquet"}:
            raise ValueError(f"form {form!r}: expected 'tags', 'jsonl' or 'parquet'")
        if form == "parquet":
            import pyarrow.parquet  # noqa: F401  its absence shows at once, not in the background
        self.name, self.form = parts.netloc, form
        self.prefix = parts.path.strip("/") + "/" if parts.path.strip("/") else ""
        self._rows = urlsplit(rows or f"s3://{self.name}/predictions")
        self._settings = dict(client)
        self._client: Any = None

    @property
    def client(self) -> Any:
        """The S3 client."""
        if self._client is None:
            import botocore.session
            from botocore.config import Config

            config = Config(
                connect_timeout=5,
                read_timeout=20,
                retries={"mode": "standard", "max_attempts": 2},
                request_checksum_calculation="when_required",  # other servers refuse the others
                max_pool_connections=16,
            )
            session = botocore.session.get_session()
            self._client = session.create_client("s3", **({"config": config} | self._settings))
        return self._client

    def store(self, one: Prediction) -> None:
        """Store an input; with its tags where those are the form."""
        tags = {"Tagging": urlencode(one.tags())} if self.form == "tags" else {}
        self._ask(
            "put_object",
            Bucket=self.name,
            Key=one.sample_id,
            Body=one.body,
            ContentType=one.content_type,
            **tags,
        )

    def say(self, word: Word) -> None:
        """Add what a user said to an object's tags: S3 replaces all of them at once.

        Raises:
            Missing: the object isn't there.
        """
        place = {"Bucket": self.name, "Key": word.sample_id}
        held = self._ask("get_object_tagging", **place)["TagSet"]
        tags = {tag["Key"]: tag["Value"] for tag in held} | word.tags()
        said = [{"Key": name, "Value": value} for name, value in tags.items()]
        self._ask("put_object_tagging", **place, Tagging={"TagSet": said})

    def store_rows(self, path: Path) -> None:
        """Store a file of rows under a key that follows from its name: twice is once."""
        day, _, own = path.stem.partition("_")
        lines = [line for line in path.read_bytes().splitlines() if line.endswith(b"}")]
        if self.form == "parquet":
            body, ending = _parquet(lines), "parquet"
        else:
            import gzip

            body, ending = gzip.compress(b"\n".join(lines) + b"\n", mtime=0), "jsonl.gz"
        prefix = self._rows.path.strip("/")
        self._ask(
            "put_object",
            Bucket=self._rows.netloc,
            Key=f"{prefix}/day={day}/{own}.{ending}".lstrip("/"),
            Body=body,
        )

    def _ask(self, method: str, **arguments: Any) -> Any:
        from botocore.exceptions import ClientError

        try:
            return getattr(self.client, method)(**arguments)
        except ClientError as exc:
            code = exc.response.get("Error", {}).get("Code", "")
            if code in REFUSED:
                raise Refused(str(exc)) from exc
            if code in {"NoSuchKey", "404"}:
                raise Missing(str(exc)) from exc
            raise


def _parquet(lines: list[bytes]) -> bytes:
    import pyarrow as pa
    import pyarrow.parquet as pq

    kinds = {
        "confidence": pa.float64(),
        "sampling_rate": pa.float64(),
        "flagged": pa.bool_(),
        "probabilities": pa.list_(pa.float64()),
    }
    rows = [json.loads(line) for line in lines]
    names = dict.fromkeys(name for row in rows for name in row)
    # a column that is empty in this file has no type of its own
    schema = pa.schema({name: kinds.get(name, pa.string()) for name in names})
    written = io.BytesIO()
    pq.write_table(pa.Table.from_pylist(rows, schema), written)
    return written.getvalue()
