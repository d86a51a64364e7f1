"""The kind of an image by its first bytes, and whether browsers show it."""

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


def not_shown(name: str) -> str | None:
    """The format of a file of this name where browsers don't show it, by its ending.

    >>> not_shown("scan.TIF"), not_shown("photo.jpg")
    ('TIFF', None)
    """
    return _NOT_SHOWN.get("." + name.rpartition(".")[2].lower())
