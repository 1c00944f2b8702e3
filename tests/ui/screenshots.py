"""The pictures that the README shows: `python -m tests.ui.screenshots` writes `ui/screenshots/`."""

from __future__ import annotations

import os
from pathlib import Path

from tests.ui.tour import tour_of

FOLDER = Path(__file__).resolve().parents[2] / "ui" / "screenshots"
SIZE = (800, 480)
PICTURES = {
    "home": "home",
    "vehicle-read": "vehicle",
    "plan": "plan",
    "gates-passed": "gates",
    "write": "write",
    "write-held": "held",
}
"""Stop of the tour and name of its file."""


def main() -> None:
    """Write them all."""
    os.environ.setdefault("SDL_VIDEODRIVER", "offscreen")
    FOLDER.mkdir(exist_ok=True)
    with tour_of(SIZE) as tour:
        for stop, picture in tour.pictures("day", "en", PICTURES).items():
            picture.save(FOLDER / f"{PICTURES[stop]}.png", optimize=True)


if __name__ == "__main__":
    main()
