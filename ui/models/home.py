"""Home: unfinished writes first, then the jobs of today and the drafts; a search of all jobs."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, date, datetime

from appliance.client import Client, messages
from ui.models.backend import Seen
from ui.models.job_list import JobList, JobListState, JobRow, row_of
from ui.models.shared import Shared

LOOK_BACK = 100
"""Jobs that are looked through for those of today and for drafts."""
ORDERS = "orders"
"""Stands for the work orders, where else a job's id stands."""
_Fetched = tuple[list[messages.JobView], list[messages.JobView], int]


class HomeState(JobListState, frozen=True, kw_only=True):
    """Attributes:
    unfinished: jobs whose write stopped; they come first.
    today: jobs that were opened today, the newest first.
    drafts: older jobs without a plan.
    orders: work orders for which no job was opened yet.
    warning: the workshop was not heard for long, and what to do, in the appliance's sentences.
    """

    unfinished: tuple[JobRow, ...] = ()
    today: tuple[JobRow, ...] = ()
    drafts: tuple[JobRow, ...] = ()
    orders: int = 0
    warning: str = ""


class HomeModel(JobList[HomeState]):
    """Lists and finds jobs.

    Args:
        shared: the screen's parts.
        resume: takes up a job where it is; called with its id.
        today: the date at the technician's place.
    """

    def __init__(
        self,
        shared: Shared,
        resume: Callable[[str], None],
        today: Callable[[], date] = lambda: datetime.now().astimezone().date(),
    ) -> None:
        super().__init__(HomeState(), shared, all_without_words=False)
        self._resume, self._today = resume, today
        shared.backend.subscribe(self._seen)

    def open(self) -> None:
        """The screen is shown: fetch the jobs."""
        unfinished = list(dict.fromkeys(run.job for run in self._shared.backend.state.unfinished))

        def fetch(client: Client) -> _Fetched:
            page = client.job_list(limit=LOOK_BACK).jobs
            orders = [one for one in client.orders().orders if not one.job]
            return [client.job_show(job) for job in unfinished], page, len(orders)

        self._ask(fetch, lambda reply: self._sort(*reply))

    def take(self, job: str) -> None:
        """Take up a job where it is, or open the work orders with `ORDERS`."""
        if job == ORDERS:
            self._shared.navigation.go("orders")
        else:
            self._resume(job)

    def new_job(self) -> None:
        """Open a new job."""
        self._shared.desk.clear()
        self._shared.navigation.go("new_job")

    def _seen(self, seen: Seen) -> None:
        silence = seen.status.sync.silence if seen.status is not None else None
        self._change(warning=f"{silence.what} {silence.next_step}".strip() if silence else "")

    def _sort(
        self, unfinished: list[messages.JobView], page: list[messages.JobView], orders: int
    ) -> None:
        first = {job.job for job in unfinished}
        rest = [job for job in page if job.job not in first]
        today = [job for job in rest if _day(job.made) == self._today()]
        older = [job for job in rest if job not in today and job.state == "draft"]
        self._change(
            unfinished=tuple(row_of(job) for job in unfinished),
            today=tuple(row_of(job) for job in today),
            drafts=tuple(row_of(job) for job in older),
            orders=orders,
        )


def _day(made: str) -> date | None:
    """The day of a wall time at the technician's place; None for one that no calendar has."""
    try:
        at = datetime.fromisoformat(made)
    except ValueError:
        return None
    return (at if at.tzinfo is not None else at.replace(tzinfo=UTC)).astimezone().date()
