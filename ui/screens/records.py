"""Records: find a job's record, have its chain checked, export it."""

from __future__ import annotations

from kivy.properties import BooleanProperty

from ui.i18n import _
from ui.models.job_list import JobRow
from ui.models.records import RecordsState
from ui.screens import report
from ui.screens.home import job_row
from ui.screens.page import Page, Rows
from ui.screens.sticks import no_stick, stick_rows
from ui.widgets import kv, listing, marks, values
from ui.widgets.swap import Swap  # noqa: F401 - named by the KV file


class RecordsPage(Page):
    """Bound to `RecordsModel`. `exporting`: a stick is being chosen."""

    exporting = BooleanProperty(False)

    def shown(self, state: RecordsState, exporting: bool) -> str:
        """What is shown: the list, the record, or its report."""
        if state.report.page:
            return "report"
        return "one" if state.job and not exporting else "all"

    def title(self, state: RecordsState, exporting: bool) -> str:
        """What is shown; a report has all the room there is."""
        if state.report.page:
            return ""
        if exporting:
            return _("Export to a stick")
        if state.job:
            return state.title
        if state.query:
            return _("Found for “{query}”").format(query=state.query)
        return _("Records")

    def rows(self, state: RecordsState, exporting: bool) -> Rows | listing.Each[JobRow]:
        """Records, or sticks."""
        if not exporting:
            return listing.Each(job_row, state.found)
        return stick_rows(state.sticks)

    def hint(self, state: RecordsState, exporting: bool) -> str:
        """What stands there for an empty list, and what was done."""
        if state.exported:
            return f"{marks.DONE} {state.exported}"
        if exporting and not state.busy:
            return no_stick(state.sticks)
        if not state.job and state.nothing_found:
            return _("No job has these words.") if state.query else _("There are no records yet.")
        return ""

    def pairs(self, state: RecordsState) -> list[tuple[str, str]]:
        """The chain and its last events."""
        whole = {True: f"{marks.DONE} {_('whole')}", False: f"{marks.FAILED} {_('broken')}"}
        chain = [
            (_("Chain"), whole[state.whole] if state.whole is not None else marks.NONE),
            (_("Events"), str(state.length)),
            (_("Last hash"), state.head),
        ]
        return chain + [(f"{one.seq}  {one.wall[11:16]}", one.word) for one in state.events]

    def choose(self, key: str) -> None:
        """Look at a record, or export onto a stick."""
        if self.exporting:
            self.exporting = False
            self.model.export(key)
        else:
            self.model.look(key)

    def export(self) -> None:
        """Show the sticks."""
        self.exporting = True
        self.model.look_for_sticks()

    def search(self) -> None:
        """Ask for words."""
        self.edit(_("Search"), "", self.model.search)

    def back(self) -> None:
        """One step back."""
        if self.state.report.page:
            self.model.report.close()
        elif self.exporting:
            self.exporting = False
        elif self.state.job:
            self.model.close()
        elif self.state.query:
            self.model.search("")
        else:
            self.navigation.back()


kv.load(listing.__file__)
kv.load(report.__file__)
kv.load(values.__file__)
kv.load(__file__)
