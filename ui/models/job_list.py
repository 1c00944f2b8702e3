"""Lists of jobs, searched and fetched a page at a time: there may be ten thousand."""

from __future__ import annotations

from typing import TypeVar

from msgspec import Struct

from appliance.client import FieldKitError, messages
from ui.models import words
from ui.models.shared import Asking, AskingState, Shared

SEARCH_AFTER_S = 0.3
"""So long after the last letter a search begins: not one for each letter."""
PAGE = 20


class JobRow(Struct, frozen=True, kw_only=True):
    """A job in a list. `made` is RFC 3339; `unfinished`: its write runs or must be recovered."""

    job: str
    customer: str
    vehicle: str
    complaint: str
    made: str
    state: str
    state_word: str
    unfinished: bool


def row_of(job: messages.JobView) -> JobRow:
    """A job as lists show it."""
    return JobRow(
        job=job.job,
        customer=job.customer,
        vehicle=job.vehicle,
        complaint=job.complaint,
        made=job.made,
        state=job.state,
        state_word=words.job_state(job.state),
        unfinished=bool(job.run),
    )


class JobListState(AskingState, frozen=True, kw_only=True):
    """Attributes:
    query: what is searched for; empty for no search.
    searching: an answer is awaited.
    found: jobs that were found, the newest first, as far as they were asked for.
    more: there are further ones.
    nothing_found: the search is over and brought nothing.
    """

    query: str = ""
    searching: bool = False
    found: tuple[JobRow, ...] = ()
    more: bool = False
    nothing_found: bool = False


L = TypeVar("L", bound=JobListState)


class JobList(Asking[L]):
    """Finds jobs.

    Args:
        first: the state to begin with.
        shared: the screen's parts.
        all_without_words: no words find all jobs, and not none.
    """

    def __init__(self, first: L, shared: Shared, *, all_without_words: bool) -> None:
        super().__init__(first, shared)
        self._all = all_without_words
        self._search_at: float | None = None
        self._search_key = f"{type(self).__name__}.search"
        shared.backend.on_tick(self.tick)

    def search(self, query: str) -> None:
        """Search as somebody types; begins a moment after the last letter."""
        query = " ".join(query.split())
        if query != self.state.query:
            self._begin(query, SEARCH_AFTER_S)

    def more(self) -> None:
        """Fetch the next page of what was found."""
        if self.state.more and not self.state.searching:
            self._change(searching=True)
            self._fetch(self.state.found[-1].job)

    def tick(self) -> None:
        """Begin the search that waits for the last letter."""
        if self._search_at is not None and self._shared.backend.now() >= self._search_at:
            self._search_at = None
            self._fetch("")

    def _begin(self, query: str, after_s: float) -> None:
        self._shared.backend.forget(self._search_key)
        wanted = bool(query) or self._all
        self._change(query=query, found=(), more=False, searching=wanted, nothing_found=False)
        self._search_at = self._shared.backend.now() + after_s if wanted else None

    def _fetch(self, before: str) -> None:
        query = self.state.query
        self._shared.backend.call(
            lambda client: client.job_list(query, before, PAGE),
            lambda page: self._add(page, before),
            self._search_failed,
            self._search_key,
        )

    def _add(self, page: messages.Jobs, before: str) -> None:
        kept = self.state.found if before else ()
        found = kept + tuple(row_of(job) for job in page.jobs)
        self._change(found=found, more=page.more, searching=False, nothing_found=not found)

    def _search_failed(self, error: FieldKitError) -> None:
        self._change(searching=False)
        self._tell(error)
