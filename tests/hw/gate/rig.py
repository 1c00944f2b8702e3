"""A gate with a clock that stands still, a line that notes what is done to it, and a plan."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field

import msgspec

from hw.gate.gate import Gate, GateChange
from hw.plan import VoltageWindow
from hw.voltage.sampler import Sample

WINDOW = VoltageWindow(
    start_min_v=12.5,
    start_max_v=14.8,
    settle_s=10.0,
    hold_v=12.0,
    cut_v=11.0,
    resume_v=12.5,
    resume_after_s=5.0,
    over_v=15.0,
    stale_s=0.05,
)
GOOD_V = 13.2
STEP_S = 0.004
NEXT = bytes.fromhex("2ef15a0102030405")


@dataclass
class Clock:
    """Boot time that only moves when it is told to."""

    time: float = 1000.0

    def __call__(self) -> float:
        return self.time


@dataclass
class Line:
    """The write-enable line and, in one list with the gate's changes, what happened when."""

    high: bool = False
    broken: bool = False
    story: list[str] = field(default_factory=list)

    def set_write_enable(self, on: bool) -> None:
        self.story.append("line high" if on else "line low")
        if self.broken:
            raise OSError("the pin cannot be driven")
        self.high = on


@dataclass
class Plan:
    """Stands where a cursor stands."""

    expected: bytes | None = NEXT
    transfer_digest: str = hashlib.sha256().hexdigest()


class Rig:
    """The gate and everything around it."""

    def __init__(self, clock: Clock, window: VoltageWindow = WINDOW) -> None:
        self.clock, self.window = clock, window
        self.line, self.plan = Line(), Plan()
        self.changes: list[GateChange] = []
        self.gate = Gate(self.line, self._changed)

    def _changed(self, change: GateChange) -> None:
        assert change.at == self.clock.time
        assert change.reason.strip()
        # Only where there is something to do is it said what.
        assert isinstance(change.next_step, str)
        assert bool(change.next_step) is (change.state in ("ARMED", "HELD", "CUT"))
        self.line.story.append(change.state)
        self.changes.append(change)

    def state(self) -> str:
        """The state now."""
        return self.gate.state

    def sample(self, volts: float | None = GOOD_V, reason: str = "") -> None:
        """A sample of this moment."""
        self.gate.on_sample(Sample(self.clock.time, volts, reason))

    def feed(self, volts: float, for_s: float) -> None:
        """Samples at full rate for a while, the first one a step from now."""
        end = self.clock.time + for_s
        while self.clock.time < end - 1e-9:
            self.clock.time = min(self.clock.time + STEP_S, end)
            self.sample(volts)

    def armed(self) -> Gate:
        """CLOSED -> ARMED with a good sample of this moment."""
        self.sample()
        self.gate.arm(self.plan, self.window, self.clock.time + 120)
        return self.gate

    def opened(self) -> Gate:
        """ARMED -> OPEN."""
        self.armed().open(self.clock.time + 3600, resume=False)
        return self.gate

    def in_state(self, state: str) -> Gate:
        """The gate in the named state."""
        match state:
            case "CLOSED":
                self.sample()
            case "ARMED":
                self.armed()
            case "OPEN":
                self.opened()
            case "HELD":
                self.opened()
                self.sample(11.5)
            case "CUT":
                self.opened().cut("for the test")
        assert self.gate.state == state
        return self.gate


def window(**changes: float) -> VoltageWindow:
    """The usual window, with some fields changed."""
    return msgspec.structs.replace(WINDOW, **changes)
