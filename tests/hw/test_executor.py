"""The executor: every way out ends in a true outcome, and nothing is sent twice unsafely."""

from __future__ import annotations

import hashlib
import itertools
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import pytest

from hw import executor
from hw.cursor import RECOVER, Cursor, PlannedRequest
from hw.errors import FieldKitError, UnavailableError
from hw.executor import Executor, _ProgressMeter
from hw.gate.reads import is_read
from hw.journal import Journal, RunHeader
from hw.links.base import LinkError, LinkLost, NegativeResponse, NoAnswer
from hw.messages import EventBody, Outcome, Progress, StepDone, StepStarted
from hw.plan import (
    CheckDid,
    CommunicationControl,
    DtcSetting,
    Reset,
    Session,
    Step,
    TransferExit,
    Unlock,
    Wait,
    WriteDid,
)
from tests.hw.gate.rig import GOOD_V, WINDOW, Rig
from tests.hw.test_cursor import download, make_plan, read_back, routine

PAYLOAD = bytes(range(40))
"""Three blocks of 16, 16 and 8 bytes."""
OFF: list[Step] = [
    DtcSetting(setting=2),
    CommunicationControl(control_type=3, communication_type=1),
]
FLASH: list[Step] = [
    Session(session=0x03),
    *OFF,
    Session(session=0x02),
    Unlock(level=0x11, provider="p", params={}),
    routine(expect="00"),
    download(len(PAYLOAD)),
    TransferExit(),
    read_back(PAYLOAD, 16),
    Reset(reset_type=1),
    Wait(min_s=0.2, max_s=5.0),
    CheckDid(did=0xF190, expect="3132"),
]
ON = [b"\x28\x00\x01", b"\x85\x01"]

Then = bytes | Exception | Callable[[], bytes]


class Stop(threading.Event):
    """Waiting takes no time here: the car's clock goes on, and its battery is looked at."""

    def __init__(self, bench: Bench) -> None:
        super().__init__()
        self.bench = bench

    def wait(self, timeout: float | None = None) -> bool:
        assert timeout is not None, "every wait has a limit"
        self.bench.pass_time(timeout)
        return self.is_set()


