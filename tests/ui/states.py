"""Fixed, realistic states of every screen, for the tour."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from dataclasses import replace as dataclass_replace
from pathlib import Path
from typing import Any, TypeVar

from msgspec import Struct
from msgspec.structs import replace

from appliance.client import messages
from hw.texts import kept_texts
from tests.ui.looks import tree
from ui import i18n, manual
from ui.manual import HelpState
from ui.models import words
from ui.models.about import AboutState
from ui.models.acknowledge import AcknowledgeState
from ui.models.agree import AgreeState
from ui.models.backups import BackupRow, BackupsState, CopyRow
from ui.models.gates import GateRow, GatesState
from ui.models.home import HomeState
from ui.models.job_list import JobRow
from ui.models.links import LinkRow, LinksState
from ui.models.media import MediaState, MediumRow
from ui.models.messages import MessagesState
from ui.models.network import NetworkRow, NetworkState
from ui.models.new_job import NewJobState
from ui.models.orders import OrderRow, OrdersState
from ui.models.picking import FileRow, StickRow
from ui.models.plan import PlanState, PlanStep, WhatIf
from ui.models.records import EventRow, RecordsState
from ui.models.recovery import RecoveryState, RunRow
from ui.models.report import Picture, ReportState
from ui.models.result import ResultState
from ui.models.sensor import SensorState
from ui.models.status import StatusState
from ui.models.technicians import TechniciansState
from ui.models.unlock import TechnicianRow, UnlockState
from ui.models.vehicle import EcuRow, ValueRow, VehicleState
from ui.models.window import Window
from ui.models.work import Container, OptionRow, WorkState
from ui.models.workshop import WorkshopState
from ui.models.write import WriteState
from ui.settings import Settings, SettingsState

S = TypeVar("S", bound=Struct)


@dataclass
class FakeModel:
    """A model that holds one state and notes what a screen asks of it."""

    state: Struct
    asked: list[tuple[str, tuple[Any, ...]]] = field(default_factory=list)
    subscribers: list[Callable[[Any], None]] = field(default_factory=list)

    def subscribe(self, callback: Callable[[Any], None]) -> Callable[[], None]:
        self.subscribers.append(callback)
        callback(self.state)
        return lambda: self.subscribers.remove(callback)

    def change(self, state: Struct) -> None:
        self.state = state
        for callback in tuple(self.subscribers):
            callback(state)

    def __getattr__(self, name: str) -> Callable[..., None]:
        if name.startswith("_"):
            raise AttributeError(name)
        return lambda *arguments: self.asked.append((name, arguments))


STATUS = StatusState(
    fresh=True,
    volts=12.64,
    gate="CLOSED",
    gate_word="Closed",
    link="can://socketcan/can0?tx=0x7E0&rx=0x7E8",
    media_a="present",
    media_b="missing",
    sync="not_set_up",
    clock="unsynchronised",
    wall="2026-11-27T14:05:11+00:00",
    supply="ok",
    locked=False,
    technician="Thandi",
)
SIMULATED = replace(
    STATUS, simulated=("car", "sensor"), link="can, doip", gate="CUT", volts=None,
    media_a="read_only", supply="low",
)  # fmt: skip
READY = replace(STATUS, volts=13.9, media_b="present", clock="synchronised")
NO_VOLTAGE = StatusState(volts_reason="The sensor is silent.")

BEHIND = {
    "record_what": "The kit's storage is full, so that nothing can be recorded.",
    "record_next_step": "Make room on it; what happened is recorded then.",
}

TECHNICIANS = tuple(
    TechnicianRow(name=name, role=role)
    for name, role in (
        ("Thandi", "owner"),
        ("Jan de Villiers", "technician"),
        ("Uwe", "technician"),
    )
)


@dataclass(frozen=True)
class Stop:
    """One stop of the tour: a screen in one state."""

    name: str
    screen: str
    state: Struct
    status: StatusState = STATUS
    then: Callable[[Any], None] | None = None
    """What is done next, for a second look."""


ORDERS = (
    OrderRow(
        reference="W-7K3F2",
        state_word="Booked",
        customer="Jan de Villiers",
        phone="+27 82 555 0100",
        address="14 Long Street, Cape Town",
        appointment="2026-12-01 09:30",
        vehicle="Volkswagen Polo Vivo 1.4 2019",
        vin="WVWZZZ6RZHY123456",
        complaint="Stalls when hot.\nFault codes: P0606, U0100",
        photos=3,
        job="",
    ),
    OrderRow(
        reference="W-0B9MX",
        state_word="At the bench",
        customer="Thandi Nkosi",
        phone="+27 83 555 0123",
        address="",
        appointment="",
        vehicle="",
        vin="AHTFR22G206012345",
        complaint="",
        photos=0,
        job="01970001",
    ),
)
WINDOW = Window(
    start_min_v=12.5,
    start_max_v=14.8,
    settle_s=10.0,
    hold_v=12.0,
    cut_v=11.0,
    resume_v=12.5,
    resume_after_s=5.0,
    over_v=15.0,
)
JOBS = tuple(
    JobRow(
        job=f"0197{number:04d}",
        customer=customer,
        vehicle=vehicle,
        complaint=complaint,
        made="2026-11-27T09:12:00+00:00",
        state=state,
        state_word=word,
        unfinished=state == "aborted_recoverable",
    )
    for number, (customer, vehicle, complaint, state, word) in enumerate(
        (
            (
                "Jan de Villiers",
                "Polo Vivo 1.4",
                "Gearbox slips when cold",
                "aborted_recoverable",
                "Stopped, can be recovered",
            ),
            ("Nomvula Dlamini", "Hilux 2.8 GD-6", "Limp mode", "verified", "Verified"),
            ("Autohaus Müller & Söhne GmbH", "Golf VII 2.0 TDI, Kombi", "", "draft", "Draft"),
        )
    )
)
NEW_JOB = NewJobState(
    customer="Jan de Villiers",
    vehicle="Polo Vivo 1.4",
    vin="WVWZZZ6RZHY123456",
    plate="CA 123-456",
    vin_good=True,
    vin_length=17,
    vin_note="The check digit is not used by this maker.",
    vin_check="not_used",
    can_save=True,
)
LINKS = (
    LinkRow(name="CAN 500 kbit/s", uri="can://socketcan/can0?tx=0x7E0&rx=0x7E8", discovery=False),
    LinkRow(name="DoIP", uri="doip://169.254.10.10:13400?source=0x0E00", discovery=True),
)
ECUS = (
    EcuRow(profile="sim-flash", title="Engine control, simulated", ecu="sim.engine",
           can_flash=True, can_code=True, problem=""),
    EcuRow(profile="generic-uds", title="Any ECU with UDS", ecu="generic",
           can_flash=False, can_code=False, problem=""),
    EcuRow(profile="acme-tcu", title="Gearbox control", ecu="acme.tcu",
           can_flash=False, can_code=False, problem="Its signature is missing."),
)  # fmt: skip
VALUES = tuple(
    ValueRow(did=did, label=label, text=text, refused=refused)
    for did, label, text, refused in (
        ("0xF190", "VIN", "WVWZZZ6RZHY123456", ""),
        ("0xF187", "Spare part number", "04E 906 027 HB", ""),
        ("0xF189", "Software version", "1402", ""),
        ("0xF18C", "Serial number", "", "Security access denied (0x33)"),
        ("0x0600", "Coding", "start-stop on, market ZA, gear 6", ""),
    )
)
READ = VehicleState(
    links=LINKS, ecus=ECUS, link=LINKS[0].uri, profile="sim-flash",
    title="Engine control, simulated", ecu="sim.engine", values=VALUES, backup="b1",
    can_go_on=True,
)  # fmt: skip
OPTIONS = (
    OptionRow(setting="0600.start_stop", group="Coding", label="Start-stop", current="on",
              chosen="off", values=("on", "off"), labels=("On", "Off"), minimum=None,
              maximum=None, step=None, unit=""),
    OptionRow(setting="0600.idle", group="Coding", label="Idle speed", current="780", chosen="",
              values=(), labels=(), minimum=700.0, maximum=900.0, step=10.0, unit="1/min"),
)  # fmt: skip
STICKS = (StickRow(name="usb", folder="/media/usb", free="3.1 GB", read_only=False,
                   simulated=False),)  # fmt: skip
CONTAINER = Container(
    path="/media/usb/engine_1402.vbf", name="engine_1402.vbf", good=True, what="", next_step="",
    fits=True, usable=True,
    facts=(
        ("Format", "vbf"),
        ("Part numbers", "04E906027HB"),
        ("Version", "1402"),
        ("Size", "512.4 kB"),
        ("Written to", "Application"),
        ("Blocks", "0x00010000, 512.0 kB"),
        ("Checksums", "file_checksum: good"),
        ("SHA-256", "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08"),
    ),
)  # fmt: skip
RISK = (
    "Job 0197: software of the engine control is written.\n"
    "If the write does not end, the engine does not start until it was recovered with this kit. "
    "Keep the battery on a supply, the bonnet open and every plug where it is.\n"
    "The supply must stay between 12.0 V and 15.0 V."
)
STEPS: tuple[tuple[messages.StepKind, str], ...] = (
    ("prepare", "Enter session 0x02."),
    ("prepare", "Unlock security level 0x11 (xor)."),
    ("erase", "Erase: routine 0xFF00 with 0001000000080000, must answer 00, at most 120 s."),
    ("write", "Write 524288 bytes to 0x00010000: engine_1402.vbf, SHA-256 9f86d081884c7d65…."),
    ("read", "Read back 524288 bytes from 0x00010000 and compare their SHA-256 9f86d081884c7d65…."),
    ("check", "Let the ECU check its memory: routine 0x0202, must answer 00, at most 60 s."),
    ("restart", "Reset the ECU (type 0x01)."),
    ("other", "Run: routine 0x0203, must answer without status, at most 5 s."),
)  # fmt: skip
PLAN = PlanState(
    title="Program engine_1402.vbf", ecu="sim.engine", link=LINKS[0].uri,
    risk_class="programming", duration="About 4 minutes.", payload="512.0 kB",
    steps=tuple(
        PlanStep(number=number, kind=kind, kind_word="", text=text)
        for number, (kind, text) in enumerate(STEPS, 1)
    ),
    tail=("Normal communication is restored on every way out.",),
    risk_text=RISK, window=WINDOW, digest="ab" * 32,
    what_if=(
        WhatIf(what="The voltage sags below 12 V",
               then="The write is held and goes on by itself after 5 s above 12.5 V."),
        WhatIf(what="The kit or its supply fails",
               then="The journal says where it stopped. Recovery finishes the write."),
    ),
)  # fmt: skip
TITLES = {
    "VOLTAGE_CHECK": "Battery voltage",
    "DUAL_BACKUP": "Two backups",
    "CHECKSUM_MATCH": "Checksums and ECU",
    "USER_ACKNOWLEDGMENT": "Your acknowledgment",
}


def gates(*states: str) -> tuple[GateRow, ...]:
    return tuple(
        GateRow(
            gate=gate,
            title=title,
            state=state,  # type: ignore[arg-type]  # one of RowState
            reason="Medium B is missing." if state == "refused" else "",
            next_step="Plug it in and check again." if state == "refused" else "",
        )
        for (gate, title), state in zip(TITLES.items(), states, strict=False)
    )


TRACE: tuple[tuple[float, float | None], ...] = tuple(
    (at / 10, None if 200 <= at < 230 else 12.7 - (0.9 if 300 <= at < 340 else 0) + at % 7 / 60)
    for at in range(600)
)
WRITING = WriteState(
    job="0197", run="r1", title="Program engine_1402.vbf", running=True, followed=True,
    gate="OPEN", gate_word="Open", volts=12.64, trace=TRACE, step=4, steps=6,
    step_name="transfer data", block=57, blocks=130, done_bytes=229376, total_bytes=524288,
    part=229376 / 524288, rate=2950.0, remaining_s=100.0, can_abort=True,
)  # fmt: skip
HELD = replace(
    WRITING, gate="HELD", gate_word="Held", takeover="held", volts=11.62, rate=None,
    remaining_s=None, reason="The voltage fell below 12.0 V.",
    gate_next_step="Connect a supply to the battery. The write goes on by itself after 5 s above "
    "12.5 V.",
)  # fmt: skip
CUT = replace(
    HELD, gate="CUT", gate_word="Cut", takeover="cut", volts=10.8, can_resume=True,
    reason="The voltage fell below 11.0 V. The write was stopped at block 57.",
    gate_next_step="Connect a supply, wait until the voltage stands above 12.5 V, then resume.",
)  # fmt: skip
RESULT = ResultState(
    job="0197c0de", customer="Jan de Villiers", vehicle="Polo Vivo 1.4", outcome="verified",
    outcome_word="Verified", outcome_what="The ECU checked it and it reads back the same.",
    outcome_next_step="Clear the trouble codes and start the engine.", action="home", events=412,
    head="9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08",
)  # fmt: skip
REPORT = ReportState(page=2, pages=3, picture=Picture(752, 1063, b"\xd8\xe0\xf0" * 752 * 1063))
"""A sheet in one colour: what is on it is the report's business."""
RUN = RunRow(
    run="r1", job="0197c0de", customer="Jan de Villiers", vehicle="Polo Vivo 1.4",
    ecu="sim.engine", state="interrupted", state_word="Interrupted, can be recovered", step=4,
    done="229.4 kB", total="524.3 kB", part=0.44, what="The kit lost its supply in block 57.",
)  # fmt: skip


