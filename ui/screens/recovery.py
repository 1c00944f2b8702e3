"""Recovery: writes that did not end, and the plan that finishes one."""

from __future__ import annotations

from ui.i18n import _
from ui.models.recovery import RecoveryState
from ui.screens.page import Page, Rows
from ui.widgets import kv, listing, marks, notice


class RecoveryPage(Page):
    """Bound to `RecoveryModel`."""

    def rows(self, state: RecoveryState) -> Rows:
        """Each unfinished write: whose car, and how far it came."""
        return [
            {
                "key": one.job,
                "title": " · ".join(filter(None, (one.customer, one.vehicle))) or one.ecu,
                "detail": " · ".join(
                    filter(
                        None,
                        (_("{done} of {total}").format(done=one.done, total=one.total), one.what),
                    )
                ),
                "mark": marks.WARNING,
                "tone": "warn",
            }
            for one in state.runs
        ]

    def why(self, state: RecoveryState) -> str:
        """What it means for the car."""
        del state
        return _("Do not drive this car: its ECU is not complete. Recovery finishes the write.")


kv.load(listing.__file__)
kv.load(notice.__file__)
kv.load(__file__)
