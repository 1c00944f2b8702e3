"""Photos that somebody sends: decoded and encoded anew, small, upright, with nothing else in them.

What lies in the store afterwards was written here. Whatever a file carried besides its picture (the
place where it was taken, a second file behind it) is gone.
"""

from __future__ import annotations

import io
import threading

from PIL import Image, ImageOps

from appliance.workshop.errors import Malformed

MOST_BYTES = 12 << 20
MOST_SIDE = 2400
"""Dots of the longer side that are kept: part numbers on a label stay legible."""
_MOST_DOTS = {"JPEG": 50_000_000, "PNG": 24_000_000, "WEBP": 24_000_000}
"""Larger ones are not decoded; JPEG can be decoded at a fraction of its size."""
_QUALITY = 85
_one_at_a_time = threading.Lock()
"""A picture needs much memory while it is decoded."""


class PhotoRefused(Malformed):
    """400: a file is no photo that is taken here."""

    code = "photo_refused"

    def __init__(self, why: str) -> None:
        super().__init__(
            f"A photo cannot be taken: {why}.", "Send a JPEG, PNG or WebP picture, as phones make."
        )


def cleaned(content: bytes) -> bytes:
    """A photo as it is kept: JPEG, at most `MOST_SIDE` dots long, without metadata.

    Raises:
        PhotoRefused: it is no picture, too large, or damaged.
    """
    if len(content) > MOST_BYTES:
        raise PhotoRefused(f"it has more than {MOST_BYTES >> 20} megabytes")
    try:
        with _one_at_a_time, Image.open(io.BytesIO(content), formats=list(_MOST_DOTS)) as image:
            return _encoded(image)
    except (Image.DecompressionBombError, Image.DecompressionBombWarning) as error:
        raise PhotoRefused("it has too many dots") from error
    # What Pillow's decoders raise for damaged files.
    except (OSError, ValueError, SyntaxError, EOFError) as error:
        raise PhotoRefused("it is no picture, or a damaged one") from error


def _encoded(image: Image.Image) -> bytes:
    width, height = image.size
    if width * height > _MOST_DOTS[str(image.format)]:
        raise PhotoRefused("it has too many dots")
    image.draft("RGB", (MOST_SIDE, MOST_SIDE))
    picture = ImageOps.exif_transpose(image).convert("RGB")
    picture.thumbnail((MOST_SIDE, MOST_SIDE))
    picture.info.clear()  # Pillow would write a comment that it found.
    out = io.BytesIO()
    picture.save(out, "JPEG", quality=_QUALITY, optimize=True)
    return out.getvalue()
