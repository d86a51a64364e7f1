"""Copies of evaluation inputs that their hashes don't tell: uploads in parts, compared by their bytes.

The ETag of an upload in parts depends on the parts, so two of one content may differ, and differ from
that of an upload as a whole, which is the MD5 of its bytes. An upload in parts that has the size of an
evaluation input, or is one, is read once, and its MD5 kept.
"""

import re
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from hashlib import md5
from itertools import groupby

from labelloop.errors import LabelloopError
from labelloop.ports.log import SameSize

READ_AT_MOST = 500
"""So many inputs are read in one build; what is left stays out until a later one."""

LISTED_AT_MOST = 100_000
_IN_PARTS = re.compile(r"[0-9a-f]{32}-\d+")
_WORKERS = 16

Read = Callable[[str, str], bytes]
"""The bytes at a uri whose content hash, as the log has it, is the second argument."""


@dataclass(frozen=True, slots=True)
class Compared:
    """What comparing by bytes found.

    walled
        the content hashes of copies of an evaluation input, and of what may be one
    read
        the MD5 of what was read, by the name of its content
    """

    walled: frozenset[str]
    read: Mapping[str, str]


def name_of(content: SameSize) -> str:
    """What the hash of a content's bytes is kept under."""
    return f"{content.content_hash} of {content.size_bytes} bytes"


def compared(contents: Sequence[SameSize], known: Mapping[str, str], read: Read) -> Compared:
    """Compare contents with the evaluation inputs (`named`) of their size.

    contents
        ordered by size
    known
        hashes of bytes by name, from earlier builds
    """
    sizes = [list(several) for _, several in groupby(contents, key=lambda c: c.size_bytes)]
    sizes = [of_size for of_size in sizes if len({c.named for c in of_size}) > 1]
    in_parts = {
        name_of(c): c
        for of_size in sizes
        for c in sorted(of_size, key=lambda c: not c.named)
        if _IN_PARTS.fullmatch(c.content_hash)
    }
    unknown = [c for name, c in in_parts.items() if name not in known][:READ_AT_MOST]
    with ThreadPoolExecutor(_WORKERS, thread_name_prefix="same-content") as pool:
        hashes = list(pool.map(lambda c: _hash(c, read), unknown))
    found = {name_of(c): h for c, h in zip(unknown, hashes, strict=True) if h is not None}
    by_name = {**known, **found}

    def of_bytes(c: SameSize) -> str | None:
        return by_name.get(name_of(c)) if name_of(c) in in_parts else c.content_hash

    walled: set[str] = set()
    for of_size in sizes:
        judges = {of_bytes(c) for c in of_size if c.named}
        for c in of_size:
            own = of_bytes(c)
            # what couldn't be read, or wasn't yet, may be a copy
            if not c.named and (own is None or own in judges or None in judges):
                walled.add(c.content_hash)
    return Compared(frozenset(walled), found)


def _hash(content: SameSize, read: Read) -> str | None:
    try:
        body = read(content.uri, content.content_hash)
    except LabelloopError:
        return None
    return md5(body, usedforsecurity=False).hexdigest()
