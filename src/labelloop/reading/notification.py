"""What a bucket's notification names: objects that are new, or have other tags."""

import json
from collections.abc import Iterator, Mapping
from typing import Any
from urllib.parse import unquote_plus

SEAWEEDFS_BUCKETS = "/buckets/"
"""The folder of SeaweedFS's filer that holds the buckets."""

_QUOTING = frozenset({"aws:s3", "minio:s3"})
"""Servers whose records hold keys as a form does, "a+b" for "a b". Ceph's hold them as they are."""

_LONGEST_KEY = 1024
"""Bytes; servers refuse to look a longer one up."""

_WITH_KEYS = ("ObjectCreated:", "ObjectTagging:", "Object Created", "Object Tags ")


def named_in(text: str | bytes, bucket: str) -> list[str]:
    """The keys of `bucket` that a notification names, in its order.

    It is a record of S3, MinIO, Ceph and others (`Records`), also as SNS, SQS (`Message`, `Body`) and
    EventBridge (`detail`) wrap it, or an event of SeaweedFS's filer. Deletions name none. Where a server
    may write keys quoted or plain, both are named: whoever looks finds the one that is there.

    >>> named_in('{"Records": [{"eventSource": "aws:s3", "eventName": "ObjectCreated:Put", '
    ...          '"s3": {"bucket": {"name": "b"}, "object": {"key": "a+b%2B.png"}}}]}', "b")
    ['a b+.png']
    >>> named_in('{"event_type": "create", "key": "/buckets/b/x/a b+.png", '
    ...          '"message": {"new_entry": {"name": "a b+.png"}, "new_parent_path": "/buckets/b/x"}}', "b")
    ['x/a b+.png']

    Raises:
        ValueError: it is none of these.
    """
    try:
        return [key for found, key in _named(json.loads(text)) if found == bucket]
    except (AttributeError, KeyError, TypeError, RecursionError) as exc:
        raise ValueError(f"no notification that is known: {exc}") from exc


def _named(said: Any) -> Iterator[tuple[str, str]]:
    """The buckets and keys that are named."""
    if "Records" in said:
        for record in said["Records"]:
            yield from _of_record(record)
    elif "detail" in said:
        if said["detail-type"].startswith(_WITH_KEYS):
            # EventBridge alone doesn't quote the key
            yield _text(said["detail"]["bucket"]["name"]), _text(said["detail"]["object"]["key"])
    elif "event_type" in said:
        yield from _of_filer(said["message"])
    elif "Messages" in said:
        for message in said["Messages"]:
            yield from _named(message)
    elif "Message" in said or "Body" in said:
        yield from _named(json.loads(said.get("Message") or said["Body"]))
    elif said.get("Event") != "s3:TestEvent":
        raise KeyError("Records")


def _of_record(record: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    if record["eventName"].removeprefix("s3:").startswith(_WITH_KEYS):
        bucket, key = _text(record["s3"]["bucket"]["name"]), _text(record["s3"]["object"]["key"])
        quoted = record.get("eventSource") in _QUOTING
        if not quoted and len(key.encode()) <= _LONGEST_KEY:
            yield bucket, key
        try:
            plain = unquote_plus(key, errors="strict")
        except UnicodeDecodeError:
            if quoted:
                raise
            return
        if quoted or plain != key:
            yield bucket, plain


def _of_filer(message: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    entry = message.get("new_entry")
    if entry is None or entry.get("is_directory"):
        return
    path = f"{message['new_parent_path']}/{entry['name']}"
    bucket, _, key = path.removeprefix(SEAWEEDFS_BUCKETS).partition("/")
    if path.startswith(SEAWEEDFS_BUCKETS) and key:
        yield bucket, key


def _text(value: object) -> str:
    if not isinstance(value, str):
        raise TypeError(f"{value!r} is no text")
    return value
