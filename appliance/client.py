"""The client of the appliance's API: what the command line and the screen import, and nothing else.

The screen finds here all that it needs of the floors below: the client, `messages` (bodies of
requests and replies), the errors, and the rules of a VIN.

Every method is one request over the Unix socket `appliance.sock`. Errors come back as `ApiError`
with the same code, sentences and exit status that the appliance gave them.
"""

from __future__ import annotations

import socket
from collections.abc import Generator, Iterator
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Any, Literal, TypeVar
from urllib.parse import quote, urlencode
from weakref import WeakSet

import httpx
import msgspec
from msgspec import Struct

from appliance.api import messages
from appliance.api import messages as m
from appliance.reference import reference_of
from appliance.vin import VinReport, examine_vin
from hw.config import run_dir
from hw.errors import UNDECODABLE, FieldKitError, UnavailableError
from hw.messages import GateResult, RunInfo, Status

__all__ = [
    "ApiError",
    "Client",
    "FieldKitError",
    "GateResult",
    "NotRunning",
    "RunInfo",
    "Status",
    "UnavailableError",
    "VinReport",
    "examine_vin",
    "messages",
]

CALL_TIMEOUT_S = 30.0
CAR_TIMEOUT_S = 1800.0
"""Reading a whole ECU over a slow bus takes minutes; the appliance ends it by its own limits."""
FILE_TIMEOUT_S = 300.0
"""A large file comes slowly from an old stick, and goes slower onto it."""
NETWORK_TIMEOUT_S = 180.0
"""Looking around, joining and clearing up after a failure, each up to its own limit."""
STREAM_TIMEOUT_S = 30.0
"""The appliance sends an empty line each second; this long without one, it is dead."""

JOBS_AT_ONCE = 500

R = TypeVar("R", bound=Struct)


class ApiError(FieldKitError):
    """An error that the appliance told; `code`, `exit_status` and `gate` are the appliance's."""

    def __init__(self, problem: m.Problem) -> None:
        super().__init__(problem.what, problem.next_step)
        self.code = problem.code  # type: ignore[misc]  # the class's own code is for local errors
        self.exit_status = problem.exit_status  # type: ignore[misc]  # as above
        self.gate = problem.gate


class NotRunning(UnavailableError):
    """The appliance does not answer on its socket."""

    code = "not_running"

    def __init__(self, path: Path, reason: str) -> None:
        super().__init__(
            f"The appliance does not answer on {path}: {reason}.", "Start it with 'fieldkit up'."
        )


