"""What is on a backup medium: device, size, how many backups, when one was last verified."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Literal

from appliance.api.messages import MediumUse
from appliance.backups.check import names_on
from appliance.backups.media import Medium, check_medium
from appliance.errors import MediumError
from appliance.mounts import read_mounts
from appliance.service.book import Book
from hw.config import MediaConfig


def medium_use(medium: Medium, media: MediaConfig, book: Book) -> MediumUse:
    """A medium as it is now. A verification counts as long as that backup still lies on it: a
    stick that was exchanged has none.
    """
    name: Literal["a", "b"] = "a" if medium.name == "A" else "b"
    try:
        check_medium(medium, media)
        space = os.statvfs(medium.root)
        device = _device(medium.root)
        backups = names_on(medium)
    except (MediumError, OSError):
        # Why it is not there is told by the kit's status.
        return MediumUse(name=name, device="", size_bytes=None, backups=None)
    wall, backup = book.verified(medium.name)
    holds = backup in backups
    return MediumUse(
        name=name,
        device=device,
        size_bytes=space.f_blocks * space.f_frsize,
        backups=len(backups),
        verified=wall if holds else "",
        verified_backup=backup if holds else "",
    )


def _device(folder: Path) -> str:
    number = folder.stat().st_dev
    name = f"{os.major(number)}:{os.minor(number)}"
    return next((one.source for one in reversed(read_mounts()) if one.device == name), "")