def view(name: str) -> Callable[[Any], None]:
    """Turn the page to another of its views."""
    return lambda shell: setattr(shell.page, "view", name)


def say(message: MessagesState) -> Callable[[Any], None]:
    """Put a message over the page."""
    return lambda shell: shell.say(message, lambda: None, lambda: None)


MESSAGES = (
    MessagesState(kind="confirmation", what="End this write?", yes="End the write", no="Cancel",
                  next_step="It ends at the next safe point. The ECU must then be recovered."),
    MessagesState(kind="warning", what="The write stays unfinished.", yes="OK",
                  next_step="Do not drive this car. Its job stands first on the home screen."),
    MessagesState(kind="error", what="There is no job 0197.", next_step="See the list.", yes="OK"),
)  # fmt: skip


def signed(shell: Any) -> None:
    """Something is drawn on the pad."""
    shell.page.ids.pad.strokes = [
        [(250 + 6 * n, 150 + int(60 * math.sin(n / 3)), 20 * n) for n in range(60)],
        [(700, 190, 1400)],
    ]


def pressed(shell: Any) -> None:
    """A finger lies on each button."""
    from kivy.uix.behaviors import ButtonBehavior  # noqa: PLC0415 - opens the window

    for one in tree(shell):
        if isinstance(one, ButtonBehavior):
            one.state = "down"


