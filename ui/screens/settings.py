"""Settings: language, colours, how the panel is mounted, brightness."""

from __future__ import annotations

from kivy.properties import StringProperty

from ui.backlight import LEVELS
from ui.i18n import LANGUAGES, _, n_
from ui.screens.page import Page, Rows
from ui.settings import ROTATIONS, SettingsState
from ui.widgets import kv, listing, marks

THEME_NAMES = {
    "day": n_("Day: black on white"),
    "dark": n_("Dark"),
    "contrast": n_("High contrast"),
}
ROTATION_NAMES = {0: n_("Upright"), 180: n_("Upside down")}


class SettingsPage(Page):
    """Bound to `SettingsModel`. `picked` is the setting that is being chosen."""

    picked = StringProperty()

    def title(self, picked: str) -> str:
        """What is asked for."""
        return {
            "language": _("Language"),
            "theme": _("Colours"),
            "rotation": _("Panel"),
            "brightness": _("Brightness"),
        }.get(picked, _("Settings"))

    def rows(self, state: SettingsState, picked: str) -> Rows:
        """The settings, or what one of them can be."""
        if picked:
            return [
                {
                    "key": value,
                    "title": name,
                    "mark": marks.NOTE if value == self._now(state, picked) else marks.WAITING,
                }
                for value, name in self._choices(picked).items()
            ]
        wanted = ["language", "theme", "rotation"] + ["brightness"] * state.has_brightness
        return [
            {
                "key": name,
                "title": self.title(name),
                "detail": self._choices(name).get(self._now(state, name), ""),
            }
            for name in wanted
        ]

    def choose(self, key: str | int) -> None:
        """Open a setting, or set it."""
        picked = self.picked
        if not picked:
            self.picked = str(key)
            return
        self.picked = ""
        if picked == "brightness":
            self.model.set_brightness(key)
        else:
            self.model.set(picked, key)

    def back(self) -> None:
        """From a setting to all of them, from there away."""
        if self.picked:
            self.picked = ""
        else:
            self.navigation.back()

    def _choices(self, name: str) -> dict[str | int, str]:
        if name == "language":
            return {code: name for code, name in LANGUAGES.items()}  # noqa: C416 - wider keys
        if name == "theme":
            return {value: _(text) for value, text in THEME_NAMES.items()}
        if name == "rotation":
            return {value: _(ROTATION_NAMES[value]) for value in ROTATIONS}
        return {level: f"{level} %" for level in LEVELS}

    def _now(self, state: SettingsState, name: str) -> str | int:
        if name == "brightness":
            return state.brightness
        found: str | int = getattr(state.settings, name)
        return found


kv.load(listing.__file__)
kv.load(__file__)
