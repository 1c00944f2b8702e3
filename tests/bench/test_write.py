"""A gated flash on real parts: SocketCAN, the sensor on a real I2C bus, pins of a real gpiochip.

The witness is candump on the ECU's side of the bus: it knows nothing of the kit.
"""

from __future__ import annotations

import os
import re
import signal
import socket
import struct
import subprocess
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from hw.errors import FieldKitError
from hw.messages import BackupCopies, GateChanged, Outcome, Progress, Voltage
from hw.plan import WritePlan
from tests.bench.conftest import (
    BUTTON,
    BUZZER,
    LAMP,
    LINE,
    Bridge,
    Pins,
    record,
    socketcan_plan,
    until,
)
from tests.kit import Car, Kit, Watcher, canonical

SIZE = 0x2000
REQUESTS = 0x7E0
FIRST, CONSECUTIVE = 0x10, 0x20
TRANSFER_DATA, TRANSFER_EXIT = 0x36, 0x37
IN_FLIGHT_S = 0.1
"""What the kit had handed to the kernel before the cut is on the bus by then."""
OUTCOME_S = 100.0


@dataclass(frozen=True)
class Seen:
    """One frame as candump saw it; `at` is wall time."""

    at: float
    data: bytes


class Witness:
    """candump's log of the requests on the bus."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def frames(self) -> list[Seen]:
        found = re.findall(r"\(([\d.]+)\) can1 7E0#([0-9A-F]+)", self._path.read_text())
        return [Seen(float(at), bytes.fromhex(data)) for at, data in found]


def _someone_filters() -> bool:
    """Has anyone asked the kernel for frames of the requests' identifier on can1?"""
    lists = Path("/proc/net/can").glob("rcvlist_[fs]*")
    return any(re.search(rf"can1 +{REQUESTS:x} ", text.read_text()) for text in lists)


@contextmanager
def witness(path: Path) -> Iterator[Witness]:
    with (
        path.open("w") as log,
        subprocess.Popen(
            ["candump", "-L", "-r", "4000000", f"can1,{REQUESTS:X}:7FF"], stdout=log
        ) as dump,
    ):
        try:
            until(_someone_filters, "candump listens")
            yield Witness(path)
        finally:
            dump.send_signal(signal.SIGINT)
            dump.wait()


def transfer_rate(frames: list[Seen]) -> float:
    """KiB/s from the first block's first frame to the request that ends the transfer."""
    start = next(f.at for f in frames if f.data[0] & 0xF0 == FIRST and f.data[2] == TRANSFER_DATA)
    end = next(f.at for f in frames if f.data[:2] == bytes((1, TRANSFER_EXIT)))
    return SIZE / 1024 / (end - start)


def test_a_gated_flash_ends_verified_and_the_pins_follow_the_gate(
    car: Car, kit: Kit, pins: Pins, tmp_path: Path
) -> None:
    payload = os.urandom(SIZE)
    plan = socketcan_plan(kit, car, payload)
    with witness(tmp_path / "dump") as seen, kit.client() as watcher:
        pins.pull(BUTTON, up=True)
        report = watcher.client.arm(canonical(plan), payload, kit.evidence(plan), dry=False)
        refused = [result for result in report.results if not result.passed]
        assert [(each.gate, each.reason) for each in refused] == [
            ("USER_ACKNOWLEDGMENT", "The arm button is not pressed.")
        ]
        assert [pins.level(pin) for pin in (LINE, LAMP, BUZZER)] == [0, 0, 0]
        pins.pull(BUTTON, up=False)
        begin(watcher, kit, plan, payload)
        wait_for_blocks(watcher)
        assert [pins.level(pin) for pin in (LINE, LAMP, BUZZER)] == [1, 1, 0]
        outcome = wait_for_outcome(watcher)
        assert outcome.outcome == "verified", outcome
        until(lambda: pins.level(LAMP) == 0, "the lamp is off")
        assert [pins.level(pin) for pin in (LINE, BUZZER)] == [0, 0]
    assert car.memory(0x8000, SIZE) == payload
    assert car.do("state", ecu="engine")["app_valid"]
    record("flash over SocketCAN, bench VM", transfer_rate(seen.frames()), "KiB/s")


def begin(
    watcher: Watcher,
    kit: Kit,
    plan: WritePlan,
    payload: bytes,
    backup: BackupCopies | None = None,
) -> None:
    """Arm and start; what the sensor and the gate told meanwhile goes with a refusal."""
    try:
        watcher.flash(kit, plan, payload, kit.evidence(plan, backup))
    except (AssertionError, FieldKitError) as error:
        bodies = [event.body for event in watcher.events]
        told = {each.reason: each for each in bodies if isinstance(each, GateChanged | Voltage)}
        raise AssertionError((str(error), list(told.values()))) from error


def wait_for_blocks(watcher: Watcher) -> None:
    """Return once a block is in the ECU; a run that ends without one fails at once."""
    until(
        lambda: any(isinstance(e.body, Progress | Outcome) for e in watcher.events),
        "progress",
        OUTCOME_S,
    )
    assert not outcomes(watcher)