class EcuLink:
    """A link to an ECU that does as it is told, unless the bench's script says otherwise."""

    max_request_bytes = 4095

    def __init__(self, bench: Bench) -> None:
        self.bench = bench
        self.closed = False

    def request(self, payload: bytes, pending_limit_s: float | None = None) -> bytes:
        bench = self.bench
        bench.asked.append(payload)
        bench.limits.append(pending_limit_s)
        check = bench.rig.gate.admit(payload)
        for frame in range(1 + len(payload) // 7):
            bench.pass_time(0.001)
            bench.on_frame(payload, frame)
            if check is not None:
                check()
        bench.received.append(payload)
        return bench.answer(payload)

    def notify(self, payload: bytes) -> None:
        assert self.bench.rig.gate.admit(payload) is None
        self.bench.received.append(payload)
        if (then := self.bench.scripted(payload)) is not None:
            assert isinstance(then, Exception)
            raise then

    def attend(self, for_s: float) -> None:
        self.bench.waited(for_s)

    def close(self) -> None:
        self.closed = True
        if self.bench.close_fails is not None:
            raise self.bench.close_fails


class Bench:
    """A gate that is OPEN for a plan, an ECU, a journal; `script` says where the ECU differs."""

    def __init__(self, rig: Rig, folder: Path, steps: list[Step], **options: Any) -> None:
        self.rig = rig
        self.volts: list[tuple[float, float]] = []  # (seconds, volts) to come; then GOOD_V.
        self.asked: list[bytes] = []
        self.received: list[bytes] = []
        self.limits: list[float | None] = []
        self.script: list[tuple[bytes, Then]] = []
        self.on_frame: Callable[[bytes, int], None] = lambda _payload, _frame: None
        self.on_wait: Callable[[], None] = lambda: None
        self.waits: list[str] = []
        self.links: list[EcuLink] = []
        self.connect_fails: list[FieldKitError] = []
        self.close_fails: Exception | None = None
        self.events: list[EventBody] = []
        self.flash = b""
        plan = make_plan(steps, PAYLOAD)
        self.plan = msgspec.structs.replace(plan, **options)
        self.cursor = Cursor(self.plan, PAYLOAD, lambda *_: b"\xaa\xbb")
        self.journal = Journal(folder)
        self.book = self.journal.begin(
            RunHeader(
                run="00000001-aa",
                job="",
                plan_digest="0" * 64,
                recovers="",
                backup_manifest_sha256="",
                acknowledgment="",
                profile="",
                ecu="engine",
                total_bytes=len(PAYLOAD),
                boot_id="",
            )
        )
        rig.sample()
        rig.gate.arm(self.cursor, WINDOW, rig.clock.time + 60)
        rig.gate.open(rig.clock.time + 36000, resume=False)
        self.executor = self.make()

    def make(self, **options: Any) -> Executor:
        options = {"keep_alive_in_cut": True} | options
        self.executor = Executor(
            self.rig.gate, self.cursor, self.connect, self.book, self.emit, **options
        )
        assert isinstance(self.executor._stop, threading.Event)
        self.executor._stop = Stop(self)
        return self.executor

    def connect(self) -> EcuLink:
        if self.connect_fails:
            raise self.connect_fails.pop(0)
        self.links.append(EcuLink(self))
        return self.links[-1]

    def emit(self, body: EventBody) -> None:
        assert body.at == self.rig.clock.time
        self.book.log(body)
        self.events.append(body)

    def waited(self, for_s: float) -> None:
        """The executor waits for the gate: the time goes on instead of being waited for."""
        self.waits.append(self.rig.state())
        self.on_wait()
        self.pass_time(for_s)

    def wait_while(self, state: str, timeout_s: float) -> str:
        """Stands for the gate's own."""
        assert state == self.rig.state()
        self.waited(timeout_s)
        return self.rig.state()

    def pass_time(self, seconds: float) -> None:
        """Let time go on, the battery being what `volts` says."""
        while seconds > 1e-9:
            volts, step = GOOD_V, seconds
            if self.volts:
                left, volts = self.volts[0]
                step = min(left, seconds)
                self.volts[0] = (left - step, volts)
                if left - step < 1e-9:
                    self.volts.pop(0)
            self.rig.feed(volts, step)
            seconds -= step

    def sag(self, at: bytes, frame: int, *volts: tuple[float, float]) -> None:
        """From that frame of the first request beginning so, the battery does this."""

        def on_frame(payload: bytes, number: int) -> None:
            if payload.startswith(at) and number == frame:
                self.on_frame = lambda _payload, _frame: None
                self.volts = [*volts]
                self.pass_time(0.004)

        self.on_frame = on_frame

    def scripted(self, payload: bytes) -> Then | None:
        for entry in self.script:
            if payload.startswith(entry[0]):
                self.script.remove(entry)
                return entry[1]
        return None

    def answer(self, payload: bytes) -> bytes:
        then = self.scripted(payload)
        if isinstance(then, Exception):
            raise then
        if then is not None:
            return then if isinstance(then, bytes) else then()
        return self.obey(payload)

    def obey(self, payload: bytes) -> bytes:
        positive = bytes([payload[0] + 0x40])
        match payload[0]:
            case 0x22:
                return positive + payload[1:3] + b"12"
            case 0x23:
                start = int.from_bytes(payload[2:6], "big") - 0x8000
                return positive + self.flash[start : start + int.from_bytes(payload[6:], "big")]
            case 0x2E:
                return positive + payload[1:3]
            case 0x27:
                return positive + payload[1:2] + (b"\x01\x02" if payload[1] % 2 else b"")
            case 0x31:
                return positive + payload[1:4] + b"\x00"
            case 0x34:
                return positive + b"\x10\x12"
            case 0x36:
                block = payload[1] - 1
                self.flash = self.flash[: 16 * block] + payload[2:]
        return positive + payload[1:2]

    def run(self) -> Outcome:
        outcome = self.executor.run()
        self.book.close()
        # Refused is said where, and only where, no request that changes the ECU was handed over.
        wrote = any(not is_read(payload, planned=True) for payload in self.asked)
        assert outcome.outcome in (("verified", "aborted_recoverable") if wrote else ("refused",))
        assert all(link.closed for link in self.links)
        assert outcome.at == self.rig.clock.time
        assert outcome.what.strip()
        assert (outcome.code == "verified") is (outcome.outcome == "verified")
        assert bool(outcome.next_step) is (outcome.outcome != "verified")
        assert outcome.next_step.startswith("Nothing was sent") is (outcome.outcome == "refused")
        return outcome

    def sent(self, service: int) -> list[bytes]:
        """Whole requests of a service that the ECU has got."""
        return [payload for payload in self.received if payload[0] == service]


Make = Callable[..., Bench]


@pytest.fixture
def make(rig: Rig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Make:
    def make_bench(steps: list[Step] | None = None, **options: Any) -> Bench:
        bench = Bench(rig, tmp_path, FLASH if steps is None else steps, **options)
        monkeypatch.setattr(rig.gate, "wait_while", bench.wait_while)
        return bench

    return make_bench


def negative(service: int, nrc: int) -> NegativeResponse:
    return NegativeResponse(service, nrc, f"The ECU refused: 0x{nrc:02X}.", "Look it up.")


def silent() -> NoAnswer:
    return NoAnswer("The ECU is silent.", "Check the plug.")


def lost() -> LinkLost:
    return LinkLost("The cable is gone.", "Plug it in.")


# The straight way ---------------------------------------------------------------------------------


def test_a_plan_is_walked_to_verified_and_the_ecu_got_exactly_the_plan(make: Make) -> None:
    bench = make()
    outcome = bench.run()
    assert outcome.outcome == "verified", outcome
    assert outcome.next_step == ""
    assert outcome.step == len(FLASH) - 1
    assert [payload.hex() for payload in bench.received] == [
        *("1003", "8502", "280301", "1002", "2711", "2712aabb", "3101ff004400008000"),
        "3400440000800000000028",
        *(f"36{n:02x}" + PAYLOAD[16 * (n - 1) : 16 * n].hex() for n in (1, 2, 3)),
        "37",
        *("2324000080000010", "2324000080100010", "2324000080200008"),
        *("1101", "3e00", "22f190"),
    ]
    assert bench.flash == PAYLOAD


def test_each_step_is_begun_and_done_once_and_progress_is_what_was_confirmed(make: Make) -> None:
    bench = make()
    bench.run()
    started = [event for event in bench.events if isinstance(event, StepStarted)]
    done = [event for event in bench.events if isinstance(event, StepDone)]
    assert [event.index for event in started] == list(range(len(FLASH)))
    assert [event.index for event in done] == list(range(len(FLASH)))
    assert started[4].step == "unlock"
    assert {event.total for event in started} == {len(FLASH)}
    last = [event for event in bench.events if isinstance(event, Progress)][-1]
    assert (last.block, last.blocks, last.done_bytes, last.total_bytes) == (3, 3, 40, 40)
    assert last.remaining_s == 0.0
    assert last.rate > 0


def test_a_routine_is_given_its_own_limit(make: Make) -> None:
    bench = make([routine(timeout_s=77.0, expect="00"), Session(session=3)])
    assert bench.run().outcome == "verified"
    assert bench.limits == [77.0, None]


def test_rate_and_remaining_time_come_from_the_last_seconds(make: Make) -> None:
    payload_steps: list[Step] = [download(len(PAYLOAD))]
    bench = make(payload_steps)

    def slowly(number: int) -> Callable[[], bytes]:
        def confirm() -> bytes:
            bench.pass_time(2.0)
            return bytes([0x76, number])

        return confirm

    bench.script += [(bytes([0x36, number]), slowly(number)) for number in (1, 2, 3)]
    bench.run()
    progress = [event for event in bench.events if isinstance(event, Progress)]
    assert [event.done_bytes for event in progress] == [16, 32, 40]
    assert progress[0].remaining_s is None
    assert progress[0].rate == 0
    assert progress[1].rate == pytest.approx(8, rel=0.1)
    assert progress[2].rate == pytest.approx(4, rel=0.1)


def test_blocks_are_no_longer_than_the_link_carries(
    make: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(EcuLink, "max_request_bytes", 10)
    bench = make([download(len(PAYLOAD)), TransferExit()])
    assert bench.run().outcome == "verified"
    assert [len(block) - 2 for block in bench.sent(0x36)] == [8] * 5


# HELD ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("frame", [0, 1, 2])
def test_a_sag_within_a_block_drops_it_and_the_same_block_goes_out_again(
    make: Make, frame: int
) -> None:
    bench = make()
    bench.sag(b"\x36\x02", frame, (3.0, 11.5))
    assert bench.run().outcome == "verified"
    assert [payload[1] for payload in bench.asked if payload[0] == 0x36] == [1, 2, 2, 3]
    assert [payload[1] for payload in bench.sent(0x36)] == [1, 2, 3]
    assert [change.state for change in bench.rig.changes] == ["ARMED", "OPEN", "HELD", "OPEN"]


@pytest.mark.parametrize("at", [bytes([p]) for p in (0x10, 0x85, 0x28, 0x27, 0x31, 0x34, 0x37)])
def test_a_sag_at_any_request_sends_it_once_in_the_end(make: Make, at: bytes) -> None:
    bench = make()
    bench.sag(at, 0, (1.0, 11.5))
    assert bench.run().outcome == "verified"
    assert len(bench.sent(at[0])) == len(set(bench.sent(at[0])))


def test_the_session_is_kept_alive_while_held(make: Make) -> None:
    bench = make()
    bench.sag(b"\x36\x02", 1, (30.0, 11.5))
    assert bench.run().outcome == "verified"
    # S3 is 5 s: one each 2 s over the 35 s of sag and settling.
    assert 14 <= bench.received.count(b"\x3e\x80") <= 19
    assert set(bench.waits) == {"HELD"}


def test_a_request_the_ecu_already_has_is_waited_for_in_held(make: Make) -> None:
    bench = make()

    def erase() -> bytes:
        bench.volts = [(1.0, 11.5)]
        bench.pass_time(0.5)
        assert bench.rig.state() == "HELD"
        return b"\x71\x01\xff\x00\x00"

    bench.script.append((b"\x31", erase))
    assert bench.run().outcome == "verified"
    assert len(bench.sent(0x31)) == 1


def test_a_link_that_is_lost_while_held_ends_the_run(make: Make) -> None:
    bench = make()
    bench.sag(b"\x36\x02", 1, (30.0, 11.5))
    bench.script.append((b"\x3e\x80", lost()))
    outcome = bench.run()
    assert (outcome.outcome, outcome.code) == ("aborted_recoverable", "link_lost")


# CUT ----------------------------------------------------------------------------------------------


def _resume(bench: Bench) -> None:
    if bench.rig.state() == "CUT" and bench.rig.clock.time > bench.rig.changes[-1].at + 6:
        bench.volts = []
        bench.pass_time(0.1)
        bench.rig.gate.open(bench.rig.clock.time + 3600, resume=True)


def test_a_cut_waits_for_the_technician_and_goes_on_with_the_same_block(make: Make) -> None:
    bench = make()
    bench.sag(b"\x36\x02", 1, (5.0, 10.0))
    bench.on_wait = lambda: _resume(bench)
    assert bench.run().outcome == "verified"
    assert [payload[1] for payload in bench.asked if payload[0] == 0x36] == [1, 2, 2, 3]
    assert [change.state for change in bench.rig.changes][2:] == ["CUT", "OPEN"]
    assert b"\x3e\x80" in bench.received


def test_where_a_cut_silences_the_transceiver_nothing_is_sent_in_it(make: Make) -> None:
    bench = make()
    bench.make(keep_alive_in_cut=False)
    bench.sag(b"\x36\x02", 1, (5.0, 10.0))
    bench.on_wait = lambda: _resume(bench)
    assert bench.run().outcome == "verified"
    assert b"\x3e\x80" not in bench.received


def test_a_cut_that_nobody_resumes_ends_recoverable_within_its_limit(make: Make) -> None:
    bench = make()
    bench.sag(b"\x36\x02", 1, (1.0, 10.0))
    before = bench.rig.clock.time
    outcome = bench.run()
    assert (outcome.outcome, outcome.code) == ("aborted_recoverable", "stopped")
    assert "not resumed" in outcome.what
    assert 600 < bench.rig.clock.time - before < 610
    assert [payload[1] for payload in bench.sent(0x36)] == [1]
    assert outcome.not_restored == ["0x28", "0x85"]
    assert not bench.sent(0x28)[1:]


def test_each_cut_has_its_own_time_to_be_resumed(make: Make) -> None:
    bench = make()
    bench.sag(b"\x36\x02", 1, (0.004, 10.0))

    started, resumed = bench.rig.clock.time, 0

    def on_wait() -> None:
        # Resumed after 400 s, sags at once, is cut again: that wait begins anew.
        nonlocal resumed
        if bench.rig.clock.time - started > 400 * (resumed + 1):
            resumed += 1
            bench.pass_time(0.1)
            bench.rig.gate.open(bench.rig.clock.time + 7200, resume=True)
            bench.volts = [(1.0, 11.5), (0.004, 10.0)] if resumed == 1 else []

    bench.on_wait = on_wait
    assert bench.run().outcome == "verified"
    assert resumed == 2
    assert "HELD" in bench.waits


def test_a_gate_that_is_closed_while_the_write_waits_ends_it(make: Make) -> None:
    bench = make()
    bench.sag(b"\x36\x02", 1, (30.0, 11.5))
    bench.on_wait = lambda: bench.rig.gate.close("The kit stops.")
    outcome = bench.run()
    assert outcome.code == "stopped"
    assert "closed" in outcome.what
    assert outcome.not_restored == ["0x28", "0x85"]


def test_a_permit_that_expires_cuts(make: Make) -> None:
    bench = make()
    bench.rig.gate._expires_at = bench.rig.clock.time + 0.005
    outcome = bench.run()
    assert outcome.outcome == "aborted_recoverable"
    assert "The permit has expired." in [change.reason for change in bench.rig.changes]


def test_a_sensor_that_dies_lets_no_further_frame_out(make: Make) -> None:
    bench = make()
    seen: list[int] = []

    def on_frame(payload: bytes, frame: int) -> None:
        if payload.startswith(b"\x36\x02"):
            seen.append(frame)
            bench.rig.clock.time += 0.06

    bench.on_frame = on_frame
    assert bench.run().outcome == "aborted_recoverable"
    assert seen == [0]
    assert [payload[1] for payload in bench.sent(0x36)] == [1]


# Answers that do not come or say no ---------------------------------------------------------------


def test_a_block_whose_answer_is_lost_goes_out_again_with_the_same_counter(make: Make) -> None:
    bench = make()
    bench.script += [(b"\x36\x02", silent()), (b"\x36\x02", silent()), (b"\x36\x02", silent())]
    assert bench.run().outcome == "verified"
    blocks = bench.sent(0x36)
    assert [payload[1] for payload in blocks] == [1, 2, 2, 2, 2, 3]
    assert len(set(blocks)) == 3


def test_a_block_is_repeated_three_times_and_no_more(make: Make) -> None:
    bench = make()
    bench.script += [(b"\x36\x02", silent())] * 9
    outcome = bench.run()
    assert (outcome.outcome, outcome.code) == ("aborted_recoverable", "no_answer")
    assert [payload[1] for payload in bench.sent(0x36)] == [1, 2, 2, 2, 2]


def test_what_only_reads_is_repeated_too(make: Make) -> None:
    bench = make()
    bench.script += [(b"\x23", silent()), (b"\x22", silent())]
    assert bench.run().outcome == "verified"
    assert len(bench.sent(0x23)) == 4
    assert len(bench.sent(0x22)) == 2


@pytest.mark.parametrize("service", [0x10, 0x85, 0x28, 0x27, 0x31, 0x34, 0x37, 0x11])
def test_nothing_else_is_repeated_when_its_answer_is_lost(make: Make, service: int) -> None:
    bench = make()
    bench.script.append((bytes([service]), silent()))
    outcome = bench.run()
    assert (outcome.outcome, outcome.code) == ("aborted_recoverable", "no_answer")
    first = bench.sent(service)[0]
    assert bench.received.count(first) == 1


@pytest.mark.parametrize("nrc", [0x92, 0x93])
def test_a_voltage_that_the_ecu_does_not_like_is_waited_out(make: Make, nrc: int) -> None:
    bench = make()
    bench.script += [(b"\x31", negative(0x31, nrc))] * 3
    assert bench.run().outcome == "verified"
    assert len(bench.sent(0x31)) == 4


@pytest.mark.parametrize("nrc", [0x92, 0x93])
def test_a_voltage_that_stays_wrong_for_the_ecu_ends_the_run(make: Make, nrc: int) -> None:
    bench = make()
    bench.script += [(b"\x31", negative(0x31, nrc))] * 9
    outcome = bench.run()
    assert (outcome.outcome, outcome.code) == ("aborted_recoverable", "negative_response")
    assert len(bench.sent(0x31)) == 4


@pytest.mark.parametrize("service", [0x10, 0x85, 0x28, 0x27, 0x31, 0x34, 0x36, 0x37, 0x23, 0x11])
@pytest.mark.parametrize("nrc", [0x10, 0x22, 0x31, 0x33, 0x35, 0x72, 0x73])
def test_any_other_no_ends_the_run_at_once(make: Make, service: int, nrc: int) -> None:
    bench = make()
    bench.script.append((bytes([service]), negative(service, nrc)))
    outcome = bench.run()
    assert (outcome.outcome, outcome.code) == ("aborted_recoverable", "negative_response")
    assert f"0x{nrc:02X}" in outcome.what
    first = bench.sent(service)[0]
    assert bench.received.count(first) == 1


@pytest.mark.parametrize(
    ("at", "answer"),
    [
        (b"\x31", b"\x71\x01\xff\x00\x01"),
        (b"\x34", b"\x74\x10\x02"),
        (b"\x36\x02", b"\x76\x03"),
        (b"\x23", b"\x63" + bytes(16)),
        (b"\x22", b"\x62\xf1\x9013"),
        (b"\x27", b"\x67\x11"),
    ],
)
def test_an_answer_that_the_plan_does_not_allow_ends_the_run(
    make: Make, at: bytes, answer: bytes
) -> None:
    bench = make()
    bench.script.append((at, answer))
    outcome = bench.run()
    assert (outcome.outcome, outcome.code) == ("aborted_recoverable", "step_failed")
    assert "recover" in outcome.next_step


def test_transfer_exit_never_goes_out_when_something_else_was_transferred(make: Make) -> None:
    bench = make()

    def confirm() -> bytes:
        bench.rig.gate.confirmed(b"\x36\x01one block more than planned")
        return b"\x76\x03"

    bench.script.append((b"\x36\x03", confirm))
    outcome = bench.run()
    assert (outcome.outcome, outcome.code) == ("aborted_recoverable", "not_planned")
    assert bench.sent(0x37) == []


# Restoring ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("then", [negative(0x31, 0x72), silent(), b"\x71\x01\xff\x00\x01"])
def test_on_a_failure_communication_and_dtc_setting_are_put_back(make: Make, then: Then) -> None:
    bench = make()
    bench.script.append((b"\x31", then))
    outcome = bench.run()
    assert outcome.outcome == "aborted_recoverable"
    assert bench.received[-2:] == ON
    assert outcome.not_restored == []


def test_a_plan_that_ends_without_a_reset_has_them_put_back(make: Make) -> None:
    bench = make([*OFF, WriteDid(did=0x0600, data="01")])
    outcome = bench.run()
    assert outcome.outcome == "verified"
    assert bench.received[-2:] == ON


@pytest.mark.parametrize(("refused", "left"), [(b"\x28\x00", "0x28"), (b"\x85\x01", "0x85")])
@pytest.mark.parametrize("then", [negative(0x28, 0x22), silent(), lost(), b"\x7f", b"\x68\x03"])
def test_what_could_not_be_put_back_is_said_and_the_other_one_is_put_back(
    make: Make, refused: bytes, left: str, then: Then
) -> None:
    bench = make([*OFF, WriteDid(did=0x0600, data="01")])
    bench.script.append((refused, then))
    outcome = bench.run()
    assert outcome.outcome == "aborted_recoverable"
    assert outcome.not_restored == [left]
    assert left in outcome.what
    assert "ignition" in outcome.next_step
    assert bench.received[-2:] == ON


def test_after_a_failure_the_failure_is_told_first_and_what_is_left_beside_it(make: Make) -> None:
    bench = make()
    bench.script += [(b"\x31", negative(0x31, 0x72)), (b"\x28\x00", silent())]
    outcome = bench.run()
    assert "0x72" in outcome.what
    assert outcome.not_restored == ["0x28"]


def test_a_sag_while_they_are_put_back_is_sat_out(make: Make) -> None:
    bench = make([*OFF, WriteDid(did=0x0600, data="01")])
    bench.sag(b"\x28\x00", 0, (2.0, 11.5))
    outcome = bench.run()
    assert outcome.outcome == "verified"
    assert bench.received[-2:] == ON


def test_a_sag_at_a_failure_is_sat_out_before_they_are_put_back(make: Make) -> None:
    bench = make()

    def fail() -> bytes:
        bench.volts = [(2.0, 11.5)]
        bench.pass_time(0.1)
        raise negative(0x31, 0x72)

    bench.script.append((b"\x31", fail))
    outcome = bench.run()
    assert outcome.outcome == "aborted_recoverable"
    assert outcome.not_restored == []
    assert bench.received[-2:] == ON


def test_a_cut_at_a_failure_is_not_waited_out(make: Make) -> None:
    bench = make()

    def fail() -> bytes:
        bench.rig.gate.cut("for the test")
        raise negative(0x31, 0x72)

    bench.script.append((b"\x31", fail))
    outcome = bench.run()
    assert outcome.not_restored == ["0x28", "0x85"]
    assert bench.waits == []


def test_a_cut_after_the_last_step_waits_for_the_technician(make: Make) -> None:
    bench = make([*OFF, WriteDid(did=0x0600, data="01")])

    def cut() -> bytes:
        bench.rig.gate.cut("for the test")
        return b"\x6e\x06\x00"

    bench.script.append((b"\x2e", cut))
    bench.on_wait = lambda: _resume(bench)
    assert bench.run().outcome == "verified"


# Stop ---------------------------------------------------------------------------------------------


def test_stop_ends_the_run_after_the_request_under_way(make: Make) -> None:
    bench = make()

    def stop() -> bytes:
        bench.executor.stop()
        return b"\x76\x02"

    bench.script.append((b"\x36\x02", stop))
    outcome = bench.run()
    assert (outcome.outcome, outcome.code) == ("aborted_recoverable", "stopped")
    assert [payload[1] for payload in bench.sent(0x36)] == [1, 2]
    assert bench.received[-2:] == ON
    assert outcome.not_restored == []


def test_stop_before_the_start_sends_nothing(make: Make) -> None:
    bench = make()
    bench.executor.stop()
    outcome = bench.run()
    assert (outcome.outcome, outcome.code) == ("refused", "stopped")
    assert bench.received == []


@pytest.mark.parametrize("volts", [11.5, 10.0])
def test_stop_ends_a_hold_and_a_cut(make: Make, volts: float) -> None:
    bench = make()
    bench.sag(b"\x36\x02", 1, (900.0, volts))
    bench.on_wait = bench.executor.stop
    outcome = bench.run()
    assert outcome.code == "stopped"
    assert len(bench.waits) == 1
    assert outcome.not_restored == ["0x28", "0x85"]


def test_stop_with_a_reason_ends_a_cut_and_is_what_the_outcome_says(make: Make) -> None:
    bench = make()
    bench.sag(b"\x36\x02", 1, (900.0, 10.0))
    why = UnavailableError("The journal is full.", "Free space, then recover the job.")
    bench.on_wait = lambda: bench.executor.stop(why)
    outcome = bench.run()
    assert (outcome.outcome, outcome.code) == ("aborted_recoverable", why.code)
    assert (outcome.what, outcome.next_step) == (why.what, why.next_step)


def test_the_technicians_stop_does_not_hide_a_reason_that_came_first(make: Make) -> None:
    bench = make()
    why = UnavailableError("The journal is full.", "Free space, then recover the job.")
    bench.executor.stop(why)
    bench.executor.stop()
    assert bench.run().code == why.code


def test_stop_ends_a_pause(make: Make) -> None:
    bench = make()

    def stop() -> bytes:
        bench.executor.stop()
        return b"\x51\x01"

    bench.script.append((b"\x11", stop))
    assert bench.run().code == "stopped"
    assert b"\x3e\x00" not in bench.received


def test_stop_ends_the_wait_for_a_silent_ecu(make: Make) -> None:
    bench = make()

    def stop() -> bytes:
        bench.executor.stop()
        raise silent()

    bench.script.append((b"\x3e\x00", stop))
    assert bench.run().code == "stopped"
    assert bench.received.count(b"\x3e\x00") == 1


# Pauses -------------------------------------------------------------------------------------------


def test_after_a_reset_a_silent_ecu_is_asked_until_it_answers(make: Make) -> None:
    bench = make()
    bench.script += [(b"\x3e\x00", silent())] * 5
    assert bench.run().outcome == "verified"
    assert bench.received.count(b"\x3e\x00") == 6


def test_an_ecu_that_says_no_to_tester_present_is_there(make: Make) -> None:
    bench = make()
    bench.script.append((b"\x3e\x00", negative(0x3E, 0x7F)))
    assert bench.run().outcome == "verified"
    assert bench.received.count(b"\x3e\x00") == 1


@pytest.mark.parametrize("error", [lost(), LinkError("Routing was denied.", "Wait.")])
def test_a_link_that_closes_with_the_ecu_is_opened_again(make: Make, error: Exception) -> None:
    bench = make()
    bench.script.append((b"\x3e\x00", error))
    bench.connect_fails = []

    def reset() -> bytes:
        bench.connect_fails = [lost(), LinkError("Routing was denied.", "Wait.")]
        return b"\x51\x01"

    bench.script.append((b"\x11", reset))
    assert bench.run().outcome == "verified"
    assert len(bench.links) == 2


@pytest.mark.parametrize(("error", "word"), [(silent(), "silent"), (lost(), "cable is gone")])
def test_an_ecu_that_does_not_come_back_ends_the_run_within_its_limit(
    make: Make, error: FieldKitError, word: str
) -> None:
    bench = make()
    bench.script += [(b"\x3e\x00", error)] * 500
    before = bench.rig.clock.time
    outcome = bench.run()
    assert outcome.outcome == "aborted_recoverable"
    assert word in outcome.what
    assert "recover" in outcome.next_step
    assert 4.5 < bench.rig.clock.time - before < 6.5


# Journal and defects ------------------------------------------------------------------------------


def test_what_changes_the_ecu_is_in_the_journal_before_it_is_sent(make: Make) -> None:
    bench = make()
    done = 0

    def on_frame(payload: bytes, frame: int) -> None:
        nonlocal done
        if frame or payload[0] in (0x22, 0x23, 0x3E):
            return
        records = bench.journal.read("00000001-aa")
        assert records is not None
        assert records.about is not None
        assert records.about.service == payload[0]
        if payload[0] == 0x36:
            assert records.about.block == payload[1]
            assert records.about.done_bytes == 16 * (payload[1] - 1)
        done += 1

    bench.on_frame = on_frame
    assert bench.run().outcome == "verified"
    assert done == 13


@pytest.mark.parametrize("service", [0x10, 0x31, 0x34, 0x36, 0x37, 0x11])
def test_a_journal_that_cannot_be_written_stops_the_request(
    make: Make, service: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    bench = make()
    real = bench.book.about

    def about(step: int, number: int, block: int, done_bytes: int) -> None:
        if number == service:
            raise UnavailableError("The kit cannot write its journal.", "Free space.")
        real(step, number, block, done_bytes)

    monkeypatch.setattr(bench.book, "about", about)
    outcome = bench.run()
    assert outcome.code == "unavailable"
    assert "journal" in outcome.what
    assert bench.sent(service) == []
    assert [payload for payload in bench.asked if payload[0] == service] == []


def test_an_event_that_cannot_be_kept_stops_the_run(make: Make) -> None:
    bench = make()
    bench.book.close()
    outcome = bench.run()
    assert outcome.outcome == "refused"
    assert bench.received == []


@pytest.mark.parametrize("service", [0x10, 0x31, 0x36, 0x22, 0x3E])
def test_a_defect_in_the_link_ends_in_an_outcome(make: Make, service: int) -> None:
    bench = make()
    bench.script.append((bytes([service]), RuntimeError("unheard of")))
    outcome = bench.run()
    assert outcome.outcome == "aborted_recoverable"
    assert "unheard of" in outcome.what


def test_a_link_whose_every_request_is_a_defect_still_ends_in_an_outcome(make: Make) -> None:
    bench = make()
    bench.script += [(b"\x31", RuntimeError("first")), (b"\x28\x00", RuntimeError("second"))]
    bench.close_fails = RuntimeError("third")
    outcome = bench.run()
    assert "first" in outcome.what
    assert outcome.not_restored == ["0x28", "0x85"]


def test_a_link_that_cannot_be_closed_does_not_undo_what_was_verified(make: Make) -> None:
    bench = make()
    bench.close_fails = RuntimeError("cannot be closed")
    assert bench.run().outcome == "verified"


def test_a_link_that_cannot_be_opened_ends_in_an_outcome_and_nothing_was_sent(make: Make) -> None:
    bench = make()
    bench.connect_fails = [lost()]
    outcome = bench.run()
    assert (outcome.outcome, outcome.code, outcome.step) == ("refused", "link_lost", 0)
    assert bench.received == []
    assert outcome.not_restored == []


def test_a_link_that_is_lost_midway_ends_the_run(make: Make) -> None:
    bench = make()
    bench.script += [(b"\x36\x02", lost()), (b"\x28", lost()), (b"\x85\x01", lost())]
    bench.script.insert(0, (b"\x28\x03", b"\x68\x03"))
    outcome = bench.run()
    assert (outcome.outcome, outcome.code) == ("aborted_recoverable", "link_lost")
    assert outcome.not_restored == ["0x28", "0x85"]


def test_the_payloads_digest_is_what_the_permit_was_given_for(make: Make) -> None:
    bench = make()
    bench.run()
    sent = b"".join(payload[2:] for payload in bench.sent(0x36))
    assert hashlib.sha256(sent).hexdigest() == bench.plan.payloads[0].sha256


# Times, and what is written down ------------------------------------------------------------------


def times_of(bench: Bench, service: int) -> list[float]:
    """When each request of a service was handed over; filled while the run goes on."""
    times: list[float] = []
    before = bench.on_frame

    def on_frame(payload: bytes, frame: int) -> None:
        before(payload, frame)
        if payload[0] == service and frame == 0:
            times.append(bench.rig.clock.time)

    bench.on_frame = on_frame
    return times


def test_an_ecu_that_says_not_now_is_asked_again_after_half_a_second(make: Make) -> None:
    bench = make([routine(expect="00")])
    bench.script += [(b"\x31", negative(0x31, 0x92))] * 2
    asked = times_of(bench, 0x31)
    assert bench.run().outcome == "verified"
    assert [after - before for before, after in itertools.pairwise(asked)] == [
        pytest.approx(0.5, abs=0.02)
    ] * 2


def test_stop_while_an_ecu_says_not_now_sends_nothing_more(make: Make) -> None:
    bench = make([routine(expect="00")])

    def not_now() -> bytes:
        bench.executor.stop()
        raise negative(0x31, 0x93)

    bench.script.append((b"\x31", not_now))
    assert bench.run().code == "stopped"
    assert len(bench.sent(0x31)) == 1


def test_a_restarting_ecu_is_left_alone_first_and_then_asked_each_tenth_of_a_second(
    make: Make,
) -> None:
    bench = make([Reset(reset_type=1), Wait(min_s=1.0, max_s=3.0)])
    bench.script += [(b"\x3e\x00", silent())] * 5
    reset, asked = times_of(bench, 0x11), times_of(bench, 0x3E)
    assert bench.run().outcome == "verified"
    assert asked[0] - reset[0] >= 1.0
    assert [after - before for before, after in itertools.pairwise(asked)] == [
        pytest.approx(0.1, abs=0.01)
    ] * 5


def test_a_silent_ecu_is_given_up_at_the_end_of_the_pause_and_not_later(make: Make) -> None:
    bench = make([Reset(reset_type=1), Wait(min_s=1.0, max_s=3.0)])
    bench.script += [(b"\x3e\x00", silent())] * 100
    began = bench.rig.clock.time
    assert bench.run().outcome == "aborted_recoverable"
    assert 3.0 <= bench.rig.clock.time - began < 3.4


def test_the_time_that_a_cut_waits_is_told_in_minutes(make: Make) -> None:
    bench = make()
    bench.sag(b"\x36\x02", 1, (1.0, 10.0))
    before = bench.rig.clock.time
    assert "not resumed within 10 minutes" in bench.run().what
    assert bench.rig.clock.time - before < 600.5


def test_where_a_cut_silences_the_transceiver_the_session_is_still_kept_in_a_hold(
    make: Make,
) -> None:
    bench = make()
    bench.make(keep_alive_in_cut=False)
    bench.sag(b"\x36\x02", 1, (30.0, 11.5))
    assert bench.run().outcome == "verified"
    assert bench.received.count(b"\x3e\x80") >= 14


def test_a_request_that_only_reads_is_not_written_down_as_one_that_changes(
    make: Make, tmp_path: Path
) -> None:
    bench = make([WriteDid(did=0xF15A, data="01"), CheckDid(did=0xF190, expect="3132")])
    assert bench.run().outcome == "verified"
    records = Journal(tmp_path).read("00000001-aa")
    assert records is not None
    assert records.about is not None
    assert (records.about.step, records.about.service) == (0, 0x2E)


def test_where_the_link_did_not_come_back_it_is_not_opened_once_more_to_restore(
    make: Make,
) -> None:
    bench = make([*OFF, Wait(min_s=0.1, max_s=0.3)])
    bench.script.append((b"\x3e\x00", lost()))
    tried: list[float] = []
    connect = bench.connect

    def connect_once() -> EcuLink:
        tried.append(bench.rig.clock.time)
        if len(tried) > 1:
            raise lost()
        return connect()

    bench.executor._connect = connect_once
    outcome = bench.run()
    assert outcome.not_restored == ["0x28", "0x85"]
    assert "did not come back" in outcome.what
    assert bench.rig.clock.time - tried[-1] < 0.01
    assert len(tried) == len(set(tried))


def test_a_link_that_cannot_be_closed_is_logged(
    make: Make, caplog: pytest.LogCaptureFixture
) -> None:
    bench = make()
    bench.close_fails = lost()
    assert bench.run().outcome == "verified"
    assert [(record.name, record.getMessage()) for record in caplog.records] == [
        ("fieldkit.hw", "The cable is gone. Plug it in.")
    ]


def test_nothing_is_logged_of_a_run_without_a_defect(
    make: Make, caplog: pytest.LogCaptureFixture
) -> None:
    assert make().run().outcome == "verified"
    assert not caplog.records


def test_a_defect_is_logged_with_its_traceback_and_told(
    make: Make, caplog: pytest.LogCaptureFixture
) -> None:
    bench = make()
    bench.script.append((b"\x31", ZeroDivisionError("seven")))
    outcome = bench.run()
    assert outcome.what == "The kit failed: ZeroDivisionError('seven')."
    assert outcome.next_step == RECOVER
    (record,) = caplog.records
    assert record.name == "fieldkit.hw"
    assert record.getMessage() == "a defect ended a write"
    assert record.exc_info is not None


def test_a_plan_of_one_step_ends_at_step_0(make: Make) -> None:
    outcome = make([WriteDid(did=0xF15A, data="01")]).run()
    assert (outcome.outcome, outcome.step) == ("verified", 0)


def test_a_failure_before_the_first_step_is_told_as_step_0(make: Make) -> None:
    bench = make()
    bench.connect_fails = [LinkError("No link.", "Plug it in.")]
    assert bench.run().step == 0


# Progress -----------------------------------------------------------------------------------------


def block(number: int, done: int, blocks: int = 1000) -> PlannedRequest:
    return PlannedRequest(b"\x36", 0, block=number, blocks=blocks, done_bytes=done)


def rates(rig: Rig, *marks: tuple[float, int], total: int = 1000) -> list[Progress | None]:
    """What a meter says at these times and confirmed bytes."""
    meter, began = _ProgressMeter(total), rig.clock.time
    said = []
    for number, (at, done) in enumerate(marks, 1):
        rig.clock.time = began + at
        said.append(meter.confirmed(block(number, done)))
    return said


def rate_of(progress: Progress | None) -> float:
    assert progress is not None
    return progress.rate


def test_the_rate_is_that_of_the_last_three_seconds(rig: Rig) -> None:
    said = rates(rig, (0, 0), (1, 10), (2, 20), (3, 30), (4, 100))
    assert [rate_of(progress) for progress in said] == [0.0, 10.0, 10.0, 10.0, 30.0]
    last = said[-1]
    assert last is not None
    assert last.remaining_s == 30.0
    assert last.at == rig.clock.time


def test_where_blocks_come_more_seldom_two_make_the_rate(rig: Rig) -> None:
    said = rates(rig, (0, 0), (10, 5), (20, 15))
    assert [rate_of(progress) for progress in said] == [0.0, 0.5, 1.0]
    assert [progress.remaining_s for progress in said if progress] == [None, 1990.0, 985.0]


def test_progress_is_told_ten_times_a_second_and_at_the_end(rig: Rig) -> None:
    told = [p is not None for p in rates(rig, (0, 1), (0.05, 2), (0.15, 3), (0.2, 4), (0.35, 5))]
    assert told == [True, False, True, False, True]
    meter = _ProgressMeter(2)
    assert meter.confirmed(block(1, 1, blocks=2)) is not None
    assert meter.confirmed(block(2, 2, blocks=2)) is not None


def test_progress_is_told_when_just_the_period_is_over(
    rig: Rig, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(executor, "PROGRESS_PERIOD_S", 0.125)
    assert None not in rates(rig, (0, 1), (0.125, 2))
