"""The README's pictures are there, of the right size, and small."""

from __future__ import annotations

import re

import PIL.Image

from tests.stack import ROOT
from tests.ui.screenshots import FOLDER, PICTURES, SIZE
from tests.ui.states import STOPS

ALL_OF_THEM = 400_000
"""Bytes."""


def test_the_readme_shows_the_pictures_that_the_tour_takes() -> None:
    shown = re.findall(r"\]\((ui/screenshots/[^)]+)\)", (ROOT / "README.md").read_text())
    there = sorted(FOLDER.iterdir())
    assert sorted(ROOT / name for name in shown) == there
    assert sorted(FOLDER / f"{name}.png" for name in PICTURES.values()) == there
    assert set(PICTURES) <= {stop.name for stop in STOPS}
    for path in there:
        with PIL.Image.open(path) as picture:
            assert (picture.format, picture.size) == ("PNG", SIZE)
    assert sum(path.stat().st_size for path in there) < ALL_OF_THEM
