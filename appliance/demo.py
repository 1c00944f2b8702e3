"""`fieldkit demo`: the main job as a technician would do it, on the simulated car.

The car, hw and the appliance are processes of their own; this one is only a client of the API, and
of the simulated car's control socket, by which it looks into the car's memory and lets its battery
sag. Everything lies in a temporary folder. The exit code is 0 only if every claim held.
"""

from __future__ import annotations

import hashlib
import json
import secrets
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from importlib import resources
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.text import Text

from appliance import supervisor
from appliance.api import messages as m
from appliance.carlinks import write_car_links
from appliance.cli import output
from appliance.cli.follow import Followed, follow
from appliance.cli.setup import simulated_config
from appliance.client import Client
from appliance.containers import Image, load_container
from appliance.demohub import DemoHub, make_demo_hub
from appliance.identity import init_kit
from appliance.identity.seal import MIN_PASSPHRASE
from hw.errors import FieldKitError, UnavailableError
from hw.statements import NAMESPACE_BACKUP

TECHNICIAN = "demo"
PROFILE = "sim-engine"
ECU = "engine"
CONTROL_TIMEOUT_S = 10.0
SETTLE_WITHIN_S = 30.0
POLL_S = 0.5
NAMES = ("sim", "hw", "appliance", "workshop")
SAG = {"volts": 11.5, "for_s": 3.0}
SAG_AT_BLOCK = 5
TRANSFER_DATA = 0x36
EX_SOFTWARE = 70
EASY_LETTERS = "abcdefghijkmnpqrstuvwxyz"
"""What the keyboard shows first, without the letter that looks like a digit."""


@dataclass
class Claim:
    """One thing that the demo says, and whether it was so."""

    name: str
    held: bool
    detail: str


@dataclass
class Demo:
    """What the demo has in its hands."""

    folder: Path
    console: Console
    seed: int
    passphrase: str = field(default_factory=lambda: secrets.token_urlsafe(12), repr=False)
    car: dict[str, Any] = field(default_factory=dict)
    claims: list[Claim] = field(default_factory=list)
    number: int = 0

    @property
    def state(self) -> Path:
        """The kit's state folder."""
        return self.folder / "state"

    @property
    def run(self) -> Path:
        """Folder of sockets and logs."""
        return self.folder / "run"

    def link(self, kind: str) -> str:
        """A link to the engine ECU, `can` or `doip`."""
        return str(self.car["ecus"][ECU][kind])

    def step(self, text: str) -> None:
        """Say which step comes now."""
        self.number += 1
        self.console.print(Text(f"\n{self.number}. {text}", style="bold cyan"), soft_wrap=True)

    def say(self, text: str) -> None:
        """Say something about the step."""
        self.console.print(Text(f"   {text}"), soft_wrap=True)

    def claim(self, name: str, held: bool, detail: str) -> None:
        """Keep a claim for the summary."""
        self.claims.append(Claim(name, held, detail))
        mark, style = ("ok", "green") if held else ("NOT SO", "bold red")
        line = Text.assemble("   ", (mark, style), f"  {name}: {detail}")
        self.console.print(line, soft_wrap=True)

    def control(self, command: dict[str, Any]) -> dict[str, Any]:
        """Ask the simulated car itself, past the kit."""
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as sock:
            sock.settimeout(CONTROL_TIMEOUT_S)
            sock.connect(str(self.car["control"]))
            with sock.makefile("rwb") as lines:
                lines.write(json.dumps(command).encode() + b"\n")
                lines.flush()
                reply: dict[str, Any] = json.loads(lines.readline())
        if not reply.get("ok"):
            raise UnavailableError(
                f"The simulated car refused {command['do']}: {reply.get('error')}.",
                "Install the same version of all parts.",
            )
        return reply

    def memory(self, address: int, length: int) -> bytes:
        """The engine ECU's memory as the simulated car itself holds it."""
        reply = self.control({"do": "memory", "ecu": ECU, "address": address, "length": length})
        return bytes.fromhex(reply["hex"])


def run_demo(*, seed: int, keep: bool) -> int:
    """Do the whole main job on the console; returns 0 only if every claim held."""
    began = time.monotonic()
    with _demo(seed, keep=keep) as demo:
        try:
            with ExitStack() as stack:
                client, hub, _ = _set_up(demo, stack)
                client.unlock(TECHNICIAN, demo.passphrase)
                demo.say(f"The kit is unlocked by technician '{TECHNICIAN}'.")
                hub.enrol(client)
                _main_job(demo, client, hub)
        except FieldKitError as error:
            detail = f"{error.what} {error.next_step}"
            demo.claim("the demo ran to its end", held=False, detail=detail)
            _show_logs(demo)
    return _summary(demo, time.monotonic() - began)


