"""How a write ended, the one next step, and its record."""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal

from appliance.client import messages
from ui.models import words
from ui.models.picking import StickRow, stick_row
from ui.models.report import ReportReader, ReportState
from ui.models.shared import Asking, AskingState, Shared
from ui.models.status import record_problem

LOOK_AGAIN_S = 1.0
"""The record may be behind the write for a moment; so often it is looked at again."""
Action = Literal["", "home", "gates", "recover"]


class ResultState(AskingState, frozen=True, kw_only=True):
    """Attributes:
    job, customer, vehicle: whose write it was.
    outcome: `verified`, `refused`, `aborted_recoverable`; empty while the record has none.
    outcome_word: how it is shown.
    outcome_what, outcome_next_step: the sentences that belong to it.
    action: the one next step: `home`, `gates` (try again) or `recover`.
    events, head: length and hash of the job's record.
    record_whole: its chain was computed again and is whole; None while that was not asked.
    sticks: where it can be exported to.
    exported: where it was exported to; empty before that.
    report: its PDF, while that is looked at.
    record_what, record_next_step: why the record is behind; empty while it is not.
    """

    job: str = ""
    customer: str = ""
    vehicle: str = ""
    outcome: str = ""
    outcome_word: str = ""
    outcome_what: str = ""
    outcome_next_step: str = ""
    action: Action = ""
    events: int = 0
    head: str = ""
    record_whole: bool | None = None
    sticks: tuple[StickRow, ...] = ()
    exported: str = ""
    report: ReportState = ReportState()
    record_what: str = ""
    record_next_step: str = ""


class ResultModel(Asking[ResultState]):
    """Shows the end of a job's last write, as the record has it.

    Args:
        shared: the screen's parts.
        recover: begins the recovery of a job's unfinished write.
    """

    def __init__(self, shared: Shared, recover: Callable[[str], None]) -> None:
        super().__init__(ResultState(), shared)
        self._recover = recover
        self._look_at: float | None = None
        self.report = ReportReader(self._ask, lambda report: self._change(report=report))
        shared.backend.on_tick(self.tick)
        shared.backend.subscribe(lambda seen: self._change(**record_problem(seen.status)))

    def open(self) -> None:
        """The screen is shown: read the job's end."""
        job = self._shared.navigation.place.job
        self.report.close()
        empty = ResultState(job=job)
        self._change(
            **{name: getattr(empty, name) for name in ResultState.__struct_fields__}
            | record_problem(self._shared.backend.state.status)
        )
        self._fetch()

    def tick(self) -> None:
        """Look again while the record is behind."""
        if self._look_at is not None and self._shared.backend.now() >= self._look_at:
            self._look_at = None
            if self._shared.navigation.state.screen == "result":
                self._fetch()

    def act(self) -> None:
        """Do the one next step."""
        action, job = self.state.action, self.state.job
        if action == "recover":
            self._recover(job)
        elif action == "gates":
            self._shared.navigation.go("gates" if self._shared.desk.plan else "vehicle")
        elif action == "home":
            self._shared.navigation.go("home")

    def verify(self) -> None:
        """Compute every hash and signature of the record again."""
        job = self.state.job
        self._ask(lambda client: client.job_verify(job), self._verified)

    def look_for_sticks(self) -> None:
        """See where the record can be exported to."""
        self._ask(lambda client: client.sticks(), self._sticks)

    def export(self, stick: str) -> None:
        """Write the record onto a stick (`StickRow.folder`)."""
        job = self.state.job
        self._change(exported="")
        self._ask(lambda client: client.job_export_onto(job, stick), self._exported)

    def _fetch(self) -> None:
        job = self.state.job
        if job:
            self._ask(lambda client: client.job_show(job), self._shown)

    def _shown(self, job: messages.JobView) -> None:
        self._shared.desk.take(job)
        ended = job.state in ("verified", "refused", "aborted_recoverable")
        what, next_step = _said(job, self._shared.backend.state.status)
        self._change(
            job=job.job,
            customer=job.customer,
            vehicle=job.vehicle,
            outcome=job.state if ended else "",
            outcome_word=words.outcome(job.state) if ended else words.job_state(job.state),
            outcome_what=what,
            outcome_next_step=next_step,
            action=_action(job),
            events=job.events,
            head=job.head,
        )
        if job.state == "writing":
            self._look_at = self._shared.backend.now() + LOOK_AGAIN_S

    def _verified(self, chain: messages.ChainVerified) -> None:
        self._change(record_whole=True, events=chain.events, head=chain.head)

    def _sticks(self, reply: messages.Sticks) -> None:
        self._change(sticks=tuple(stick_row(stick) for stick in reply.sticks))

    def _exported(self, reply: messages.ExportedOnto) -> None:
        self._change(exported=reply.what)


def _said(job: messages.JobView, status: messages.KitStatus | None) -> tuple[str, str]:
    """The sentences that belong to the outcome; while it is missing, why nobody can tell it."""
    problem = status.hw_problem if status is not None else None
    if job.state == "writing" and problem is not None:
        return problem.what, problem.next_step
    return job.what, job.next_step


def _action(job: messages.JobView) -> Action:
    match job.state:
        case "aborted_recoverable":
            return "recover"
        case "refused":
            return "gates"
        case "writing":
            return ""
    return "home"
