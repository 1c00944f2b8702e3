"""The status bar: on every screen, to be read and not to be touched.

Every figure is a word or a symbol and never a colour alone; what is not known is shown as missing.
"""

from __future__ import annotations

from datetime import datetime

from kivy.properties import ObjectProperty
from kivy.uix.boxlayout import BoxLayout

from ui.i18n import _
from ui.widgets import kv, marks, text

MEDIA = {
    "present": marks.DONE,
    "missing": marks.FAILED,
    "read_only": marks.WARNING,
    "full": marks.WARNING,
}
SUPPLY = {"ok": marks.DONE, "low": marks.WARNING}
GATES = {
    "CLOSED": marks.STOP,
    "ARMED": marks.WAITING,
    "OPEN": marks.FORWARD,
    "HELD": marks.BUSY,
    "CUT": marks.FAILED,
}
LINKS = {"can": "CAN", "doip": "DoIP", "doip+tls": "DoIP"}
UNKNOWN = "?"


def volts(value: float | None) -> str:
    """The voltage with its unit, or that there is none."""
    return _("No reading") if value is None else f"{value:.2f} V"


SYNC = {
    "idle": marks.DONE,
    "sending": marks.UP,
    "waiting": marks.WAITING,
    "paused": marks.STOP,
}
"""The way to the workshop; none where none is set up or the kit is locked."""


def time_of_day(wall: str, quality: str) -> str:
    """Hours and minutes; with a question mark where nothing has set the clock."""
    try:
        at = datetime.fromisoformat(wall).astimezone().strftime("%H:%M")
    except ValueError:
        return "--:--"
    return at if quality == "synchronised" else f"{at} {UNKNOWN}"


class StatusBar(BoxLayout):  # type: ignore[misc]  # Kivy brings no types
    """Bound to `StatusModel`."""

    state = ObjectProperty(rebind=True)

    def gate(self, gate: str, word: str) -> str:
        """The gate's state as symbol and word."""
        return f"{GATES.get(gate, UNKNOWN)} {word}" if word else f"{UNKNOWN} {_('Gate')}"

    def link(self, links: str) -> str:
        """What kind of link is open; a number where there are several."""
        kinds = [one.partition(":")[0].strip() for one in links.split(",") if one.strip()]
        if len(kinds) > 1:
            return f"{marks.LINKED} {len(kinds)}"
        return f"{marks.LINKED} {LINKS.get(kinds[0], kinds[0]) if kinds else marks.NONE}"

    def medium(self, name: str, state: str) -> str:
        """A backup medium: its letter and how it is."""
        return f"{name}{MEDIA.get(state, UNKNOWN)}"

    def sync(self, state: str, record_what: str) -> str:
        """The way to the workshop, a dash where none is set up; a record that is behind before it,
        which nobody else would tell.
        """
        if record_what:
            return f"{marks.RECORD}{marks.WARNING}"
        return f"{marks.SYNC} {SYNC.get(state, marks.NONE)}"

    def supply(self, state: str) -> str:
        """The kit's own supply."""
        return f"{marks.POWER}{SUPPLY.get(state, UNKNOWN)}"

    def volts(self, value: float | None) -> str:
        """See `volts`."""
        return volts(value)

    def time(self, wall: str, quality: str) -> str:
        """See `time_of_day`."""
        return time_of_day(wall, quality)


kv.load(text.__file__)
kv.load(__file__)
