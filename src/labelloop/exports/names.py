"""Safe names for classes and samples: whatever a name holds, its file stays inside the target."""

import re
import unicodedata
from collections import Counter
from collections.abc import Iterable, Sequence
from hashlib import blake2b
from pathlib import PurePosixPath

from labelloop.core.image_kind import ENDINGS, MEDIA_TYPES, kind_of

_LONGEST_BYTES = 150
"""Of a name; file systems take 255, and a hash and an ending stand beside it."""
_UNSAFE = re.compile(r'[\x00-\x1f\x7f-\x9f\u2028\u2029/\\:*?"<>|]|^[.~ -]+|[. ]+$')
_HASHED = re.compile(r"_.*-[0-9a-f]{16}", re.DOTALL)
_DEVICE = re.compile(r"(con|prn|aux|nul|com\d|lpt\d)(\..*)?", re.IGNORECASE)


def folder_names(labels: Iterable[str], *, taken: Iterable[str] = ()) -> dict[str, str]:
    """A folder for each class: its name where that is safe, else made safe and told apart by a hash.

    No two are the same to a file system that ignores case or composes accents, and none is one of
    `taken`.

    >>> folder_names(["Dairy product", "a/b", "Cat", "cat"])["Dairy product"]
    'Dairy product'
    >>> sorted(f[:5] for f in folder_names(["a/b", "Cat", "cat"]).values())
    ['_Cat-', '_a_b-', '_cat-']
    """
    names = sorted(set(labels))
    seen = Counter(_seen(name) for name in [*names, *taken])

    def plain(name: str) -> bool:
        return seen[_seen(name)] == 1 and _safe(name) == name and not _HASHED.fullmatch(name)

    return {name: name if plain(name) else f"_{_safe(name)}-{digest(name).hex()}" for name in names}


def folder_numbers(classes: Sequence[str]) -> dict[str, str]:
    """A folder for each class that sorts as the class does in `classes`.

    >>> folder_numbers(["Dessert", "Bread"])
    {'Dessert': 'class_00', 'Bread': 'class_01'}
    """
    width = max(2, len(str(len(classes) - 1)))
    return {label: f"class_{number:0{width}d}" for number, label in enumerate(classes)}


def file_name(sample_id: str, content_hash: str = "") -> str:
    """A file for a sample: a hash of its id and content before the last part of its id.

    >>> file_name("class_07/a b.png").endswith("-a b.png")
    True
    """
    last = PurePosixPath(sample_id).name.encode("utf-8", "replace")
    # the end is kept, for it tells the kind of file
    end = _safe(last[-_LONGEST_BYTES:].decode("utf-8", "ignore"))
    return f"{digest(sample_id, content_hash).hex()}-{end}"


def image_names(sample_id: str, content_hash: str) -> list[str]:
    """The names that a sample's image may have: one if its id ends as images do, else one a kind.

    Loaders of folders pass over files whose ending isn't an image's. The last name is for content of no
    known kind: it keeps the id's ending.

    >>> [name[17:] for name in image_names("class_07/a.AVIF", "")]
    ['a.AVIF']
    >>> [name[17:] for name in image_names("class_07/a", "")][:2]
    ['a.png', 'a.jpg']
    """
    name = file_name(sample_id, content_hash)
    if PurePosixPath(name).suffix.lower() in ENDINGS:
        return [name]
    unknown = name if _own_ending(name) else f"{name}.bin"
    return [*(f"{name}.{kind}" for kind in MEDIA_TYPES), unknown]


def ending(sample_id: str, data: bytes) -> str:
    """The ending of a sample's file: what its first bytes say, else its id's, else `bin`.

    >>> ending("class_07/x", b"\\xff\\xd8\\xff..."), ending("a/b.webp", b""), ending("a.b/c", b"")
    ('jpg', 'webp', 'bin')
    """
    return kind_of(data) or _own_ending(sample_id) or "bin"


def digest(*texts: str, size: int = 8) -> bytes:
    """A hash of texts that tells ("a", "b") from ("ab", "")."""
    found = blake2b(digest_size=size)
    for text in texts:
        data = text.encode("utf-8", "surrogatepass")
        found.update(len(data).to_bytes(8, "big") + data)
    return found.digest()


def _own_ending(name: str) -> str:
    own = PurePosixPath(name).suffix.removeprefix(".").lower()
    return own if re.fullmatch(r"[a-z0-9]{1,8}", own) else ""


def _safe(text: str) -> str:
    """The text without what a file system or a shell stumbles over, and not too long for one."""
    cut = text.encode("utf-8", "replace")[:_LONGEST_BYTES].decode("utf-8", "ignore")
    safe = _UNSAFE.sub("_", cut)
    return "_" if not safe else f"_{safe}" if _DEVICE.fullmatch(safe) else safe


def _seen(name: str) -> str:
    """The name as the least discerning file system sees it."""
    return unicodedata.normalize("NFKC", name).casefold()
