"""Settings: the screen's own ones, and the way to those of the kit."""

from __future__ import annotations

from ui.backlight import LEVELS
from ui.i18n import LANGUAGES, _, n_
from ui.screens.page import Rows
from ui.screens.sheet import Sheet
from ui.settings import DARK_AFTER_MIN, SettingsState
from ui.widgets import marks

THEME_NAMES = {
    "day": n_("Day: black on white"),
    "dark": n_("Dark"),
    "contrast": n_("High contrast"),
}
ROTATION_NAMES = {
    0: n_("Upright"),
    90: n_("Turned left"),
    180: n_("Upside down"),
    270: n_("Turned right"),
}
SCREENS = {
    "links": n_("Chosen beforehand"),
    "sensor": n_("Compare with a multimeter"),
    "media": n_("The two for backups"),
    "technicians": n_("Who can unlock this kit"),
    "network": n_("Join and forget"),
    "workshop": n_("Handing over, and enrolling this kit"),
}
"""Settings that have a screen of their own, with what stands below their names."""


class SettingsPage(Sheet):
    """Bound to `SettingsModel`. `view` is the setting that is being chosen."""

    def title(self, state: SettingsState, view: str) -> str:
        """What is asked for."""
        del state
        return {
            "language": _("Language"),
            "theme": _("Colours"),
            "rotation": _("Panel"),
            "brightness": _("Brightness"),
            "dark_after_min": _("Screen off"),
            "links": _("Link"),
            "sensor": _("Voltage sensor"),
            "media": _("Media"),
            "technicians": _("Technicians"),
            "network": _("Wi-Fi"),
            "workshop": _("Workshop"),
        }.get(view, _("Settings"))

    def said(self, state: SettingsState) -> tuple[str, str, bool]:
        """What could not be kept."""
        return state.what, "", False

    def rows(self, state: SettingsState, view: str) -> Rows:
        """The settings, or what one of them can be."""
        if view:
            return [
                {
                    "key": value,
                    "title": name,
                    "mark": marks.NOTE if value == self._now(state, view) else marks.WAITING,
                }
                for value, name in self._choices(state, view).items()
            ]
        here = ["language", "theme", "rotation"]
        here += ["brightness"] * state.has_brightness + ["dark_after_min"]
        details = {
            name: self._choices(state, name).get(self._now(state, name), "") for name in here
        }
        details |= {name: _(text) for name, text in SCREENS.items()}
        return [
            {"key": name, "title": self.title(state, name), "detail": detail}
            for name, detail in details.items()
        ]

    def choose(self, key: str | int) -> None:
        """Open a setting, or set it."""
        view = self.view
        if not view:
            if key in SCREENS:
                self.navigation.open(key)
            else:
                self.view = str(key)
            return
        self.view = ""
        if view == "brightness":
            self.model.set_brightness(key)
        else:
            self.model.set(view, key)

    def _choices(self, state: SettingsState, name: str) -> dict[str | int, str]:
        if name == "language":
            return {code: name for code, name in LANGUAGES.items()}  # noqa: C416 - wider keys
        if name == "theme":
            return {value: _(text) for value, text in THEME_NAMES.items()}
        if name == "rotation":
            return {value: _(ROTATION_NAMES[value]) for value in state.rotations}
        if name == "dark_after_min":
            return {
                minutes: _("after {minutes} min").format(minutes=minutes) if minutes else _("never")
                for minutes in DARK_AFTER_MIN
            }
        return {level: f"{level} %" for level in LEVELS}

    def _now(self, state: SettingsState, name: str) -> str | int:
        if name == "brightness":
            return state.brightness
        found: str | int = getattr(state.settings, name)
        return found
