"""How soon: from a sag at the sensor to the last frame of the message on a paced 500 kbit/s bus."""

from __future__ import annotations

import contextlib
import os
import re
import socket
import subprocess
import threading
import time
from collections.abc import Iterator, Sequence

import msgspec

from hw.messages import GateChanged, StepStarted
from hw.plan import Download
from tests.benchmark.figures import BUILD, Figure, figure
from tests.benchmark.rates import CAN_SIZE
from tests.benchmark.rig import bench_car, median, percentile, running_kit
from tests.kit import WINDOW, Car, Kit, Watcher

FAST_WINDOW = msgspec.structs.replace(WINDOW, resume_after_s=0.02)
SAG_V, SAG_S = 11.5, 0.08
SETTLED_S = 0.04
"""So long after the hold no frame of the message can still be under way."""
GOAL_MS = {"idle": 5.0, "under stress-ng": 15.0}
HISTOGRAMS = BUILD / "bench-cut.txt"
_BIN_MS = 0.5


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


def cut_idle(trials: int) -> list[Figure]:
    """Nothing else runs."""
    return _latency(trials, "idle")


def cut_loaded(trials: int) -> list[Figure]:
    """Every core is kept busy by as many processes of stress-ng as there are cores."""
    with _stress():
        return _latency(trials, "under stress-ng")


def _latency(trials: int, how: str) -> list[Figure]:
    with (
        bench_car("--pace") as (car, folder),
        running_kit(car, folder, FAST_WINDOW) as kit,
        kit.client() as watcher,
    ):
        latencies_ms = list(_trials(kit, car, watcher, trials))
    name = f"sag to last frame on the bus, {how}, {trials} trials"
    _keep(name, latencies_ms)
    goal = GOAL_MS[how]
    rows = {"median": median(latencies_ms), "max": max(latencies_ms)}
    rows |= {f"p{at:g}": percentile(latencies_ms, at) for at in (90, 99)}
    # The goal is set for p99; the others show the shape, and the longest of all has no promise.
    return [
        figure(f"{name}, {which}", [value], "ms", "lower", goal if which != "max" else 2 * goal)
        for which, value in sorted(rows.items(), key=lambda row: row[1])
    ]


def _trials(kit: Kit, car: Car, watcher: Watcher, trials: int) -> Iterator[float]:
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
            sagged_at = car.do("sag", volts=SAG_V, for_s=SAG_S)["at"]
            watcher.wait_for(GateChanged, state="HELD")
            time.sleep(SETTLED_S)
            yield max(witness.last_at - sagged_at, 0.0) * 1e3
            watcher.wait_for(GateChanged, state="OPEN")
    finally:
        witness.close()
        watcher.client.abort()
        watcher.outcome(120)


@contextlib.contextmanager
def _stress() -> Iterator[None]:
    command = ["stress-ng", "--quiet", "--cpu", str(os.cpu_count() or 1), "--timeout", "20m"]
    with subprocess.Popen(command) as process:
        try:
            yield
        finally:
            process.terminate()


def _keep(name: str, latencies_ms: Sequence[float]) -> None:
    """Add a histogram to the file of them, and show it."""
    text = histogram(name, latencies_ms)
    print(text, flush=True)
    HISTOGRAMS.parent.mkdir(exist_ok=True)
    with HISTOGRAMS.open("a") as file:
        file.write(text + "\n")


def histogram(name: str, latencies_ms: Sequence[float]) -> str:
    """Lines of `from ms, count, bar`; bins without a trial at the end are left out."""
    counts = [0] * (int(max(latencies_ms) / _BIN_MS) + 1)
    for latency in latencies_ms:
        counts[int(latency / _BIN_MS)] += 1
    widest = max(counts)
    lines = [
        f"{number * _BIN_MS:6.1f} ms {count:5d} {'#' * round(60 * count / widest)}".rstrip()
        for number, count in enumerate(counts)
        if count
    ]
    return "\n".join([name, *lines])
