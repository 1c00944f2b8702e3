"""`ReportView`: a page of a record's PDF, for the screens that show one."""

from __future__ import annotations

from kivy.properties import ObjectProperty
from kivy.uix.boxlayout import BoxLayout

from ui.i18n import _
from ui.models.report import ReportState
from ui.widgets import kv, picture


class ReportView(BoxLayout):  # type: ignore[misc]  # Kivy brings no types
    """Fits a page to the screen's width; what does not fit is scrolled to."""

    report = ObjectProperty(ReportState(), rebind=True)
    resize = ObjectProperty()
    """Called when the page is touched."""

    def where(self, report: ReportState) -> str:
        """Which page, and what touching it does."""
        touch = _("Touch it: smaller") if report.larger else _("Touch it: larger")
        page = _("Page {page} of {pages}").format(page=report.page, pages=report.pages)
        return f"{page} · {touch}"

    def on_report(self, _self: object, report: ReportState) -> None:
        """A page begins at its upper left corner."""
        del report
        self.ids.scroll.scroll_x, self.ids.scroll.scroll_y = 0, 1


kv.load(picture.__file__)
kv.load(__file__)
