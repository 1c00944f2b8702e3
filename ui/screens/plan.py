"""Plan: what will be done in plain words, how long it takes, and what can go wrong."""

from __future__ import annotations

from kivy.properties import StringProperty

from ui.i18n import _
from ui.models.plan import PlanState
from ui.screens.page import Page
from ui.widgets import kv, lines, values


class PlanPage(Page):
    """Bound to `PlanModel`. Two views: the plan itself, and what can go wrong."""

    view = StringProperty("plan")

    def facts(self, state: PlanState) -> list[tuple[str, str]]:
        """What there is to know before anything else."""
        window = state.window
        limits = (
            _("{low:g} to {high:g} V to begin, held below {hold:g} V, cut below {cut:g} V").format(
                low=window.start_min_v,
                high=window.start_max_v,
                hold=window.hold_v,
                cut=window.cut_v,
            )
            if window is not None
            else ""
        )
        pairs = [
            (_("ECU"), state.ecu),
            (_("Time"), state.duration),
            (_("Data"), state.payload),
            (_("Voltage"), limits),
        ]
        return [(label, text) for label, text in pairs if text]

    def steps(self, state: PlanState) -> list[tuple[str, str]]:
        """Every request, numbered, with what kind it is."""
        return [(f"{step.number}.  {step.kind_word}", step.text) for step in state.steps]

    def turn(self) -> None:
        """Show the other view."""
        self.view = "risk" if self.view == "plan" else "plan"

    def risks(self, state: PlanState) -> list[tuple[str, str]]:
        """What can go wrong, and what the kit does then."""
        return [(one.what, one.then) for one in state.what_if]


kv.load(lines.__file__)
kv.load(values.__file__)
kv.load(__file__)
