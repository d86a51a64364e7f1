"""What lies in a bucket: its current objects page by page, what else is there, old versions."""

from collections.abc import Iterable, Iterator
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from datetime import UTC
from difflib import get_close_matches
from functools import partial
from itertools import islice
from typing import TYPE_CHECKING, Any, TypeVar
from urllib.parse import quote, urlencode

from labelloop.adapters.s3.answers import Entry, Page, page_of
from labelloop.adapters.s3.errors import Request
from labelloop.adapters.s3.gets import Gets
from labelloop.adapters.s3.requests import Asking
from labelloop.errors import StoreDenied

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

T = TypeVar("T")
NAMES_SHOWN = 8
AT_ONCE = 8


def pages(
    ask: Asking,
    client: "S3Client",
    gets: Gets,
    request: Request,
    prefix: str,
    *,
    with_tags: bool = False,
) -> Iterator[Page]:
    """The pages of the listing of `prefix`: each key's current version, none that is deleted.

    `with_tags` asks for what MinIO alone gives.

    Raises:
        StoreDenied: nothing lies below the prefix, though something lies in the bucket.
    """
    page = Page([], "")
    empty = True
    while True:
        before = page
        found = _plain_page(gets, prefix, before, with_tags)
        page = found or ask(request, partial(_page, client, request, prefix, before))
        empty = empty and not page.entries
        yield page
        if not page.after:
            break
    if empty and prefix:
        _refuse_wrong_prefix(ask, client, request, prefix)


def below(ask: Asking, client: "S3Client", request: Request, prefix: str) -> Iterator[list[Entry]]:
    """The objects whose keys begin with the prefix, in any bucket, page by page; none is no error."""
    page = Page([], "")
    while True:
        page = ask(request, partial(_page, client, request, prefix, page))
        yield page.entries
        if not page.after:
            return


def side_by_side(listings: Iterable[Iterator[T]]) -> Iterator[T]:
    """What the listings give, several read at once, each one page ahead; the first error ends all."""
    waiting = iter(listings)
    reading: dict[Future[T | None], Iterator[T]] = {}
    with ThreadPoolExecutor(AT_ONCE, thread_name_prefix="s3-listing") as pool:

        def read_on(listing: Iterator[T] | None) -> None:
            if listing is not None:
                reading[pool.submit(next, listing, None)] = listing

        for listing in islice(waiting, AT_ONCE):
            read_on(listing)
        while reading:
            for done in wait(reading, return_when=FIRST_COMPLETED).done:
                listing = reading.pop(done)
                page = done.result()
                read_on(next(waiting, None) if page is None else listing)
                if page is not None:
                    yield page


def tells_tags(client: "S3Client", bucket: str) -> bool:
    """Whether the server's listings can tell tags: MinIO's can, and it says its name.

    Only such a server is asked for them: another may take a parameter that it doesn't know for a mistake.
    """
    from botocore.exceptions import BotoCoreError, ClientError

    try:
        said = client.head_bucket(Bucket=bucket)["ResponseMetadata"]["HTTPHeaders"]
    except (BotoCoreError, ClientError):
        return False  # the listing says what is wrong
    return said.get("server", "").casefold().startswith("minio")


def _plain_page(gets: Gets, prefix: str, before: Page, with_tags: bool) -> Page | None:
    """A page where all is well; None leaves it to boto3, which knows what else may come."""
    asked = {"encoding-type": "url", "list-type": "2", "prefix": prefix}
    if before.after:
        asked["start-after" if before.by_key else "continuation-token"] = before.after
    if with_tags:
        asked["metadata"] = "true"
    for answer in gets([""], urlencode(asked, quote_via=quote, safe="")):
        return page_of(answer.body)
    return None


def _page(client: "S3Client", request: Request, prefix: str, before: Page) -> Page:
    name = "StartAfter" if before.by_key else "ContinuationToken"
    token: Any = {name: before.after} if before.after else {}
    said = client.list_objects_v2(Bucket=request.bucket, Prefix=prefix, **token)
    if "Name" not in said and "KeyCount" not in said:
        # A well-formed page of something else parses as an empty listing.
        raise request.not_s3()
    more = bool(said.get("IsTruncated"))
    if more and "NextContinuationToken" not in said:
        raise request.not_s3()  # ending here would pass a part off as the whole
    entries = [
        Entry(
            entry["Key"],
            entry["ETag"].strip('"'),
            entry["Size"],
            entry["LastModified"].astimezone(UTC),
        )
        for entry in said.get("Contents", ())
    ]
    return Page(entries, said["NextContinuationToken"] if more else "")


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
        f"{place} has no object below {prefix!r}; {where} it has {listed}{more}",
        remedy=f"{hint}correct uri or prefixes in [store]; if no input has arrived yet, create an "
        f"empty object named {prefix!r}",
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
