"""The process that decodes images of strangers: it has limits, and nothing that could be taken.

It is run by its path, and imports nothing of labelloop. Standard input and output carry frames: four bytes of
length, then that many. One that comes holds a byte for what to make, then an image; the answer is what was
made, or empty where it can't be.
"""

import io
import resource
import select
import struct
import sys
from typing import IO, TYPE_CHECKING

if TYPE_CHECKING:
    from PIL import Image

LENGTH = struct.Struct(">I")
SHOWN, COMPARED = b"s", b"c"
"""What to make: an image for a list, or pixels to compare."""
SIDE = 320
"""Pixels of a shown image's longer side, at most: twice what pages show, for dense screens."""
COMPARED_SIDE = 32
"""Pixels of each side of what is compared, whatever the shape of the image."""
_MEMORY = 2 * 2**30
_CPU_S = 300
_PIXELS = 100_000_000
_FORMATS = ("JPEG", "PNG", "GIF", "WEBP", "BMP", "TIFF", "PPM")
_IDLE_S = 60.0


def made(what: bytes, image: bytes) -> bytes:
    """The image as SHOWN or COMPARED; empty: it can't be made."""
    from PIL import Image

    Image.MAX_IMAGE_PIXELS = _PIXELS // 2  # Pillow refuses from twice as many
    try:
        with Image.open(io.BytesIO(image), formats=_FORMATS) as opened:
            return shown(opened) if what == SHOWN else compared(opened)
    except Exception:  # noqa: BLE001  whatever a decoder makes of bytes that strangers chose
        return b""


def shown(opened: "Image.Image") -> bytes:
    """The image within SIDE by SIDE pixels as WebP, upright and without metadata."""
    from PIL import ImageOps

    opened.draft("RGB", (SIDE, SIDE))
    upright = ImageOps.exif_transpose(opened)
    upright.thumbnail((SIDE, SIDE))
    written = io.BytesIO()
    alpha = upright.has_transparency_data
    upright.convert("RGBA" if alpha else "RGB").save(written, "WEBP", quality=80, method=1)
    return written.getvalue()


def compared(opened: "Image.Image") -> bytes:
    """COMPARED_SIDE by COMPARED_SIDE pixels in RGB, row by row."""
    from PIL import Image

    side = (COMPARED_SIDE, COMPARED_SIDE)
    opened.draft("RGB", (4 * COMPARED_SIDE, 4 * COMPARED_SIDE))  # a JPEG is decoded smaller
    whole = opened.convert("RGBA" if "transparency" in opened.info else opened.mode)
    return whole.convert("RGB").resize(side, Image.Resampling.BOX).tobytes()


def main() -> None:
    """Answer frame by frame until the input ends, or nothing came for a minute."""
    resource.setrlimit(resource.RLIMIT_AS, (_MEMORY, _MEMORY))
    resource.setrlimit(resource.RLIMIT_CPU, (_CPU_S, _CPU_S))
    resource.setrlimit(resource.RLIMIT_FSIZE, (0, 0))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    coming, going = sys.stdin.buffer, sys.stdout.buffer
    while select.select([coming], [], [], _IDLE_S)[0]:
        asked = read_frame(coming)
        if asked is None:
            return
        write_frame(going, made(asked[:1], asked[1:]))


def read_frame(coming: IO[bytes]) -> bytes | None:
    """The next frame; None: the other side ended."""
    head = coming.read(LENGTH.size)
    if len(head) < LENGTH.size:
        return None
    (length,) = LENGTH.unpack(head)
    body = coming.read(length)
    return body if len(body) == length else None


def write_frame(going: IO[bytes], body: bytes) -> None:
    """Send a frame."""
    going.write(LENGTH.pack(len(body)) + body)
    going.flush()


if __name__ == "__main__":
    main()
