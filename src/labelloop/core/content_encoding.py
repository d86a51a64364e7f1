"""What stands in an object that was stored compressed, as a browser reads it."""

import zlib

MOST_BYTES = 512 << 20
"""What an object may hold once it is read; a few kilobytes can claim to be terabytes."""
MOST_START_BYTES = 1 << 16
_WINDOWS = {"gzip": 31, "x-gzip": 31, "deflate": 15}
_GZIP = b"\x1f\x8b"


def decoded(body: bytes, encoding: str) -> bytes | None:
    """The bytes without the `Content-Encoding` they were stored with; None: it can't be undone.

    Bytes that aren't compressed although the header says so are returned as they are.

    >>> import gzip
    >>> decoded(gzip.compress(b"image"), "gzip"), decoded(b"image", "gzip"), decoded(b"image", "br")
    (b'image', b'image', None)
    """
    for coding in reversed(_codings(encoding)):
        if coding not in _WINDOWS:
            return None
        if coding != "deflate" and not body.startswith(_GZIP):
            continue
        found = _inflated(body, _WINDOWS[coding])
        if found is None:
            return None
        body = found
    return body


def decoded_start(start: bytes, encoding: str) -> bytes | None:
    r"""The same for the first bytes of an object, as far as they can be read.

    >>> import gzip
    >>> start = gzip.compress(bytes(range(256)) * 9)[:100]
    >>> decoded_start(start, "gzip")[:3], decoded_start(b"image", "br")
    (b'\x00\x01\x02', None)
    """
    for coding in reversed(_codings(encoding)):
        if coding not in _WINDOWS:
            return None
        if coding != "deflate" and not start.startswith(_GZIP):
            continue
        try:
            start = zlib.decompressobj(wbits=_WINDOWS[coding]).decompress(start, MOST_START_BYTES)
        except zlib.error:
            return None
    return start


def lasting_encoding(encoding: str) -> str:
    """What of a `Content-Encoding` tells how the bytes are stored, not how they were once uploaded.

    >>> lasting_encoding("gzip,aws-chunked"), lasting_encoding("aws-chunked")
    ('gzip', '')
    """
    return ", ".join(_codings(encoding))


def _codings(encoding: str) -> list[str]:
    codings = [name.strip().lower() for name in encoding.split(",")]
    return [c for c in codings if c not in {"", "identity", "aws-chunked"}]


def _inflated(body: bytes, window: int) -> bytes | None:
    found = b""
    try:
        while body:  # gzip allows several parts, one after the other
            stream = zlib.decompressobj(wbits=window)
            found += stream.decompress(body, MOST_BYTES - len(found))
            if not stream.eof:
                return None
            body = stream.unused_data
    except (zlib.error, ValueError):
        return None
    return found
