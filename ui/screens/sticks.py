"""Sticks: those to write onto, and what lies on one, as screens list them."""

from __future__ import annotations

from collections.abc import Iterable

from ui.i18n import _
from ui.models.picking import PickingState, StickRow
from ui.screens.page import Rows
from ui.widgets import marks


def stick_rows(sticks: Iterable[StickRow]) -> Rows:
    """A row for each stick that can be written."""
    return [_row(one) for one in sticks if not one.read_only]


def no_stick(sticks: Iterable[StickRow]) -> str:
    """What stands there instead of rows, where there are none."""
    if any(not one.read_only for one in sticks):
        return ""
    return _("No stick is plugged in. Plug one in and look again.")


def file_rows(state: PickingState, *, containers: bool) -> Rows:
    """Sticks to look through, or folders and files in the one that is open.

    Args:
        state: what was found.
        containers: only files whose names announce a container.
    """
    if not state.folder:
        return [_row(one) for one in state.sticks]
    return [
        {
            "key": one.path,
            "title": one.name,
            "detail": " · ".join(filter(None, (one.container, one.size))),
            "mark": marks.MORE if one.folder else marks.NOTE,
        }
        for one in state.files
        if one.folder or one.container or not containers
    ]


def is_file(state: PickingState, key: str) -> bool:
    """Whether a row of `file_rows` is a file."""
    return any(one.path == key and not one.folder for one in state.files)


def _row(stick: StickRow) -> dict[str, object]:
    free = _("{size} free").format(size=stick.free)
    return {"key": stick.folder, "title": stick.name, "detail": free}
