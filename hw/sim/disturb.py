"""What goes wrong on the wire of the simulated CAN bus, asked for over the control socket.

Frames are lost, doubled, held up, or their flow control is spoilt. A real bus repeats a frame that
nobody acknowledged, so losses stand for overruns, a loose plug and a controller that is bus-off.
"""

from __future__ import annotations

import random
from dataclasses import dataclass
from typing import Literal

from hw import clock

Kind = Literal["lose", "duplicate", "flow_control", "hold", "open", "bus_off"]
KINDS: tuple[Kind, ...] = ("lose", "duplicate", "flow_control", "hold", "open", "bus_off")
TIMED: tuple[Kind, ...] = ("hold", "open", "bus_off")

_FLOW_CONTROL = 0x3
# Overflow, wait, a reserved status, and the slowest separation time (ISO 15765-2:2016, 9.6.5).
_SPOILT = (b"\x32\x00\x00", b"\x31\x00\x00", b"\x3f\x00\x00", b"\x30\x01\x7f")


@dataclass
class Disturbance:
    """One fault of the wire.

    Attributes:
        kind: `lose` and `duplicate` strike `count` frames, each with probability `chance`;
            `flow_control` alters `count` flow control frames; `hold` delivers nothing and then
            everything in order; `open` (no cable) and `bus_off` lose everything.
        until: boot time at which a timed kind ends by itself.
    """

    kind: Kind
    count: int = 1
    chance: float = 1.0
    until: float = float("inf")


class Wire:
    """All faults of one bus, and what they make of a frame's data."""

    def __init__(self, seed: int = 1) -> None:
        self._rng = random.Random(seed)
        self._faults: list[Disturbance] = []

    def add(self, fault: Disturbance) -> None:
        """Let a fault begin."""
        self._faults.append(fault)

    def heal(self) -> None:
        """End all faults."""
        self._faults.clear()

    def hold_s(self) -> float:
        """For how long nothing may be delivered from now on; 0 for not at all."""
        held = [fault.until for fault in self._running() if fault.kind == "hold"]
        return max(held) - clock.now() if held else 0.0

    def deliver(self, data: bytes) -> list[bytes]:
        """What arrives of a frame: nothing, itself, itself twice, or spoilt."""
        arriving = [data]
        for fault in self._running():
            if fault.kind in ("open", "bus_off"):
                return []
            if self._strikes(fault, data):
                arriving = self._struck(fault.kind, data)
        return arriving

    def _running(self) -> list[Disturbance]:
        now = clock.now()
        self._faults = [fault for fault in self._faults if fault.until > now]
        return list(self._faults)

    def _strikes(self, fault: Disturbance, data: bytes) -> bool:
        if fault.kind == "hold" or self._rng.random() > fault.chance:
            return False
        if fault.kind == "flow_control" and data[:1] and data[0] >> 4 != _FLOW_CONTROL:
            return False
        fault.count -= 1
        if fault.count <= 0:
            self._faults.remove(fault)
        return True

    def _struck(self, kind: Kind, data: bytes) -> list[bytes]:
        if kind == "lose":
            return []
        if kind == "duplicate":
            return [data, data]
        spoilt = self._rng.choice(_SPOILT)
        return [spoilt + data[len(spoilt) :]]
