"""An appliance at the client's surface: what it answers is made of the API's own messages.

`FakeAppliance` is what a test sets up and reads; each `FakeClient` is one connection to it. Calls
come from the backend's threads, so that everything here is guarded by one lock.
"""

from __future__ import annotations

import io
import threading
from collections.abc import Callable, Generator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from reportlab.lib.pagesizes import A4
from reportlab.pdfgen.canvas import Canvas

from appliance.client import ApiError, Client, FieldKitError, NotRunning
from appliance.client import messages as m
from hw.messages import GATES, GateResult, RunInfo, Status
from hw.plan import VoltageWindow
from hw.statements import TextName

PASSPHRASE = "correct horse battery staple"
WINDOW = VoltageWindow(
    start_min_v=12.5,
    start_max_v=14.8,
    settle_s=3.0,
    hold_v=12.0,
    cut_v=11.0,
    resume_v=12.5,
    resume_after_s=2.0,
    over_v=15.0,
)
DESCRIPTION = m.Description(
    head=[
        "Flash of the engine (job j1, profile sim-engine).",
        "Over doip://127.0.0.1:13400.",
        "Supply: 12.5 to 14.8 V for 3 s to begin.",
    ],
    steps=[
        m.PlanStep(kind="prepare", text="Enter session 0x02."),
        m.PlanStep(kind="erase", text="Erase: routine 0xFF00, must answer 00, at most 120 s."),
        m.PlanStep(kind="write", text="Write 1024 bytes to 0x00008000: new.s37, about 1 s."),
        m.PlanStep(kind="read", text="Read back 1024 bytes and compare their SHA-256."),
        m.PlanStep(kind="check", text="Let the ECU check its memory: routine 0x0202."),
        m.PlanStep(kind="other", text="Something that nobody has thought of yet."),
    ],
    tail=["Nothing has to be restored."],
    duration="2048 bytes cross the link in about 1 s.",
)
GONE = NotRunning(Path("/run/fieldkit/appliance.sock"), "Connection refused")


def refusal(code: str, what: str = "No.", next_step: str = "Do something else.") -> FieldKitError:
    """An error as the client raises it."""
    return problem(m.Problem(code=code, what=what, next_step=next_step, exit_status=77))


def problem(told: m.Problem) -> FieldKitError:
    return ApiError(told)


def right(passphrase: str, what: str) -> m.Okay:
    if passphrase != PASSPHRASE:
        raise refusal("passphrase", "Name and passphrase do not fit together.", "Again.")
    return m.Okay(what=what)


def job_view(job: str, **fields: Any) -> m.JobView:
    told: dict[str, Any] = {
        "job": job,
        "customer": "Fleet Ltd",
        "vehicle": "Test car",
        "complaint": "",
        "phone": "",
        "email": "",
        "vin": "",
        "plate": "",
        "made": "2026-03-01T10:00:00Z",
        "state": "draft",
        "what": "",
        "next_step": "",
        "run": "",
        "plans": [],
        "backups": [],
        "events": 3,
        "head": "aa" * 32,
    }
    return m.JobView(**told | fields)


def order_view(reference: str, **fields: Any) -> m.OrderView:
    told: dict[str, Any] = {
        "reference": reference,
        "way": "visit",
        "state": "booked",
        "customer": "Fleet Ltd",
        "phone": "+27 21 555 0100",
        "address": "",
        "appointment": "2026-03-02T09:30",
        "vehicle": "Test car",
        "vin": "",
        "complaint": "Stalls.",
        "photos": 0,
        "made": "2026-03-01T10:00:00Z",
        "job": "",
    }
    return m.OrderView(**told | fields)


def agreement(
    text: TextName, language: str = "en", version: int = 1, customer: str = ""
) -> m.AgreementView:
    """A text as the appliance shows it; which it is stands in its words."""
    return m.AgreementView(
        text=text,
        title=f"{text} {language}",
        version=version,
        language=language,
        languages=["af", "de", "en"],
        content=f"{text} {language}\n\nWords of version {version}.\n",
        sha256=f"{text} {language} {version}",
        customer=customer,
        wall="2026-03-01T10:00:00Z" if customer else "",
    )


