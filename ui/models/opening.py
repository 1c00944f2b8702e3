"""Taking up a job where it is: everything about it is read back from the appliance."""

from __future__ import annotations

from collections.abc import Callable

from msgspec import Struct

from appliance.client import Client, FieldKitError, messages
from ui.models.backend import Backend
from ui.models.desk import Desk
from ui.models.messages import MessagesModel
from ui.models.navigation import NavigationModel
from ui.models.words import Screen


class Found(Struct, frozen=True, kw_only=True):
    """What the appliance knows of a job.

    Attributes:
        view: the job.
        link, profile, ecu: the ECU that was read last; empty before that.
        plan: its last plan, or the one of the write that is to be resumed.
        recovers: that plan finishes an interrupted write.
    """

    view: messages.JobView
    link: str = ""
    profile: str = ""
    ecu: str = ""
    plan: messages.PlanView | None = None
    recovers: bool = False


def read_job(client: Client, job: str, *, resumes: bool = False) -> Found:
    """Read a job back: its record says which ECU and which plan.

    Raises:
        FieldKitError: there is no such job, or no write to resume.
    """
    ecu: dict[str, str] = {"link": "", "profile": "", "ecu": ""}
    digest, recovers = "", False
    for event in client.events(job):
        if event.kind == "identified":
            ecu = {name: str(event.body[name]) for name in ecu}
        elif event.kind == "plan_compiled":
            digest, recovers = event.body["plan_digest"], bool(event.body["recovers"])
    plan = client.running_plan(job) if resumes else client.plan_kept(digest) if digest else None
    return Found(
        view=client.job_show(job),
        link=ecu["link"],
        profile=ecu["profile"],
        ecu=ecu["ecu"],
        plan=plan,
        recovers=recovers and not resumes,
    )


def screen_of(view: messages.JobView) -> Screen:
    """Where a job is taken up that is chosen from a list."""
    match view.state:
        case "ready":
            return "plan"
        case "writing":
            return "write"
        case "aborted_recoverable":
            return "recovery"
        case "verified" | "refused":
            return "result"
    return "vehicle"


class Opening:
    """Puts jobs on the desk.

    Args:
        backend, desk, navigation, notices: the screen's parts.
    """

    def __init__(
        self, backend: Backend, desk: Desk, navigation: NavigationModel, notices: MessagesModel
    ) -> None:
        self._backend, self._desk = backend, desk
        self._navigation, self._notices = navigation, notices

    def take(self, job: str) -> None:
        """Take up a job that was chosen, on the screen where it is."""

        def found(it: Found) -> None:
            self._lay(it, resumes=False)
            screen = screen_of(it.view)
            self._navigation.go(screen, job=it.view.job, recovers=it.recovers, resumes=False)

        self._backend.call(lambda c: read_job(c, job), found, self._notices.error, "opening")

    def take_again(self, ready: Callable[[], None]) -> None:
        """Read the job of the kept place back, after a start or an unlock.

        Args:
            ready: called once it is on the desk.
        """
        place = self._navigation.place

        def found(it: Found) -> None:
            self._lay(it, resumes=place.resumes)
            ready()

        self._backend.call(
            lambda c: read_job(c, place.job, resumes=place.resumes), found, self._lost, "opening"
        )

    def _lost(self, error: FieldKitError) -> None:
        """The place is gone: say so, and begin at home."""
        self._notices.error(error)
        self._navigation.note(job="", recovers=False, resumes=False)
        self._navigation.home()

    def _lay(self, found: Found, *, resumes: bool) -> None:
        self._desk.take(found.view)
        if found.profile:
            self._desk.choose(found.link, found.profile, found.ecu)
        if found.plan is not None:
            self._desk.take_plan(found.plan, recovers=found.recovers, resumes=resumes)
