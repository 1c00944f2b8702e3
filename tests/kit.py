"""A kit for tests: trust, signed profile, backups and statements made by hand, real processes.

It stands in for the appliance at the seams that `hw` sees: files in the state folder and on two
media, and the hw socket. Nothing of hw is replaced.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import signal
import socket
import subprocess
import sys
import time
import zlib
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import msgspec
import rfc8785
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from hw import clock
from hw.client import HwClient
from hw.messages import Acknowledgment, BackupCopies, Event, Evidence, Outcome
from hw.plan import (
    CheckDid,
    CommunicationControl,
    Download,
    DtcSetting,
    IdentityValue,
    Payload,
    ReadBack,
    Reset,
    Risk,
    Routine,
    Session,
    Target,
    Timing,
    TransferExit,
    Unlock,
    VoltageWindow,
    Wait,
    WritePlan,
    digest_of,
)
from hw.sim.fleet import ENGINE
from hw.sshsig import public_line, sign
from hw.statements import (
    NAMESPACE_ACKNOWLEDGMENT,
    NAMESPACE_BACKUP,
    NAMESPACE_CHECKS,
    NAMESPACE_PROFILE,
    AcknowledgmentStatement,
    BackupManifest,
    BackupObject,
    ChecksStatement,
    HeldRegion,
    Moment,
    identity_digest,
)

ObjectKind = Literal["coding", "image", "known_good"]
Purpose = Literal["erase", "check_memory", "check_dependencies", "other"]
JOB = "0190a0b0-0000-7000-8000-000000000001"
ROOT = Path(__file__).resolve().parent.parent
WINDOW = VoltageWindow(
    start_min_v=12.5,
    start_max_v=14.8,
    settle_s=0.5,
    hold_v=12.0,
    cut_v=11.0,
    resume_v=12.5,
    resume_after_s=0.3,
    over_v=15.0,
)
TIMING = Timing(p2_s=0.5, p2_star_s=5.0, pending_limit_s=30.0, busy_limit_s=2.0, s3_s=5.0)
PROFILE = "sim-engine"
TECHNICIAN = "technician:anna"
IDENTITY_DIDS = (0xF190, 0xF188, 0xF191)
BOOT_DIDS = (0xF18C, 0xF191)
START_LIMIT_S = 20.0


def canonical(statement: msgspec.Struct) -> bytes:
    """RFC 8785 bytes of a statement or plan."""
    return rfc8785.dumps(msgspec.to_builtins(statement))


def moment(**changes: Any) -> Moment:
    """Now, with some fields changed."""
    made = Moment(
        boot_id=clock.boot_id(),
        boottime=clock.now(),
        wall="2026-01-01T00:00:00Z",
        wall_quality="unsynchronised",
    )
    return msgspec.structs.replace(made, **changes)


def identity(dids: tuple[int, ...] = IDENTITY_DIDS) -> list[IdentityValue]:
    """What the simulated engine answers."""
    values = {did.did: did.value.hex() for did in ENGINE.dids}
    return [IdentityValue(did=did, value=values[did]) for did in dids]


class Car:
    """The simulated car as a process.

    Args:
        folder: short, for its sockets.
        options: further command line words.
    """

    def __init__(self, folder: Path, *options: str) -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-m", "hw.sim", "--folder", str(folder), *options],
            stdout=subprocess.PIPE,
            cwd=ROOT,
        )
        assert self.process.stdout is not None
        self.info: dict[str, Any] = json.loads(self.process.stdout.readline())
        self._control = socket.socket(socket.AF_UNIX)
        self._control.connect(self.info["control"])
        self._stream = self._control.makefile("rwb")

    def do(self, what: str, **values: Any) -> dict[str, Any]:
        """Send one command to the control socket."""
        self._stream.write(json.dumps({"do": what, **values}).encode() + b"\n")
        self._stream.flush()
        answer: dict[str, Any] = json.loads(self._stream.readline())
        assert answer.pop("ok"), answer
        return answer

    def log(self, ecu: str = "engine") -> list[str]:
        """Requests that an ECU received, as hex (of long ones the head)."""
        return [e["request"] for e in self.do("log")["entries"] if e["ecu"] == ecu]

    def services(self, ecu: str = "engine") -> list[int]:
        """Services that an ECU received, in order."""
        return [int(request[:2], 16) for request in self.log(ecu)]

    def memory(self, address: int, length: int, ecu: str = "engine") -> bytes:
        """Memory as it really is."""
        return bytes.fromhex(self.do("memory", ecu=ecu, address=address, length=length)["hex"])

    def link(self, kind: str, ecu: str = "engine") -> str:
        """Link URI."""
        return str(self.info["ecus"][ecu][kind])

    def close(self) -> None:
        """Stop the car."""
        self._stream.close()
        self._control.close()
        self.process.terminate()
        self.process.wait(timeout=10)
        assert self.process.stdout is not None
        self.process.stdout.close()


@dataclass
class Keys:
    """The three keys that a kit trusts."""

    kit: Ed25519PrivateKey = field(default_factory=Ed25519PrivateKey.generate)
    workshop: Ed25519PrivateKey = field(default_factory=Ed25519PrivateKey.generate)
    technician: Ed25519PrivateKey = field(default_factory=Ed25519PrivateKey.generate)


class Kit:
    """State folder, two media and, when started, the daemon.

    Args:
        folder: everything lies below it.
        sensor: URI of the voltage sensor.
        window: the profile's voltage window.
    """

    def __init__(self, folder: Path, sensor: str, window: VoltageWindow = WINDOW) -> None:
        self.folder, self.window = folder, window
        self.state = folder / "state"
        self.media = (folder / "a", folder / "b")
        self.keys = Keys()
        self.process: subprocess.Popen[bytes] | None = None
        for path in (self.state / "trust", self.state / "profiles", *self.media, folder / "run"):
            path.mkdir(parents=True, exist_ok=True)
        (self.state / "kit.toml").write_text(
            f'[voltage]\nsensor = "{sensor}"\n\n'
            f'[media]\na = "{self.media[0]}"\nb = "{self.media[1]}"\nsimulated = true\n'
        )
        self._write_trust()
        self.profile = self._write_profile()

    @property
    def socket(self) -> Path:
        """The hw socket."""
        return self.folder / "run" / "hw.sock"

    def start(self) -> None:
        """Start `fieldkit-hw` and wait until it serves."""
        environment = {**os.environ, "FIELDKIT_RUN": str(self.folder / "run")}
        self.process = subprocess.Popen(
            [sys.executable, "-m", "hw", "--state", str(self.state), "--socket", str(self.socket)],
            stdout=subprocess.PIPE,
            cwd=ROOT,
            env=environment,
        )
        assert self.process.stdout is not None
        assert self.process.stdout.readline().startswith(b"ready")

    def stop(self, number: int = signal.SIGTERM) -> int:
        """Signal the daemon and wait for its end."""
        if self.process is None:
            return 0
        self.process.send_signal(number)
        status = self.process.wait(timeout=60)
        assert self.process.stdout is not None
        self.process.stdout.close()
        self.process = None
        return status

    @contextlib.contextmanager
    def client(self) -> Iterator[Watcher]:
        """A connected, subscribed client."""
        watcher = Watcher()
        client = HwClient(self.socket, "test", watcher.events.append)
        watcher.client = client
        client.connect()
        client.subscribe()
        try:
            yield watcher
        finally:
            client.close()

    # Trust ------------------------------------------------------------------------------------

    def _write_trust(self) -> None:
        technician = public_line(self.keys.technician)
        lines = (
            f'kit namespaces="fieldkit-backup,fieldkit-checks" {public_line(self.keys.kit)}',
            f'workshop namespaces="fieldkit-profile" {public_line(self.keys.workshop)}',
            f'{TECHNICIAN} namespaces="fieldkit-acknowledgment" {technician}',
        )
        (self.state / "trust" / "allowed_signers").write_text("\n".join(lines) + "\n")

    def _write_profile(self) -> Path:
        path = self.state / "profiles" / f"{PROFILE}.toml"
        values = msgspec.to_builtins(self.window)
        table = "".join(f"{key} = {value}\n" for key, value in values.items())
        path.write_text(f'name = "{PROFILE}"\n\n[voltage]\n{table}')
        signature = sign(path.read_bytes(), self.keys.workshop, NAMESPACE_PROFILE)
        Path(f"{path}.sig").write_bytes(signature)
        return path

    # Plans and evidence -----------------------------------------------------------------------

    def plan(self, link: str, payload: bytes, address: int = 0x8000, **changes: Any) -> WritePlan:
        """A whole flash of the engine, from session to reset."""
        size = len(payload)
        whole = f"44{address:08x}{size:08x}"
        crc = f"{zlib.crc32(payload):08x}"
        sha256 = hashlib.sha256(payload).hexdigest()
        plan = WritePlan(
            format="fieldkit-plan/1",
            job=JOB,
            title="Flash the engine",
            risk=Risk(risk_class="programming", text=f"The engine may not start. {sha256}"),
            profile=PROFILE,
            profile_sha256=hashlib.sha256(self.profile.read_bytes()).hexdigest(),
            target=Target(
                ecu="engine", link=link, identity=identity(), boot_identity=identity(BOOT_DIDS)
            ),
            window=self.window,
            timing=TIMING,
            payloads=[Payload(name="test", size=size, sha256=sha256)],
            steps=[
                Session(session=0x03),
                DtcSetting(setting=0x02),
                CommunicationControl(control_type=0x03, communication_type=0x01),
                Session(session=0x02),
                Unlock(level=0x11, provider="constant-xor", params={"key": "a5c3f00d"}),
                _routine(0xFF00, whole, "erase"),
                Download(
                    payload=0,
                    address=address,
                    address_width=4,
                    length_width=4,
                    data_format=0,
                    uncompressed_size=size,
                ),
                TransferExit(),
                _routine(0x0202, whole + crc, "check_memory"),
                _routine(0xFF01, "", "check_dependencies"),
                _read_back(address, size, sha256),
                Reset(reset_type=0x01),
                Wait(min_s=0.2, max_s=5.0),
                CheckDid(did=0xF190, expect=identity()[0].value),
            ],
            restore=[
                CommunicationControl(control_type=0x00, communication_type=0x01),
                DtcSetting(setting=0x01),
            ],
        )
        return msgspec.structs.replace(plan, **changes)

    def recovery(self, plan: WritePlan) -> WritePlan:
        """The same write, re-entering the boot loader."""
        steps = [s for s in plan.steps if not isinstance(s, DtcSetting | CommunicationControl)]
        return msgspec.structs.replace(
            plan, steps=steps[1:], restore=[], recovers=digest_of(canonical(plan))
        )

    def backup(self, **changes: Any) -> BackupCopies:
        """A backup on both media; `changes` are made to its manifest before it is signed."""
        content: dict[ObjectKind, bytes] = {
            "coding": b"age coding",
            "image": b"age image" * 100,
        }
        salt = os.urandom(32)
        manifest = BackupManifest(
            format="fieldkit-backup/1",
            backup=f"backup-{time.monotonic_ns()}",
            job=JOB,
            ecu="engine",
            profile=PROFILE,
            identity_salt=salt.hex(),
            identity_sha256=identity_digest(salt, identity()),
            objects=[
                BackupObject(kind=kind, sha256=hashlib.sha256(data).hexdigest(), size=len(data))
                for kind, data in content.items()
            ],
            refused=[],
            made=moment(),
            regions=[HeldRegion(region="all", address=0, size=1 << 32)],
        )
        manifest = msgspec.structs.replace(manifest, **changes)
        document = canonical(manifest)
        folders = []
        for medium in self.media:
            folder = medium / manifest.backup
            folder.mkdir()
            for data in content.values():
                (folder / f"{hashlib.sha256(data).hexdigest()}.age").write_bytes(data)
            (folder / "manifest.json").write_bytes(document)
            signature = sign(document, self.keys.kit, NAMESPACE_BACKUP)
            (folder / "manifest.json.sig").write_bytes(signature)
            folders.append(str(folder))
        return BackupCopies(folders=(folders[0], folders[1]))

    def acknowledge(self, plan: WritePlan, **changes: Any) -> Acknowledgment:
        """The technician's acknowledgment; `changes` are made before it is signed."""
        statement = AcknowledgmentStatement(
            format="fieldkit-acknowledgment/1",
            plan_digest=digest_of(canonical(plan)),
            risk_digest=plan.risk.digest,
            technician="anna",
            role="technician",
            made=moment(),
        )
        document = canonical(msgspec.structs.replace(statement, **changes))
        signature = sign(document, self.keys.technician, NAMESPACE_ACKNOWLEDGMENT)
        return Acknowledgment(document=document, signature=signature)

    def checks(self, plan: WritePlan, **changes: Any) -> tuple[bytes, bytes]:
        """The kit's statement on checksums; `changes` are made before it is signed."""
        statement = ChecksStatement(
            format="fieldkit-checks/1",
            plan_digest=digest_of(canonical(plan)),
            container="intel_hex",
            container_sha256="0" * 64,
            checks=["record checksums"],
            compatibility=identity()[2:],
            made=moment(),
        )
        document = canonical(msgspec.structs.replace(statement, **changes))
        return document, sign(document, self.keys.kit, NAMESPACE_CHECKS)

    def evidence(self, plan: WritePlan, backup: BackupCopies | None = None) -> Evidence:
        """Complete, valid evidence for a plan."""
        document, signature = self.checks(plan)
        return Evidence(
            profile_file=str(self.profile),
            backup=backup or self.backup(),
            checks_document=document,
            checks_signature=signature,
            acknowledgment=self.acknowledge(plan),
        )


