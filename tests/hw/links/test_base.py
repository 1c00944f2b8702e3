"""The conversation that all links share, on a transport whose clock the test owns."""

from __future__ import annotations

import heapq
import threading
from dataclasses import dataclass, field

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hw.errors import UsageError
from hw.gate.errors import NotPlanned, WriteHeld
from hw.links import base
from hw.links.base import FrameCheck, Link, LinkBusy, LinkGate, NegativeResponse, NoAnswer
from hw.links.nrc import negative_response
from hw.plan import Timing
from tests.hw.links.support import ClosedGate, ReadGate, WriteGate

TIMING = Timing(p2_s=0.05, p2_star_s=5.0, pending_limit_s=20.0, busy_limit_s=1.0)


@dataclass
class Script:
    """What the ECU does with each request: a list of (delay after the request, answer)."""

    plans: list[list[tuple[float, bytes]]]
    sent: list[bytes] = field(default_factory=list)


class ScriptedLink(Link):
    """A transport without a medium: time passes only where a real one would wait."""

    max_request_bytes = 100

    def __init__(self, gate: LinkGate, timing: Timing, *plans: list[tuple[float, bytes]]) -> None:
        super().__init__("test:", gate, timing)
        self.script = Script(list(plans))
        self.time = 1000.0
        self.sent_at: list[float] = []
        self._coming: list[tuple[float, int, bytes]] = []

    def close(self) -> None:
        self._coming.clear()

    def _transmit(self, payload: bytes, check: FrameCheck | None) -> None:
        if check is not None:
            check()
        self.script.sent.append(payload)
        self.sent_at.append(self.time)
        plan = self.script.plans.pop(0) if self.script.plans else []
        for delay, answer in plan:
            heapq.heappush(self._coming, (self.time + delay, len(self.script.sent), answer))

    def _receive(self, deadline: float) -> bytes | None:
        if self._coming and self._coming[0][0] <= max(deadline, self.time):
            at, _, answer = heapq.heappop(self._coming)
            self.time = max(self.time, at)
            return answer
        self.time = max(self.time, deadline)
        return None


