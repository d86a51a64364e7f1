"""The kind of an image by its first bytes, and whether browsers show it."""

import re

MEDIA_TYPES = {
    "png": "image/png",
    "jpg": "image/jpeg",
    "gif": "image/gif",
    "bmp": "image/bmp",
    "tif": "image/tiff",
    "webp": "image/webp",
    "avif": "image/avif",
    "heic": "image/heic",
    "jp2": "image/jp2",
    "jxl": "image/jxl",
}
"""The media type of each kind; a kind is also the ending of its files."""
ENDINGS = frozenset(f".{kind}" for kind in MEDIA_TYPES) | {
    ".jpeg",
    ".jfif",
    ".tiff",
    ".heif",
    ".ppm",
    ".pgm",
    ".pnm",
    ".svg",
    ".ico",
}
"""The endings of images' names, in lower case."""
_SIGNATURES = (
    (b"\x89PNG\r\n\x1a\n", "png"),
    (b"\xff\xd8\xff", "jpg"),
    (b"GIF8", "gif"),
    (b"BM", "bmp"),
    (b"II*\x00", "tif"),
    (b"MM\x00*", "tif"),
    (b"\x00\x00\x00\x0cjP  ", "jp2"),
    (b"\xff\x0a", "jxl"),
    (b"\x00\x00\x00\x0cJXL ", "jxl"),
)
_BRANDS = {b"avif": "avif", b"avis": "avif"} | dict.fromkeys(
    (b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"mif1", b"msf1"), "heic"
)
START_BYTES = 256
"""How many bytes from the beginning of a file tell what it is."""

_OTHERS = (
    (b"%PDF", "a PDF"),
    (b"PK\x03\x04", "a ZIP archive"),
    (b"\x1f\x8b", "compressed with gzip"),
    (b"7z\xbc\xaf\x27\x1c", "a 7z archive"),
    (b"PAR1", "a Parquet file"),
    (b"SQLite format 3", "a SQLite database"),
    (b"\x7fELF", "a program"),
    (b"\x1aE\xdf\xa3", "a video"),
    (b"OggS", "a recording"),
    (b"ID3", "a recording"),
    (b"\x00\x00\x00\x01Bud1", "a .DS_Store of a Mac"),
)
"""How files begin that are often beside images; two of them by what stands after their length."""
_TEXT_BYTES = 32
"""So many characters in a row begin no image; fewer say nothing."""
_IMAGES_OF_TEXT = re.compile(rb"P[1-7]\s|/\* XPM|#define ")

_VIDEOS = frozenset(
    (b"isom", b"iso2", b"iso5", b"mp41", b"mp42", b"avc1", b"qt  ", b"M4V ", b"M4A ")
)
_NOT_SHOWN = {
    ".tif": "TIFF",
    ".tiff": "TIFF",
    ".heic": "HEIC",
    ".heif": "HEIC",
    ".jp2": "JPEG 2000",
    ".jxl": "JPEG XL",
    ".ppm": "PPM",
    ".pgm": "PGM",
    ".pnm": "PNM",
}


def kind_of(data: bytes) -> str | None:
    r"""What an image's first bytes say; None: nothing that is known.

    >>> kind_of(b"\xff\xd8\xff\xe0"), kind_of(b"\0\0\0\x1cftypavif"), kind_of(b"<html>")
    ('jpg', 'avif', None)
    """
    for start, kind in _SIGNATURES:
        if data.startswith(start):
            return kind
    if data[:4] == b"RIFF" and data[8:12] == b"WEBP":
        return "webp"
    return _BRANDS.get(data[8:12]) if data[4:8] == b"ftyp" else None


def no_image(start: bytes) -> str | None:
    r"""What a file is that is surely no image, by its first START_BYTES; None: an image, or not known.

    >>> no_image(b"\xff\xd8\xff\xe0"), no_image(b"")
    (None, 'empty')
    >>> no_image(b"file,label\na.png,cat\nb.png,dog\nc.png,cat\n")
    'a text'
    """
    if not start:
        return "empty"
    if kind_of(start) is not None:
        return None
    for begin, what in _OTHERS:
        if start.startswith(begin):
            return what
    if start[:4] == b"RIFF":
        return "a recording"
    if start[4:8] == b"ftyp":
        return "a video" if start[8:12] in _VIDEOS else None
    return "a text" if _is_text(start) else None


def _is_text(start: bytes) -> bool:
    if len(start) < _TEXT_BYTES or _IMAGES_OF_TEXT.match(start):
        return False
    text = start.decode("utf-8", "replace").removesuffix("\ufffd")  # a character that was cut
    whole = "\ufffd" not in text and all(c.isprintable() or c in "\r\n\t\ufeff" for c in text)
    return (
        whole
        and "<svg" not in text
        and not text.lstrip("\ufeff \r\n\t").startswith(("<?xml", "<!--"))
    )


def not_shown(name: str) -> str | None:
    """The format of a file of this name where browsers don't show it, by its ending.

    >>> not_shown("scan.TIF"), not_shown("photo.jpg")
    ('TIFF', None)
    """
    return _NOT_SHOWN.get("." + name.rpartition(".")[2].lower())
