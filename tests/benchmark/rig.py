"""What the measurements stand on: a simulated car, `fieldkit-hw` on it, and flashers of others.

Where the system grants it, the paced bus runs before all programs, as a real one does not wait for
a processor, and every flasher runs at the priority that its unit gives hw: what else the machine
does slows none of them, and hw's sampler is not so late that the gate cuts.
"""

from __future__ import annotations

import contextlib
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Self

import msgspec

from hw.messages import StepDone, StepStarted
from hw.plan import Download, ReadBack, VoltageWindow, WritePlan
from tests.campaign.naive import connect, flash
from tests.kit import WINDOW, Car, Kit

BENCH_PYTHON = Path(".venv-bench/bin/python")
"""An environment of its own for tools whose libraries must not mix with the kit's."""
BUS_PRIORITY = 50
UNIT_PRIORITY = 5
"""CPUSchedulingPriority of systemd/fieldkit-hw.service; its policy is round-robin."""
START_S = 0.5
"""The ECU is silent for 0.3 s after its reset."""
FLASH_LIMIT_S = 120.0


def run_before_others(process: int, policy: int, priority: int) -> None:
    """Give a process a real-time priority; threads that it starts later inherit that."""
    for path in Path(f"/proc/{process}/task").iterdir():
        thread = int(path.name)
        if os.sched_getscheduler(thread) != os.SCHED_OTHER:
            continue  # hw's sampler has its own already.
        try:
            os.sched_setscheduler(thread, policy, os.sched_param(priority))
        except PermissionError:
            print("no real-time priority: what else runs here shows in the figures", flush=True)
            return


@contextlib.contextmanager
def unit_priority() -> Iterator[None]:
    """Within it, this thread and those that it starts have the priority of hw's unit."""
    try:
        os.sched_setscheduler(0, os.SCHED_RR, os.sched_param(UNIT_PRIORITY))
    except PermissionError:
        yield  # `run_before_others` has said so.
        return
    try:
        yield
    finally:
        os.sched_setscheduler(0, os.SCHED_OTHER, os.sched_param(0))


@contextlib.contextmanager
def bench_car(*options: str) -> Iterator[tuple[Car, Path]]:
    """A car with flash that takes no time."""
    fast = ("--erase-ms-per-sector", "0", "--program-us-per-kib", "0")
    with tempfile.TemporaryDirectory(prefix="fkb") as folder:
        car = Car(Path(folder) / "car", *fast, *options)
        if "--pace" in options:
            run_before_others(car.process.pid, os.SCHED_FIFO, BUS_PRIORITY)
        try:
            yield car, Path(folder)
        finally:
            car.close()


@contextlib.contextmanager
def running_kit(car: Car, folder: Path, window: VoltageWindow = WINDOW) -> Iterator[Kit]:
    """`fieldkit-hw` on a car."""
    kit = Kit(folder / "kit", car.info["sensor"], window)
    kit.start()
    if kit.process is not None:
        run_before_others(kit.process.pid, os.SCHED_RR, UNIT_PRIORITY)
    try:
        yield kit
    finally:
        kit.stop()


def without_read_back(plan: WritePlan) -> WritePlan:
    """The plan without its reads of memory: they would take as long as the write does."""
    steps = [step for step in plan.steps if not isinstance(step, ReadBack)]
    return msgspec.structs.replace(plan, steps=steps)


def kit_transfer(kit: Kit, car: Car, kind: str, address: int, data: bytes) -> float:
    """Seconds of the download step of a whole gated flash through `fieldkit-hw`."""
    plan = without_read_back(kit.plan(car.link(kind), data, address))
    index = next(i for i, step in enumerate(plan.steps) if isinstance(step, Download))
    with kit.client() as watcher:
        watcher.flash(kit, plan, data, kit.evidence(plan))
        outcome = watcher.outcome(FLASH_LIMIT_S)
        if outcome.outcome != "verified":
            raise RuntimeError(outcome.what)
        began = watcher.wait_for(StepStarted, index=index)
        ended = watcher.wait_for(StepDone, index=index)
        return float(ended.at - began.at)


def stock_transfer(car: Car, kind: str, address: int, data: bytes) -> float:
    """Seconds of the same transfer by udsoncan with doipclient or can-isotp."""
    with unit_priority(), connect(car.link(kind)) as connection:
        seconds = flash(connection, address, data)
    time.sleep(START_S)
    return seconds


class Flasher:
    """A flasher of `tests/peers`, a process of its own that serves one flash after the other.

    Args:
        command: what starts it.
        folder: where it finds the data.
    """

    def __init__(self, command: Sequence[str], folder: Path) -> None:
        self._data = folder / "payload.bin"
        self._process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        run_before_others(self._process.pid, os.SCHED_RR, UNIT_PRIORITY)

    @classmethod
    def scapy(cls, car: Car, folder: Path) -> Self:
        """scapy's ISOTPSoftSocket over the car's CAN."""
        return cls([sys.executable, "-m", "tests.peers.scapy_flasher", car.link("can")], folder)

    @classmethod
    def gallia(cls, car: Car, folder: Path) -> Self:
        """gallia's UDS client over the car's DoIP."""
        script = "tests/peers/gallia_flasher.py"
        return cls([str(BENCH_PYTHON), script, car.link("doip")], folder)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._process.kill()
        self._process.communicate()

    def transfer(self, address: int, data: bytes) -> float:
        """Seconds of the transfer of a whole flash."""
        self._data.write_bytes(data)
        if self._process.stdin is None or self._process.stdout is None:
            raise RuntimeError("the flasher has no pipes")
        self._process.stdin.write(json.dumps({"address": address, "file": str(self._data)}) + "\n")
        self._process.stdin.flush()
        line = self._process.stdout.readline()
        if not line:
            raise RuntimeError(f"the flasher ended with {self._process.wait()}")
        time.sleep(START_S)
        return float(json.loads(line)["seconds"])


def percentile(values: Sequence[float], percent: float) -> float:
    """The value that `percent` of all do not exceed; of few values the nearest there is."""
    ordered = sorted(values)
    return ordered[round(percent / 100 * (len(ordered) - 1))]


def median(values: Sequence[float]) -> float:
    """The middle one."""
    return float(statistics.median(values))