@pytest.fixture(autouse=True)
def clock(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(base, "now", lambda: Clock.link.time if Clock.link else 0.0)


class Clock:
    link: ScriptedLink | None = None


def scripted(
    *plans: list[tuple[float, bytes]], gate: LinkGate | None = None, timing: Timing = TIMING
) -> ScriptedLink:
    Clock.link = ScriptedLink(gate or ReadGate(), timing, *plans)
    return Clock.link


def x(text: str) -> bytes:
    return bytes.fromhex(text)


def test_the_positive_answer_is_returned_whole() -> None:
    link = scripted([(0.01, x("62f190414243"))])
    assert link.request(x("22f190")) == x("62f190414243")


def test_nothing_goes_out_that_the_gate_does_not_admit() -> None:
    link = scripted(gate=ClosedGate())
    with pytest.raises(NotPlanned) as refused:
        link.request(x("3101ff00"))
    assert refused.value.gate == "PERMIT"
    with pytest.raises(NotPlanned):
        link.notify(x("3e80"))
    assert link.script.sent == []


def test_a_refusal_says_what_and_what_next() -> None:
    link = scripted([(0.01, x("7f2233"))])
    with pytest.raises(NegativeResponse, match="SecurityAccessDenied") as refused:
        link.request(x("22f190"))
    assert (refused.value.service, refused.value.nrc) == (0x22, 0x33)
    assert "unlock" in refused.value.next_step


def test_every_code_of_the_standard_has_a_next_step() -> None:
    for nrc in range(0x10, 0x100):
        error = negative_response(0x31, nrc)
        assert f"0x{nrc:02X}" in error.what
        assert error.next_step
    own = {0x22, 0x31, 0x33, 0x35, 0x36, 0x37, 0x70, 0x71, 0x72, 0x73, 0x7E, 0x7F, 0x92, 0x93}
    assert len({negative_response(0x31, nrc).next_step for nrc in own}) == len(own) - 1


def test_silence_is_no_answer_after_p2() -> None:
    link = scripted([])
    with pytest.raises(NoAnswer, match="0x22"):
        link.request(x("22f190"))
    assert link.time == pytest.approx(1000.0 + TIMING.p2_s)


def test_pending_extends_again_and_again() -> None:
    pendings = [(0.04 + 4.9 * n, x("7f3178")) for n in range(4)]
    link = scripted([*pendings, (19.0, x("7101ff0000"))])
    assert link.request(x("3101ff00")) == x("7101ff0000")


def test_pending_ends_at_the_limit() -> None:
    pendings = [(0.04 + 4.0 * n, x("7f3178")) for n in range(20)]
    link = scripted(list(pendings))
    with pytest.raises(NoAnswer, match="more time"):
        link.request(x("3101ff00"))
    assert link.time == pytest.approx(1000.0 + TIMING.pending_limit_s)

    link = scripted(list(pendings))
    with pytest.raises(NoAnswer):
        link.request(x("3101ff00"), pending_limit_s=6.0)
    assert link.time == pytest.approx(1006.0)


def test_an_ecu_that_falls_silent_after_pending_is_given_up_after_p2_star() -> None:
    link = scripted([(0.04, x("7f3178"))])
    with pytest.raises(NoAnswer):
        link.request(x("3101ff00"))
    assert link.time == pytest.approx(1000.04 + TIMING.p2_star_s)


def test_busy_repeats_the_request_and_asks_the_gate_each_time() -> None:
    gate = WriteGate()
    busy = [(0.01, x("7f2e21"))]
    link = scripted(busy, busy, [(0.01, x("6ef15a"))], gate=gate)
    assert link.request(x("2ef15a01")) == x("6ef15a")
    assert link.script.sent == [x("2ef15a01")] * 3
    assert gate.admitted == [x("2ef15a01")] * 3


def test_busy_ends_at_its_limit_as_the_refusal_that_it_is() -> None:
    busy = [(0.01, x("7f2221"))]
    link = scripted(*[busy] * 100)
    with pytest.raises(NegativeResponse) as refused:
        link.request(x("22f190"))
    assert refused.value.nrc == 0x21
    assert link.time == pytest.approx(1000.0 + TIMING.busy_limit_s, abs=0.12)


def test_a_held_write_may_be_asked_for_again() -> None:
    gate = WriteGate(refuse_at=0)
    link = scripted([(0.01, x("7601"))], gate=gate)
    with pytest.raises(WriteHeld):
        link.request(x("3601aa"))
    assert link.script.sent == []
    gate.refuse_at = None
    assert link.request(x("3601aa")) == x("7601")


def test_strays_do_not_extend_the_wait() -> None:
    strays = [(0.001 * n, x("62f18c")) for n in range(200)]
    link = scripted(strays)
    with pytest.raises(NoAnswer):
        link.request(x("22f190"))
    assert link.time <= 1000.0 + TIMING.p2_s + 0.01


def test_a_late_refusal_is_not_taken_for_the_next_requests() -> None:
    # The first request's refusal comes at 2 s; the second request must not get it.
    link = scripted([(2.0, x("7f3172"))], [(0.01, x("7101ff0000"))])
    with pytest.raises(NoAnswer):
        link.request(x("3101ff00"))
    assert link.request(x("3101ff00")) == x("7101ff0000")
    assert link.sent_at[1] >= 1002.0


def test_a_request_of_another_service_does_not_wait_for_a_late_answer() -> None:
    link = scripted([(2.0, x("7f3172"))], [(0.01, x("62f190"))])
    with pytest.raises(NoAnswer):
        link.request(x("3101ff00"))
    assert link.request(x("22f190")) == x("62f190")
    assert link.sent_at[1] < 1000.1


def test_after_a_late_wait_the_gate_is_asked_anew() -> None:
    gate = WriteGate()
    link = scripted([], [(0.01, x("7101ff0000"))], gate=gate)
    with pytest.raises(NoAnswer):
        link.request(x("3101ff00"))
    link.request(x("3101ff00"))
    assert len(gate.admitted) == 3


def test_a_request_still_worked_on_is_waited_for_and_then_given_up() -> None:
    still = [(0.04 + 4.0 * n, x("7f3178")) for n in range(200)]
    link = scripted(still, [(0.01, x("7101ff0000"))])
    with pytest.raises(NoAnswer):
        link.request(x("3101ff00"))
    with pytest.raises(NoAnswer, match="still working"):
        link.request(x("3101ff00"))
    assert len(link.script.sent) == 1


def test_tester_present_can_be_asked_often() -> None:
    link = scripted([], [], [(0.01, x("7e00"))])
    for _ in range(2):
        with pytest.raises(NoAnswer):
            link.request(x("3e00"))
    assert link.request(x("3e00")) == x("7e00")
    assert link.time < 1001.0


def test_a_suppressed_request_waits_for_nothing_but_its_refusal_is_not_confused() -> None:
    link = scripted([(0.01, x("7f3e13"))], [(0.01, x("7e00"))])
    link.notify(x("3e80"))
    assert link.time == 1000.0
    assert link.request(x("3e00")) == x("7e00")


def test_notify_and_request_refuse_each_others_payloads() -> None:
    link = scripted()
    with pytest.raises(UsageError, match="bit 7"):
        link.request(x("3e80"))
    with pytest.raises(UsageError):
        link.notify(x("3e00"))
    for wrong in (b"", bytes(101)):
        with pytest.raises(UsageError, match="bytes"):
            link.request(wrong)
    assert link.script.sent == []


def test_a_second_thread_is_turned_away() -> None:
    link = scripted()
    inside, leave = threading.Event(), threading.Event()

    class SlowGate:
        def admit(self, payload: bytes) -> FrameCheck | None:
            inside.set()
            leave.wait(5)
            raise NotPlanned("no", "no")

    link._gate = SlowGate()
    outcome: list[BaseException] = []

    def first() -> None:
        try:
            link.request(x("22f190"))
        except NotPlanned as error:
            outcome.append(error)

    thread = threading.Thread(target=first)
    thread.start()
    assert inside.wait(5)
    with pytest.raises(LinkBusy):
        link.request(x("22f190"))
    with pytest.raises(LinkBusy):
        link.notify(x("3e80"))
    leave.set()
    thread.join(5)
    assert len(outcome) == 1


# Late answers, whatever the ECU does ------------------------------------------------------------

REQUESTS = [x("22f190"), x("22f187"), x("2ef15a01"), x("3601aa"), x("3602bb"), x("2300"), x("3700")]
POSITIVE = {0x22: 3, 0x2E: 3, 0x36: 2, 0x23: 1, 0x37: 1}


@st.composite
def ecu_behaviour(draw: st.DrawFn) -> list[tuple[bytes, list[tuple[float, bytes]], bytes]]:
    """Requests in a row; for each what the ECU says, when, and what its final answer is.

    The ECU keeps ISO 14229-2's outer bound: it speaks within P2* after the kit's time-out, and
    within P2* of each 0x78. Every final answer differs from all others.
    """
    rounds = []
    for number in range(draw(st.integers(2, 8))):
        request = draw(st.sampled_from(REQUESTS))
        at = 0.0
        said: list[tuple[float, bytes]] = []
        for _ in range(draw(st.integers(0, 3))):
            at += draw(st.floats(0.001, 4.99))
            said.append((at, bytes((0x7F, request[0], 0x78))))
        at += draw(st.floats(0.001, 4.99))
        if draw(st.booleans()):
            final = bytes((0x7F, request[0], 0x90 + number))
        else:
            echo = bytes((request[0] + 0x40,)) + request[1 : POSITIVE[request[0]]]
            final = echo + bytes((0xE0 + number,))
        if draw(st.integers(0, 4)):
            said.append((at, final))
        rounds.append((request, said, final))
    return rounds


def answer_of(link: Link, request: bytes) -> bytes | None:
    """The bytes of the answer, positive or negative; None when there was none."""
    try:
        return link.request(request)
    except NegativeResponse as refused:
        return bytes((0x7F, refused.service, refused.nrc))
    except NoAnswer:
        return None


@given(ecu_behaviour())
def test_an_answer_is_this_requests_or_none(
    rounds: list[tuple[bytes, list[tuple[float, bytes]], bytes]],
) -> None:
    link = scripted()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(base, "now", lambda: link.time)
        for number, (request, _, final) in enumerate(rounds):
            # The script is by number of sent requests: one that was never sent takes its turn too.
            link.script.plans = [said for _, said, _ in rounds[number:]]
            assert answer_of(link, request) in {final, None}
