"""`make bench`: the kit beside the stock stack, in the same run, on the simulated car.

Writes `build/bench.json`, a list of {name, value, unit, better, goal, peer, peer_value, ratio}, and
prints the same as a table. Every figure is a median of interleaved runs unless its name says else.
These are measurements, not tests: nothing here fails a build.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import logging
import os
import re
import socket
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import msgspec
from rich.console import Console
from rich.table import Table

from hw import clock
from hw.gate.gate import Gate
from hw.links import open_link
from hw.links.base import FrameCheck
from hw.messages import GateChanged, StepDone, StepStarted
from hw.plan import Download
from hw.seedkey import key_for
from hw.sim.canbus import BITRATE, Frame, frame_bits
from hw.voltage.sampler import sampler_for
from tests.campaign.naive import connect, flash
from tests.kit import TIMING, WINDOW, Car, Kit

MIB = 1 << 20
RUNS = 5
START_S = 0.5
"""The ECU is silent for 0.3 s after its reset."""
BUILD = Path("build")
DOIP_ADDRESS, DOIP_SIZE = 0x0080_0000, 4 * MIB
CAN_ADDRESS, CAN_SIZE = 0x8000, 0x1_0000
KEY = {"key": "a5c3f00d"}
FAST_WINDOW = msgspec.structs.replace(WINDOW, resume_after_s=0.02)


@dataclass
class Figure:
    """One line of the result; `ratio` is ours to the peer's."""

    name: str
    value: float
    unit: str
    better: str
    goal: float
    peer: str = ""
    peer_value: float | None = None
    ratio: float | None = None


class OpenGate:
    """A gate that lets everything through: what the links cost without one."""

    def admit(self, _payload: bytes) -> FrameCheck | None:
        """No check at all."""
        return None


@contextlib.contextmanager
def bench_car(*options: str) -> Iterator[tuple[Car, Path]]:
    """A car with flash that takes no time."""
    fast = ("--erase-ms-per-sector", "0", "--program-us-per-kib", "0")
    with tempfile.TemporaryDirectory(prefix="fkb") as folder:
        car = Car(Path(folder) / "car", *fast, *options)
        try:
            yield car, Path(folder)
        finally:
            car.close()


# Whole flashes -----------------------------------------------------------------------------------


def kit_transfer(kit: Kit, car: Car, kind: str, address: int, data: bytes) -> float:
    """Seconds of the download step of a whole gated flash through `fieldkit-hw`."""
    plan = kit.plan(car.link(kind), data, address)
    steps = [step for step in plan.steps if type(step).__name__ != "ReadBack"]
    plan = msgspec.structs.replace(plan, steps=steps)
    index = next(i for i, step in enumerate(steps) if isinstance(step, Download))
    with kit.client() as watcher:
        watcher.flash(kit, plan, data, kit.evidence(plan))
        outcome = watcher.outcome(120)
        if outcome.outcome != "verified":
            raise RuntimeError(outcome.what)
        began = watcher.wait_for(StepStarted, index=index)
        ended = watcher.wait_for(StepDone, index=index)
        return float(ended.at - began.at)


def stock_transfer(car: Car, kind: str, address: int, data: bytes) -> float:
    """Seconds of the same transfer by udsoncan with doipclient or can-isotp."""
    with connect(car.link(kind)) as connection:
        seconds = flash(connection, address, data)
    time.sleep(START_S)
    return seconds


def doip_rate() -> list[Figure]:
    """4 MiB over DoIP."""
    ours, stock = [], []
    with bench_car() as (car, folder), running_kit(car, folder) as kit:
        for _ in range(RUNS):
            data = os.urandom(DOIP_SIZE)
            ours.append(DOIP_SIZE / kit_transfer(kit, car, "doip", DOIP_ADDRESS, data) / 1e6)
            stock.append(DOIP_SIZE / stock_transfer(car, "doip", DOIP_ADDRESS, data) / 1e6)
    peer = "udsoncan + doipclient"
    rate = compared("DoIP 4 MiB, gate on, journal on", ours, "MB/s", 30.0, peer, stock)
    ratio = Figure(
        "DoIP times stock", round(rate.ratio or 0, 1), "x", "higher", 10.0, peer, 1.0, rate.ratio
    )
    return [rate, ratio]


