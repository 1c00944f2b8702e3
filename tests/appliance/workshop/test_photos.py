"""Photos from outside: what is kept is the picture and nothing else."""

from __future__ import annotations

import io
import tracemalloc

import pytest
from PIL import Image

from appliance.workshop.photos import MOST_BYTES, MOST_SIDE, PhotoRefused, cleaned
from tests.appliance.workshop.pictures import CAMERA, bomb, photo


def opened(content: bytes) -> Image.Image:
    return Image.open(io.BytesIO(content))


def test_what_a_photo_carries_besides_its_picture_is_gone() -> None:
    given = photo() + b"PK\x03\x04 a second file behind the picture"
    assert CAMERA.encode() in given
    kept = cleaned(given)
    assert CAMERA.encode() not in kept
    assert b"second file" not in kept
    picture = opened(kept)
    assert (picture.format, len(picture.getexif()), "comment" in picture.info) == ("JPEG", 0, False)


def test_it_stands_upright_and_is_made_smaller() -> None:
    picture = opened(cleaned(photo(size=(4000, 1000))))
    assert picture.size == (600, MOST_SIDE)


@pytest.mark.parametrize("kind", ["PNG", "WEBP", "JPEG"])
@pytest.mark.parametrize("mode", ["RGB", "RGBA", "L", "P"])
def test_every_kind_that_phones_make_is_taken(kind: str, mode: str) -> None:
    if (kind, mode) in {("JPEG", "RGBA"), ("JPEG", "P"), ("WEBP", "P")}:
        return
    out = io.BytesIO()
    Image.new(mode, (50, 30)).save(out, kind)
    picture = opened(cleaned(out.getvalue()))
    assert (picture.format, picture.mode, picture.size) == ("JPEG", "RGB", (50, 30))


def half(content: bytes) -> bytes:
    return content[: len(content) // 2]


@pytest.mark.parametrize(
    ("content", "why"),
    [
        (b"", "no picture"),
        (b"%PDF-1.7 no picture", "no picture"),
        (b"<svg xmlns='http://www.w3.org/2000/svg' onload='alert(1)'/>", "no picture"),
        (half(photo()), "no picture, or a damaged one"),
        (b"GIF89a" + bytes(100), "no picture"),
        (bytes(MOST_BYTES + 1), "more than 12 megabytes"),
        (bomb(), "too many dots"),
        (bomb(9_000), "too many dots"),
    ],
)
def test_what_is_no_photo_is_refused(content: bytes, why: str) -> None:
    with pytest.raises(PhotoRefused, match=why) as refused:
        cleaned(content)
    assert refused.value.status == 400


def test_a_bomb_is_not_decoded() -> None:
    content = bomb(12_000)
    tracemalloc.start()
    try:
        with pytest.raises(PhotoRefused):
            cleaned(content)
        assert tracemalloc.get_traced_memory()[1] < 5 << 20
    finally:
        tracemalloc.stop()
