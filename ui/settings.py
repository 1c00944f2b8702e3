"""What the technician has set of the screen itself, kept in a small file of its own."""

from __future__ import annotations

import argparse
import os
from pathlib import Path

import msgspec
from msgspec import Struct, structs

from ui.i18n import LANGUAGES
from ui.theme import THEMES

ROTATIONS = (0, 180)
FILE = "settings.json"


class Settings(Struct, frozen=True, kw_only=True):
    """Theme, language and how the panel is mounted, in degrees."""

    theme: str = "day"
    language: str = "en"
    rotation: int = 0

    def changed_by(self, options: argparse.Namespace) -> Settings:
        """These settings with what the command line says instead."""
        given = {name: getattr(options, name) for name in ("theme", "language", "rotation")}
        return structs.replace(
            self, **{name: value for name, value in given.items() if value is not None}
        )


def load(folder: Path) -> Settings:
    """The settings that were kept; without a file, or with a damaged one, those of a new kit."""
    try:
        found = msgspec.json.decode((folder / FILE).read_bytes(), type=Settings)
    except (OSError, msgspec.MsgspecError, UnicodeDecodeError):
        return Settings()
    new = Settings()
    return Settings(
        theme=found.theme if found.theme in THEMES else new.theme,
        language=found.language if found.language in LANGUAGES else new.language,
        rotation=found.rotation if found.rotation in ROTATIONS else new.rotation,
    )


def save(folder: Path, settings: Settings) -> None:
    """Keep them, whole or not at all.

    Raises:
        OSError: the folder cannot be written; what was set holds until the next start.
    """
    folder.mkdir(parents=True, exist_ok=True)
    new = folder / f".{FILE}.new"
    new.write_bytes(msgspec.json.encode(settings))
    os.replace(new, folder / FILE)
