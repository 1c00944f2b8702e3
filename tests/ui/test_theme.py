"""Contrast of every theme, scale, and the keyboard's layouts."""

from __future__ import annotations

import pytest

from ui import theme
from ui.theme import THEMES, Palette, colour, contrast
from ui.widgets import layouts

ON_PAPER = ("ink", "soft", "good", "warn", "bad")


def text_pairs(palette: Palette) -> dict[str, float]:
    pairs = {
        f"{name} on {surface}": contrast(getattr(palette, name), getattr(palette, surface))
        for name in ON_PAPER
        for surface in ("paper", "raised")
    }
    pairs |= {
        f"on_{name}": contrast(getattr(palette, f"on_{name}"), getattr(palette, name))
        for name in ("primary", "danger", "bar")
    }
    # HELD and CUT: paper's colour on a whole screen of warn and bad.
    return pairs | {
        name: contrast(palette.paper, getattr(palette, name)) for name in ("warn", "bad")
    }


@pytest.mark.parametrize("name", THEMES)
def test_text_has_a_contrast_of_seven_and_graphics_of_three(name: str) -> None:
    palette = THEMES[name]
    assert {pair: ratio for pair, ratio in text_pairs(palette).items() if ratio < 7} == {}
    for graphic in ("line", "primary", "danger", "good"):
        assert contrast(getattr(palette, graphic), palette.paper) >= 3
    assert contrast(palette.line, palette.raised) >= 3


def test_contrast_is_that_of_wcag() -> None:
    assert contrast(colour("#FFFFFF"), colour("#000000")) == pytest.approx(21)
    assert contrast(colour("#777777"), colour("#FFFFFF")) == pytest.approx(4.48, abs=0.01)


@pytest.mark.parametrize(
    ("size", "scale"), [((800, 480), 1.0), ((1024, 600), 1.25), ((1280, 720), 1.5)]
)
def test_larger_windows_are_scaled_so_that_all_fits(size: tuple[int, int], scale: float) -> None:
    assert theme.scale_of(*size) == scale


@pytest.mark.parametrize("page", layouts.PAGES)
def test_a_keyboard_has_at_most_four_rows_of_eight_cells(page: str) -> None:
    rows = layouts.PAGES[page]
    assert len(rows) <= 4
    assert all(sum(layouts.cells(page, key) for key in row) <= 8 for row in rows)


def test_every_character_of_a_passphrase_can_be_typed() -> None:
    pages = [layouts.PAGES[name] for name in ("letters", "symbols", "further")]
    keys = {key for page in pages for row in page for key in row}
    assert {chr(code) for code in range(0x21, 0x7F) if not chr(code).isupper()} <= keys


def test_a_vin_has_all_its_letters_and_no_other() -> None:
    keys = {key for name in ("vin", "vin_digits") for row in layouts.PAGES[name] for key in row}
    assert {key for key in keys if len(key) == 1} == set("ABCDEFGHJKLMNPRSTUVWXYZ0123456789")
