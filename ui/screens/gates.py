"""Gates: the voltage, and the gates with what each said."""

from __future__ import annotations

from collections.abc import Iterable

from kivy.properties import BooleanProperty, ObjectProperty
from kivy.uix.gridlayout import GridLayout

from ui.i18n import _, n_
from ui.models.gates import GateRow, GatesState
from ui.screens.page import Page, Rows
from ui.screens.sticks import file_rows, is_file, no_stick
from ui.widgets import gauge, kv, listing, marks, row, statusbar, text
from ui.widgets.swap import Swap  # noqa: F401 - named by the KV file

STATES = {
    "waiting": (marks.WAITING, "plain", n_("Waiting")),
    "working": (marks.BUSY, "plain", n_("Checking")),
    "passed": (marks.DONE, "good", n_("Passed")),
    "refused": (marks.FAILED, "bad", n_("Refused")),
}
"""Mark, tone and word of a gate's state."""


class GateLine(row.Fact):
    """One gate in one line."""


class GateLines(GridLayout):  # type: ignore[misc]  # Kivy brings no types
    """All gates; under a refused one its reason and what to do."""

    gates = ObjectProperty(())

    def on_gates(self, _self: object, gates: Iterable[GateRow]) -> None:
        """Build the lines."""
        self.clear_widgets()
        for gate in gates:
            mark, tone, word = STATES[gate.state]
            self.add_widget(GateLine(mark=mark, tone=tone, word=_(word), title=gate.title))
            if gate.state == "refused":
                for sentence in filter(None, (gate.reason, gate.next_step)):
                    self.add_widget(text.Text(text=sentence))


class GatesPage(Page):
    """Bound to `GatesModel`. `picking`: a known-good file is being chosen."""

    picking = BooleanProperty(False)

    def pick(self) -> None:
        """Look for the file that stands in for what the ECU does not give."""
        self.picking = True
        self.model.sticks()

    def files(self, state: GatesState) -> Rows:
        """What it can be chosen from."""
        return file_rows(state, containers=False)

    def nothing(self, state: GatesState) -> str:
        """What stands there for an empty list."""
        if state.busy or self.files(state):
            return ""
        return _("This folder is empty.") if state.folder else no_stick(state.sticks)

    def choose(self, key: str) -> None:
        """Open a folder, or take a file."""
        if is_file(self.state, key):
            self.picking = False
            self.model.back_up(key)
        else:
            self.model.enter(key)

    def back(self) -> None:
        """From a folder to the one above it, from the files to the gates, from there away."""
        if not self.picking:
            self.navigation.back()
        elif self.state.folder and self.state.parent:
            self.model.enter(self.state.parent)
        else:
            self.picking = False

    def volts(self, state: GatesState) -> str:
        """The voltage, or that there is none."""
        return statusbar.volts(state.volts)

    def limit(self, name: str, otherwise: float) -> float:
        """One limit of the plan's window."""
        window = self.state.window
        return float(getattr(window, name)) if window is not None else otherwise

    def about_voltage(self, state: GatesState) -> str:
        """Whether a write could begin at this voltage, in words."""
        if state.volts is None:
            return state.volts_reason
        if state.in_window is None:
            return ""
        if state.in_window:
            return _("The voltage is inside the start window.")
        return _("The voltage is outside the start window.")


kv.load(gauge.__file__)
kv.load(listing.__file__)
kv.load(__file__)
