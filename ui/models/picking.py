"""Looking through sticks for a file: what every screen does that takes one."""

from __future__ import annotations

from typing import TypeVar

from msgspec import Struct

from appliance.client import messages
from ui.models import words
from ui.models.shared import Asking, AskingState


class StickRow(Struct, frozen=True, kw_only=True):
    """A stick that is plugged in."""

    name: str
    folder: str
    free: str
    read_only: bool
    simulated: bool


class FileRow(Struct, frozen=True, kw_only=True):
    """A folder or a file on a stick. `container` is the format that its name announces."""

    name: str
    path: str
    folder: bool
    size: str
    modified: str
    container: str


class PickingState(AskingState, frozen=True, kw_only=True):
    """Attributes:
    sticks: sticks that are plugged in.
    folder: path of the folder that is shown; `parent` the one above it, empty for none.
    files: what lies in it.
    left_out: entries that are not shown.
    """

    sticks: tuple[StickRow, ...] = ()
    folder: str = ""
    parent: str = ""
    files: tuple[FileRow, ...] = ()
    left_out: int = 0


P = TypeVar("P", bound=PickingState)


class Picking(Asking[P]):
    """Looks through sticks."""

    def sticks(self) -> None:
        """Look for sticks; a lone one is opened."""
        self._change(folder="", parent="", files=(), left_out=0)
        self._ask(lambda client: client.sticks(), self._sticks)

    def enter(self, path: str) -> None:
        """Open a folder on a stick."""
        self._ask(lambda client: client.stick_files(path), self._folder)

    def _sticks(self, reply: messages.Sticks) -> None:
        rows = tuple(stick_row(stick) for stick in reply.sticks)
        self._change(sticks=rows)
        if len(rows) == 1:
            self.enter(rows[0].folder)

    def _folder(self, reply: messages.StickFolder) -> None:
        rows = tuple(
            FileRow(
                name=one.name,
                path=one.path,
                folder=one.folder,
                size="" if one.folder else words.size(one.size),
                modified=one.modified,
                container=one.container,
            )
            for one in reply.entries
        )
        self._change(folder=reply.path, parent=reply.parent, files=rows, left_out=reply.left_out)


def stick_row(stick: messages.Stick) -> StickRow:
    """A stick as lists show it."""
    return StickRow(
        name=stick.name,
        folder=stick.folder,
        free=words.size(stick.free_bytes),
        read_only=stick.read_only,
        simulated=stick.simulated,
    )