BACKUPS = tuple(
    BackupRow(
        backup=f"b{number}", job="0197", ecu="sim.engine", profile="sim-flash",
        made="2026-11-27T09:12:00+00:00", objects=("coding", "image"), refused=(), copies=copies,
        simulated=False,
    )
    for number, copies in ((1, 2), (2, 1))
)  # fmt: skip


MEDIA = tuple(
    MediumRow(name=name, state=state, state_word=state, what=what, next_step=next_step,
              folder=f"/media/fieldkit-{name}", free=free, simulated=False, device=device,
              size="64.0 GB" if device else "", backups=12 if device else None,
              verified="2026-11-27T09:12:00Z" if device else "",
              verified_backup="01a2083a-7f10" if device else "")
    for name, state, what, next_step, free, device in (
        ("a", "present", "", "", "51.2 GB", "/dev/sda1"),
        ("b", "missing", "Medium B (/media/fieldkit-b) is not there.",
         "Insert medium B and wait until it is mounted.", "", ""),
    )
)  # fmt: skip
SENSOR = SensorState(
    known=messages.Sensor(uri="ina219:///dev/i2c-1/0x40", divider=1.0, rate_hz=1000,
                          simulated=False, error_part=0.01, error_v=0.016, meter_part=0.005,
                          meter_v=0.02),
    volts=12.64, sample_rate=998.0, age_s=0.2, low_v=12.62, high_v=12.66,
)  # fmt: skip
COMPARED = replace(SENSOR, meter_v=12.6, mean_v=12.64, difference_v=0.04, tolerance_v=0.23,
                   verdict="agrees")  # fmt: skip

