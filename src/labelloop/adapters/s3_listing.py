"""What lies in a bucket: its current objects page by page, what else is there, old versions."""

from collections.abc import Iterator
from difflib import get_close_matches
from functools import partial
from typing import TYPE_CHECKING

from labelloop.adapters.s3_asking import Asking
from labelloop.adapters.s3_errors import Request
from labelloop.errors import StoreDenied

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client
    from mypy_boto3_s3.type_defs import ListObjectsV2OutputTypeDef

NAMES_SHOWN = 8


def pages(
    ask: Asking, client: "S3Client", request: Request, prefix: str
) -> Iterator["ListObjectsV2OutputTypeDef"]:
    """The pages of the listing of `prefix`: each key's current version, none that is deleted.

    Raises:
        StoreDenied: nothing lies below the prefix, though something lies in the bucket.
    """
    after = ""
    empty = True
    while True:
        page = ask(request, partial(_page, client, request.bucket, prefix, after))
        if "Name" not in page and "KeyCount" not in page:
            # A well-formed page of something else parses as an empty listing.
            raise request.not_s3()
        empty = empty and not page.get("Contents")
        yield page
        if not page.get("IsTruncated"):
            break
        if "NextContinuationToken" not in page:
            raise request.not_s3()  # ending here would pass a part off as the whole
        after = page["NextContinuationToken"]
    if empty and prefix:
        _refuse_wrong_prefix(ask, client, request, prefix)


def _page(client: "S3Client", bucket: str, prefix: str, after: str) -> "ListObjectsV2OutputTypeDef":
    if after:
        return client.list_objects_v2(Bucket=bucket, Prefix=prefix, ContinuationToken=after)
    return client.list_objects_v2(Bucket=bucket, Prefix=prefix)


def _refuse_wrong_prefix(ask: Asking, client: "S3Client", request: Request, prefix: str) -> None:
    """Raise what stands where the prefix was looked for; return where the bucket is empty."""
    above = prefix
    while above:
        above = above.rstrip("/").rpartition("/")[0]
        above = f"{above}/" if above else ""
        look = partial(client.list_objects_v2, Bucket=request.bucket, Prefix=above, Delimiter="/")
        page = ask(request, look)
        names = [common["Prefix"] for common in page.get("CommonPrefixes", ())]
        if names or page.get("Contents"):
            raise nothing_below(f"s3://{request.bucket}", prefix, above, names)


def nothing_below(place: str, prefix: str, above: str, names: list[str]) -> StoreDenied:
    """The error for a prefix that matches nothing, where `above` it there are folders `names`."""
    near = get_close_matches(prefix, names, n=1, cutoff=0.5)
    hint = f"did you mean {near[0]!r}? " if near else ""
    listed = ", ".join(map(repr, names[:NAMES_SHOWN])) or "no folders"
    more = " and others" if len(names) > NAMES_SHOWN else ""
    where = f"below {above!r}" if above else "in it"
    return StoreDenied(
        f"nothing lies below {prefix!r} in {place}; {where} there are {listed}{more}",
        remedy=f"{hint}correct uri or prefixes in [store]; where nothing has come in yet, put an "
        f"empty object named {prefix!r} there",
    )


def delete_versions(ask: Asking, client: "S3Client", request: Request, key: str) -> None:
    """Delete every version of the object at `key`, and its delete markers."""
    bucket = request.bucket

    def delete_them() -> None:
        for page in client.get_paginator("list_object_versions").paginate(
            Bucket=bucket, Prefix=key
        ):
            for held in [*page.get("Versions", ()), *page.get("DeleteMarkers", ())]:
                if held["Key"] == key:
                    client.delete_object(Bucket=bucket, Key=key, VersionId=held["VersionId"])

    ask(request, delete_them)
