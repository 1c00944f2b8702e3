"""The panel's brightness, where Linux offers it (`/sys/class/backlight`)."""

from __future__ import annotations

import logging
import os
from pathlib import Path

FOLDER = Path("/sys/class/backlight")
LEVELS = (25, 50, 75, 100)
"""Percent that can be chosen. None is dark: a dark screen could not be set back."""

log = logging.getLogger("fieldkit.ui")


class Backlight:
    """The first panel that can be set; `present` is false where there is none."""

    def __init__(self, folder: Path = FOLDER) -> None:
        found = sorted(folder.glob("*/brightness")) if folder.is_dir() else []
        self._file = next((path for path in found if os.access(path, os.W_OK)), None)
        self._before: int | None = None

    @property
    def present(self) -> bool:
        """Whether the brightness can be set."""
        return self._file is not None

    def set(self, percent: int) -> None:
        """Set it.

        Raises:
            OSError: the panel does not take it.
        """
        if self._file is not None:
            full = int((self._file.parent / "max_brightness").read_text())
            self._file.write_text(str(max(1, full * percent // 100)))

    def darken(self) -> None:
        """Switch the light off, as far as the panel does that at its lowest brightness."""
        if self._file is not None:
            try:
                now = int(self._file.read_text())
                self._file.write_text("0")
            except (OSError, ValueError) as error:
                log.warning("The panel's light is not switched off: %s", error)
            else:
                self._before = now or None

    def wake(self) -> None:
        """Switch it on again, as bright as it was; a panel that was found dark gets its full light.

        What else may stand in `brightness` is left as it is.
        """
        if self._file is not None:
            try:
                if int(self._file.read_text()) == 0:
                    full = int((self._file.parent / "max_brightness").read_text())
                    self._file.write_text(str(self._before or full))
            except (OSError, ValueError) as error:
                log.warning("The panel's light is not switched on: %s", error)