def plan_view(job: str = "j1", digest: str = "ab" * 32) -> m.PlanView:
    return m.PlanView(
        digest=digest,
        job=job,
        title="Flash of the engine",
        ecu="engine",
        link="doip://127.0.0.1:13400",
        risk_class="programming",
        risk_text="Software is erased and written.",
        risk_digest="cd" * 32,
        window=WINDOW,
        description=DESCRIPTION,
        payload_bytes=1024,
        file=b"{}",
    )


def run_info(state: Any = "running", job: str = "j1", run: str = "r1") -> RunInfo:
    return RunInfo(
        run=run,
        job=job,
        plan_digest="ab" * 32,
        backup_manifest_sha256="",
        profile="sim-engine",
        ecu="engine",
        state=state,
        step=2,
        done_bytes=512,
        total_bytes=1024,
        what="The kit was switched off.",
    )


def gate_results(refused: str = "", reason: str = "Not so.") -> list[GateResult]:
    return [
        GateResult(
            gate=gate,
            passed=gate != refused,
            reason=reason if gate == refused else "",
            next_step="Put it right." if gate == refused else "",
        )
        for gate in GATES
    ]


def report(pages: int) -> bytes:
    """A PDF of so many A4 pages, each with its number on it."""
    out = io.BytesIO()
    canvas = Canvas(out, pagesize=A4)
    for number in range(1, pages + 1):
        canvas.drawString(100, 700, f"Page {number}")
        canvas.showPage()
    canvas.save()
    return out.getvalue()


MEDIA: tuple[Literal["a", "b"], ...] = ("a", "b")
MediumState = Literal["present", "missing", "read_only", "full"]


def _medium(name: Literal["a", "b"], state: MediumState) -> m.MediumView:
    what = "" if state == "present" else "It is not there."
    return m.MediumView(
        name=name, folder=name, state=state, free_bytes=1, simulated=False, what=what
    )


@dataclass
class FakeAppliance:
    """What the appliance answers, and what it was asked."""

    now: Callable[[], float]
    locked: bool = False
    role: str = "technician"
    joined: set[str] = field(default_factory=set)
    """Wi-Fi networks."""
    gone: bool = False
    volts: float | None = 13.2
    voltage_reason: str = ""
    gate: Literal["CLOSED", "ARMED", "OPEN", "HELD", "CUT"] = "CLOSED"
    hw_gone: bool = False
    record_problem: m.Problem | None = None
    sync: m.Sync = field(default_factory=lambda: m.Sync(state="not_set_up"))
    runs: list[RunInfo] = field(default_factory=list)
    jobs: list[m.JobView] = field(default_factory=list)
    record: list[m.JobEvent] = field(default_factory=list)
    plan: m.PlanView = field(default_factory=plan_view)
    signed: list[tuple[str, m.Agree]] = field(default_factory=list)
    """What customers signed, each with its job."""
    text_version: int = 1
    media_b: MediumState = "present"
    gates: list[GateResult] = field(default_factory=gate_results)
    refuses: dict[str, FieldKitError] = field(default_factory=dict)
    """Errors by the client's method; each stays until a test takes it away."""
    replies: dict[str, Any] = field(default_factory=dict)
    """Replies by the client's method, where the usual one is not what a test wants."""
    asked: list[tuple[str, tuple[Any, ...]]] = field(default_factory=list)
    stands_still: bool = False
    """While set, nothing is answered, as by a process that was stopped."""
    changed: threading.Condition = field(default_factory=threading.Condition)

    def client(self) -> FakeClient:
        return FakeClient(self)

    def calls(self, method: str) -> list[tuple[Any, ...]]:
        with self.changed:
            return [arguments for name, arguments in self.asked if name == method]

    def tell(self, kind: str, run: str = "r1", **body: Any) -> None:
        """Put an event on the job's record; followers get it."""
        with self.changed:
            seq = len(self.record) + 1
            self.record.append(m.JobEvent(seq=seq, kind=kind, wall="", run=run, body=body))
            self.changed.notify_all()

    def set(self, **fields: Any) -> None:
        with self.changed:
            for name, value in fields.items():
                setattr(self, name, value)
            self.changed.notify_all()

    def status(self) -> m.KitStatus:
        hw = Status(
            id=1,
            at=self.now(),
            gate=self.gate,
            gate_reason="below 12.0 V" if self.gate == "HELD" else "",
            gate_next_step="Charge the battery." if self.gate in ("HELD", "CUT") else "",
            volts=self.volts,
            voltage_reason=self.voltage_reason,
            sample_rate=400.0,
            run="",
            write_enable=False,
            wiring="",
            simulated=[],
            links=["doip://127.0.0.1:13400"],
        )
        away = m.Problem(
            code="unavailable", what="hw is gone.", next_step="Start it.", exit_status=69
        )
        return m.KitStatus(
            locked=self.locked,
            technician="" if self.locked else "maria",
            role="" if self.locked else self.role,
            hw=None if self.hw_gone else hw,
            hw_problem=away if self.hw_gone else None,
            record_problem=self.record_problem,
            runs=list(self.runs),
            simulated=["car"],
            media=[_medium("a", "present"), _medium("b", self.media_b)],
            clock=m.Clock(quality="synchronised", wall="2026-03-01T10:00:00Z"),
            sync=self.sync,
            supply=m.Supply(state="ok"),
        )


