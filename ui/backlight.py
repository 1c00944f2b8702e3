"""The panel's brightness, where Linux offers it (`/sys/class/backlight`)."""

from __future__ import annotations

import os
from pathlib import Path

FOLDER = Path("/sys/class/backlight")
LEVELS = (25, 50, 75, 100)
"""Percent that can be chosen. None is dark: a dark screen could not be set back."""


class Backlight:
    """The first panel that can be set; `present` is false where there is none."""

    def __init__(self, folder: Path = FOLDER) -> None:
        found = sorted(folder.glob("*/brightness")) if folder.is_dir() else []
        self._file = next((path for path in found if os.access(path, os.W_OK)), None)

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
