"""`Desk`: the job in hand, as all screens of a job share it."""

from __future__ import annotations

from msgspec import Struct

from appliance.client import messages
from ui.models import words
from ui.models.base import ViewModel


class DeskState(Struct, frozen=True, kw_only=True):
    """The job in hand; `job` is empty for none.

    Attributes:
        job: its id.
        customer, phone, vehicle, vin, plate, complaint: as the record has them.
        state, state_word: how far it is.
        link, profile, ecu: the ECU that was chosen; empty before that.
        backups: ids of its backups, the newest last.
        plan: digest of the plan in hand, empty for none.
        recovers: that plan finishes an interrupted one.
        resumes: that plan is the one under way, cut, to be acknowledged again.
    """

    job: str = ""
    customer: str = ""
    phone: str = ""
    vehicle: str = ""
    vin: str = ""
    plate: str = ""
    complaint: str = ""
    state: str = ""
    state_word: str = ""
    link: str = ""
    profile: str = ""
    ecu: str = ""
    backups: tuple[str, ...] = ()
    plan: str = ""
    recovers: bool = False
    resumes: bool = False


class Desk(ViewModel[DeskState]):
    """Holds the job in hand, and the plan with its file."""

    def __init__(self) -> None:
        super().__init__(DeskState())
        self._plan: messages.PlanView | None = None

    @property
    def plan(self) -> messages.PlanView | None:
        """The plan in hand."""
        return self._plan

    def take(self, job: messages.JobView) -> None:
        """Take a job in hand; another one's ECU and plan are put away."""
        if job.job != self.state.job:
            self.clear()
        self._change(
            job=job.job,
            customer=job.customer,
            phone=job.phone,
            vehicle=job.vehicle,
            vin=job.vin,
            plate=job.plate,
            complaint=job.complaint,
            state=job.state,
            state_word=words.job_state(job.state),
            backups=tuple(job.backups),
        )

    def choose(self, link: str, profile: str, ecu: str) -> None:
        """An ECU was chosen; a plan for another one is put away."""
        state = self.state
        if (link, profile) != (state.link, state.profile):
            self.put_plan_away()
        self._change(link=link, profile=profile, ecu=ecu)

    def add_backup(self, backup: str) -> None:
        """A backup was made for this job."""
        self._change(backups=(*self.state.backups, backup))

    def take_plan(
        self, plan: messages.PlanView, *, recovers: bool = False, resumes: bool = False
    ) -> None:
        """A plan was compiled, or is looked at again."""
        self._plan = plan
        self._change(
            plan=plan.digest, ecu=plan.ecu, link=plan.link, recovers=recovers, resumes=resumes
        )

    def put_plan_away(self) -> None:
        """No plan is in hand any more."""
        self._plan = None
        self._change(plan="", recovers=False, resumes=False)

    def clear(self) -> None:
        """No job is in hand any more."""
        self._plan = None
        empty = DeskState()
        self._change(**{name: getattr(empty, name) for name in DeskState.__struct_fields__})