class FakeClient(Client):
    """One connection. Everything that the screen's models ask is answered here."""

    def __init__(self, appliance: FakeAppliance) -> None:
        self._it = appliance
        self._closed = threading.Event()

    def close(self) -> None:
        self._closed.set()
        with self._it.changed:
            self._it.changed.notify_all()

    def _ask(self, method: str, usual: Callable[[], Any], *arguments: Any) -> Any:
        it = self._it
        with it.changed:
            it.asked.append((method, arguments))
            it.changed.wait_for(lambda: not it.stands_still or self._closed.is_set())
            if it.gone or self._closed.is_set():
                raise GONE
            if method in it.refuses:
                raise it.refuses[method]
            return it.replies[method] if method in it.replies else usual()

    def status(self) -> m.KitStatus:
        found: m.KitStatus = self._ask("status", self._it.status)
        return found

    # The workshop -----------------------------------------------------------------------------

    def sync_now(self, *, wait: bool = True) -> m.Sync:
        reply: m.Sync = self._ask("sync_now", lambda: self._it.sync, wait)
        return reply

    def sync_enrol(self, code: str) -> m.Okay:
        def usual() -> m.Okay:
            self._it.sync = m.Sync(state="idle", workshop="https://workshop:8443", kit="Van 1")
            return m.Okay(what="This kit is 'Van 1' now.")

        okay: m.Okay = self._ask("sync_enrol", usual, code)
        return okay

    # Agreements -------------------------------------------------------------------------------

    def agreements(self, job: str, plan: str = "", language: str = "") -> m.Agreements:
        names = self._it.plan.agreements

        def usual() -> m.Agreements:
            signed = {request.text: request.customer for _job, request in self._it.signed}
            return m.Agreements(
                agreements=[
                    agreement(name, language, self._it.text_version, signed.get(name, ""))
                    for name in names
                ]
            )

        reply: m.Agreements = self._ask("agreements", usual, job, plan, language)
        return reply

    def agree(self, job: str, request: m.Agree) -> m.Okay:
        def usual() -> m.Okay:
            self._it.signed.append((job, request))
            return m.Okay(what="Signed.")

        reply: m.Okay = self._ask("agree", usual, job, request)
        return reply

    # Work orders ------------------------------------------------------------------------------

    def orders(self) -> m.Orders:
        orders = [order_view("W-7K3F2"), order_view("W-0B9MX", way="mail_in", state="on_the_way")]
        reply: m.Orders = self._ask("orders", lambda: m.Orders(orders=orders))
        return reply

    def order_open(self, reference: str) -> m.JobView:
        reply: m.JobView = self._ask("order_open", lambda: job_view("j1"), reference)
        return reply

    # The kit ----------------------------------------------------------------------------------

    def technicians(self) -> m.Technicians:
        people = [m.TechnicianView(name="maria", role="lead", wait_s=0)]
        reply: m.Technicians = self._ask("technicians", lambda: m.Technicians(technicians=people))
        return reply

    def unlock(self, technician: str, passphrase: str) -> m.Okay:
        def usual() -> m.Okay:
            okay = right(passphrase, "The kit is unlocked by maria.")
            self._it.locked = False
            return okay

        okay: m.Okay = self._ask("unlock", usual, technician)
        return okay

    def lock(self) -> m.Okay:
        def usual() -> m.Okay:
            self._it.locked = True
            return m.Okay(what="The kit is locked.")

        okay: m.Okay = self._ask("lock", usual)
        return okay

    def technician_add(self, name: str, role: str, new_passphrase: str, passphrase: str) -> m.Okay:
        def usual() -> m.Okay:
            return right(passphrase, f"{name} can now unlock this kit.")

        okay: m.Okay = self._ask("technician_add", usual, name, role, new_passphrase)
        return okay

    def passphrase_change(self, passphrase: str, new_passphrase: str) -> m.Okay:
        def usual() -> m.Okay:
            return right(passphrase, "The passphrase is changed.")

        okay: m.Okay = self._ask("passphrase_change", usual, new_passphrase)
        return okay

    def about(self) -> m.About:
        told = m.About(
            kit="3a77c3a1a90b",
            version="0.1.0",
            python="3.13.5",
            kernel="Linux 6.12",
            system="Debian",
            libraries=[
                m.Version(name="kivy", version="2.3.1"),
                m.Version(name="lgpio", version=""),
            ],
            size_bytes=32_000_000_000,
            free_bytes=8_000_000_000,
        )
        reply: m.About = self._ask("about", lambda: told)
        return reply

    def diagnostics_onto(self, stick: str) -> m.SavedOnto:
        done = m.SavedOnto(
            what="The diagnostics lie on USB.", stick=stick, name="d.zip", size_bytes=9
        )
        reply: m.SavedOnto = self._ask("diagnostics_onto", lambda: done, stick)
        return reply

    def profiles(self) -> m.Profiles:
        engine = m.ProfileView(
            name="sim-engine", title="Engine", ecu="engine", writes=["flash", "code"]
        )
        bad = m.ProfileView(name="bad", title="", ecu="", writes=[], problem="It is not signed.")
        reply: m.Profiles = self._ask("profiles", lambda: m.Profiles(profiles=[bad, engine]))
        return reply

    def links(self) -> m.Links:
        links = [
            m.LinkView(name="car", uri="doip://127.0.0.1:13400", discovery=True),
            m.LinkView(name="engine", uri="doip://127.0.0.1:13400?target=16", discovery=False),
        ]
        reply: m.Links = self._ask("links", lambda: m.Links(links=links))
        return reply

    def media(self) -> m.Media:
        use = [
            m.MediumUse(
                name=name,
                device=f"/dev/sd{name}1",
                size_bytes=64_000_000_000,
                backups=2,
                verified="2026-02-28T10:00:00Z",
                verified_backup="b2",
            )
            for name in MEDIA
        ]
        reply: m.Media = self._ask("media", lambda: m.Media(media=use))
        return reply

    def sensor(self) -> m.Sensor:
        known = m.Sensor(
            uri="ina219:///dev/i2c-1/0x40",
            divider=1.0,
            rate_hz=1000,
            simulated=False,
            error_part=0.01,
            error_v=0.016,
            meter_part=0.005,
            meter_v=0.02,
        )
        reply: m.Sensor = self._ask("sensor", lambda: known)
        return reply

    def network(self, *, scan: bool = False) -> m.Network:
        def usual() -> m.Network:
            known = self._it.joined
            rows = [
                m.WifiNetwork(
                    ssid=ssid,
                    signal=signal,
                    secured=secured,
                    usable=True,
                    known=ssid in known,
                    joined=ssid in known,
                )
                for ssid, signal, secured in (("Workshop", 82, True), ("Cafe", 40, False))
            ]
            return m.Network(available=True, what="", networks=rows)

        reply: m.Network = self._ask("network", usual, scan)
        return reply

    def network_join(self, ssid: str, passphrase: str = "") -> m.Okay:
        def usual() -> m.Okay:
            self._it.joined.add(ssid)
            return m.Okay(what="It is joined.")

        okay: m.Okay = self._ask("network_join", usual, ssid, passphrase)
        return okay

    def network_forget(self, ssid: str) -> m.Okay:
        def usual() -> m.Okay:
            self._it.joined.remove(ssid)
            return m.Okay(what="It is forgotten.")

        okay: m.Okay = self._ask("network_forget", usual, ssid)
        return okay

    # The car ----------------------------------------------------------------------------------

    def discover(self, link: str) -> m.Discovered:
        ecu = m.FoundOnLink(link=link, logical_address=16, vin="WVWZZZ1JZ3W386752", eid="00")
        reply: m.Discovered = self._ask("discover", lambda: m.Discovered(ecus=[ecu]), link)
        return reply

    def identify(self, link: str, profile: str, job: str = "") -> m.Identity:
        values = [
            m.Value(did=0xF190, name="vin", label="VIN", hex="", text="WVWZZZ1JZ3W386752"),
            m.Value(
                did=0x0600,
                name="coding",
                label="Coding",
                hex="01",
                text="01",
                fields={"cruise_control": "on", "idle": "800"},
            ),
            m.Value(did=0xF18C, name="serial", label="Serial", hex="", text="", refused="0x31"),
        ]
        identity = m.Identity(
            ecu="engine", title="Engine ECU", profile=profile, link=link, values=values
        )
        reply: m.Identity = self._ask("identify", lambda: identity, link, profile, job)
        return reply

    def profile_coding(self, name: str) -> m.CodingView:
        on_off = [m.CodingOption(value=word, label=word.title()) for word in ("off", "on")]
        fields = [
            m.CodingField(
                name="cruise_control",
                label="Cruise control",
                setting="0x0600.cruise_control",
                options=on_off,
                min=None,
                max=None,
                step=None,
                unit="",
            ),
            m.CodingField(
                name="idle",
                label="Idle speed",
                setting="0x0600.idle",
                options=[],
                min=600.0,
                max=1000.0,
                step=1.0,
                unit="1/min",
            ),
        ]
        did = m.CodingDid(did=0x0600, name="coding", label="Coding", length=4, fields=fields)
        view = m.CodingView(profile=name, title="Engine", writable=True, dids=[did])
        reply: m.CodingView = self._ask("profile_coding", lambda: view, name)
        return reply

    # Sticks -----------------------------------------------------------------------------------

    def sticks(self) -> m.Sticks:
        stick = m.Stick(
            name="USB",
            folder="/media/usb",
            free_bytes=2_000_000_000,
            size_bytes=4_000_000_000,
            read_only=False,
            simulated=False,
        )
        reply: m.Sticks = self._ask("sticks", lambda: m.Sticks(sticks=[stick]))
        return reply

    def stick_files(self, path: str) -> m.StickFolder:
        entry = m.StickEntry(
            name="new.s37",
            path=f"{path}/new.s37",
            folder=False,
            size=2048,
            modified="2026-02-01T10:00:00Z",
            container="s-record",
        )
        folder = m.StickFolder(
            stick="/media/usb", path=path, parent="", entries=[entry], left_out=1
        )
        reply: m.StickFolder = self._ask("stick_files", lambda: folder, path)
        return reply

    def container_inspect(self, path: str, profile: str = "") -> m.ContainerView:
        view = m.ContainerView(
            path=path,
            name="new.s37",
            size=2048,
            sha256="ef" * 32,
            format="s-record",
            good=True,
            what="",
            next_step="",
            part_numbers=["8K0907115R"],
            version="",
            software={},
            blocks=[m.Block(address=0x8000, size=1024)],
            checksums=[m.ChecksumView(name="records", good=True)],
            profile=profile,
            fits=True,
            fit_what="",
            fit_next_step="",
            regions=["Calibration"],
        )
        reply: m.ContainerView = self._ask("container_inspect", lambda: view, path, profile)
        return reply

    # Plans and backups ------------------------------------------------------------------------

    def plan_flash(self, request: m.PlanFlash) -> m.PlanView:
        reply: m.PlanView = self._ask("plan_flash", lambda: self._it.plan, request)
        return reply

    def plan_code(self, request: m.PlanCode) -> m.PlanView:
        reply: m.PlanView = self._ask("plan_code", lambda: self._it.plan, request)
        return reply

    def plan_restore(self, request: m.PlanRestore) -> m.PlanView:
        reply: m.PlanView = self._ask("plan_restore", lambda: self._it.plan, request)
        return reply

    def plan_kept(self, digest: str) -> m.PlanView:
        reply: m.PlanView = self._ask("plan_kept", lambda: self._it.plan, digest)
        return reply

    def backup_make(self, request: m.BackupMake) -> m.BackupView:
        reply: m.BackupView = self._ask("backup_make", lambda: backup_view("b9"), request)
        return reply

    def backup_list(self) -> m.Backups:
        both = [backup_view("b1", job="other"), backup_view("b2")]
        reply: m.Backups = self._ask("backup_list", lambda: m.Backups(backups=both))
        return reply

    def backup_verify(self, backup: str) -> m.BackupVerified:
        copies = [
            m.CopyState(folder="a", state="whole", found=[]),
            m.CopyState(folder="b", state="damaged", found=["manifest.json is missing"]),
        ]
        view = m.BackupVerified(backup=backup, whole=False, copies=copies)
        reply: m.BackupVerified = self._ask("backup_verify", lambda: view, backup)
        return reply

    def backup_open(self, backup: str, passphrase: str) -> m.Files:
        def usual() -> m.Files:
            if passphrase != PASSPHRASE:
                raise refusal("passphrase", "Name and passphrase do not fit together.", "Again.")
            return m.Files(what="It is decrypted.", files=[m.File(name="x", content=b"12345")])

        files: m.Files = self._ask("backup_open", usual, backup)
        return files

    # Jobs -------------------------------------------------------------------------------------

    def job_open(self, request: m.JobNew) -> m.JobView:
        def usual() -> m.JobView:
            view = job_view(
                f"j{len(self._it.jobs) + 1}", customer=request.customer, vin=request.vin
            )
            self._it.jobs.insert(0, view)
            return view

        reply: m.JobView = self._ask("job_open", usual, request)
        return reply

    def job_list(self, words: str = "", before: str = "", limit: int = 500) -> m.Jobs:
        def usual() -> m.Jobs:
            jobs = [job for job in self._it.jobs if words in f"{job.customer} {job.vehicle}"]
            if before:
                at = next(n for n, job in enumerate(jobs) if job.job == before)
                jobs = jobs[at + 1 :]
            return m.Jobs(jobs=jobs[:limit], more=len(jobs) > limit)

        reply: m.Jobs = self._ask("job_list", usual, words, before, limit)
        return reply

    def job_show(self, job: str) -> m.JobView:
        def usual() -> m.JobView:
            for view in self._it.jobs:
                if view.job == job:
                    return view
            raise refusal("not_there", f"There is no job {job}.", "See the list.")

        reply: m.JobView = self._ask("job_show", usual, job)
        return reply

    def job_verify(self, job: str) -> m.ChainVerified:
        chain = m.ChainVerified(job=job, events=7, head="bb" * 32)
        reply: m.ChainVerified = self._ask("job_verify", lambda: chain, job)
        return reply

    def job_export_onto(self, job: str, stick: str) -> m.ExportedOnto:
        done = m.ExportedOnto(
            what="It lies on the stick.", stick=stick, folder="job", files=4, size_bytes=9
        )
        reply: m.ExportedOnto = self._ask("job_export_onto", lambda: done, job, stick)
        return reply

    def job_report(self, job: str) -> m.File:
        file = m.File(name="report.pdf", content=report(pages=3))
        reply: m.File = self._ask("job_report", lambda: file, job)
        return reply

    # Writes -----------------------------------------------------------------------------------

    def check(self, job: str, plan: bytes) -> m.GateView:
        def usual() -> m.GateView:
            results = [
                one
                if one.gate != "USER_ACKNOWLEDGMENT"
                else gate_results("USER_ACKNOWLEDGMENT", "There is none.")[-1]
                for one in self._it.gates
            ]
            return m.GateView(plan_digest="ab" * 32, passed=False, results=results)

        reply: m.GateView = self._ask("check", usual, job)
        return reply

    def run(self, job: str, plan: bytes, risk_digest: str, passphrase: str) -> m.Started:
        def usual() -> m.Started:
            if passphrase != PASSPHRASE:
                raise refusal("passphrase", "Name and passphrase do not fit together.", "Again.")
            passed = all(one.passed for one in self._it.gates)
            if passed:
                self._it.runs = [run_info(job=job)]
                self._it.gate = "OPEN"
            return m.Started(
                run="r1" if passed else "",
                job=job,
                plan_digest="ab" * 32,
                after=len(self._it.record),
                gates=self._it.gates,
            )

        reply: m.Started = self._ask("run", usual, job, plan, risk_digest)
        return reply

    def running_plan(self, job: str) -> m.PlanView:
        reply: m.PlanView = self._ask("running_plan", lambda: self._it.plan, job)
        return reply

    def resume(self, job: str, risk_digest: str, passphrase: str) -> m.Started:
        def usual() -> m.Started:
            self._it.gate = "OPEN"
            after = len(self._it.record)
            return m.Started(run="r1", job=job, plan_digest="ab" * 32, after=after, gates=[])

        reply: m.Started = self._ask("resume", usual, job, risk_digest)
        return reply

    def abort(self, job: str) -> m.Okay:
        okay: m.Okay = self._ask("abort", lambda: m.Okay(what="It ends."), job)
        return okay

    def recovery(self, job: str, link: str = "") -> m.RecoveryView:
        view = m.RecoveryView(recovers="ab" * 32, plan=plan_view(job, "ee" * 32))
        reply: m.RecoveryView = self._ask("recovery", lambda: view, job, link)
        return reply

    def events(
        self, job: str, after: int = 0, *, follow: bool = False
    ) -> Generator[m.JobEvent, None, None]:
        self._ask("events", lambda: None, job, after, follow)
        it = self._it
        while True:
            with it.changed:
                while follow and not (len(it.record) > after or it.gone or self._closed.is_set()):
                    it.changed.wait()
                if it.gone or self._closed.is_set():
                    raise GONE
                found = it.record[after:]
            for event in found:
                yield event
                after = event.seq
            if not follow:
                return


def backup_view(backup: str, job: str = "j1") -> m.BackupView:
    return m.BackupView(
        backup=backup,
        job=job,
        ecu="engine",
        profile="sim-engine",
        made="2026-03-01T10:00:00Z",
        objects=["coding", "calibration"],
        refused=[],
        folders=["a", "b"],
        simulated=True,
    )