def wait_for_cut(watcher: Watcher) -> GateChanged:
    def cuts() -> list[GateChanged]:
        bodies = [event.body for event in watcher.events]
        return [each for each in bodies if isinstance(each, GateChanged) and each.state == "CUT"]

    until(cuts, "the gate cuts", OUTCOME_S)
    return cuts()[0]


def wait_for_outcome(watcher: Watcher) -> Outcome:
    until(lambda: outcomes(watcher), "the run ends", OUTCOME_S)
    return outcomes(watcher)[0]


def outcomes(watcher: Watcher) -> list[Outcome]:
    return [event.body for event in watcher.events if isinstance(event.body, Outcome)]


def volts_since(watcher: Watcher, since: float) -> float:
    """What the kit told last, if that was after a moment of boot time (s)."""
    bodies = [event.body for event in watcher.events if isinstance(event.body, Voltage)]
    return max((body.volts or 0.0 for body in bodies[-1:] if body.at > since), default=0.0)


def sag_in_the_middle_of_a_block(car: Car, volts: float) -> threading.Thread:
    """Let the voltage sag when the next block has begun."""
    sock = socket.socket(socket.AF_CAN, socket.SOCK_RAW, socket.CAN_RAW)
    sock.setsockopt(socket.SOL_CAN_RAW, socket.CAN_RAW_FILTER, struct.pack("=II", REQUESTS, 0x7FF))
    sock.bind(("can1",))

    def wait() -> None:
        with sock:
            consecutive = -1
            while consecutive < 20:
                data = sock.recv(16)[8:]
                if data[0] & 0xF0 == FIRST and data[2] == TRANSFER_DATA:
                    consecutive = 0
                elif consecutive >= 0:
                    consecutive += 1
        car.do("sag", volts=volts, for_s=1.0)

    thread = threading.Thread(target=wait, daemon=True)
    thread.start()
    return thread


def test_after_a_cut_no_further_frame_of_the_message_is_on_the_bus(
    car: Car, kit: Kit, pins: Pins, tmp_path: Path
) -> None:
    payload = os.urandom(SIZE)
    plan = socketcan_plan(kit, car, payload)
    with witness(tmp_path / "dump") as seen, kit.client() as watcher:
        sagging = sag_in_the_middle_of_a_block(car, 10.5)
        begin(watcher, kit, plan, payload)
        change = wait_for_cut(watcher)
        cut_at = time.time() - time.clock_gettime(time.CLOCK_BOOTTIME) + change.at
        sagging.join()
        assert "10.5" in change.reason
        assert pins.level(LINE) == 0
        until(lambda: pins.level(BUZZER) == 1, "the buzzer sounds")
        until(lambda: volts_since(watcher, change.at) > 12.5, "the battery is back")
        resumed_at = time.time()
        watcher.client.resume(kit.acknowledge(plan))
        outcome = wait_for_outcome(watcher)
        assert outcome.outcome == "verified", outcome
    assert car.memory(0x8000, SIZE) == payload
    frames = seen.frames()
    before = [frame for frame in frames if frame.at <= cut_at + IN_FLIGHT_S]
    first = max(n for n, frame in enumerate(before) if frame.data[0] & 0xF0 == FIRST)
    announced = (before[first].data[0] & 0x0F) << 8 | before[first].data[1]
    sent = 6 + 7 * (len(before) - first - 1)
    assert before[first].data[2] == TRANSFER_DATA
    assert 0 < sent < announced
    while_cut = [f for f in frames if cut_at + IN_FLIGHT_S < f.at < resumed_at]
    # The session is kept alive; nothing else is said.
    assert {frame.data[:3] for frame in while_cut} <= {bytes.fromhex("023e80")}
    late = [f.at - cut_at for f in before if f.at > cut_at and f.data[0] & 0xF0 == CONSECUTIVE]
    record("last frame after a cut, bench VM", max(late, default=0.0) * 1e3, "ms")
    record("frames after a cut, bench VM", len(late), "frames")


def test_the_line_falls_when_hw_is_killed_and_a_lost_sensor_cuts_the_recovery(
    car: Car, kit: Kit, bridge: Bridge, pins: Pins
) -> None:
    payload = os.urandom(SIZE)
    plan, backup = socketcan_plan(kit, car, payload), kit.backup()
    with kit.client() as watcher:
        begin(watcher, kit, plan, payload, backup)
        wait_for_blocks(watcher)
        assert pins.level(LINE) == 1
        kit.stop(signal.SIGKILL)
        until(lambda: pins.level(LINE) == 0, "the line is low")
        assert pins.level(LAMP) == 0
    kit.start()
    pins.pull(BUTTON, up=False)
    assert pins.level(LINE) == 0
    with kit.client() as watcher:
        assert watcher.client.journal()[0].state == "interrupted"
        begin(watcher, kit, kit.recovery(plan), payload, backup)
        wait_for_blocks(watcher)
        bridge.unplug()
        change = wait_for_cut(watcher)
        assert "There is no valid voltage" in change.reason
        assert pins.level(LINE) == 0
        watcher.client.abort()
        assert wait_for_outcome(watcher).outcome == "aborted_recoverable"
