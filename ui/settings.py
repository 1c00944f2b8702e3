"""What the technician has set of the screen itself, kept in a small file of its own."""

from __future__ import annotations

import argparse
import os
from collections.abc import Callable
from pathlib import Path

import msgspec
from msgspec import Struct, structs

from ui import theme
from ui.backlight import Backlight
from ui.i18n import LANGUAGES, _
from ui.models.base import ViewModel
from ui.theme import THEMES

ROTATIONS = (0, 90, 180, 270)
DARK_AFTER_MIN = (2, 5, 10, 30, 0)
FILE = "settings.json"


class Settings(Struct, frozen=True, kw_only=True):
    """The screen's own settings.

    Attributes:
        theme, language: what it looks like.
        rotation: how the panel is mounted, in degrees.
        link: the link of a new job, by its URI; empty for none.
        dark_after_min: minutes without a touch after which it goes dark; 0 for never.
    """

    theme: str = "day"
    language: str = "en"
    rotation: int = 0
    link: str = ""
    dark_after_min: int = 5

    def changed_by(self, options: argparse.Namespace) -> Settings:
        """These settings with what the command line says instead."""
        given = {name: getattr(options, name) for name in ("theme", "language", "rotation")}
        return structs.replace(
            self, **{name: value for name, value in given.items() if value is not None}
        )


def rotations_for(width: int, height: int) -> tuple[int, ...]:
    """Rotations with which a panel of this size is wider than tall: every screen is laid out so."""
    return (0, 180) if width >= height else (90, 270)


def fitting(rotation: int, width: int, height: int) -> int:
    """This rotation where the panel bears it, else the one that is nearest to how it is."""
    fits = rotations_for(width, height)
    return rotation if rotation in fits else fits[0]


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
        link=found.link,
        dark_after_min=found.dark_after_min
        if found.dark_after_min in DARK_AFTER_MIN
        else new.dark_after_min,
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


class SettingsState(Struct, frozen=True, kw_only=True):
    """The settings, and what can be set here.

    Attributes:
        settings: those in use.
        rotations: those that this panel bears.
        has_brightness: the brightness can be set.
        what: why something could not be kept, or is not taken; empty for nothing.
    """

    settings: Settings
    rotations: tuple[int, ...] = ROTATIONS[::2]
    has_brightness: bool = False
    brightness: int = 0
    what: str = ""


class SettingsModel(ViewModel[SettingsState]):
    """Changes and keeps the settings.

    Args:
        folder: the screen's own.
        settings: those in use.
        backlight: the panel.
        changed: called with new settings; shows the screen anew.
        panel: its width and height, in pixels, as it is mounted.
    """

    def __init__(
        self,
        folder: Path,
        settings: Settings,
        backlight: Backlight,
        changed: Callable[[Settings], None],
        panel: tuple[int, int] = (theme.WIDTH, theme.HEIGHT),
    ) -> None:
        settings = structs.replace(settings, rotation=fitting(settings.rotation, *panel))
        super().__init__(
            SettingsState(
                settings=settings,
                rotations=rotations_for(*panel),
                has_brightness=backlight.present,
            )
        )
        self._folder, self._backlight, self._changed = folder, backlight, changed

    def set(self, name: str, value: str | int) -> None:
        """Change one of `Settings`."""
        settings = structs.replace(self.state.settings, **{name: value})
        try:
            save(self._folder, settings)
            what = ""
        except OSError as error:
            what = _("It holds until the next start only: {reason}.").format(reason=error.strerror)
        self._change(settings=settings, what=what)
        self._changed(settings)

    def set_brightness(self, percent: int) -> None:
        """Change the panel's brightness; it is not kept."""
        try:
            self._backlight.set(percent)
        except (OSError, ValueError):
            self._change(what=_("The panel does not take it."))
        else:
            self._change(brightness=percent, what="")
