"""Recovery: writes that did not end, and the plan that finishes one."""

from __future__ import annotations

from kivy.properties import BooleanProperty

from ui.i18n import _
from ui.models.recovery import RecoveryState
from ui.screens.page import Page, Rows
from ui.widgets import kv, listing, marks, notice
from ui.widgets.swap import Swap  # noqa: F401 - named by the KV file


class RecoveryPage(Page):
    """Bound to `RecoveryModel`. `choosing`: the link is being chosen."""

    choosing = BooleanProperty(False)

    def look_for_links(self) -> None:
        """Show the links."""
        self.choosing = True
        self.model.look_for_links()

    def links(self, state: RecoveryState) -> Rows:
        """The link of the interrupted plan, and all others."""
        same = {"key": "", "title": _("The same link as before")}
        others = [
            {"key": one.uri, "title": one.name, "detail": one.uri.split("?")[0]}
            for one in state.links
        ]
        return [
            {**row, "mark": marks.NOTE if row["key"] == state.link else marks.WAITING}
            for row in (same, *others)
        ]

    def take(self, uri: str) -> None:
        """Take a link."""
        self.choosing = False
        self.model.set_link(uri)

    def over(self, state: RecoveryState) -> str:
        """Over which link, where it is another one."""
        return _("Over another link: {name}").format(name=state.link_name) if state.link else ""

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
