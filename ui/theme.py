"""Colours and sizes of the screen: three themes, told as data, and the one that is in use.

Contrast is held by a test: text at least 7:1, graphics at least 3:1 (WCAG 2.2, 1.4.6 and 1.4.11).
Sizes are for 800x480; larger windows are scaled as a whole (`scale_of`), so that KV files name them
in dp. Screens read `NOW` when they are built and are built anew when the theme changes.
"""

from __future__ import annotations

from dataclasses import dataclass, fields

WIDTH = 800
HEIGHT = 480
TOUCH = 96
"""A touch target in dp: 20 mm on the 7-inch panel, what a thick glove hits."""
GAP = 12
TEXT = 22

Colour = tuple[float, float, float, float]


def colour(text: str) -> Colour:
    """`#RRGGBB` as Kivy wants it: red, green, blue and opacity, each from 0 to 1."""
    red, green, blue = (int(text[at : at + 2], 16) / 255 for at in (1, 3, 5))
    return red, green, blue, 1.0


@dataclass(frozen=True)
class Palette:
    """One theme. A name with `on_` is the text on the colour of that name."""

    paper: Colour
    ink: Colour
    soft: Colour
    """Text of less weight, on paper and on raised."""
    raised: Colour
    """The surface of rows and fields."""
    line: Colour
    """Borders that must be seen: 3:1 against paper and raised."""
    rule: Colour
    """Lines that only order the page and carry no meaning."""
    primary: Colour
    on_primary: Colour
    danger: Colour
    on_danger: Colour
    good: Colour
    warn: Colour
    bad: Colour
    bar: Colour
    """The status bar and its text."""
    on_bar: Colour


def _palette(**colours: str) -> Palette:
    return Palette(**{name: colour(text) for name, text in colours.items()})


THEMES: dict[str, Palette] = {
    "day": _palette(
        paper="#FFFFFF",
        ink="#000000",
        soft="#3A444C",
        raised="#EDF1F4",
        line="#5C6B76",
        rule="#C5CDD3",
        primary="#00407A",
        on_primary="#FFFFFF",
        danger="#8E0B0B",
        on_danger="#FFFFFF",
        good="#00511F",
        warn="#6B3A00",
        bad="#8E0B0B",
        bar="#0B1A26",
        on_bar="#FFFFFF",
    ),
    "dark": _palette(
        paper="#0E1317",
        ink="#F4F7F9",
        soft="#C2CCD3",
        raised="#1E272E",
        line="#8B9AA5",
        rule="#36424B",
        primary="#8CCBFF",
        on_primary="#001526",
        danger="#FF9D92",
        on_danger="#2B0000",
        good="#83E399",
        warn="#FFCC66",
        bad="#FFA69C",
        bar="#000000",
        on_bar="#FFFFFF",
    ),
    "contrast": _palette(
        paper="#000000",
        ink="#FFFFFF",
        soft="#FFFFFF",
        raised="#000000",
        line="#FFFFFF",
        rule="#FFFFFF",
        primary="#FFE600",
        on_primary="#000000",
        danger="#FF8F85",
        on_danger="#000000",
        good="#66FF85",
        warn="#FFE600",
        bad="#FF8F85",
        bar="#000000",
        on_bar="#FFFFFF",
    ),
}


class Theme:
    """The palette in use; its colours are read as attributes."""

    name: str
    paper: Colour
    ink: Colour
    soft: Colour
    raised: Colour
    line: Colour
    rule: Colour
    primary: Colour
    on_primary: Colour
    danger: Colour
    on_danger: Colour
    good: Colour
    warn: Colour
    bad: Colour
    bar: Colour
    on_bar: Colour

    def __init__(self, name: str = "day") -> None:
        self.use(name)

    def use(self, name: str) -> None:
        """Change to another of `THEMES`. What is on the screen must then be built anew."""
        palette = THEMES[name]
        self.name = name
        for field in fields(palette):
            setattr(self, field.name, getattr(palette, field.name))


NOW = Theme()


def scale_of(width: int, height: int) -> float:
    """Pixels of one dp, so that everything which fits 800x480 fits this window, too."""
    return min(width / WIDTH, height / HEIGHT)


def contrast(one: Colour, other: Colour) -> float:
    """Contrast ratio of two opaque colours, 1 to 21 (WCAG 2.2, relative luminance)."""
    light, dark = sorted((_luminance(one), _luminance(other)), reverse=True)
    return (light + 0.05) / (dark + 0.05)


def _luminance(of: Colour) -> float:
    red, green, blue = (
        part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in of[:3]
    )
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue
