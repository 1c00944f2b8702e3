"""Unlock: who is working, and their passphrase."""

from __future__ import annotations

from ui.i18n import _
from ui.models.unlock import TechnicianRow, UnlockState
from ui.screens.page import Page, Rows
from ui.widgets import kv, listing, marks


class UnlockPage(Page):
    """Bound to `UnlockModel`."""

    def rows(self, technicians: tuple[TechnicianRow, ...], chosen: str) -> Rows:
        """Everybody who can unlock the kit; who was chosen is marked."""
        return [
            {
                "key": one.name,
                "title": one.name,
                "detail": one.role,
                "mark": marks.NOTE if one.name == chosen else marks.WAITING,
            }
            for one in technicians
        ]

    def hint(self, state: UnlockState) -> str:
        """A pause that must be waited for, and a write that goes on."""
        lines = []
        if state.wait_s:
            lines.append(_("Wait {seconds} s before the next try.").format(seconds=state.wait_s))
        if state.write_runs:
            lines.append(_("A write is running; it goes on."))
        return "\n".join(lines)

    def choose(self, name: str) -> None:
        """Take this technician and ask for the passphrase."""
        self.model.choose(name)
        if self.model.state.can_try:
            self.ask()

    def ask(self) -> None:
        """Open the keyboard for the passphrase."""
        self.edit(_("Passphrase"), "", self.model.unlock, secret=True)


kv.load(listing.__file__)
kv.load(__file__)