STICKS = (
    StickRow(name="KINGSTON", folder="/media/KINGSTON", free="7.6 GB", read_only=False,
             simulated=False),
)  # fmt: skip
ABOUT = AboutState(
    facts=(
        ("Kit", "3a77c3a1a90b"),
        ("Version", "0.1.0"),
        ("Storage", "21.4 GB of 31.9 GB free"),
        ("Clock", "Not synchronised; records say so"),
        ("Supply", "Enough"),
        ("Technician", "Thandi · master"),
        ("Simulated", "nothing"),
        ("System", "Debian GNU/Linux 13 (trixie)"),
        ("Kernel", "Linux 6.12.47+rpt-rpi-v8 aarch64"),
        ("Python", "3.13.5"),
        ("Libraries", "can-isotp 2.0.7, cryptography 46.0.3, Kivy 2.3.1, msgspec 0.20.0"),
    ),
)
HELP = HelpState(topics=manual.topics("en"))
NO_MEMORY = GatesState(
    rows=gates("waiting", "refused", "waiting", "waiting"), window=WINDOW, volts=12.64,
    in_window=True, can_back_up=True, wants_file=True, folder="/media/KINGSTON",
    what="The ECU refuses memory readout and there is no known-good file for its software.",
    next_step="Choose a known-good file for this software number; by command: --known-good FILE.",
    files=tuple(
        FileRow(name=name, path=f"/media/KINGSTON/{name}", folder=folder, size=size, modified="",
                container=container)
        for name, folder, size, container in (
            ("Engine files", True, "", ""),
            ("04E906027HB_1401.bin", False, "524.3 kB", "binary"),
        )
    ),
)  # fmt: skip
WORKSHOP = WorkshopState(
    state="waiting",
    workshop="https://workshop.example.org:8443",
    kit="Van 1",
    waiting=3,
    in_work=1,
    handed_over="2026-11-27T09:12:00Z",
    heard="2026-11-27T09:12:04Z",
    keeps="No medium that is there has the file 9f86d081884c7d65… of a backup.",
    keeps_next="Insert a medium with the backup; the rest is handed over meanwhile.",
    aside=(("01a20000-0000-7000-8000-0000000000ab", "The record contradicts another."),),
    retirable=12,
    retired=140,
    owner=True,
)  # fmt: skip
NETWORKS = tuple(
    NetworkRow(ssid=ssid, signal=signal, secured=secured, usable=usable, known=known, joined=joined)
    for ssid, signal, secured, usable, known, joined in (
        ("Autohaus Müller", 82, True, True, True, True),
        ("Guest", 61, True, True, False, False),
        ("Campus", 60, True, False, False, False),
        ("Cafe", 40, False, True, False, False),
        ("Home", None, True, False, True, False),
    )
)

