"""Records: every job's chain of events; search, verify, export to a stick."""

from __future__ import annotations

from msgspec import Struct

from appliance.client import Client, FieldKitError, messages
from ui.models import words
from ui.models.job_list import JobList, JobListState
from ui.models.picking import StickRow, stick_row
from ui.models.report import ReportReader, ReportState
from ui.models.shared import Shared

LAST_EVENTS = 200
BROKEN = "record_damaged"
"""The appliance's code for a record that is not what the kit wrote."""


class EventRow(Struct, frozen=True, kw_only=True):
    """An event of a record; `word` is how its kind is shown."""

    seq: int
    kind: str
    word: str
    wall: str


class RecordsState(JobListState, frozen=True, kw_only=True):
    """Attributes:
    job, title: the record that is looked at; empty for none.
    events: its last events without the voltage's, the newest first.
    length, head: of its chain.
    whole: its chain was computed again and is whole; False if that said it is not; None before.
    sticks: where it can be exported to.
    exported: where it was exported to; empty before that.
    report: its PDF, while that is looked at.
    """

    job: str = ""
    title: str = ""
    events: tuple[EventRow, ...] = ()
    length: int = 0
    head: str = ""
    whole: bool | None = None
    sticks: tuple[StickRow, ...] = ()
    exported: str = ""
    report: ReportState = ReportState()


class RecordsModel(JobList[RecordsState]):
    """Finds records, has them verified and exports them."""

    def __init__(self, shared: Shared) -> None:
        super().__init__(RecordsState(), shared, all_without_words=True)
        self.report = ReportReader(self._ask, lambda report: self._change(report=report))

    def open(self) -> None:
        """The screen is shown: all records, the newest first."""
        self.close()
        self._begin("", 0.0)
        self.tick()

    def look(self, job: str) -> None:
        """Look at one record."""
        self.close()

        def fetch(client: Client) -> tuple[messages.JobView, list[EventRow]]:
            rows = [
                EventRow(
                    seq=event.seq,
                    kind=event.kind,
                    word=words.event(event.kind),
                    wall=event.wall,
                )
                for event in client.events(job)
                if not event.kind.startswith("voltage") and event.kind != "progress"
            ]
            return client.job_show(job), rows[-LAST_EVENTS:]

        self._ask(fetch, lambda reply: self._shown(*reply))

    def close(self) -> None:
        """Look at none."""
        self._forget()
        self.report.close()
        self._change(
            job="", title="", events=(), length=0, head="", whole=None, sticks=(), exported=""
        )
        self._change(what="", next_step="")

    def verify(self) -> None:
        """Compute every hash and signature of the record again."""
        job = self.state.job
        if job:
            self._change(whole=None)
            self._ask(lambda client: client.job_verify(job), self._verified, self._broken)

    def look_for_sticks(self) -> None:
        """See where it can be exported to."""
        self._ask(lambda client: client.sticks(), self._sticks)

    def export(self, stick: str) -> None:
        """Write the record onto a stick (`StickRow.folder`)."""
        job = self.state.job
        if job:
            self._change(exported="")
            self._ask(lambda client: client.job_export_onto(job, stick), self._exported)

    def _shown(self, job: messages.JobView, rows: list[EventRow]) -> None:
        self._change(
            job=job.job,
            title=f"{job.customer}, {job.vehicle}",
            events=tuple(reversed(rows)),
            length=job.events,
            head=job.head,
        )

    def _verified(self, chain: messages.ChainVerified) -> None:
        self._change(whole=True, length=chain.events, head=chain.head)

    def _broken(self, error: FieldKitError) -> None:
        # Only the appliance's own word for a broken chain is one; anything else is no verdict.
        self._change(whole=False if error.code == BROKEN else None)
        self._tell(error)

    def _sticks(self, reply: messages.Sticks) -> None:
        self._change(sticks=tuple(stick_row(stick) for stick in reply.sticks))

    def _exported(self, reply: messages.ExportedOnto) -> None:
        self._change(exported=reply.what)
