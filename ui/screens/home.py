"""Home: unfinished writes first, then today's jobs and older drafts; a search of all jobs."""

from __future__ import annotations

from ui.i18n import _
from ui.models.home import ORDERS, HomeState
from ui.models.job_list import JobRow
from ui.screens.page import Page
from ui.widgets import kv, listing, marks

STATES = {
    "verified": (marks.DONE, "good"),
    "refused": (marks.FAILED, "bad"),
    "aborted_recoverable": (marks.WARNING, "warn"),
    "writing": (marks.BUSY, "plain"),
}
"""Mark and tone of a job's state; every other one is open."""


def job_row(job: JobRow) -> dict[str, object]:
    """A job in a list: who and what, and below it how far it is."""
    mark, tone = STATES.get(job.state, (marks.WAITING, "plain"))
    return {
        "key": job.job,
        "title": " · ".join(filter(None, (job.customer, job.vehicle))),
        "detail": " · ".join(filter(None, (job.state_word, job.complaint))),
        "mark": marks.WARNING if job.unfinished else mark,
        "tone": "warn" if job.unfinished else tone,
    }


def _job_or_orders(one: JobRow | int) -> dict[str, object]:
    """A job, or how many work orders wait."""
    if isinstance(one, JobRow):
        return job_row(one)
    return {
        "key": ORDERS,
        "title": _("Work orders"),
        "detail": _("{n} waiting").format(n=one),
        "mark": marks.WAITING,
    }


class HomePage(Page):
    """Bound to `HomeModel`."""

    def title(self, state: HomeState) -> str:
        """What the list shows."""
        if state.query:
            return _("Found for “{query}”").format(query=state.query)
        return _("Jobs")

    def hint(self, state: HomeState) -> str:
        """What stands there instead of an empty list."""
        if state.busy or state.searching:
            return _("Please wait…")
        if state.query:
            return _("No job has these words.") if state.nothing_found else ""
        if state.warning:
            return f"{marks.WARNING} {state.warning}"
        if state.what or self.rows(state):
            return ""
        return _("There are no jobs of today and no drafts. Start with a new job.")

    def rows(self, state: HomeState) -> listing.Each[JobRow] | listing.Each[JobRow | int]:
        """What was found, or what is at hand."""
        if state.query:
            return listing.Each(job_row, state.found)
        orders = (state.orders,) if state.orders else ()
        at_hand = (*state.unfinished, *orders, *state.today, *state.drafts)
        return listing.Each(_job_or_orders, at_hand)

    def search(self) -> None:
        """Ask for words to search for."""
        self.edit(_("Search"), "", self.model.search)


kv.load(listing.__file__)
kv.load(__file__)