class Watcher:
    """A client with the events that it saw."""

    client: HwClient

    def __init__(self) -> None:
        self.events: list[Event] = []

    def wait_for(self, wanted: type, limit_s: float = 60.0, **values: Any) -> Any:
        """The first event body of a type with these values; waits for it."""
        until = time.monotonic() + limit_s
        while time.monotonic() < until:
            for event in list(self.events):
                body = event.body
                if isinstance(body, wanted) and all(
                    getattr(body, key) == value for key, value in values.items()
                ):
                    return body
            time.sleep(0.005)
        raise AssertionError(f"no {wanted.__name__} with {values} within {limit_s} s")

    def flash(self, kit: Kit, plan: WritePlan, payload: bytes, evidence: Evidence) -> str:
        """Arm and start; returns the run."""
        report = self.client.arm(canonical(plan), payload, evidence, dry=False)
        refused = [result for result in report.results if not result.passed]
        assert not refused, refused
        self.client.start(report.permit)
        return report.permit

    def outcome(self, limit_s: float = 60.0) -> Outcome:
        """The outcome of the run under way."""
        outcome = self.wait_for(Outcome, limit_s)
        assert isinstance(outcome, Outcome)
        return outcome


def _routine(rid: int, option: str, purpose: Purpose) -> Routine:
    return Routine(
        sub_function=1,
        rid=rid,
        option=option,
        expect="00",
        purpose=purpose,
        timeout_s=30.0,
    )


def _read_back(address: int, size: int, sha256: str) -> ReadBack:
    return ReadBack(
        address=address,
        length=size,
        address_width=4,
        length_width=4,
        block_length=0x0400,
        sha256=sha256,
    )