def can_rate() -> list[Figure]:
    """64 KiB over CAN, unpaced beside the stock stack, paced beside the physical limit."""
    ours, stock = [], []
    with bench_car() as (car, folder), running_kit(car, folder) as kit:
        for _ in range(RUNS):
            data = os.urandom(CAN_SIZE)
            ours.append(CAN_SIZE / kit_transfer(kit, car, "can", CAN_ADDRESS, data) / 1e3)
            stock.append(CAN_SIZE / stock_transfer(car, "can", CAN_ADDRESS, data) / 1e3)
    unpaced = compared(
        "CAN 64 KiB unpaced, gate on", ours, "kB/s", 1.0, "udsoncan + can-isotp", stock
    )
    unpaced.goal = unpaced.peer_value or 0.0
    paced, ceilings = [], []
    with bench_car("--pace") as (car, folder), running_kit(car, folder) as kit:
        for _ in range(3):
            data = os.urandom(CAN_SIZE)
            seconds = kit_transfer(kit, car, "can", CAN_ADDRESS, data)
            paced.append(CAN_SIZE / seconds / 1e3)
            ceilings.append(CAN_SIZE / wire_seconds(data) / 1e3)
    limit = compared(
        "CAN 64 KiB at 500 kbit/s, gate on", paced, "kB/s", 0.0, "physical limit", ceilings
    )
    limit.goal = round(0.95 * (limit.peer_value or 0.0), 1)
    return [unpaced, limit]


def wire_seconds(data: bytes, block: int = 0x0FFE - 2) -> float:
    """Time that the frames of a transfer need on a 500 kbit/s bus, ECU's frames included."""
    bits = 0
    for number, offset in enumerate(range(0, len(data), block), start=1):
        message = bytes((0x36, number & 0xFF)) + data[offset : offset + block]
        first = (0x1000 | len(message)).to_bytes(2, "big") + message[:6]
        bits += frame_bits(Frame(0x7E0, False, first))
        bits += frame_bits(Frame(0x7E8, False, b"\x30\x00\x00" + b"\x55" * 5))
        for index, at in enumerate(range(6, len(message), 7), start=1):
            chunk = bytes([0x20 | index & 0x0F]) + message[at : at + 7]
            bits += frame_bits(Frame(0x7E0, False, chunk))
        bits += frame_bits(Frame(0x7E8, False, bytes((2, 0x76, number & 0xFF)) + b"\x55" * 5))
    return bits / BITRATE


# Gate on against gate off ------------------------------------------------------------------------


def gate_cost() -> list[Figure]:
    """The same transfer through one link, with the real gate and with none, in turn."""
    on, off = [], []
    with bench_car() as (car, _folder):
        gate = Gate(_NoLine())
        sampler = sampler_for(car.info["sensor"], 1.0, 1000, gate.on_sample)
        sampler.start()
        try:
            for _ in range(RUNS):
                data = os.urandom(CAN_SIZE)
                off.append(CAN_SIZE / link_transfer(car, OpenGate(), None, data) / 1e3)
                on.append(CAN_SIZE / link_transfer(car, gate, gate, data) / 1e3)
        finally:
            sampler.stop()
    figure = compared("CAN link, gate on", on, "kB/s", 0.0, "gate off", off)
    figure.goal = round(0.98 * (figure.peer_value or 0.0), 1)
    return [figure]


class _NoLine:
    def set_write_enable(self, on: bool) -> None:
        """There is no line on this machine."""


class _Next:
    """An expectation that is always the request about to be sent."""

    def __init__(self) -> None:
        self.expected: bytes | None = None
        self.transfer_digest = ""