def show_demo(*, seed: int, keep: bool) -> int:
    """Open the screen on the simulated car and leave the job to whoever touches it.

    Returns:
        The screen's own exit status once it was closed.
    """
    with _demo(seed, keep=keep) as demo, ExitStack() as stack:
        demo.passphrase = "".join(secrets.choice(EASY_LETTERS) for _ in range(MIN_PASSPHRASE))
        client, hub, environment = _set_up(demo, stack)
        client.unlock(TECHNICIAN, demo.passphrase)
        hub.enrol(client)
        client.lock()
        demo.step("The screen: touch it with the mouse, as a technician would with a finger")
        demo.say(f"Unlock it as '{TECHNICIAN}' with the passphrase: {demo.passphrase}")
        demo.say(
            "New job, then the car's link and its engine, back up, choose work: the stick that"
        )
        demo.say("is plugged in holds demo-calibration.hex. Close the window to end the demo.")
        screen = [sys.executable, "-m", "ui", "--socket", str(demo.run / "appliance.sock")]
        own = {"FIELDKIT_UI_STATE": str(demo.folder / "screen")}
        ended = supervisor.run_along(screen, {**environment, **own})
        client.unlock(TECHNICIAN, demo.passphrase)
        _hand_over(demo, client, hub)
        return ended


@contextmanager
def _demo(seed: int, *, keep: bool) -> Iterator[Demo]:
    """A demo with a folder of its own, which is removed behind it."""
    # Not below $TMPDIR: the path of a Unix socket must stay short.
    folder = Path(tempfile.mkdtemp(prefix="fieldkit-demo-", dir="/tmp"))
    plain = Console(highlight=False, no_color=True, force_terminal=False, width=output.PLAIN_WIDTH)
    demo = Demo(folder, output.console if sys.stdout.isatty() else plain, seed)
    try:
        yield demo
    finally:
        if keep:
            demo.say(f"Everything is left in {folder}.")
        else:
            shutil.rmtree(folder, ignore_errors=True)


def _set_up(demo: Demo, stack: ExitStack) -> tuple[Client, DemoHub, dict[str, str]]:
    """Start everything; also gives the workshop's hub and the environment that names this kit."""
    demo.step("A kit, its workshop and a simulated car, each in processes of their own")
    demo.run.mkdir(mode=0o700)
    hub = make_demo_hub(demo.folder / "workshop")
    init_kit(
        demo.state,
        technicians=[(TECHNICIAN, "owner", demo.passphrase)],
        workshop_recipient=hub.workshop_recipient,
        recovery_recipient=hub.recovery_recipient,
        config=simulated_config(demo.state, demo.run / "sim"),
    )
    environment = {"FIELDKIT_STATE": str(demo.state), "FIELDKIT_RUN": str(demo.run)}
    programs = stack.enter_context(supervisor.Supervisor(demo.run, demo.say))
    (demo.run / "sim").mkdir(mode=0o700)
    car = supervisor.simulator(
        "--folder", str(demo.run / "sim"), "--seed", str(demo.seed), "--pace"
    )
    demo.car = supervisor.car_of(programs.start(car))
    write_car_links(demo.state, demo.car)
    for program in (supervisor.hw_program(demo.run), supervisor.appliance_program(demo.run)):
        programs.start(supervisor.in_environment(program, environment))
    programs.start(hub.program)
    client = stack.enter_context(Client(demo.run / "appliance.sock"))
    names = ", ".join(f"{name} {programs.pid(name)}" for name in NAMES)
    demo.say(f"Processes: {names}.")
    demo.say("Simulated here: car, battery, sensor registers and both backup media (two folders).")
    return client, hub, environment


def _main_job(demo: Demo, client: Client, hub: DemoHub) -> None:
    with resources.as_file(resources.files("appliance") / "data/demo-calibration.hex") as path:
        image, content = load_container(path), path.read_bytes()
    before = demo.memory(image.segments[0].address, image.segments[0].uncompressed_size)
    job = client.job_new("Demo customer", "Demo car", "Idles roughly").job
    _identify(demo, client, job)
    backup = _back_up(demo, client, job)
    plan = _plan(demo, client, job, image, content)
    _gates(demo, client, job, plan)
    _write(demo, client, job, plan, image)
    _prove(demo, client, job, image, before)
    _record(demo, client, job)
    _hand_over(demo, client, hub)
    _open_backup(demo, hub, backup, before)


