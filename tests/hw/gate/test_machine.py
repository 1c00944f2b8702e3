"""Whatever is done to the gate in whatever order, a frame passes only when it may."""

from __future__ import annotations

import math
from collections.abc import Callable

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from hw import clock
from hw.gate.errors import NotPlanned, WriteCut, WriteHeld
from tests.hw.gate.rig import NEXT, Clock, Rig, window

WINDOW = window(resume_after_s=0.2)
VOLTS = st.sampled_from(
    [0.0, 10.9, 11.0, 11.5, 11.999, 12.0, 12.3, 12.5, 12.501, 13.2, 15.0, 15.001, 30.0]
)


class GateMachine(RuleBasedStateMachine):
    """Keeps its own book of what was allowed, in the plainest form, beside the gate."""

    def __init__(self) -> None:
        super().__init__()
        self.clock = Clock()
        self.real_now = clock.now
        clock.now = self.clock
        self.rig = Rig(self.clock, WINDOW)
        self.armed = False
        self.opened = False
        self.expires_at = 0.0
        self.valid: list[tuple[float, float]] = []

    def teardown(self) -> None:
        clock.now = self.real_now

    @initialize()
    def first_sample(self) -> None:
        self.sample(13.2)

    @rule(seconds=st.sampled_from([0.001, 0.004, 0.049, 0.05, 0.051, 0.2, 5.0]))
    def time_passes(self, seconds: float) -> None:
        self.clock.time += seconds

    @rule(volts=VOLTS)
    def sample(self, volts: float) -> None:
        self.valid.append((self.clock.time, volts))
        self.rig.sample(volts)

    @rule(bad=st.sampled_from([None, math.nan, math.inf]))
    def fault(self, bad: float | None) -> None:
        self.rig.sample(bad, "not ready")

    @rule(volts=VOLTS, seconds=st.sampled_from([0.1, 0.2, 0.21, 0.5]))
    def samples(self, volts: float, seconds: float) -> None:
        end = self.clock.time + seconds
        while self.clock.time < end:
            self.clock.time += 0.004
            self.sample(volts)

    @rule(for_s=st.sampled_from([0.0, 0.1, 120.0]))
    def arm(self, for_s: float) -> None:
        try:
            self.rig.gate.arm(self.rig.plan, WINDOW, self.clock.time + for_s)
        except NotPlanned:
            return
        self.armed, self.opened = True, False
        self.expires_at = self.clock.time + for_s

    @rule(for_s=st.sampled_from([0.0, 0.1, 3600.0]), resume=st.booleans())
    def open(self, for_s: float, resume: bool) -> None:
        before = self.rig.state()
        try:
            self.rig.gate.open(self.clock.time + for_s, resume=resume)
        except (NotPlanned, WriteCut):
            return
        assert self.armed
        assert before == ("CUT" if resume else "ARMED")
        self.opened, self.expires_at = True, self.clock.time + for_s

    @rule()
    def cut(self) -> None:
        self.rig.gate.cut("for the test")

    @rule()
    def close(self) -> None:
        self.rig.gate.close("over")
        self.armed = self.opened = False

    @rule()
    def poll(self) -> None:
        self.rig.gate.poll()

    @precondition(lambda self: self.armed)
    @rule(request=st.binary(min_size=1, max_size=10))
    def anything_else(self, request: bytes) -> None:
        try:
            check = self.rig.gate.admit(request)
        except (NotPlanned, WriteHeld, WriteCut):
            return
        assert check is None or request == NEXT

    def passes(self, ask: Callable[[], object]) -> bool:
        try:
            ask()
        except (NotPlanned, WriteHeld, WriteCut):
            return False
        return True

    @invariant()
    def a_frame_passes_only_when_it_may(self) -> None:
        if not self.passes(self.rig.gate.check_frame):
            return
        at, volts = self.valid[-1]
        assert self.armed
        assert self.opened
        assert self.rig.state() == "OPEN"
        assert self.rig.line.high
        assert self.clock.time - at <= WINDOW.stale_s
        assert self.clock.time <= self.expires_at
        assert WINDOW.hold_v <= volts <= WINDOW.over_v

    @invariant()
    def the_line_is_high_only_in_open_and_held(self) -> None:
        assert self.rig.line.high is (self.rig.state() in ("OPEN", "HELD"))

    @invariant()
    def open_and_held_only_after_arm_and_open(self) -> None:
        if self.rig.state() in ("OPEN", "HELD"):
            assert self.armed
            assert self.opened

    @invariant()
    def the_planned_request_passes_exactly_when_a_frame_does(self) -> None:
        assert self.passes(lambda: self.rig.gate.admit(NEXT)) is self.passes(
            self.rig.gate.check_frame
        )

    @invariant()
    def an_open_gate_has_just_seen_enough_voltage(self) -> None:
        if self.rig.state() == "OPEN":
            assert self.valid[-1][1] >= WINDOW.hold_v


TestGateMachine = GateMachine.TestCase
TestGateMachine.settings = settings(
    max_examples=60 if settings().max_examples <= 100 else settings().max_examples,
    stateful_step_count=40,
    deadline=None,
)
