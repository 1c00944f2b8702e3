"""Every screen in every language, theme and size: large enough, legible, whole, and not left over.

Pictures are in `build/tour`. Each size and language is one process with one theme, so that every
value of each is seen on every screen; `TOUR=all` takes every combination.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from itertools import product
from pathlib import Path

import pytest

from tests.stack import ROOT
from ui.i18n import LANGUAGES
from ui.theme import THEMES

SIZES = ("800x480", "1024x600", "1280x720")
LIMIT_S = 110


def turns() -> Iterator[tuple[str, str, str]]:
    """Sizes, languages and themes to be seen together."""
    for size, language in product(SIZES, LANGUAGES):
        names = list(THEMES)
        turn = SIZES.index(size) + list(LANGUAGES).index(language)
        for theme in names if os.environ.get("TOUR") == "all" else [names[turn % len(names)]]:
            yield size, language, theme


@pytest.mark.parametrize(("size", "language", "theme"), tuple(turns()))
def test_every_screen_can_be_read_and_touched(size: str, language: str, theme: str) -> None:
    assert tour("--size", size, "--language", language, "--theme", theme) == []


def test_no_widget_is_left_over_when_the_tour_is_made_twenty_times() -> None:
    assert tour("--rounds", "20", limit_s=280) == []


def tour(*options: str, limit_s: float = LIMIT_S) -> list[str]:
    out: Path = ROOT / "build" / "tour"
    ran = subprocess.run(
        [sys.executable, "-m", "tests.ui.tour", "--out", str(out), *options],
        cwd=ROOT,
        env=os.environ | {"SDL_VIDEODRIVER": "offscreen"},
        capture_output=True,
        text=True,
        timeout=limit_s,
        check=False,
    )
    assert ran.returncode == 0, ran.stderr
    found: list[str] = json.loads(ran.stdout)
    return found
