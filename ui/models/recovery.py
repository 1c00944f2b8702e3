"""Unfinished writes: each is finished by a recovery plan, which is a plan like any other."""

from __future__ import annotations

from msgspec import Struct

from appliance.client import RunInfo, messages
from ui.i18n import _
from ui.models import words
from ui.models.backend import Seen
from ui.models.links import LinkRow, link_rows
from ui.models.plan import PlanModel
from ui.models.shared import Asking, AskingState, Shared


class RunRow(Struct, frozen=True, kw_only=True):
    """A write that did not end. `what` says why, in the journal's words."""

    run: str
    job: str
    customer: str
    vehicle: str
    ecu: str
    state: str
    state_word: str
    step: int
    done: str
    total: str
    part: float
    what: str


class RecoveryState(AskingState, frozen=True, kw_only=True):
    """Attributes:
    runs: unfinished writes, as the kit's journal has them.
    link: where the ECU is now, if not where it was; empty for the same link.
    link_name: what it is called.
    links: links that lead to one ECU each, once they were asked for.
    """

    runs: tuple[RunRow, ...] = ()
    link: str = ""
    link_name: str = ""
    links: tuple[LinkRow, ...] = ()


class RecoveryModel(Asking[RecoveryState]):
    """Shows unfinished writes and compiles the plan that finishes one.

    Args:
        shared: the screen's parts.
        plan: shows the recovery plan.
    """

    def __init__(self, shared: Shared, plan: PlanModel) -> None:
        super().__init__(RecoveryState(), shared)
        self._plan = plan
        self._jobs: dict[str, messages.JobView] = {}
        shared.backend.subscribe(self._look)

    def open(self) -> None:
        """The screen is shown: fetch whose cars they are."""
        jobs = list(dict.fromkeys(run.job for run in self._shared.backend.state.unfinished))
        self._change(link="", link_name="")
        self._ask(lambda client: [client.job_show(job) for job in jobs], self._found)

    def look_for_links(self) -> None:
        """Fetch the links on which the ECU could be now."""
        self._ask(lambda client: client.links(), self._links)

    def set_link(self, link: str) -> None:
        """The ECU is on another link now; empty: on the one of the interrupted plan."""
        uri = link.strip()
        name = next((one.name for one in self.state.links if one.uri == uri), uri)
        self._change(link=uri, link_name=name)

    def recover(self, job: str) -> None:
        """Compile the plan that finishes a job's write; gates and acknowledgment follow."""
        self._ask(lambda client: client.job_show(job), self._take)

    def set_aside(self) -> None:
        """Do something else first; the writes stay on the home screen."""
        self._shared.navigation.home()
        self._shared.messages.warn(
            _("The write stays unfinished."),
            _("Do not drive this car. Its job stands first on the home screen."),
        )

    def _take(self, view: messages.JobView) -> None:
        self._shared.desk.take(view)
        self._shared.navigation.note(job=view.job)
        link = self.state.link
        self._plan.compile(lambda client: client.recovery(view.job, link).plan, recovers=True)

    def _links(self, reply: messages.Links) -> None:
        self._change(links=tuple(one for one in link_rows(reply) if not one.discovery))

    def _found(self, jobs: list[messages.JobView]) -> None:
        self._jobs = {job.job: job for job in jobs}
        self._look(self._shared.backend.state)

    def _look(self, seen: Seen) -> None:
        self._change(runs=tuple(self._row(run) for run in seen.unfinished))

    def _row(self, run: RunInfo) -> RunRow:
        job = self._jobs.get(run.job)
        return RunRow(
            run=run.run,
            job=run.job,
            customer=job.customer if job is not None else "",
            vehicle=job.vehicle if job is not None else "",
            ecu=run.ecu,
            state=run.state,
            state_word=words.run_state(run.state),
            step=run.step,
            done=words.size(run.done_bytes),
            total=words.size(run.total_bytes),
            part=run.done_bytes / run.total_bytes if run.total_bytes else 0.0,
            what=run.what,
        )