def _identify(demo: Demo, client: Client, job: str) -> None:
    demo.step("Identify the ECU, over DoIP and over CAN")
    found = client.discover(demo.car["discovery"]).ecus
    demo.say(f"Announced on the Ethernet side: {len(found)} entity, VIN {found[0].vin}.")
    over_doip = client.identify(demo.link("doip"), PROFILE, job)
    over_can = client.identify(demo.link("can"), PROFILE)
    for value in over_doip.values:
        demo.say(f"0x{value.did:04X}  {value.label:<38} {value.refused or value.text}")
    same = [value.hex for value in over_doip.values] == [value.hex for value in over_can.values]
    demo.claim("identity", same, "the same ECU answers on both links")


def _back_up(demo: Demo, client: Client, job: str) -> m.BackupView:
    demo.step("Dual backup: coding and memory, read twice and compared, on two media (simulated)")
    backup = client.backup_make(m.BackupMake(link=demo.link("doip"), profile=PROFILE, job=job))
    for item in backup.objects:
        demo.say(item)
    verified = client.backup_verify(backup.backup)
    for copy in verified.copies:
        demo.say(f"{copy.state}: {copy.folder}")
    whole = verified.whole and len(verified.copies) == 2
    demo.claim("dual backup", whole, "both copies read again and decrypted")
    return backup


def _plan(demo: Demo, client: Client, job: str, image: Image, content: bytes) -> m.PlanView:
    demo.step(f"Plan: flash {image.name} over CAN; a dry run prints it, nothing but reads is sent")
    after = demo.control({"do": "log", "after": 0})["entries"]
    plan = client.plan_flash(
        m.PlanFlash(
            link=demo.link("can"), profile=PROFILE, job=job, name=image.name, content=content
        )
    )
    for line in plan.description.lines:
        demo.say(line)
    demo.say(f"Plan {plan.digest}")
    sent = demo.control({"do": "log", "after": len(after)})["entries"]
    writes = [entry for entry in sent if entry["request"][:2] in ("31", "34", "2e", "11", "14")]
    demo.claim(
        "dry run", not writes, f"the car's log shows {len(sent)} requests, none of them a write"
    )
    return plan


def _gates(demo: Demo, client: Client, job: str, plan: m.PlanView) -> None:
    demo.step("The four gates, asked without a permit")
    reply = _settled(lambda: client.check(job, plan.file))
    with_ack = {result.gate: result.passed for result in reply.results}
    output.gates(reply.results, demo.console)
    refused = [gate for gate, passed in with_ack.items() if not passed]
    demo.claim(
        "gates",
        refused == ["USER_ACKNOWLEDGMENT"],
        "three pass; the fourth waits for the technician",
    )


def _settled(check: Callable[[], m.GateView]) -> m.GateView:
    """The voltage must have been inside its window for a while; wait for that, with a limit."""
    until = time.monotonic() + SETTLE_WITHIN_S
    while True:
        reply = check()
        voltage = next(result for result in reply.results if result.gate == "VOLTAGE_CHECK")
        if voltage.passed or time.monotonic() > until:
            return reply
        time.sleep(POLL_S)


def _write(demo: Demo, client: Client, job: str, plan: m.PlanView, image: Image) -> None:
    demo.step("The technician reads the risk, acknowledges it, and the write runs")
    for line in plan.risk_text.strip().splitlines():
        demo.say(f"| {line}")
    demo.control(
        {
            "do": "when",
            "ecu": ECU,
            "service": TRANSFER_DATA,
            "count": SAG_AT_BLOCK,
            "then": {"do": "sag", **SAG},
        }
    )
    demo.say(f"The battery will sag to {SAG['volts']} V for {SAG['for_s']} s in the middle.")
    started = client.run(job, plan.file, plan.risk_digest, demo.passphrase)
    output.gates(started.gates, demo.console)
    passed = bool(started.run) and all(gate.passed for gate in started.gates)
    demo.claim("permit", passed, "all four gates passed on evidence for exactly this plan")
    if not started.run:
        return
    end = follow(client, started, f"{image.name} -> {ECU}", as_json=False, to=demo.console)
    _judge_write(demo, client, job, started.run, end)


def _judge_write(demo: Demo, client: Client, job: str, run: str, end: Followed) -> None:
    states = [
        event.body["state"]
        for event in client.events(job)
        if event.run == run and event.kind == "gate"
    ]
    held = "HELD" in states and "OPEN" in states[states.index("HELD") :]
    demo.claim("sag", held, f"gate: {' -> '.join(states)}")
    demo.claim("outcome", end.outcome == "verified", f"{end.outcome}. {end.what}")


