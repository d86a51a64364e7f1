"""What an S3 server answers to a listing and to a question for tags, read from its XML."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from urllib.parse import parse_qsl, unquote_plus
from xml.etree import ElementTree

from labelloop.adapters.s3.curl import headers_of

CONTROL = bytes(set(range(32)) - set(b"\t\n\r"))
"""Characters that no XML may hold."""


@dataclass(frozen=True, slots=True)
class ListedObject:
    """An object of a listing; `tags` where the server tells them there, and there are any."""

    key: str
    etag: str
    size: int
    last_modified: datetime
    tags: Mapping[str, str] | None = None


@dataclass(frozen=True, slots=True)
class Page:
    """A page of a listing; the next one follows `after`, "" where this is the last.

    `after` is a token of the server's, or, if `by_key`, the last key: the token couldn't be read.
    """

    entries: list[ListedObject]
    after: str
    by_key: bool = False


def page_of(body: bytes) -> Page | None:
    """The page that an answer holds; None where it is no whole and plain one."""
    root = _root(body, "ListBucketResult")
    mended = root is None
    if mended:
        # Ceph's gateway writes the token unquoted, though a key with such characters may be in it
        root = _root(body.translate(None, CONTROL), "ListBucketResult")
    if root is None:
        return None
    known: dict[str, str] = {}
    entries: list[ListedObject] = []
    try:
        for child in root:
            name = _name(child)
            if name == "Contents":
                said = {_name(part): part.text or "" for part in child}
                entries.append(
                    ListedObject(
                        said["Key"],
                        said["ETag"].strip('"'),
                        int(said["Size"]),
                        datetime.fromisoformat(said["LastModified"]).astimezone(UTC),
                        _listed_tags(said.get("UserTags", "")),
                    )
                )
            else:
                known[name] = child.text or ""
    except (KeyError, ValueError, OverflowError):
        return None
    if "Name" not in known or "IsTruncated" not in known:
        return None
    after = ""
    if known["IsTruncated"] == "true":
        after = known.get("NextContinuationToken", "")
        if not after:
            return None
    quoted = known.get("EncodingType") == "url"
    if quoted:
        entries = [replace(e, key=unquote_plus(e.key)) for e in entries]
    if mended and not (quoted and entries):
        return None  # something else may have been in the keys
    return Page(entries, entries[-1].key if mended and after else after, by_key=mended)


def _listed_tags(said: str) -> Mapping[str, str] | None:
    """The tags of a listing's entry, "key=value&..." as in a query; None where there are none.

    MinIO's listings with metadata have them (`UserTags`), where the caller may read them: nothing there
    can mean either.
    """
    return dict(parse_qsl(said, keep_blank_values=True, strict_parsing=True)) if said else None


def entry_of(key: str, head: bytes) -> ListedObject | None:
    """The object that the head of an answer describes; None where it doesn't."""
    said = headers_of(head)
    try:
        return ListedObject(
            key,
            etag_of(said["etag"]),
            int(said["content-length"]),
            parsedate_to_datetime(said["last-modified"]).astimezone(UTC),
        )
    except (KeyError, ValueError, OverflowError):
        return None


def etag_of(said: str) -> str:
    """The ETag of an answer without quotes; a proxy that packs answers calls it weak.

    >>> etag_of('"0f1e"'), etag_of('W/"0f1e"')
    ('0f1e', '0f1e')
    """
    return said.removeprefix("W/").strip('"')


def tags_of(body: bytes) -> Mapping[str, str] | None:
    """The tags that an answer holds; None where it is no whole and plain one."""
    root = _root(body, "Tagging")
    if root is None or len(root) != 1 or _name(root[0]) != "TagSet":
        return None
    tags: dict[str, str] = {}
    for tag in root[0]:
        said = {_name(part): part.text or "" for part in tag}
        if said.keys() != {"Key", "Value"}:
            return None
        tags[said["Key"]] = said["Value"]
    return tags


def _root(body: bytes, name: str) -> ElementTree.Element | None:
    try:
        root = ElementTree.fromstring(body)  # noqa: S314  expat bounds entities; botocore reads so too
    except (ElementTree.ParseError, ValueError):
        return None
    return root if _name(root) == name else None


def _name(element: ElementTree.Element) -> str:
    return element.tag.rpartition("}")[2]
