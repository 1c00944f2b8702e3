"""A dual backup of 64 MiB: encrypted, signed, written durably to two media, read again and opened.

Its peer is what a careful person does by hand with stock tools: `age`, two `cp`, `sync`. That
neither signs nor reads anything again.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
import time
from pathlib import Path

from appliance.age import new_identity
from appliance.backups import make_backup
from appliance.identity import Unlocked, init_kit, unlock
from appliance.identity.trust import Recipients
from hw.config import MediaConfig
from hw.plan import IdentityValue
from tests.benchmark.figures import BUILD, Figure, compared
from tests.stack import PASSPHRASE, TECHNICIAN

SIZE = 64 << 20
PEER = "age + two cp + sync"
GOAL_RATIO = 0.8
VIN = b"WVWZZZ1JZXW000001"


def measure(runs: int) -> list[Figure]:
    """The two in turn, on the same filesystem."""
    ours, theirs = [], []
    BUILD.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="backup", dir=BUILD) as name:
        folder = Path(name)
        for medium in ("a", "b"):
            (folder / medium).mkdir()
        unlocked = _kit(folder)
        for _ in range(runs):
            image = os.urandom(SIZE)
            ours.append(SIZE / _ours(folder, unlocked, image) / 1e6)
            theirs.append(SIZE / _by_hand(folder, unlocked, image) / 1e6)
    title = "backup of 64 MiB, encrypted, signed, on two media, read again"
    return [compared(title, ours, "MB/s", "higher", PEER, theirs, goal_ratio=GOAL_RATIO)]


def _kit(folder: Path) -> Unlocked:
    init_kit(
        folder / "state",
        technicians=[(TECHNICIAN, "owner", PASSPHRASE)],
        workshop_recipient=new_identity()[1],
        recovery_recipient=new_identity()[1],
        config={
            "voltage": {"sensor": "ina219:///dev/i2c-1/0x40"},
            "media": {"a": str(folder / "a"), "b": str(folder / "b"), "simulated": True},
        },
    )
    return unlock(folder / "state", TECHNICIAN, PASSPHRASE)


def _ours(folder: Path, unlocked: Unlocked, image: bytes) -> float:
    began = time.perf_counter()
    made = make_backup(
        unlocked,
        MediaConfig(str(folder / "a"), str(folder / "b"), simulated=True),
        job="bench",
        ecu="engine",
        profile="sim-engine",
        identity=[IdentityValue(did=0xF190, value=VIN.hex())],
        coding=b"{}",
        images={"flash": image},
    )
    seconds = time.perf_counter() - began
    for copy in made.folders:
        shutil.rmtree(copy)
    return seconds


def _by_hand(folder: Path, unlocked: Unlocked, image: bytes) -> float:
    plain, encrypted = folder / "image.bin", folder / "image.bin.age"
    plain.write_bytes(image)
    copies = [folder / medium / encrypted.name for medium in ("a", "b")]
    known = Recipients.load(unlocked.state)
    to = [f"--recipient={line}" for line in (known.kit, known.workshop, known.recovery)]
    # Its input is in the page cache, as ours is in memory.
    began = time.perf_counter()
    subprocess.run(["age", *to, "--output", str(encrypted), str(plain)], check=True)
    for copy in copies:
        subprocess.run(["cp", str(encrypted), str(copy)], check=True)
    subprocess.run(["sync", *map(str, copies)], check=True)
    seconds = time.perf_counter() - began
    for path in (plain, encrypted, *copies):
        path.unlink()
    return seconds
