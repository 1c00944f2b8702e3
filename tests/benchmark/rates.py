"""How fast: whole gated flashes beside other flashers and the bus' own limit; the gate's cost."""

from __future__ import annotations

import os
import sys
import time
from typing import Any

from hw import clock
from hw.daemon import SWITCH_INTERVAL_S
from hw.gate.gate import Gate
from hw.links import open_link
from hw.links.base import FrameCheck
from hw.seedkey import key_for
from hw.sim.canbus import BITRATE, Frame, frame_bits
from hw.voltage.sampler import sampler_for
from tests.benchmark.figures import Figure, compared
from tests.benchmark.rig import (
    Flasher,
    bench_car,
    kit_transfer,
    median,
    running_kit,
    stock_transfer,
    unit_priority,
)
from tests.kit import TIMING, WINDOW, Car

MIB = 1 << 20
DOIP_ADDRESS, DOIP_SIZE = 0x0080_0000, 4 * MIB
CAN_ADDRESS, CAN_SIZE = 0x8000, 0x1_0000
KEY = {"key": "a5c3f00d"}
STOCK_DOIP, STOCK_CAN = "udsoncan + doipclient", "udsoncan + can-isotp"
SCAPY, GALLIA = "scapy ISOTPSoftSocket", "gallia UDS client"
PHYSICAL = "physical limit"


class OpenGate:
    """A gate that lets everything through: what the links cost without one."""

    def admit(self, _payload: bytes) -> FrameCheck | None:
        """No check at all."""
        return None


def doip(runs: int) -> list[Figure]:
    """4 MiB over DoIP in blocks of 64 KiB, with gate and journal, beside two stock clients."""
    ours, stock, gallia = [], [], []
    with (
        bench_car() as (car, folder),
        running_kit(car, folder) as kit,
        Flasher.gallia(car, folder) as other,
    ):
        for _ in range(runs):
            data = os.urandom(DOIP_SIZE)
            ours.append(DOIP_SIZE / kit_transfer(kit, car, "doip", DOIP_ADDRESS, data) / 1e6)
            stock.append(DOIP_SIZE / stock_transfer(car, "doip", DOIP_ADDRESS, data) / 1e6)
            gallia.append(DOIP_SIZE / other.transfer(DOIP_ADDRESS, data) / 1e6)
    name, times = "DoIP 4 MiB, gate and journal on", median(ours) / median(stock)
    return [
        compared(name, ours, "MB/s", "higher", STOCK_DOIP, stock, goal=30.0),
        compared("DoIP, times stock", [times], "x", "higher", STOCK_DOIP, [1.0], goal=10.0),
        compared(f"{name}, beside gallia", ours, "MB/s", "higher", GALLIA, gallia, goal=30.0),
    ]


def can(runs: int) -> list[Figure]:
    """64 KiB over CAN, as fast as it goes and at 500 kbit/s."""
    name = "CAN 64 KiB unpaced, gate and journal on"
    ours, stock, scapy, _ = _can_runs(runs)
    rows = [
        compared(name, ours, "kB/s", "higher", STOCK_CAN, stock),
        compared(f"{name}, beside scapy", ours, "kB/s", "higher", SCAPY, scapy),
    ]
    name = "CAN 64 KiB at 500 kbit/s, gate and journal on"
    ours, stock, scapy, limit = _can_runs(runs, "--pace")
    return [
        *rows,
        compared(name, ours, "kB/s", "higher", PHYSICAL, limit, goal_ratio=0.95),
        compared(f"{name}, beside stock", ours, "kB/s", "higher", STOCK_CAN, stock),
        compared(f"{name}, beside scapy", ours, "kB/s", "higher", SCAPY, scapy),
    ]


def _can_runs(
    runs: int, *options: str
) -> tuple[list[float], list[float], list[float], list[float]]:
    """kB/s of the kit, of udsoncan with can-isotp, of scapy, and of a bus that is never idle."""
    ours, stock, scapy, limit = [], [], [], []
    with (
        bench_car(*options) as (car, folder),
        running_kit(car, folder) as kit,
        Flasher.scapy(car, folder) as other,
    ):
        for _ in range(runs):
            data = os.urandom(CAN_SIZE)
            ours.append(CAN_SIZE / kit_transfer(kit, car, "can", CAN_ADDRESS, data) / 1e3)
            stock.append(CAN_SIZE / stock_transfer(car, "can", CAN_ADDRESS, data) / 1e3)
            scapy.append(CAN_SIZE / other.transfer(CAN_ADDRESS, data) / 1e3)
            limit.append(CAN_SIZE / wire_seconds(data) / 1e3)
    return ours, stock, scapy, limit


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


def gate_cost(runs: int) -> list[Figure]:
    """The same transfer through one link, with the real gate and with none, in turn."""
    sys.setswitchinterval(SWITCH_INTERVAL_S)  # As in hw.
    on, off = [], []
    with bench_car() as (car, _folder):
        gate = Gate(_NoLine())
        sampler = sampler_for(car.info["sensor"], 1.0, 1000, gate.on_sample)
        sampler.start()
        try:
            for _ in range(runs):
                data = os.urandom(CAN_SIZE)
                off.append(CAN_SIZE / link_transfer(car, OpenGate(), None, data) / 1e3)
                on.append(CAN_SIZE / link_transfer(car, gate, gate, data) / 1e3)
        finally:
            sampler.stop()
    name = "CAN link unpaced, gate on"
    return [compared(name, on, "kB/s", "higher", "gate off", off, goal_ratio=0.98)]


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
    with unit_priority(), open_link(car.link("can"), link_gate, TIMING) as link:

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
