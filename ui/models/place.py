"""Where the technician is, in a small file: a restart of the screen comes back there."""

from __future__ import annotations

import os
from pathlib import Path

import msgspec
from msgspec import Struct

from ui.models.words import Screen


class Place(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """A place in the kit. Everything else is read back from the appliance.

    Attributes:
        screen: the screen that was opened.
        job: the job in hand, empty for none.
        recovers, resumes: what kind of plan is in hand (see `DeskState`).
        set_aside: unfinished runs that the technician has seen and left for now.
        watched: this very program saw the write run, so that its end comes as no surprise.
    """

    screen: Screen = "home"
    job: str = ""
    recovers: bool = False
    resumes: bool = False
    set_aside: tuple[str, ...] = ()
    watched: bool = False


class PlaceFile:
    """The file. It is a comfort and nothing rests on it: a damaged one is the home screen.

    Args:
        path: in the screen's own state folder, which is made where it is missing.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self.problem = ""
        """Why the place could not be kept, for the log; empty while it can."""

    def load(self) -> Place:
        """The place that was kept last."""
        try:
            return msgspec.json.decode(self._path.read_bytes(), type=Place)
        except (OSError, msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
            return Place()

    def save(self, place: Place) -> None:
        """Keep a place; whole or not at all."""
        beside = self._path.with_name(f".{self._path.name}.new")
        try:
            self._path.parent.mkdir(parents=True, exist_ok=True)
            beside.write_bytes(msgspec.json.encode(place))
            os.replace(beside, self._path)
            self.problem = ""
        except OSError as error:
            # A full disk must not stop a job over where the screen would open next time.
            self.problem = f"{self._path}: {error.strerror or error}"
