"""The gate: five states, the message check and the frame check.

    CLOSED -> ARMED -> OPEN <-> HELD, back to CLOSED; from ARMED, OPEN and HELD to CUT.

The sampler's thread feeds `on_sample`; the thread that talks to the car asks `admit` before each
request and the returned frame check before each frame. Whatever the layers above want, a write
leaves only if the gate is OPEN, the newest valid voltage sample is young enough, the permit has not
expired and the request is, byte for byte, what the plan's cursor expects next.
"""

from __future__ import annotations

import hashlib
import math
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Protocol

from hw import clock
from hw.gate.errors import NotPlanned, WriteCut, WriteHeld
from hw.gate.reads import is_read
from hw.links.base import FrameCheck
from hw.messages import GateStateName
from hw.plan import VoltageWindow

TRANSFER_DATA = 0x36
TRANSFER_EXIT = 0x37
REQUEST_DOWNLOAD = 0x34
SECURITY_ACCESS = 0x27

CONNECT_CHARGER = "Connect a battery charger or check the clamps; the write goes on by itself."
SILENT = "the sensor gives no sample any more"
ACKNOWLEDGE_AGAIN = "Mend the supply, then resume with a new acknowledgment, or recover the job."


class VoltageSample(Protocol):
    """What the gate needs of a sample (`hw.voltage.Sample`)."""

    @property
    def at(self) -> float:
        """Boot time in seconds."""

    @property
    def volts(self) -> float | None:
        """Volts at the vehicle battery; None when there is no valid reading."""

    @property
    def reason(self) -> str:
        """Why there is no valid reading, as part of a sentence."""


class WriteEnable(Protocol):
    """The write-enable line (`hw.outputs.Outputs`)."""

    def set_write_enable(self, on: bool) -> None:
        """Drive the line."""


class Expectation(Protocol):
    """Where the plan stands: `hw.cursor.Cursor`."""

    @property
    def expected(self) -> bytes | None:
        """The plan's next request, or None when there is none."""

    @property
    def transfer_digest(self) -> str:
        """SHA-256 that the data of the download under way must have."""


@dataclass(frozen=True, slots=True)
class GateChange:
    """One change of state, with the voltage that caused it where one did."""

    at: float
    state: GateStateName
    reason: str
    next_step: str
    volts: float | None


