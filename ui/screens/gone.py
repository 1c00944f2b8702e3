"""Gone: the appliance does not answer. The screen asks on and comes back by itself."""

from __future__ import annotations

from ui.i18n import _
from ui.models.status import StatusState
from ui.screens.page import Page
from ui.widgets import kv, notice


class GonePage(Page):
    """Bound to `StatusModel`."""

    def word(self, state: StatusState) -> str:
        """Nothing was heard yet, or nothing is heard any more."""
        return _("The kit does not answer") if state.gone else _("The kit is starting")

    def what(self, state: StatusState) -> str:
        """A write that was running comes before anything else."""
        if state.write_goes_on:
            return _("A write was running. It goes on by itself: leave everything connected.")
        return state.what if state.gone else _("Please wait…")

    def next_step(self, state: StatusState) -> str:
        """Whoever waits for a write must not do what helps a kit that hangs."""
        return _("Do not switch the kit off.") if state.write_goes_on else state.next_step


kv.load(notice.__file__)
kv.load(__file__)