NOT_SIGNED = (
    *gates("passed", "passed", "passed"),
    GateRow(
        gate=words.AGREEMENT,
        title="",
        state="refused",
        reason="The customer has not signed the text 'immobiliser' for this job.",
        next_step="Have the customer read the text on the screen and sign it.",
    ),
    *gates("passed", "passed", "passed", "waiting")[3:],
)
AGREE = AgreeState(
    title="Work on keys and the immobiliser", sha256="ab" * 32, language="en",
    other_language="af", number=1, count=2,
    paragraphs=tuple(
        kept_texts(Path("/nowhere"), "immobiliser").held["en"].content.split("\n")[1:]
    ),
)  # fmt: skip
SIGNING = replace(AGREE, read=True, customer="Thandi Nkosi", can_sign=True, signing=True)

STOPS = (
    Stop("unlock", "unlock", UnlockState(technicians=TECHNICIANS, technician="Thandi",
         can_try=True),
         NO_VOLTAGE, lambda shell: shell.page.ask()),
    Stop(
        "unlock-wrong",
        "unlock",
        UnlockState(
            technicians=TECHNICIANS, technician="Thandi", wait_s=8, wrong_tries=3, write_runs=True,
            what="The passphrase is wrong.", next_step="Type it again.",
        ),
    ),
    Stop("home", "home", HomeState(unfinished=JOBS[:1], today=JOBS[1:2], drafts=JOBS[2:])),
    Stop("home-orders", "home", HomeState(today=JOBS[1:2], orders=2)),
    Stop("home-empty", "home", HomeState(), SIMULATED),
    Stop("home-found", "home", HomeState(query="polo", found=JOBS, more=True)),
    Stop("new-job", "new_job", NewJobState(), then=lambda shell: shell.page.ask("vin", "VIN")),
    Stop("new-job-full", "new_job", NEW_JOB,
         then=lambda shell: shell.page.ask("customer", "Customer")),
    Stop("new-job-vin", "new_job", replace(NEW_JOB, vin="WVWZZZ6RZHY12345G", vin_good=False,
         vin_problems=("The last four characters must be digits.",), can_save=False,
         vin_suggestion="WVWZZZ6RZHY123456"),
         then=lambda shell: shell.page.ask("phone", "Phone")),
    Stop("vehicle-links", "vehicle", VehicleState(links=LINKS, ecus=ECUS)),
    Stop("vehicle-ecus", "vehicle", VehicleState(links=LINKS, ecus=ECUS, link=LINKS[0].uri)),
    Stop("vehicle-busy", "vehicle", VehicleState(links=LINKS, ecus=ECUS, link=LINKS[0].uri,
         busy=True)),
    Stop("vehicle-read", "vehicle", READ),
    Stop("work", "work", WorkState(can_code=True, can_flash=True)),
    Stop("work-coding", "work", WorkState(kind="coding", can_code=True, options=OPTIONS,
         can_plan=True), then=lambda shell: shell.page.choose("0600.start_stop")),
    Stop("work-no-stick", "work", WorkState(kind="programming", can_flash=True)),
    Stop("work-file", "work", WorkState(kind="programming", can_flash=True, folder="/media/usb",
         sticks=STICKS, container=CONTAINER, can_plan=True)),
    Stop("plan", "plan", PLAN, then=view("risk")),
    Stop("gates-checking", "gates", GatesState(rows=gates("working", "working", "working",
         "waiting"), window=WINDOW, volts=12.64, in_window=True, busy=True)),
    Stop("gates-refused", "gates", GatesState(rows=gates("passed", "refused", "passed", "waiting"),
         window=WINDOW, volts=12.64, in_window=True, can_back_up=True)),
    Stop("gates-no-memory", "gates", replace(NO_MEMORY, folder="", files=()),
         then=lambda shell: shell.page.pick()),
    Stop("gates-file", "gates", NO_MEMORY, then=lambda shell: shell.page.pick()),
    Stop("gates-passed", "gates", GatesState(rows=gates("passed", "passed", "passed", "waiting"),
         window=WINDOW, volts=13.9, in_window=True, can_go_on=True), READY),
    Stop("gates-no-voltage", "gates", GatesState(rows=gates("waiting", "waiting", "waiting",
         "waiting"), window=WINDOW, volts_reason="The sensor is silent."), NO_VOLTAGE),
    Stop("gates-not-signed", "gates", GatesState(rows=NOT_SIGNED, window=WINDOW, volts=13.9,
         in_window=True, can_agree=True), READY),
    Stop("agree", "agree", AGREE),
    Stop("agree-read", "agree", replace(AGREE, read=True, customer="Thandi Nkosi", can_sign=True),
         then=lambda shell: shell.page.ask()),
    Stop("agree-pad", "agree", SIGNING, then=signed),
    Stop("agree-too-short", "agree", replace(SIGNING, what="What was drawn is too short for a "
         "signature.", next_step="Clear the pad and have the customer sign with their whole "
         "name."), then=signed),
    Stop("acknowledge", "acknowledge", AcknowledgeState(title=PLAN.title, risk_text=RISK)),
    Stop("acknowledge-hold", "acknowledge", AcknowledgeState(title=PLAN.title, risk_text=RISK,
         has_passphrase=True, can_hold=True, holding=True, held_s=1.8, part=0.6), then=pressed),
    Stop("write", "write", WRITING, replace(STATUS, gate="OPEN")),
    Stop("write-behind", "write", replace(WRITING, **BEHIND), replace(STATUS, **BEHIND)),
    Stop("write-held", "write", HELD, replace(STATUS, gate="HELD", volts=HELD.volts)),
    Stop("write-cut", "write", CUT, replace(STATUS, gate="CUT", volts=CUT.volts)),
    Stop("result-verified", "result", RESULT, then=view("record")),
    Stop("result-behind", "result", replace(RESULT, outcome="", outcome_word="Writing",
         outcome_what="", outcome_next_step="", action="", **BEHIND),
         replace(SIMULATED, record_what=BEHIND["record_what"])),
    Stop("result-report", "result", replace(RESULT, report=REPORT)),
    Stop("result-aborted", "result", replace(RESULT, outcome="aborted_recoverable",
         outcome_word="Stopped: it can be recovered", action="recover",
         outcome_what="The technician ended the write at block 57.",
         outcome_next_step="Recover it now; the car does not start before.")),
    Stop("result-refused", "result", replace(RESULT, outcome="refused", action="gates",
         outcome_word="Refused: nothing was sent", outcome_what="The voltage was 12.1 V.",
         outcome_next_step="Connect a supply and try again.")),
    Stop("recovery", "recovery", RecoveryState(runs=(RUN,), links=LINKS[:1]),
         then=lambda shell: shell.page.look_for_links()),
    Stop("recovery-other-link", "recovery", RecoveryState(runs=(RUN,), link=LINKS[0].uri,
         link_name=LINKS[0].name)),
    Stop("backups", "backups", BackupsState(backups=BACKUPS)),
    Stop("backups-one", "backups", BackupsState(backups=BACKUPS, chosen=BACKUPS[0], whole=False,
         copies=(CopyRow(folder="/media/a/b1", state="whole", found=()),
                 CopyRow(folder="/media/b/b1", state="repaired", found=("image.bin differed",))))),
    Stop("records", "records", RecordsState(found=JOBS, more=True)),
    Stop("records-one", "records", RecordsState(job="0197", title="Jan de Villiers, Polo Vivo 1.4",
         events=tuple(EventRow(seq=412 - at, kind=kind, word="", wall="2026-11-27T09:12:00+00:00")
                      for at, kind in enumerate(("outcome", "step_done", "gate"))),
         length=412, head="9f86d081884c7d65", whole=True)),
    Stop("records-report", "records", RecordsState(job="0197", title="Jan de Villiers",
         report=replace(REPORT, larger=True))),
    Stop("orders", "orders", OrdersState(orders=ORDERS, fetched=True),
         then=view("W-7K3F2")),
    Stop("orders-none", "orders", OrdersState(fetched=True, scanned="W7K3",
         what="This kit has no work order W-7K3F3.", next_step="Compare it with the paper.")),
    Stop("menu", "menu", STATUS),
    Stop("settings", "settings", SettingsState(settings=Settings(), has_brightness=True,
         brightness=75), then=lambda shell: shell.page.choose("theme")),
    Stop("technicians", "technicians", TechniciansState(technicians=TECHNICIANS, me="Thandi",
         can_add=True), then=lambda shell: shell.page.choose("")),
    Stop("technicians-add", "technicians", TechniciansState(technicians=TECHNICIANS, me="Thandi",
         can_add=True, form="add", name="lea", typed=14, same=True, can_send=True),
         then=lambda shell: shell.page.choose("role")),
    Stop("technicians-differ", "technicians", TechniciansState(technicians=TECHNICIANS, me="Uwe",
         form="change", typed=14, same=False, what="The passphrase is wrong.",
         next_step="Type it again."), then=lambda shell: shell.page.choose("new")),
    Stop("media", "media", MediaState(media=MEDIA), then=lambda shell: shell.page.choose("a")),
    Stop("sensor", "sensor", SENSOR, then=lambda shell: shell.page.act()),
    Stop("sensor-agrees", "sensor", COMPARED),
    Stop("sensor-differs", "sensor", replace(COMPARED, verdict="differs", difference_v=1.2)),
    Stop("sensor-unsteady", "sensor", replace(SENSOR, verdict="unsteady", meter_v=12.6)),
    Stop("sensor-silent", "sensor", replace(SENSOR, volts=None, reason="the sensor is frozen: it "
         "completes no conversion", low_v=None, high_v=None, verdict="no_voltage"), NO_VOLTAGE),
    Stop("links", "links", LinksState(links=LINKS, default=LINKS[0].uri),
         then=lambda shell: shell.page.choose(LINKS[0].uri)),
    Stop("links-tried", "links", LinksState(links=LINKS, tried=LINKS[0].uri,
         answer="The ECU answers: it told 9 of 21 values."), then=view(LINKS[0].uri)),
    Stop("links-none", "links", LinksState()),
    Stop("help", "help", HELP),
    Stop("help-topic", "help", replace(HELP, topic=manual.Topic("", ()))),
    Stop("help-nothing", "help", HelpState(query="flux capacitor")),
    Stop("network", "network", NetworkState(networks=NETWORKS), then=view("Autohaus Müller")),
    Stop("network-join", "network", NetworkState(networks=NETWORKS, what="The kit could not join "
         "it: secrets were required, but not provided.", next_step="Check the passphrase."),
         then=view("Guest")),
    Stop("network-busy", "network", NetworkState(networks=NETWORKS, busy=True)),
    Stop("network-missing", "network", NetworkState(
         missing="NetworkManager is not installed on this kit.")),
    Stop("workshop", "workshop", WORKSHOP),
    Stop("workshop-sending", "workshop", replace(WORKSHOP, state="sending", keeps="", keeps_next="",
         job="01a20000-0000-7000-8000-00000000000b", sent_bytes=41_300_000,
         total_bytes=67_100_000)),
    Stop("workshop-enrol", "workshop", WorkshopState(state="not_set_up", owner=True,
         what="A letter of this code for enrolment is wrong, or missing.",
         next_step="Scan it, or type all of it, as the office shows it."),
         then=lambda shell: shell.page.act()),
    Stop("workshop-scan", "workshop", WorkshopState(state="not_set_up", owner=True, typed=57)),
    Stop("workshop-none", "workshop", WorkshopState(state="not_set_up")),
    Stop("workshop-silent", "workshop", replace(WORKSHOP, silence="This kit has not heard the "
         "workshop for 34 days, so it takes no new programming jobs.", silence_next="Let it reach "
         "the workshop. Reading, diagnosis and the recovery of an unfinished write work.")),
    Stop("home-silent", "home", HomeState(today=JOBS, warning="This kit has not heard the workshop "
         "for 27 days; after 30 it takes no new programming jobs. Let it reach the workshop.")),
    Stop("about", "about", ABOUT, then=lambda shell: shell.page.look_for_sticks()),
    Stop("about-saved", "about", replace(ABOUT, sticks=STICKS, saved="The diagnostics lie on "
         "KINGSTON as fieldkit-diagnostics-3a77c3a1a90b-2026-11-27.zip.")),
    *(Stop(f"message-{message.kind}", "home", HomeState(), then=say(message))
      for message in MESSAGES),
    Stop("gone", "gone", StatusState(gone=True, what="The appliance does not answer.",
         next_step="Wait a moment. If it stays like this, switch the kit off and on again."),
         NO_VOLTAGE),
    Stop("gone-writing", "gone", StatusState(gone=True, write_goes_on=True,
         what="The appliance does not answer.", next_step="Wait a moment."), NO_VOLTAGE),
)  # fmt: skip


