"""A dual backup of 64 MiB: encrypted, signed, written durably to two media, read again and opened.

Its peer is what a person does by hand with stock tools: `age`, two `cp`, `sync`. That neither
signs, nor reads anything again, nor tries to open it; the second row is by hand with those proofs.
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
PROVEN = "the same, read again with dd and cmp, opened with age -d"
GOAL_RATIO = 0.8
VIN = b"WVWZZZ1JZXW000001"


def measure(runs: int) -> list[Figure]:
    """The two in turn, on the same filesystem."""
    ours: list[float] = []
    theirs: list[float] = []
    proven: list[float] = []
    BUILD.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="backup", dir=BUILD) as name:
        folder = Path(name)
        for medium in ("a", "b"):
            (folder / medium).mkdir()
        unlocked = _kit(folder)
        for _ in range(runs):
            image = os.urandom(SIZE)
            ours.append(SIZE / _ours(folder, unlocked, image) / 1e6)
            copying, proving = _by_hand(folder, unlocked, image)
            theirs.append(SIZE / copying / 1e6)
            proven.append(SIZE / (copying + proving) / 1e6)
    title = "backup of 64 MiB, encrypted, signed, on two media, read again"
    return [
        compared(title, ours, "MB/s", "higher", PEER, theirs, goal_ratio=GOAL_RATIO),
        compared(f"{title}, by hand too", ours, "MB/s", "higher", PROVEN, proven),
    ]


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


def _by_hand(folder: Path, unlocked: Unlocked, image: bytes) -> tuple[float, float]:
    """Seconds of making the copies, and of proving them as the kit does."""
    plain, encrypted, key = (folder / f"image.{kind}" for kind in ("bin", "age", "key"))
    plain.write_bytes(image)
    key.touch(0o600)
    key.write_text(f"{unlocked.kit_identity}\n")
    copies = [folder / medium / encrypted.name for medium in ("a", "b")]
    known = Recipients.load(unlocked.state)
    to = [f"--recipient={line}" for line in (known.kit, known.workshop, known.recovery)]
    # Its input is in the page cache, as ours is in memory.
    began = time.perf_counter()
    subprocess.run(["age", *to, "--output", str(encrypted), str(plain)], check=True)
    for copy in copies:
        # Two media share no blocks, whatever this filesystem can.
        subprocess.run(["cp", "--reflink=never", str(encrypted), str(copy)], check=True)
    subprocess.run(["sync", *map(str, copies)], check=True)
    copied = time.perf_counter()
    for copy in copies:
        read = ["dd", f"if={copy}", "iflag=direct", "bs=8M", "status=none"]
        _compare(read, encrypted)
    _compare(["age", "--decrypt", f"--identity={key}", str(encrypted)], plain)
    proven = time.perf_counter()
    for path in (plain, encrypted, key, *copies):
        path.unlink()
    return copied - began, proven - copied


def _compare(command: list[str], with_file: Path) -> None:
    """See that what a command prints is what a file holds."""
    with subprocess.Popen(command, stdout=subprocess.PIPE) as printing:
        subprocess.run(["cmp", "-", str(with_file)], stdin=printing.stdout, check=True)
    if printing.returncode:
        raise RuntimeError(f"{command[0]} failed with {printing.returncode}")
