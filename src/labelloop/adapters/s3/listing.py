"""What lies in a bucket: its current objects page by page, what else is there, old versions."""

from collections.abc import Iterable, Iterator
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from datetime import UTC
from difflib import get_close_matches
from functools import partial
from itertools import islice
from typing import TYPE_CHECKING, Any, TypeVar
from urllib.parse import quote, urlencode

from labelloop.adapters.s3.answers import ListedObject, Page, page_of
from labelloop.adapters.s3.errors import Request
from labelloop.adapters.s3.parallel_requests import ParallelRequests
from labelloop.adapters.s3.retries import Retries
from labelloop.errors import StoreDenied

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

T = TypeVar("T")
NAMES_SHOWN = 8
AT_ONCE = 8


class Listing:
    """What lies in one bucket, as `client` lists it; `request` names the bucket."""

    def __init__(self, ask: Retries, client: "S3Client", request: Request) -> None:
        self._ask = ask
        self._client = client
        self._request = request

    def pages(
        self, prefix: str, *, parallel: ParallelRequests | None = None, with_tags: bool = False
    ) -> Iterator[Page]:
        """The pages of the listing of `prefix`: each key's current version, none that is deleted.

        parallel
            asks for plain pages, which takes less time
        with_tags
            asks for what MinIO alone gives
        """
        page = Page([], "")
        while True:
            found = parallel and _plain_page(parallel, prefix, page, with_tags)
            page = found or self._ask(self._request, partial(self._page, prefix, page))
            yield page
            if not page.after:
                return

    def _page(self, prefix: str, before: Page) -> Page:
        name = "StartAfter" if before.by_key else "ContinuationToken"
        token: Any = {name: before.after} if before.after else {}
        said = self._client.list_objects_v2(Bucket=self._request.bucket, Prefix=prefix, **token)
        if "Name" not in said and "KeyCount" not in said:
            # A well-formed page of something else parses as an empty listing.
            raise self._request.not_s3()
        more = bool(said.get("IsTruncated"))
        if more and "NextContinuationToken" not in said:
            raise self._request.not_s3()  # ending here would pass a part off as the whole
        entries = [
            ListedObject(
                entry["Key"],
                entry["ETag"].strip('"'),
                entry["Size"],
                entry["LastModified"].astimezone(UTC),
            )
            for entry in said.get("Contents", ())
        ]
        return Page(entries, said["NextContinuationToken"] if more else "")

    def refuse_wrong_prefix(self, prefix: str) -> None:
        """Return where the bucket is empty.

        Raises:
            StoreDenied: it isn't: it says what stands where the prefix was looked for.
        """
        above = prefix
        bucket = self._request.bucket
        while above:
            above = above.rstrip("/").rpartition("/")[0]
            above = f"{above}/" if above else ""
            look = partial(self._client.list_objects_v2, Bucket=bucket, Prefix=above, Delimiter="/")
            page = self._ask(self._request, look)
            names = [common["Prefix"] for common in page.get("CommonPrefixes", ())]
            if names or page.get("Contents"):
                raise nothing_below(f"s3://{bucket}", prefix, above, names)


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


def _plain_page(
    parallel: ParallelRequests, prefix: str, before: Page, with_tags: bool
) -> Page | None:
    """A page where all is well; None leaves it to boto3, which knows what else may come."""
    asked = {"encoding-type": "url", "list-type": "2", "prefix": prefix}
    if before.after:
        asked["start-after" if before.by_key else "continuation-token"] = before.after
    if with_tags:
        asked["metadata"] = "true"
    for answer in parallel([""], urlencode(asked, quote_via=quote, safe="")):
        return page_of(answer.body)
    return None


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


def delete_versions(ask: Retries, client: "S3Client", request: Request) -> None:
    """Delete every version of the object of a request, and its delete markers."""

    def delete_them() -> None:
        pages = client.get_paginator("list_object_versions")
        for page in pages.paginate(Bucket=request.bucket, Prefix=request.key or ""):
            for held in [*page.get("Versions", ()), *page.get("DeleteMarkers", ())]:
                if held["Key"] == request.key:
                    client.delete_object(**request.at, VersionId=held["VersionId"])

    ask(request, delete_them)