def stops() -> Iterator[Stop]:
    """All stops, with the words that models choose in the language in use."""
    for stop in STOPS:
        yield dataclass_replace(
            stop, state=in_language(stop.state), status=in_language(stop.status)
        )


def blank(state: Struct) -> Struct:
    """The state that its model begins with; the same one where nothing is left out at first."""
    try:
        return type(state)()
    except TypeError:
        return state


def in_language(state: S) -> S:
    """A state as its model would give it now."""
    changes: dict[str, Any] = {}
    if gate := getattr(state, "gate", ""):
        changes["gate_word"] = words.gate_state(gate)
    if (outcome := getattr(state, "outcome", "")) and hasattr(state, "outcome_word"):
        changes["outcome_word"] = words.outcome(outcome)
    if isinstance(state, AgreeState) and state.title:
        lines = (
            kept_texts(Path("/nowhere"), "immobiliser").held[i18n.language()].content.split("\n")
        )
        changes |= {"title": lines[0], "paragraphs": tuple(lines[1:])}
    for name in ("unfinished", "today", "drafts", "found"):
        rows = getattr(state, name, ())
        if rows and isinstance(rows[0], JobRow):
            changes[name] = tuple(
                replace(row, state_word=words.job_state(row.state)) for row in rows
            )
    return replace(state, **changes, **of_its_own(state))


def of_its_own(state: Struct) -> dict[str, Any]:
    """Fields with words that only one screen has."""
    match state:
        case MediaState(media=rows):
            return {
                "media": tuple(replace(r, state_word=words.medium_state(r.state)) for r in rows)
            }
        case PlanState(steps=rows):
            return {"steps": tuple(replace(r, kind_word=words.step_kind(r.kind)) for r in rows)}
        case RecordsState(events=rows):
            return {"events": tuple(replace(r, word=words.event(r.kind)) for r in rows)}
        case GatesState(rows=rows):
            return {"rows": tuple(replace(r, title=words.gate_title(r.gate)) for r in rows)}
        case WriteState():
            return {"step_name": words.step("download")}
        case HelpState(topics=topics) if topics:
            found = manual.topics(i18n.language())
            # The longest one, to be scrolled.
            longest = max(found, key=lambda one: len("".join(one.paragraphs)))
            return {"topics": found, "topic": longest if state.topic is not None else None}
    return {}