class Client:
    """A connection to the appliance. Thread-safe; close it, or use it as a context manager.

    Args:
        path: the appliance's socket; by default the one in the kit's run folder.
    """

    def __init__(self, path: Path | None = None) -> None:
        self._path = path or run_dir() / "appliance.sock"
        self._lines: WeakSet[socket.socket] = WeakSet()
        self._http = httpx.Client(
            # Plain HTTP on a Unix socket: the network's certificates, which take longer to load
            # than most requests, have no say here.
            transport=httpx.HTTPTransport(uds=str(self._path), verify=False),
            base_url=f"http://appliance/{m.VERSION}",
            timeout=CALL_TIMEOUT_S,
            trust_env=False,  # A proxy of the network has no business on this socket.
        )

    def __enter__(self) -> Client:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        """Give the connection back. Also from another thread: a request under way ends at once."""
        # Closing a socket does not wake who waits for it; hanging up does.
        for line in tuple(self._lines):
            with suppress(OSError):  # The appliance may have hung up already.
                line.shutdown(socket.SHUT_RDWR)
        self._http.close()

    def _trace(self, name: str, info: dict[str, Any]) -> None:
        """Keep the sockets of this client, as httpcore tells of them (its extension `trace`)."""
        if name == "connection.connect_unix_socket.complete":
            line = info["return_value"].get_extra_info("socket")
            if isinstance(line, socket.socket):
                self._lines.add(line)

    # The kit ----------------------------------------------------------------------------------

    def status(self) -> m.KitStatus:
        """The kit in this moment; works while it is locked."""
        return self._get("/status", m.KitStatus)

    def doctor(self) -> m.Doctor:
        """Look at everything a write needs; works while the kit is locked."""
        return self._get("/doctor", m.Doctor)

    def about(self) -> m.About:
        """Versions and storage of the kit; works while it is locked."""
        return self._get("/about", m.About)

    def diagnostics(self) -> m.File:
        """Logs and state in one archive, without secrets and customers; works while locked."""
        return self._post("/diagnostics", m.File, None, FILE_TIMEOUT_S)

    def diagnostics_onto(self, stick: str) -> m.SavedOnto:
        """Write that archive onto a stick (`Stick.folder`)."""
        body = m.ExportOnto(stick=stick)
        return self._post("/diagnostics/stick", m.SavedOnto, body, FILE_TIMEOUT_S)

    def unlock(self, technician: str, passphrase: str) -> m.Okay:
        """Open the kit."""
        return self._post("/unlock", m.Okay, m.Unlock(technician=technician, passphrase=passphrase))

    def sync(self) -> m.Sync:
        """The way to the workshop."""
        return self._get("/sync", m.Sync)

    def sync_now(self, *, wait: bool = True) -> m.Sync:
        """Hand over what is new, and once more what the workshop refused, without waiting for the
        next time by itself.

        Args:
            wait: for the end of it, or for a while; else the answer comes at once.
        """
        return self._post("/sync" if wait else "/sync?wait=0", m.Sync)

    def sync_enrol(self, code: str) -> m.Okay:
        """Let this kit in at a workshop, with the office's code."""
        return self._post("/sync/enrol", m.Okay, m.SyncEnrol(code=code))

    def technicians(self) -> m.Technicians:
        """Who can unlock the kit, and how long each must still wait; works while it is locked."""
        return self._get("/technicians", m.Technicians)

    def technician_add(self, name: str, role: str, new_passphrase: str, passphrase: str) -> m.Okay:
        """Add a technician; `passphrase` is that of the owner who has the kit."""
        body = m.TechnicianNew(
            name=name, role=role, new_passphrase=new_passphrase, passphrase=passphrase
        )
        return self._post("/technicians", m.Okay, body)

    def passphrase_change(self, passphrase: str, new_passphrase: str) -> m.Okay:
        """Change the passphrase of whoever has the kit; `passphrase` is the old one."""
        body = m.PassphraseNew(passphrase=passphrase, new_passphrase=new_passphrase)
        return self._post("/technicians/passphrase", m.Okay, body)

    def lock(self) -> m.Okay:
        """Close the kit; a write that runs goes on."""
        return self._post("/lock", m.Okay)

    def profiles(self) -> m.Profiles:
        """Profiles on this kit."""
        return self._get("/profiles", m.Profiles)

    def profile_coding(self, name: str) -> m.CodingView:
        """The coding that a profile names: fields with their options, as `plan_code` takes them."""
        return self._get(f"/profiles/{quote(name, safe='')}/coding", m.CodingView)

    def profile_sign(
        self, name: str, content: bytes, passphrase: str, *, install: bool = False
    ) -> m.ProfileSigned:
        """Sign a profile with the workshop's key, where this kit holds it."""
        body = m.SignProfile(name=name, content=content, passphrase=passphrase, install=install)
        return self._post("/profiles/sign", m.ProfileSigned, body)

    def media(self) -> m.Media:
        """What is on the two backup media; whether they are there is in `status`."""
        return self._get("/media", m.Media)

    def sensor(self) -> m.Sensor:
        """Which voltage sensor the kit has, and how exact it can be."""
        return self._get("/sensor", m.Sensor)

    def network(self, *, scan: bool = False) -> m.Network:
        """Wi-Fi networks around, where the kit has NetworkManager; `scan` looks for them anew."""
        return self._get(f"/network?scan={int(scan)}", m.Network, NETWORK_TIMEOUT_S)

    def network_join(self, ssid: str, passphrase: str = "") -> m.Okay:
        """Join a Wi-Fi network; a known or open one needs no passphrase."""
        body = m.JoinNetwork(ssid=ssid, passphrase=passphrase)
        return self._post("/network/join", m.Okay, body, NETWORK_TIMEOUT_S)

    def network_forget(self, ssid: str) -> m.Okay:
        """Leave a Wi-Fi network for good."""
        body = m.ForgetNetwork(ssid=ssid)
        return self._post("/network/forget", m.Okay, body, NETWORK_TIMEOUT_S)

    # Sticks -----------------------------------------------------------------------------------

    def sticks(self) -> m.Sticks:
        """USB sticks that are plugged into the kit, without the two backup media."""
        return self._get("/sticks", m.Sticks)

    def stick_files(self, path: str) -> m.StickFolder:
        """What lies in a folder on a stick; `path` is `Stick.folder` or `StickEntry.path`."""
        return self._get(f"/sticks/files?{urlencode({'path': path})}", m.StickFolder)

    def container_inspect(self, path: str, profile: str = "") -> m.ContainerView:
        """What a container on a stick says of itself, and whether it fits a profile's regions."""
        body = m.InspectContainer(path=path, profile=profile)
        return self._post("/containers/inspect", m.ContainerView, body, FILE_TIMEOUT_S)

    # The car ----------------------------------------------------------------------------------

    def links(self) -> m.Links:
        """Links that the kit's configuration names."""
        return self._get("/links", m.Links)

    def discover(self, link: str) -> m.Discovered:
        """ECUs that announce themselves on a DoIP link."""
        return self._post("/discover", m.Discovered, m.DiscoverOn(link=link), CAR_TIMEOUT_S)

    def identify(self, link: str, profile: str, job: str = "") -> m.Identity:
        """Read identification and coding; on a job's record where one is named."""
        body = m.OnLink(link=link, profile=profile, job=job)
        return self._post("/identify", m.Identity, body, CAR_TIMEOUT_S)

    def read(
        self, link: str, profile: str, did: int | None = None, region: str = ""
    ) -> m.ReadReply:
        """Read one DID or one memory region."""
        body = m.ReadValue(link=link, profile=profile, did=did, region=region)
        return self._post("/read", m.ReadReply, body, CAR_TIMEOUT_S)

    # Work orders ------------------------------------------------------------------------------

    def orders(self) -> m.Orders:
        """Work orders that came from the workshop."""
        return self._get("/orders", m.Orders)

    def order(self, reference: str) -> m.OrderView:
        """One of them, by its reference as it was typed or scanned."""
        return self._get(f"/orders/{reference_of(reference)}", m.OrderView)

    def order_open(self, reference: str) -> m.JobView:
        """The job for a work order: a new one, or the one that there is."""
        return self._post(f"/orders/{reference_of(reference)}/job", m.JobView)

    # Plans ------------------------------------------------------------------------------------

    def plan_flash(self, request: m.PlanFlash) -> m.PlanView:
        """Compile a flash; the car sees nothing but reads."""
        return self._post("/plans/flash", m.PlanView, request, CAR_TIMEOUT_S)

    def plan_code(self, request: m.PlanCode) -> m.PlanView:
        """Compile a change of coding; the car sees nothing but reads."""
        return self._post("/plans/code", m.PlanView, request, CAR_TIMEOUT_S)

    def plan_restore(self, request: m.PlanRestore) -> m.PlanView:
        """Compile a restore; the car sees nothing but reads."""
        return self._post("/plans/restore", m.PlanView, request, CAR_TIMEOUT_S)

    def plan_show(self, plan: bytes) -> m.PlanView:
        """What a plan's file will do."""
        return self._post("/plans/show", m.PlanView, m.CheckPlan(plan=plan))

    def plan_kept(self, digest: str) -> m.PlanView:
        """A plan that this kit made, by its digest (`JobView.plans`)."""
        return self._get(f"/plans/{quote(digest, safe='')}", m.PlanView)

    # Backups ----------------------------------------------------------------------------------

    def backup_make(self, request: m.BackupMake) -> m.BackupView:
        """Back up an ECU on both media."""
        return self._post("/backups", m.BackupView, request, CAR_TIMEOUT_S)

    def backup_list(self) -> m.Backups:
        """All backups on the two media."""
        return self._get("/backups", m.Backups)

    def backup_verify(self, backup: str) -> m.BackupVerified:
        """Read both copies again; one is repaired from the other."""
        path = f"/backups/{quote(backup, safe='')}/verify"
        return self._post(path, m.BackupVerified, None, CAR_TIMEOUT_S)

    def backup_open(self, backup: str, passphrase: str) -> m.Files:
        """Decrypt a backup."""
        path = f"/backups/{quote(backup, safe='')}/open"
        return self._post(path, m.Files, m.OpenBackup(passphrase=passphrase), CAR_TIMEOUT_S)

    # Jobs -------------------------------------------------------------------------------------

    def job_new(self, customer: str, vehicle: str, complaint: str = "") -> m.JobView:
        """Open a job for a car that a line of text describes."""
        return self.job_open(m.JobNew(customer=customer, vehicle=vehicle, complaint=complaint))

    def job_open(self, request: m.JobNew) -> m.JobView:
        """Open a job with all that is known of customer and car."""
        return self._post("/jobs", m.JobView, request)

    def job_list(self, words: str = "", before: str = "", limit: int = JOBS_AT_ONCE) -> m.Jobs:
        """A page of jobs, the newest first.

        Args:
            words: each must occur in customer, vehicle, complaint or id.
            before: a job's id: only older ones; the last one of a page asks for the next page.
            limit: at most so many, and never more than the appliance gives at once.
        """
        query = urlencode({"words": words, "before": before, "limit": limit})
        return self._get(f"/jobs?{query}", m.Jobs)

    def jobs(self, words: str = "", at_once: int = JOBS_AT_ONCE) -> Iterator[m.JobView]:
        """All jobs with these words, the newest first, `at_once` with each request."""
        page = self.job_list(words, "", at_once)
        yield from page.jobs
        while page.more:
            page = self.job_list(words, page.jobs[-1].job, at_once)
            yield from page.jobs

    def job_show(self, job: str) -> m.JobView:
        """One job."""
        return self._get(_job(job), m.JobView)

    def agreements(self, job: str, plan: str = "", language: str = "") -> m.Agreements:
        """The texts that a plan (its digest) needs, or all; in a language where there is one."""
        query = urlencode({"plan": plan, "language": language})
        return self._get(f"{_job(job, 'agreements')}?{query}", m.Agreements)

    def agree(self, job: str, request: m.Agree) -> m.Okay:
        """The customer signs a text; the technician who has the kit is the witness."""
        return self._post(_job(job, "agreements"), m.Okay, request)

    def check(self, job: str, plan: bytes) -> m.GateView:
        """Ask all gates about a plan; no permit is made and nothing but reads is sent."""
        return self._post(_job(job, "check"), m.GateView, m.CheckPlan(plan=plan), CAR_TIMEOUT_S)

    def run(self, job: str, plan: bytes, risk_digest: str, passphrase: str) -> m.Started:
        """Acknowledge the risk, pass the gates and start the write; it then needs no client."""
        body = m.RunPlan(plan=plan, risk_digest=risk_digest, passphrase=passphrase)
        return self._post(_job(job, "run"), m.Started, body, CAR_TIMEOUT_S)

    def running_plan(self, job: str) -> m.PlanView:
        """The plan of the write that is under way; its risk is what a resume acknowledges."""
        return self._get(_job(job, "run"), m.PlanView)

    def resume(self, job: str, risk_digest: str, passphrase: str) -> m.Started:
        """Acknowledge again and resume a write that was cut."""
        body = m.Acknowledge(risk_digest=risk_digest, passphrase=passphrase)
        return self._post(_job(job, "resume"), m.Started, body, CAR_TIMEOUT_S)

    def abort(self, job: str) -> m.Okay:
        """End a write at its next safe point."""
        return self._post(_job(job, "abort"), m.Okay)

    def recovery(self, job: str, link: str = "") -> m.RecoveryView:
        """Compile the plan that finishes an unfinished write."""
        body = m.RecoverOn(link=link)
        return self._post(_job(job, "recovery"), m.RecoveryView, body, CAR_TIMEOUT_S)

    def job_verify(self, job: str) -> m.ChainVerified:
        """Compute every hash and signature of a job's chain again."""
        return self._post(_job(job, "verify"), m.ChainVerified, None, CAR_TIMEOUT_S)

    def job_export(self, job: str) -> m.Files:
        """JSON, files and PDF report of a job."""
        return self._post(_job(job, "export"), m.Files, None, CAR_TIMEOUT_S)

    def job_report(self, job: str) -> m.File:
        """The PDF report of a job, to be looked at: that is no export."""
        return self._call("GET", _job(job, "report"), m.File, None, CAR_TIMEOUT_S)

    def job_export_onto(self, job: str, stick: str) -> m.ExportedOnto:
        """Write what `job_export` gives onto a stick (`Stick.folder`), into a new folder."""
        body = m.ExportOnto(stick=stick)
        return self._post(_job(job, "export/stick"), m.ExportedOnto, body, FILE_TIMEOUT_S)

    def events(
        self, job: str, after: int = 0, *, follow: bool = False
    ) -> Generator[m.JobEvent, None, None]:
        """A job's events from number `after` on; with `follow` for ever, as they come.

        Raises:
            ApiError: the appliance ended the stream and says why.
            NotRunning: the appliance is gone; a write that runs goes on without it.
        """
        query: dict[str, str | int] = {"after": after, "follow": int(follow)}
        timeout = httpx.Timeout(CALL_TIMEOUT_S, read=STREAM_TIMEOUT_S)
        self._knock()
        try:
            with self._http.stream(
                "GET",
                _job(job, "events"),
                params=query,
                timeout=timeout,
                extensions={"trace": self._trace},
            ) as answer:
                if answer.status_code != httpx.codes.OK:
                    answer.read()
                    raise _problem(answer.content)
                for line in answer.iter_lines():
                    if line:
                        yield _event(line.encode())
        except httpx.HTTPError as error:
            raise NotRunning(self._path, _reason(error)) from error

    # Requests ---------------------------------------------------------------------------------

    def _knock(self) -> None:
        """See that somebody listens: httpcore 1.0 leaves its socket open where nobody does."""
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
            probe.settimeout(CALL_TIMEOUT_S)
            try:
                probe.connect(str(self._path))
            except OSError as error:
                raise NotRunning(self._path, error.strerror or str(error)) from error

    def _get(self, path: str, reply: type[R], timeout_s: float = CALL_TIMEOUT_S) -> R:
        return self._call("GET", path, reply, None, timeout_s)

    def _post(
        self,
        path: str,
        reply: type[R],
        body: Struct | None = None,
        timeout_s: float = CALL_TIMEOUT_S,
    ) -> R:
        return self._call("POST", path, reply, body, timeout_s)

    def _call(
        self,
        method: Literal["GET", "POST"],
        path: str,
        reply: type[R],
        body: Struct | None,
        timeout_s: float,
    ) -> R:
        content = msgspec.json.encode(body) if body is not None else None
        self._knock()
        try:
            answer = self._http.request(
                method,
                path,
                content=content,
                timeout=timeout_s,
                extensions={"trace": self._trace},
            )
        except httpx.TimeoutException as error:
            raise UnavailableError(
                f"The appliance did not answer within {timeout_s:g} s.",
                "Check 'fieldkit status'; a write that runs goes on by itself.",
            ) from error
        except httpx.HTTPError as error:
            raise NotRunning(self._path, _reason(error)) from error
        if answer.status_code != httpx.codes.OK:
            raise _problem(answer.content)
        try:
            return msgspec.json.decode(answer.content, type=reply)
        except UNDECODABLE as error:
            raise _other_version() from error


def _job(job: str, action: str = "") -> str:
    path = f"/jobs/{quote(job, safe='')}"
    return f"{path}/{action}" if action else path


def _reason(error: httpx.HTTPError) -> str:
    return str(error).rstrip(".") or type(error).__name__


def _event(line: bytes) -> m.JobEvent:
    try:
        return msgspec.json.decode(line, type=m.JobEvent)
    except UNDECODABLE:
        # Not an event: the appliance ended the stream with the reason as its last line.
        raise _problem(line) from None


def _problem(content: bytes) -> FieldKitError:
    try:
        return ApiError(msgspec.json.decode(content, type=m.Problem))
    except UNDECODABLE:
        return _other_version()


def _other_version() -> FieldKitError:
    return UnavailableError(
        "The appliance answered something that this program does not understand.",
        "Restart it with 'fieldkit up', so that both are of the same version.",
    )
