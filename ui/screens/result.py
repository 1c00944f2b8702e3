"""Result: how the write ended, and the one next step; its record and its export."""

from __future__ import annotations

from kivy.properties import StringProperty

from ui.i18n import _, n_
from ui.models.result import ResultState
from ui.screens import report
from ui.screens.page import Page, Rows
from ui.screens.sticks import no_stick, stick_rows
from ui.widgets import kv, listing, marks, notice, values
from ui.widgets.swap import Swap  # noqa: F401 - named by the KV file

KINDS = {"verified": "confirm", "refused": "error", "aborted_recoverable": "warning"}
ACTIONS = {"home": n_("Finish"), "gates": n_("Try again"), "recover": n_("Recover")}


class ResultPage(Page):
    """Bound to `ResultModel`. `view` is the outcome, the record or the sticks."""

    view = StringProperty("outcome")

    def shown(self, state: ResultState, view: str) -> str:
        """What is shown: the view, or the report over it."""
        return "report" if state.report.page else view

    def kind(self, outcome: str) -> str:
        """The shape that stands for an outcome."""
        return KINDS.get(outcome, "warning")

    def action(self, action: str) -> str:
        """The one next step."""
        return _(ACTIONS.get(action, ""))

    def whose(self, state: ResultState) -> str:
        """Whose car it was."""
        return " · ".join(filter(None, (state.customer, state.vehicle)))

    def record(self, state: ResultState) -> list[tuple[str, str]]:
        """The job's record."""
        whole = {True: f"{marks.DONE} {_('whole')}", False: f"{marks.FAILED} {_('broken')}"}
        return [
            (_("Job"), state.job),
            (_("Events"), str(state.events)),
            (_("Last hash"), state.head),
            (
                _("Chain"),
                whole[state.record_whole] if state.record_whole is not None else marks.NONE,
            ),
        ]

    def sticks(self, state: ResultState) -> Rows:
        """Where the record can be exported to."""
        return stick_rows(state.sticks)

    def hint(self, state: ResultState) -> str:
        """What stands beside the sticks."""
        if state.busy:
            return ""
        if state.exported:
            return f"{marks.DONE} {state.exported}"
        return no_stick(state.sticks)

    def look_for_sticks(self) -> None:
        """Show the sticks."""
        self.view = "sticks"
        self.model.look_for_sticks()

    def back(self) -> None:
        """From a view to the outcome, from there away."""
        if self.state.report.page:
            self.model.report.close()
        elif self.view == "outcome":
            self.navigation.back()
        else:
            self.view = "outcome"


kv.load(listing.__file__)
kv.load(notice.__file__)
kv.load(report.__file__)
kv.load(values.__file__)
kv.load(__file__)
