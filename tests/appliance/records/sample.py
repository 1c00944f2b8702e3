"""A job as the appliance records it: identified, backed up, planned, held by a sag, verified."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import msgspec
import rfc8785
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from appliance.identity.trust import signer_line
from appliance.records import Customer, Records, vehicle
from appliance.records import events as e
from appliance.store import Store
from hw.messages import (
    GATES,
    EventBody,
    GateChanged,
    GateResult,
    Outcome,
    Progress,
    StepStarted,
    Voltage,
    VoltageTrace,
)
from hw.plan import (
    IdentityValue,
    Payload,
    Reset,
    Risk,
    Target,
    Timing,
    VoltageWindow,
    WritePlan,
    digest_of,
)
from hw.sshsig import AllowedSigners
from hw.statements import ReadoutRefused

VIN = "WVWZZZ1JZXW000001"
DATABASE_KEY = bytes(range(32))
KIT_KEY = Ed25519PrivateKey.from_private_bytes(bytes(range(32)))
RUN = "run-1"
CONTAINER = b":00000001FF\r\n"
CONTAINER_SHA256 = hashlib.sha256(CONTAINER).hexdigest()


@contextmanager
def open_records(folder: Path, key: Ed25519PrivateKey = KIT_KEY) -> Iterator[Records]:
    """The records of a kit whose state folder this is."""
    signers = folder / "allowed_signers"
    signers.write_text(signer_line("kit", key.public_key()))
    with Store(folder / "appliance.db", DATABASE_KEY) as store:
        yield Records(store, key, AllowedSigners.load(signers))


def new_job(records: Records, name: str = "Zoë Müller", complaint: str = "Stalls when hot") -> str:
    """A fresh job."""
    car = vehicle("Volkswagen Golf IV 1.8T", VIN, "B-FK 2026", 184_300)
    customer = Customer(name, "+49 30 1234567", "zoe@example.org")
    return records.create_job(customer, car, complaint, "anna").job


def plan_document(job: str, ecu: str = "engine") -> bytes:
    """A small plan of this job, in canonical form."""
    plan = WritePlan(
        format="fieldkit-plan/1",
        job=job,
        title="Flash demo-calibration.hex into the engine ECU",
        risk=Risk(risk_class="programming", text="The ECU can be left without software."),
        profile="sim-engine",
        profile_sha256="1" * 64,
        target=Target(
            ecu=ecu,
            link="doip://127.0.0.1:13400?target=0x0010&source=0x0E00",
            identity=[IdentityValue(did=0xF190, value=VIN.encode().hex())],
            boot_identity=[],
        ),
        window=VoltageWindow(
            start_min_v=12.5, start_max_v=14.8, settle_s=10, hold_v=12.0, cut_v=11.0,
            resume_v=12.4, resume_after_s=5, over_v=15.0,
        ),
        timing=Timing(p2_s=0.05, p2_star_s=5, pending_limit_s=60, busy_limit_s=5),
        payloads=[Payload(name="calibration", size=4, sha256="2" * 64)],
        steps=[Reset(reset_type=1)],
        restore=[],
    )  # fmt: skip
    return rfc8785.dumps(msgspec.to_builtins(plan))


def whole_job(records: Records, outcome: str = "verified", sag_v: float = 11.6) -> str:
    """A job from its opening to the identification after the write."""
    job = new_job(records)
    document = plan_document(job)
    records.store.put_blob(document)
    records.store.put_blob(CONTAINER)
    digest = digest_of(document)
    records.append(job, identified("1.0.7"))
    records.append(job, backup(job))
    records.append(job, backup_verified())
    records.append(job, compiled(digest))
    records.append(job, gates(digest, dry=True, closed="USER_ACKNOWLEDGMENT"))
    records.append(job, acknowledged(digest))
    records.append(job, gates(digest))
    records.append(job, e.WriteStarted(run=RUN, plan_digest=digest, simulated=["car"]))
    records.append_events(job, RUN, list(enumerate(run_events(outcome, sag_v), start=1)))
    records.append(job, identified("1.0.8"))
    return job


def identified(version: str) -> e.Identified:
    return e.Identified(
        ecu="engine",
        profile="sim-engine",
        link="doip://127.0.0.1:13400?target=0x0010&source=0x0E00",
        values=[
            e.DidValue(did=0xF190, label="VIN", value=VIN.encode().hex(), text=VIN),
            e.DidValue(did=0xF187, label="Part number", value="41", text="FKIT-14C204-AA"),
            e.DidValue(did=0xF189, label="Software version", value="31", text=version),
            e.DidValue(did=0x0600, label="Coding", refused="0x33 securityAccessDenied"),
        ],
    )


def backup(job: str) -> e.BackupMade:
    return e.BackupMade(
        backup="01a20000-0000-7000-8000-00000000000b",
        ecu="engine",
        manifest_sha256=hashlib.sha256(b"manifest").hexdigest(),
        objects=[
            e.StoredObject(kind="coding", sha256=hashlib.sha256(b"c").hexdigest(), size=812),
            e.StoredObject(kind="image", sha256=hashlib.sha256(b"i").hexdigest(), size=65_900),
        ],
        refused=[ReadoutRefused(region="application", request="2344", response="7f2333")],
        folders=["/media/fieldkit-a/backups/b", "/media/fieldkit-b/backups/b"],
        simulated=True,
    )


def backup_verified() -> e.BackupVerified:
    copies = [
        e.CopyFound(folder=f"/media/fieldkit-{letter}/backups/b", state="whole") for letter in "ab"
    ]
    return e.BackupVerified(
        backup="01a20000-0000-7000-8000-00000000000b", whole=True, copies=copies
    )


def compiled(digest: str) -> e.PlanCompiled:
    return e.PlanCompiled(
        plan_digest=digest,
        title="Flash demo-calibration.hex into the engine ECU",
        ecu="engine",
        risk_class="programming",
        risk_text="The ECU can be left without software. It can then be recovered with this kit.",
        container="demo-calibration.hex",
        container_sha256=CONTAINER_SHA256,
        checks=["Intel HEX record checksums of 3074 records"],
        description=[
            "Open the programming session (0x02).",
            "Unlock with level 0x11 by 'constant-xor'.",
            "Erase 48 KiB at 0x00008000.",
            "Write 48 KiB in blocks.",
            "Let the ECU check its memory.",
            "Reset the ECU.",
        ],
    )


def gates(digest: str, *, dry: bool = False, closed: str = "") -> e.GatesChecked:
    results = [
        GateResult(
            gate=gate,
            passed=gate != closed,
            reason="12.81 V for 10 s." if gate == "VOLTAGE_CHECK" else "As it must be.",
            next_step="" if gate != closed else "Hold the button.",
            facts={"volts": "12.81"} if gate == "VOLTAGE_CHECK" else {},
        )
        for gate in GATES
    ]
    return e.GatesChecked(
        plan_digest=digest, dry=dry, permit=not dry and not closed, results=results
    )


def acknowledged(digest: str) -> e.Acknowledged:
    return e.Acknowledged(
        plan_digest=digest,
        risk_text="The ECU can be left without software.",
        statement=json.dumps({"plan_digest": digest}),
        signature="-----BEGIN SSH SIGNATURE-----",
    )


def run_events(outcome: str, sag_v: float) -> list[EventBody]:
    """Forty seconds at 10 Hz, with a sag at 15 s that holds the gate for five."""
    start = 5000.0
    events: list[EventBody] = [
        GateChanged(at=start, state="OPEN", reason="Permit used.", next_step="", volts=12.8),
        StepStarted(at=start, index=0, total=6, step="session"),
    ]
    for tick in range(400):
        at = start + tick / 10
        events += _change_at(tick, at, sag_v)
        sagging = 150 <= tick < 200
        volts = sag_v + 0.1 * (tick % 3) if sagging else 12.8 - 0.02 * (tick % 5)
        events.append(Voltage(at=at, volts=None if tick == 300 else volts, reason=""))
        if tick % 50 == 0:
            events.append(_progress(at, tick))
    events.append(
        Outcome(
            at=start + 40,
            outcome=outcome,  # type: ignore[arg-type]  # the tests name each of the closed set
            code="",
            what="The ECU holds the new calibration and checked it.",
            next_step="Clear the fault memory and drive the car.",
            step=6,
        )
    )
    return events


def _change_at(tick: int, at: float, sag_v: float) -> list[EventBody]:
    if tick == 150:
        trace: list[tuple[float, float | None]] = [
            (at - 0.2 + n / 1000, 12.8 if n < 200 else sag_v) for n in range(220)
        ]
        reason = f"{sag_v} V is below 12.0 V."
        held = GateChanged(
            at=at, state="HELD", reason=reason, next_step="Charge.", volts=sag_v, trace=trace
        )
        after: list[tuple[float, float | None]] = [(at + 0.02 + n / 1000, sag_v) for n in range(50)]
        return [held, VoltageTrace(at=at + 0.1, samples=after)]
    if tick == 200:
        reason = "Above 12.4 V for 5 s."
        return [GateChanged(at=at, state="OPEN", reason=reason, next_step="", volts=12.8)]
    return []


def _progress(at: float, tick: int) -> Progress:
    return Progress(
        at=at, block=tick // 50, blocks=8, done_bytes=tick, total_bytes=400, rate=10.0,
        remaining_s=4.0,
    )  # fmt: skip
