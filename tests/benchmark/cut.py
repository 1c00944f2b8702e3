"""How soon: from a sag at the sensor to the last frame of the message on a paced 500 kbit/s bus."""

from __future__ import annotations

import contextlib
import os
import re
import socket
import subprocess
import threading
import time
from collections import deque
from collections.abc import Iterator, Sequence

import msgspec

from hw.client import RemoteRefusal
from hw.messages import Evidence, GateChanged, Outcome, StepStarted
from hw.plan import Download, WritePlan
from tests.benchmark.figures import BUILD, Figure, figure
from tests.benchmark.rates import CAN_SIZE
from tests.benchmark.rig import (
    FLASH_LIMIT_S,
    bench_car,
    median,
    percentile,
    running_kit,
    without_read_back,
)
from tests.kit import WINDOW, Car, Kit, Watcher, canonical

FAST_WINDOW = msgspec.structs.replace(WINDOW, resume_after_s=0.02)
SAG_V, SAG_S = 11.5, 0.08
FRAMES_BEFORE = 40
"""Frames of a message that are on the bus before the sag: it falls into the middle of one."""
SILENT_S = 3.0
STATE_LIMIT_S = BEGIN_LIMIT_S = 30.0
GOAL_MS = {"idle": 5.0, "under stress-ng": 15.0}
HISTOGRAMS = BUILD / "bench-cut.txt"
_BIN_MS = 0.5


class Witness:
    """A third node on the bus: notes when each frame of a long message to the ECU was on it.

    Single frames are not counted: the cut is measured in the blocks of a download, and what keeps
    the session alive goes out in a hold as well, as do reads and flow control.
    """

    _FRAME = re.compile(rb"< frame 7E0 (\d+\.\d+) [12]")

    def __init__(self, link: str) -> None:
        found = re.search(r"socketcand/([^:]+):(\d+)/", link)
        if found is None:
            raise ValueError(link)
        self._sock = socket.create_connection((found[1], int(found[2])))
        self._stamps: deque[float] = deque(maxlen=4096)
        self.frames = 0
        self._sock.sendall(b"< open can0 >< rawmode >")
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def wait_for_frames(self, count: int) -> bool:
        """Wait until so many frames were seen; False where the bus stays silent."""
        until = time.monotonic() + SILENT_S
        while self.frames < count:
            if time.monotonic() > until:
                return False
            time.sleep(0.001)
        return True

    def last_before(self, moment: float) -> float:
        """When the last frame was on the bus before a moment."""
        return max(stamp for stamp in tuple(self._stamps) if stamp < moment)

    def close(self) -> None:
        """Leave the bus."""
        self._sock.shutdown(socket.SHUT_RDWR)
        self._thread.join(timeout=5)
        self._sock.close()

    def _run(self) -> None:
        text = b""
        # The car may still have been sending when `close` shut the connection down.
        with contextlib.suppress(ConnectionResetError):
            while data := self._sock.recv(65536):
                *lines, text = (text + data).split(b">")
                for line in lines:
                    if found := self._FRAME.match(line):
                        self._stamps.append(float(found[1]))
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
    """One latency for each sag. Where the write ended first it is begun anew, as where the kit cut
    instead: its sampler had no processor for so long that there was no voltage.
    """
    done = cuts = 0
    data = os.urandom(CAN_SIZE)
    whole = plan = without_read_back(kit.plan(car.link("can"), data))
    backup = kit.backup()
    witness = Witness(car.link("can"))
    try:
        while done < trials:
            _begin(watcher, kit.evidence(plan, backup), plan, data)
            while done < trials and (latency_ms := _one(car, watcher, witness)) is not None:
                if latency_ms > 0:  # Else the sag fell between two messages: nothing to cut.
                    done += 1
                    yield latency_ms
            watcher.client.abort()
            if watcher.outcome(FLASH_LIMIT_S).outcome == "verified":
                plan = whole
                continue
            cuts += done < trials
            if cuts > max(trials // 10, 5):
                raise RuntimeError(f"the kit was cut {cuts} times: this machine is overloaded")
            # The ECU is in its boot loader now and has no application that would know its DIDs.
            plan = kit.recovery(whole)
    finally:
        witness.close()
    if cuts:
        print(f"{cuts} sags were tried again: the sampler was starved for 50 ms and the gate cut")


def _begin(watcher: Watcher, evidence: Evidence, plan: WritePlan, data: bytes) -> None:
    """Start a write that outlasts many sags, and wait until its blocks are on the way."""
    watcher.events.clear()
    until = time.monotonic() + BEGIN_LIMIT_S
    while refused := _refusal(watcher, evidence, plan, data):
        # On a machine without a processor to spare the sampler leaves gaps, and the kit refuses.
        if time.monotonic() > until:
            raise RuntimeError(refused)
    index = next(i for i, step in enumerate(plan.steps) if isinstance(step, Download))
    watcher.wait_for(StepStarted, index=index)


def _refusal(watcher: Watcher, evidence: Evidence, plan: WritePlan, data: bytes) -> str:
    """Arm and start; returns why it was refused, empty where it was started."""
    report = watcher.client.arm(canonical(plan), data, evidence, dry=False)
    if not report.permit:
        return "; ".join(result.reason for result in report.results if not result.passed)
    try:
        watcher.client.start(report.permit)
    except RemoteRefusal as refused:
        return refused.what
    return ""


def _one(car: Car, watcher: Watcher, witness: Witness) -> float | None:
    """Milliseconds from the sag to the last frame; None where the gate cut or the write ended."""
    # Nothing is cleared away: the outcome may be among these already.
    seen = len(watcher.events)
    if not witness.wait_for_frames(witness.frames + FRAMES_BEFORE):
        return None
    sagged_at = car.do("sag", volts=SAG_V, for_s=SAG_S)["at"]
    if _next_state(watcher, seen, "HELD") is None:
        return None
    if (opened_at := _next_state(watcher, seen, "OPEN")) is None:
        return None
    # Looked up afterwards: this process may have slept past the moment when the write went on.
    return (witness.last_before(opened_at) - float(sagged_at)) * 1e3


def _next_state(watcher: Watcher, seen: int, wanted: str) -> float | None:
    """Wait until the gate is `wanted`, in events from number `seen` on; gives when (boot time, s),
    or None where it was cut or the write is over.
    """
    until = time.monotonic() + STATE_LIMIT_S
    while time.monotonic() < until:
        bodies = [event.body for event in watcher.events[seen:]]
        changes = [body for body in bodies if isinstance(body, GateChanged)]
        if any(change.state == "CUT" for change in changes):
            return None
        if any(isinstance(event.body, Outcome) for event in list(watcher.events)):
            return None
        if found := [change.at for change in changes if change.state == wanted]:
            return found[0]
        time.sleep(0.001)
    raise TimeoutError(f"the gate was not {wanted} within {STATE_LIMIT_S:.0f} s")


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
