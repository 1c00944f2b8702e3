"""Sticks to write onto, as the screens that write onto one list them."""

from __future__ import annotations

from collections.abc import Iterable

from ui.i18n import _
from ui.models.work import StickRow
from ui.screens.page import Rows


def stick_rows(sticks: Iterable[StickRow]) -> Rows:
    """A row for each stick that can be written."""
    return [
        {"key": one.folder, "title": one.name, "detail": _("{size} free").format(size=one.free)}
        for one in sticks
        if not one.read_only
    ]


def no_stick(sticks: Iterable[StickRow]) -> str:
    """What stands there instead of rows, where there are none."""
    if any(not one.read_only for one in sticks):
        return ""
    return _("No stick is plugged in. Plug one in and look again.")