class Gate:
    """See the module. One instance per process: there is one car on the cable.

    Args:
        write_enable: the line that enables the transceiver's or programmer's write path.
        on_change: told of each change, on the thread that caused it; must only enqueue.
    """

    def __init__(
        self, write_enable: WriteEnable, on_change: Callable[[GateChange], None] | None = None
    ) -> None:
        self._line = write_enable
        self.on_change = on_change
        self._lock = threading.RLock()
        self._changed = threading.Condition(self._lock)
        self._state: GateStateName = "CLOSED"
        self._reason = "No write is planned."
        self._next_step = ""
        self._window: VoltageWindow | None = None
        self._plan: Expectation | None = None
        self._expires_at = 0.0
        self._last_valid_at = -1.0
        self._last_volts: float | None = None
        self._last_fault = "no sample yet"
        self._above_since: float | None = None
        self._access = False
        self._sent = hashlib.sha256()

    # What others read -------------------------------------------------------------------------

    @property
    def state(self) -> GateStateName:
        """The state now; a dead sampler is noticed here too."""
        self.poll()
        return self._state

    @property
    def reason(self) -> str:
        """Why the gate is in this state, as a sentence."""
        return self._reason

    @property
    def next_step(self) -> str:
        """What the technician does now; empty when there is nothing to do."""
        return self._next_step

    def wait_while(self, state: GateStateName, timeout_s: float) -> GateStateName:
        """Wait until the state is another one or the time is over; returns the state then."""
        with self._changed:
            self._changed.wait_for(lambda: self._state != state, timeout_s)
        return self.state

    # Transitions ------------------------------------------------------------------------------

    def arm(self, plan: Expectation, window: VoltageWindow, expires_at: float) -> None:
        """CLOSED -> ARMED: a permit exists for this plan until `expires_at` (boot time, s)."""
        with self._lock:
            if self._state != "CLOSED":
                raise NotPlanned(
                    f"The gate is {self._state}: another plan is armed or running.",
                    "Wait for its end, or abort it first.",
                )
            self._plan, self._window, self._expires_at = plan, window, expires_at
            self._sent = hashlib.sha256()
            self._change("ARMED", "All four gates passed.", "Start the write.")

    def open(self, expires_at: float, *, resume: bool) -> None:
        """ARMED -> OPEN, or with `resume` CUT -> OPEN; drives the line high.

        Raises:
            NotPlanned: there is no armed plan, or its permit has expired.
            WriteCut: the voltage at this moment is missing or outside the window.
        """
        with self._lock:
            self.poll()
            if self._state != ("CUT" if resume else "ARMED") or self._window is None:
                raise NotPlanned(
                    f"The gate is {self._state}: there is no permit to use.",
                    "Check the gates again to get a new permit.",
                )
            now, window = clock.now(), self._window
            volts = self._last_volts if now - self._last_valid_at <= window.stale_s else None
            if volts is None or not window.resume_v <= volts <= window.over_v:
                raise WriteCut(
                    "The vehicle voltage is "
                    + (f"{volts:.2f} V, outside the window." if volts is not None else "missing."),
                    ACKNOWLEDGE_AGAIN,
                )
            self._expires_at = expires_at
            self._line.set_write_enable(True)
            self._change("OPEN", "The write runs.", "")

    def cut(self, reason: str) -> None:
        """To CUT from ARMED, OPEN or HELD; the write-enable line drops first."""
        with self._lock:
            if self._state in ("ARMED", "OPEN", "HELD"):
                try:
                    self._line.set_write_enable(False)
                finally:
                    # A line that cannot be driven keeps no frame going.
                    self._change("CUT", reason, ACKNOWLEDGE_AGAIN)

    def close(self, reason: str) -> None:
        """To CLOSED from anywhere; the plan is forgotten and the line is low."""
        with self._lock:
            try:
                self._line.set_write_enable(False)
            finally:
                self._plan, self._window = None, None
                if self._state != "CLOSED":
                    self._change("CLOSED", reason, "")

    def on_sample(self, sample: VoltageSample) -> None:
        """Judge one voltage sample (sampler's thread, at full rate)."""
        with self._lock:
            # Nobody knows what the voltage was in a gap: a good sample after it does not undo it.
            self.poll()
            volts = sample.volts
            if volts is None or not math.isfinite(volts):
                self._last_fault = sample.reason or "the reading is not a number"
                self._above_since = None
                return
            self._last_valid_at, self._last_volts = sample.at, volts
            self._last_fault = SILENT
            self.poll()
            self._judge(volts, sample.at)

    def poll(self) -> None:
        """Notice what no sample tells: samples that stopped coming, a permit that expired."""
        with self._lock:
            if self._window is None or self._state not in ("ARMED", "OPEN", "HELD"):
                return
            now = clock.now()
            if now - self._last_valid_at > self._window.stale_s:
                self._last_volts = None
                self.cut(f"There is no valid voltage: {self._last_fault}.")
            elif now > self._expires_at:
                self.cut("The permit has expired.")

    def _judge(self, volts: float, at: float) -> None:
        window = self._window
        if window is None or self._state not in ("ARMED", "OPEN", "HELD"):
            return
        if volts < window.cut_v:
            self.cut(f"The voltage fell to {volts:.2f} V, below {window.cut_v:.2f} V.")
        elif volts > window.over_v:
            self.cut(f"The voltage rose to {volts:.2f} V, above {window.over_v:.2f} V.")
        elif self._state == "OPEN" and volts < window.hold_v:
            self._above_since = None
            self._change(
                "HELD",
                f"The voltage sagged to {volts:.2f} V, below {window.hold_v:.2f} V.",
                CONNECT_CHARGER,
            )
        elif self._state == "HELD":
            self._judge_resume(volts, at, window)

    def _judge_resume(self, volts: float, at: float, window: VoltageWindow) -> None:
        if volts <= window.resume_v:
            self._above_since = None
        elif self._above_since is None:
            self._above_since = at
        elif at - self._above_since >= window.resume_after_s:
            self._change("OPEN", f"The voltage is back at {volts:.2f} V.", "")

    def _change(self, state: GateStateName, reason: str, next_step: str) -> None:
        self._state, self._reason, self._next_step = state, reason, next_step
        self._changed.notify_all()
        if self.on_change is not None:
            self.on_change(GateChange(clock.now(), state, reason, next_step, self._last_volts))

    # The two checks ---------------------------------------------------------------------------

    @contextmanager
    def access(self) -> Iterator[None]:
        """Within it, SecurityAccess for reading is admitted while no plan is armed."""
        with self._lock:
            self._access = True
        try:
            yield
        finally:
            with self._lock:
                self._access = False

    def admit(self, payload: bytes) -> FrameCheck | None:
        """Message check (`hw.links.base.LinkGate.admit`)."""
        with self._lock:
            planned = self._plan is not None
            if is_read(payload, planned=planned):
                return None
            if not planned and self._access and payload[:1] == bytes([SECURITY_ACCESS]):
                return None
            self._check_planned(payload)
            self.check_frame()
            return self.check_frame

    def _check_planned(self, payload: bytes) -> None:
        plan = self._plan
        service = f"0x{payload[0]:02X}" if payload else "empty"
        if plan is None or self._state in ("CLOSED", "ARMED"):
            raise NotPlanned(
                f"The request {service} can change the ECU and no write is running.",
                "Make a plan for it and run that.",
            )
        if plan.expected is None or payload != plan.expected:
            raise NotPlanned(
                f"The request {service} is not what the plan sends next.",
                "Make a plan that contains it and run that.",
            )
        if payload[0] == TRANSFER_EXIT and self._sent.hexdigest() != plan.transfer_digest:
            raise NotPlanned(
                "What was transferred is not what the permit is for: its SHA-256 differs.",
                "Recover the job: the kit erases and writes the planned data again.",
            )

    def check_frame(self) -> None:
        """Frame check: raises `WriteHeld` or `WriteCut` unless a write may go out at this moment.

        Called for every frame: no lock on the good path. The state is one reference and the age of
        the sample one float, so a stale value is at most one frame old.
        """
        window = self._window
        if self._state == "OPEN" and window is not None:
            now = clock.now()
            if now - self._last_valid_at <= window.stale_s and now <= self._expires_at:
                return
            self.poll()
        if self._state == "HELD":
            raise WriteHeld(self._reason, self._next_step or CONNECT_CHARGER)
        raise WriteCut(self._reason, self._next_step or ACKNOWLEDGE_AGAIN)

    def confirmed(self, payload: bytes) -> None:
        """The ECU confirmed this planned request: count its data into the running SHA-256."""
        with self._lock:
            if payload[0] == REQUEST_DOWNLOAD:
                self._sent = hashlib.sha256()
            elif payload[0] == TRANSFER_DATA:
                self._sent.update(memoryview(payload)[2:])
