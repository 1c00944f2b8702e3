"""Symbols of the screen. Each stands beside a word; none carries meaning alone or by its colour.

All of them are in DejaVu Sans (`ui/fonts`).
"""

from __future__ import annotations

DONE = "✓"
FAILED = "✗"
WARNING = "⚠"
STOP = "■"
NOTE = "●"
WAITING = "○"
BUSY = "◐"
FORWARD = "▶"
UP = "▲"
DOWN = "▼"
ERASE = "⌫"
SHIFT = "⇧"
SPACE = "␣"
MORE = "…"
LINKED = "⇄"
SYNC = "⟳"
RECORD = "✎"
POWER = "⚡"
NONE = "–"  # noqa: RUF001 - a dash on purpose: nothing is known

ALL = "".join(value for name, value in sorted(globals().items()) if name.isupper())
