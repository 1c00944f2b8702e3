"""Photos as phones make them, and what pretends to be some."""

from __future__ import annotations

import io
import struct
import zlib

from PIL import Image, ImageDraw

CAMERA = "A camera that tells where it was"


def photo(text: str = "0261S04567", size: tuple[int, int] = (640, 480)) -> bytes:
    """A JPEG with a part number on it, a position in its metadata and a comment."""
    image = Image.new("RGB", size, "#dde3e8")
    ImageDraw.Draw(image).text((40, 40), text, fill="#111111", font_size=size[1] // 8)
    exif = Image.Exif()
    exif[0x010F] = CAMERA
    exif[0x0112] = 6  # to be turned by a quarter to the right
    exif.get_ifd(0x8825)[2] = (52.0, 31.0, 12.0)
    out = io.BytesIO()
    image.save(out, "JPEG", exif=exif, comment=CAMERA.encode())
    return out.getvalue()


def bomb(side: int = 60_000) -> bytes:
    """A PNG of a few hundred kilobytes that says it has `side * side` dots."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        checked = kind + data
        return struct.pack(">I", len(data)) + checked + struct.pack(">I", zlib.crc32(checked))

    head = struct.pack(">IIBBBBB", side, side, 1, 0, 0, 0, 0)
    rows = zlib.compress(bytes(1 + side // 8) * 2000, 9)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", rows) + chunk(b"IEND", b"")
