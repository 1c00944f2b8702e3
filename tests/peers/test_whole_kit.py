"""A whole gated flash by `fieldkit-hw` of an ECU that is not ours."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest

from hw.plan import CommunicationControl, DtcSetting
from hw.sim.fleet import ENGINE
from hw.sim.registers import RegisterFile
from tests.kit import Kit

ROOT = Path(__file__).resolve().parents[2]
ADDRESS, SIZE = 0x8000, 0x4000


@pytest.fixture
def foreign(tmp_path: Path) -> Iterator[dict[str, Any]]:
    """scapy's ECU with the identity that the test kit's plans are for."""
    dids = [f"--did={did.did:04X}={did.value.hex()}" for did in ENGINE.dids]
    process = subprocess.Popen(
        [
            sys.executable,
            "-m",
            "tests.peers.scapy_ecu",
            f"--folder={tmp_path}",
            f"--memory={ADDRESS:X}:{SIZE:X}",
            *dids,
        ],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        cwd=ROOT,
    )
    assert process.stdout is not None
    try:
        yield json.loads(process.stdout.readline())
    finally:
        process.terminate()
        process.wait(10)
        process.stdout.close()


@pytest.fixture
def kit(short_tmp: Path) -> Iterator[Kit]:
    registers = RegisterFile(short_tmp / "registers", create=True)
    registers.volts = 13.2
    kit = Kit(short_tmp / "kit", f"ina219+sim://{short_tmp / 'registers'}")
    kit.start()
    yield kit
    kit.stop()
    registers.close()


@pytest.mark.parametrize("kind", ["can", "doip"])
def test_the_gated_flash_of_a_foreign_ecu_ends_verified(
    kit: Kit, foreign: dict[str, Any], kind: str
) -> None:
    payload = os.urandom(SIZE)
    plan = kit.plan(foreign[kind], payload, ADDRESS)
    # scapy's machine has no communication control and no DTC setting.
    steps = [s for s in plan.steps if not isinstance(s, CommunicationControl | DtcSetting)]
    timing = msgspec.structs.replace(plan.timing, p2_s=5.0)
    plan = msgspec.structs.replace(plan, steps=steps, restore=[], timing=timing)
    with kit.client() as watcher:
        watcher.flash(kit, plan, payload, kit.evidence(plan))
        outcome = watcher.outcome(100)
    assert outcome.outcome == "verified", outcome
    assert Path(foreign["memory"]).read_bytes() == payload
    log = [json.loads(line) for line in Path(foreign["log"]).read_text().splitlines()]
    received = b"".join(
        bytes.fromhex(entry["request"])[2:] for entry in log if entry["request"].startswith("36")
    )
    assert received == payload
    assert [entry["request"] for entry in log].count("37") == 1