def link_transfer(car: Car, link_gate: Any, gate: Gate | None, data: bytes) -> float:
    """Seconds of the blocks of one download."""
    plan = _Next()
    if gate is not None:
        while gate._last_volts is None:
            time.sleep(0.01)
        gate.arm(plan, WINDOW, clock.now() + 600)
        gate.open(clock.now() + 600, resume=False)
    with open_link(car.link("can"), link_gate, TIMING) as link:

        def send(payload: bytes) -> bytes:
            plan.expected = payload
            return link.request(payload)

        whole = b"\x44" + CAN_ADDRESS.to_bytes(4, "big") + len(data).to_bytes(4, "big")
        send(b"\x10\x02")
        seed = send(b"\x27\x11")[2:]
        send(b"\x27\x12" + key_for("constant-xor", 0x11, seed, KEY))
        send(b"\x31\x01\xff\x00" + whole)
        block = int.from_bytes(send(b"\x34\x00" + whole)[2:4], "big") - 2
        began = time.perf_counter()
        for number, offset in enumerate(range(0, len(data), block), start=1):
            send(bytes((0x36, number & 0xFF)) + data[offset : offset + block])
        seconds = time.perf_counter() - began
    if gate is not None:
        gate.close("measured")
    return seconds


# Sag to last frame -------------------------------------------------------------------------------


class Witness:
    """A third node on the bus: notes when each frame of a write was on it."""

    _FRAME = re.compile(rb"< frame 7E0 (\d+\.\d+) ")

    def __init__(self, link: str) -> None:
        found = re.search(r"socketcand/([^:]+):(\d+)/", link)
        if found is None:
            raise ValueError(link)
        self._sock = socket.create_connection((found[1], int(found[2])))
        self.last_at = 0.0
        self.frames = 0
        self._sock.sendall(b"< open can0 >< rawmode >")
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def wait_for_frames(self, count: int, limit_s: float = 30.0) -> None:
        """Wait until so many frames were seen."""
        until = time.monotonic() + limit_s
        while self.frames < count:
            if time.monotonic() > until:
                raise TimeoutError
            time.sleep(0.001)

    def close(self) -> None:
        """Leave the bus."""
        self._sock.shutdown(socket.SHUT_RDWR)
        self._thread.join(timeout=5)
        self._sock.close()

    def _run(self) -> None:
        text = b""
        while data := self._sock.recv(65536):
            *lines, text = (text + data).split(b">")
            for line in lines:
                if found := self._FRAME.match(line):
                    self.last_at = float(found[1])
                    self.frames += 1


def sag_latency(trials: int, *, loaded: bool) -> list[Figure]:
    """Sag at the sensor to the last frame of the message on a paced 500 kbit/s bus."""
    load = [_spin() for _ in range(os.cpu_count() or 1)] if loaded else []
    name = "loaded" if loaded else "idle"
    try:
        with (
            bench_car("--pace") as (car, folder),
            running_kit(car, folder, FAST_WINDOW) as kit,
            kit.client() as watcher,
        ):
            latencies = sorted(_sag_trials(kit, car, watcher, trials))
    finally:
        for process in load:
            process.kill()
            process.wait()
    p99 = latencies[int(0.99 * (len(latencies) - 1))]
    goal = 15.0 if loaded else 5.0
    common = f"sag to last frame on the bus, {name}, {len(latencies)} trials"
    return [
        Figure(f"{common}, p99", round(p99, 2), "ms", "lower", goal),
        Figure(f"{common}, median", round(statistics.median(latencies), 2), "ms", "lower", goal),
        Figure(f"{common}, max", round(latencies[-1], 2), "ms", "lower", goal),
    ]


