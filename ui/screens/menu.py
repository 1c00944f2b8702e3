"""Menu: what is not part of a job."""

from __future__ import annotations

from ui.i18n import _
from ui.screens.page import Page, Rows
from ui.widgets import kv, listing


class MenuPage(Page):
    """Bound to the status; leads to the other screens."""

    def rows(self, technician: str) -> Rows:
        """Everything there is."""
        return [
            {"key": "orders", "title": _("Work orders"), "detail": _("Booked by the office")},
            {"key": "backups", "title": _("Backups"), "detail": _("Look, check, open")},
            {"key": "records", "title": _("Records"), "detail": _("Find, check, export")},
            {"key": "settings", "title": _("Settings"), "detail": _("Language, colours, panel")},
            {"key": "lock", "title": _("Lock"), "detail": technician},
            {"key": "help", "title": _("Help"), "detail": _("How this kit works")},
            {"key": "about", "title": _("About"), "detail": _("Versions, diagnostics")},
        ]

    def choose(self, key: str) -> None:
        """Open it."""
        if key == "lock":
            self.navigation.lock()
        else:
            self.navigation.open(key)


kv.load(listing.__file__)
kv.load(__file__)