def _prove(demo: Demo, client: Client, job: str, image: Image, before: bytes) -> None:
    demo.step("Identify it again, and look into the simulated car itself")
    client.identify(demo.link("doip"), PROFILE, job)
    same = all(
        demo.memory(segment.address, segment.uncompressed_size) == segment.data
        for segment in image.segments
    )
    changed = before != image.segments[0].data
    demo.claim("memory", same and changed, "the car's own memory holds the file, byte for byte")
    entries = demo.control({"do": "log", "after": 0})["entries"]
    blocks = sum(1 for entry in entries if entry["request"][:2] == "36")
    demo.say(f"The car's log: {len(entries)} requests, {blocks} of them TransferData.")


def _record(demo: Demo, client: Client, job: str) -> None:
    demo.step("The record")
    chain = client.job_verify(job)
    demo.say(f"Head of the chain: {chain.head}")
    demo.claim(
        "record",
        chain.events > 0,
        f"{output.counted(chain.events, 'event')}, each hash and signature holds",
    )
    exported = client.job_export(job)
    folder = demo.folder / "export"
    output.write_folder(folder, exported.files)
    reports = [item for item in exported.files if item.name.endswith(".pdf")]
    is_pdf = len(reports) == 1 and reports[0].content.startswith(b"%PDF")
    demo.claim(
        "report",
        is_pdf,
        f"{output.counted(len(exported.files), 'file')} in {folder}, {reports[0].name}",
    )


def _hand_over(demo: Demo, client: Client, hub: DemoHub) -> None:
    demo.step("The workshop: the record goes there with its backups, and is proven again")
    kit, there = hub.taken(client)
    demo.say(f"The office's pages and the way of kits: {hub.address}")
    jobs = sum(1 for _ in client.jobs())
    held = kit.state == "idle" and not there["wrong"] and there["records"] >= jobs
    stored = (
        f"{output.counted(there['records'], 'record')} and {output.counted(there['blobs'], 'file')}"
    )
    why = "each signature, chain, receipt and hash holds" if held else kit.what or "see above"
    demo.claim("workshop", held, f"{stored} lie there; {why}")


def _open_backup(demo: Demo, hub: DemoHub, backup: m.BackupView, before: bytes) -> None:
    demo.step("Open the backup without this software: stock ssh-keygen and age")
    copy = Path(backup.folders[0])
    _verify_with_ssh_keygen(demo, copy)
    _decrypt_with_age(demo, hub, copy, before)


def _verify_with_ssh_keygen(demo: Demo, copy: Path) -> None:
    if (tool := shutil.which("ssh-keygen")) is None:
        demo.say("ssh-keygen is not installed here, so this is left out.")
        return
    signers = str(demo.state / "trust" / "allowed_signers")
    words = ["-Y", "verify", "-f", signers, "-I", "kit", "-n", NAMESPACE_BACKUP]
    ended = subprocess.run(
        [tool, *words, "-s", str(copy / "manifest.json.sig")],
        input=(copy / "manifest.json").read_bytes(),
        capture_output=True,
        check=False,
        timeout=CONTROL_TIMEOUT_S,
    )
    said = (ended.stdout or ended.stderr).decode(errors="replace").strip()
    demo.claim("ssh-keygen", ended.returncode == 0, said)


def _decrypt_with_age(demo: Demo, hub: DemoHub, copy: Path, before: bytes) -> None:
    if (tool := shutil.which("age")) is None:
        demo.say("age is not installed here, so this is left out.")
        return
    key = demo.folder / "recovery.key"
    output.write_new(key, f"{hub.recovery_identity}\n".encode())
    found = False
    for item in sorted(copy.glob("*.age")):
        ended = subprocess.run(
            [tool, "-d", "-i", key, item],
            capture_output=True,
            check=False,
            timeout=CONTROL_TIMEOUT_S,
        )
        found = found or before in ended.stdout
    digest = hashlib.sha256(before).hexdigest()[:16]
    demo.claim(
        "age", found, f"the calibration from before the flash (SHA-256 {digest}…) is in the backup"
    )


# The end ------------------------------------------------------------------------------------------


def _show_logs(demo: Demo) -> None:
    for log in sorted(demo.run.glob("*.log")):
        for line in log.read_text(errors="replace").splitlines()[-5:]:
            demo.say(f"{log.name}: {line}")


def _summary(demo: Demo, elapsed_s: float) -> int:
    demo.console.print()
    rows = [(claim.name, "ok" if claim.held else "NOT SO", claim.detail) for claim in demo.claims]
    output.table(("claim", "", "seen"), rows, "Summary", demo.console)
    held = all(claim.held for claim in demo.claims)
    words = "Every claim held." if held else "Not every claim held."
    demo.console.print(f"{words} {elapsed_s:.0f} s.")
    return 0 if held else EX_SOFTWARE