def _sag_trials(kit: Kit, car: Car, watcher: Any, trials: int) -> Iterator[float]:
    data = os.urandom(CAN_SIZE)
    plan = kit.plan(car.link("can"), data)
    watcher.flash(kit, plan, data, kit.evidence(plan))
    index = next(i for i, step in enumerate(plan.steps) if isinstance(step, Download))
    watcher.wait_for(StepStarted, index=index)
    witness = Witness(car.link("can"))
    try:
        for _ in range(trials):
            seen = witness.frames
            witness.wait_for_frames(seen + 40)
            watcher.events.clear()
            sagged_at = car.do("sag", volts=11.5, for_s=0.08)["at"]
            watcher.wait_for(GateChanged, state="HELD")
            time.sleep(0.04)
            yield max(witness.last_at - sagged_at, 0.0) * 1e3
            watcher.wait_for(GateChanged, state="OPEN")
    finally:
        witness.close()
        watcher.client.abort()
        watcher.outcome(120)


def _spin() -> subprocess.Popen[bytes]:
    return subprocess.Popen([sys.executable, "-c", "while True: pass"])


# The process -------------------------------------------------------------------------------------


def hw_process() -> list[Figure]:
    """Memory and start of `fieldkit-hw`, idle after one link over each medium was used."""
    starts, sizes = [], []
    with bench_car() as (car, folder):
        kit = Kit(folder / "kit", car.info["sensor"])
        for _ in range(RUNS):
            began = time.perf_counter()
            kit.start()
            starts.append(time.perf_counter() - began)
            with kit.client() as watcher:
                for kind in ("can", "doip"):
                    watcher.client.read(car.link(kind), b"\x22\xf1\x90", TIMING)
            if kit.process is None:
                raise RuntimeError("hw is not running")
            status = Path(f"/proc/{kit.process.pid}/status").read_text()
            found = re.search(r"VmRSS:\s+(\d+) kB", status)
            sizes.append(int(found[1]) / 1024 if found else 0.0)
            kit.stop()
    return [
        Figure("hw RSS", round(statistics.median(sizes), 1), "MB", "lower", 60.0),
        Figure("hw import to ready", round(statistics.median(starts), 2), "s", "lower", 1.0),
    ]


@contextlib.contextmanager
def running_kit(car: Car, folder: Path, window: Any = WINDOW) -> Iterator[Kit]:
    """`fieldkit-hw` on a car."""
    kit = Kit(folder / "kit", car.info["sensor"], window)
    kit.start()
    try:
        yield kit
    finally:
        kit.stop()


def compared(
    name: str, ours: list[float], unit: str, goal: float, peer: str, theirs: list[float]
) -> Figure:
    """Median against median."""
    value, other = statistics.median(ours), statistics.median(theirs)
    return Figure(
        name, round(value, 1), unit, "higher", goal, peer, round(other, 1), round(value / other, 3)
    )


def main() -> int:
    """Measure, print, write."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--trials", type=int, default=1000, help="of the sag latency")
    options = parser.parse_args()
    logging.disable(logging.ERROR)  # The stock stack logs each error that it raises as well.
    figures: list[Figure] = []
    parts: list[Callable[[], list[Figure]]] = [
        hw_process,
        doip_rate,
        can_rate,
        gate_cost,
        lambda: sag_latency(options.trials, loaded=False),
        lambda: sag_latency(options.trials, loaded=True),
    ]
    for part in parts:
        figures += part()
    BUILD.mkdir(exist_ok=True)
    rows = [asdict(figure) for figure in figures]
    (BUILD / "bench.json").write_text(json.dumps(rows, indent=1) + "\n")
    Console(width=132).print(_table(figures))
    return 0


def _table(figures: list[Figure]) -> Table:
    table = Table("value", "unit", "goal", "figure", "peer", "peer's", "ratio")
    for figure in figures:
        sign = ">=" if figure.better == "higher" else "<="
        table.add_row(
            f"{figure.value:g}",
            figure.unit,
            f"{sign} {figure.goal:g}",
            figure.name,
            figure.peer,
            "" if figure.peer_value is None else f"{figure.peer_value:g}",
            "" if figure.ratio is None else f"{figure.ratio:g}",
        )
    return table


if __name__ == "__main__":
    sys.exit(main())
