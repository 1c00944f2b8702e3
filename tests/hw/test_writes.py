"""The write service: one permit for one run, and a log that ends with the outcome."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest

from hw import clock, writes
from hw.config import load_config
from hw.errors import BadInputError, FieldKitError, RefusedError, UnavailableError
from hw.evidence import acknowledgment_digest
from hw.gate.gate import Gate
from hw.journal import Journal, RunHeader, RunJournal
from hw.messages import (
    MAX_PACKET,
    Event,
    EventBody,
    Evidence,
    GateChanged,
    GateReport,
    Outcome,
    RunLog,
    StepStarted,
    Voltage,
    VoltageTrace,
    encode,
)
from hw.messages import Journal as JournalReply
from hw.plan import (
    CommunicationControl,
    DtcSetting,
    Session,
    Step,
    Timing,
    WriteDid,
    WritePlan,
)
from hw.voltage.sampler import Sample
from hw.writes import WriteService
from tests.hw.gate.rig import Line
from tests.kit import WINDOW, Kit, canonical, identity

LIMIT_S = 20.0
PAYLOAD = b"payload"
STEPS: list[Step] = [
    Session(session=3),
    DtcSetting(setting=2),
    CommunicationControl(control_type=3, communication_type=1),
    WriteDid(did=0x0600, data="01020304"),
    Session(session=1),
]
PATIENT = msgspec.structs.replace(WINDOW, settle_s=0.05, resume_after_s=0.05, stale_s=0.25)
"""Nothing here depends on how quickly this machine runs a thread."""


class Battery:
    """Feeds the gate and remembers, as the sampler does."""

    def __init__(self, gate: Gate) -> None:
        self.volts: float | None = 13.2
        self._gate = gate
        self._samples: list[Sample] = []
        self._stopping = threading.Event()
        self._fed = threading.Condition()
        self._thread = threading.Thread(target=self._feed)
        self._thread.start()
        self.now(13.2)

    def _feed(self) -> None:
        while not self._stopping.wait(0.002):
            sample = Sample(clock.now(), self.volts, "" if self.volts else "not ready")
            with self._fed:
                self._samples.append(sample)
                self._gate.on_sample(sample)
                self._fed.notify_all()

    def now(self, volts: float | None) -> None:
        """Change the voltage and wait until the gate has seen it."""
        self.volts = volts
        with self._fed:
            seen = self._fed.wait_for(
                lambda: [sample.volts for sample in self._samples[-1:]] == [volts], LIMIT_S
            )
            assert seen

    def history(self, since: float) -> list[Sample]:
        return [sample for sample in self._samples[-6000:] if sample.at >= since]

    def close(self) -> None:
        self._stopping.set()
        self._thread.join()


class Button:
    def arm_pressed(self) -> bool | None:
        return None


class Car:
    """What stands behind `open_link`: an ECU that says yes, and `before` looks at each request."""

    max_request_bytes = 4095

    def __init__(self, gate: Gate) -> None:
        self.gate = gate
        self.received: list[bytes] = []
        self.before: Callable[[bytes], None] = lambda _payload: None
        self.missing: FieldKitError | None = None

    def open_link(self, uri: str, gate: Gate, timing: Timing) -> Car:
        assert gate is self.gate
        if self.missing is not None:
            raise self.missing
        return self

    def __enter__(self) -> Car:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def request(self, payload: bytes, pending_limit_s: float | None = None) -> bytes:
        check = self.gate.admit(payload)
        self.before(payload)
        if check is not None:
            check()
        self.received.append(payload)
        if payload[0] == 0x22:
            did = int.from_bytes(payload[1:3], "big")
            value = next(item.value for item in identity() if item.did == did)
            return b"\x62" + payload[1:3] + bytes.fromhex(value)
        return bytes([payload[0] + 0x40]) + payload[1:3]

    def notify(self, payload: bytes) -> None:
        self.gate.admit(payload)

    def attend(self, for_s: float) -> None:
        threading.Event().wait(for_s)

    def close(self) -> None:
        pass

    def writes(self) -> list[int]:
        """Services received that are no reads."""
        return [payload[0] for payload in self.received if payload[0] != 0x22]


class Bench:
    """The whole service: real gate, journal and evidence; the car and the battery are doubles."""

    def __init__(self, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.kit = Kit(folder, "ina219+sim:///none", PATIENT)
        self.line = Line()
        self.gate = Gate(self.line)
        self.battery = Battery(self.gate)
        self.car = Car(self.gate)
        monkeypatch.setattr(writes, "open_link", self.car.open_link)
        self.events: list[Event] = []
        self._heard = threading.Condition()
        self.service = WriteService(
            self.gate,
            self.battery,
            Button(),
            load_config(self.kit.state),
            self.kit.state,
            self._publish,
        )
        self.plan = self.kit.plan("can://virtual/x?tx=1&rx=2", PAYLOAD, steps=STEPS)

    def _publish(self, event: Event) -> None:
        with self._heard:
            self.events.append(event)
            self._heard.notify_all()

    def heard(self, wanted: Callable[[Event], bool]) -> Event:
        """Wait for an event."""
        with self._heard:
            assert self._heard.wait_for(lambda: any(map(wanted, self.events)), LIMIT_S)
            return next(filter(wanted, self.events))

    def outcome(self, run: str) -> Outcome:
        """Wait for a run's outcome."""
        body = self.heard(lambda e: e.run == run and isinstance(e.body, Outcome)).body
        assert isinstance(body, Outcome)
        return body

    def arm(self, evidence: Evidence | None = None, *, dry: bool = False) -> GateReport:
        given = evidence or self.kit.evidence(self.plan)
        return self.service.arm(canonical(self.plan), PAYLOAD, given, dry)

    def start(self) -> str:
        """Arm and start; the run's number."""
        report = self.arm()
        assert report.permit, [result.reason for result in report.results]
        self.service.start(report.permit)
        return report.permit

    def at(self, head: bytes, action: Callable[[], None]) -> None:
        """Do something just before the first frame of a request."""

        def before(payload: bytes) -> None:
            if payload.startswith(head):
                self.car.before = lambda _payload: None
                action()

        self.car.before = before

    def log(self, run: str) -> list[tuple[int, EventBody]]:
        """The whole run log, page by page."""
        found: list[tuple[int, EventBody]] = []
        while more := self.service.run_log(run, found[-1][0] if found else 0):
            assert len(encode(RunLog(id=1, run=run, events=more))) < MAX_PACKET
            found += more
        return found

    def state(self) -> str:
        return self.gate.state

    def close(self) -> None:
        self.battery.volts = 13.2
        self.service.close()
        self.battery.close()


@pytest.fixture
def bench(short_tmp: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Bench]:
    bench = Bench(short_tmp, monkeypatch)
    yield bench
    bench.close()


# Arm ----------------------------------------------------------------------------------------------


def test_a_dry_arm_checks_everything_and_permits_nothing(bench: Bench) -> None:
    report = bench.arm(dry=True)
    assert all(result.passed for result in report.results), report
    assert (report.permit, report.expires_in_s) == ("", 0.0)
    assert bench.state() == "CLOSED"
    assert bench.car.writes() == []


def test_a_refusal_gives_no_permit(bench: Bench) -> None:
    given = msgspec.structs.replace(bench.kit.evidence(bench.plan), acknowledgment=None)
    report = bench.arm(given)
    assert [result.passed for result in report.results] == [True, True, True, False]
    assert report.permit == ""
    assert bench.state() == "CLOSED"
    with pytest.raises(RefusedError):
        bench.service.start("")


def test_all_four_gates_passed_arm_the_gate(bench: Bench) -> None:
    report = bench.arm()
    assert report.permit
    assert report.expires_in_s == writes.START_WITHIN_S
    assert bench.state() == "ARMED"
    assert not bench.line.high
    assert bench.car.writes() == []


def test_what_is_no_plan_is_refused(bench: Bench) -> None:
    with pytest.raises(BadInputError):
        bench.service.arm(b"{}", b"", bench.kit.evidence(bench.plan), dry=False)


def test_an_ecu_that_cannot_be_reached_is_a_refusal_of_the_gate(bench: Bench) -> None:
    bench.car.missing = UnavailableError("The cable is gone.", "Plug it in.")
    report = bench.arm()
    assert [result.passed for result in report.results] == [True, False, False, True]
    assert report.results[1].reason == "The cable is gone."


def test_arming_anew_voids_the_permit_before(bench: Bench) -> None:
    first, second = bench.arm().permit, bench.arm().permit
    with pytest.raises(RefusedError):
        bench.service.start(first)
    bench.service.start(second)
    assert bench.outcome(second).outcome == "verified"


# Start --------------------------------------------------------------------------------------------


def test_a_permit_runs_the_plan_to_verified_and_everything_is_low_again(bench: Bench) -> None:
    run = bench.start()
    assert bench.outcome(run).outcome == "verified"
    assert bench.car.writes() == [0x10, 0x85, 0x28, 0x2E, 0x10]
    assert bench.service.active_run == ""
    assert bench.state() == "CLOSED"
    assert not bench.line.high
    (info,) = bench.service.journal()
    assert (info.run, info.state) == (run, "verified")


def test_a_permit_is_for_one_use(bench: Bench) -> None:
    run = bench.start()
    bench.outcome(run)
    with pytest.raises(RefusedError, match="used before") as refused:
        bench.service.start(run)
    assert refused.value.gate == "PERMIT"
    assert bench.car.writes().count(0x2E) == 1


@pytest.mark.parametrize("permit", ["", "unknown", "00000001-ä"])
def test_a_permit_that_was_never_given_is_refused_and_leaves_the_real_one(
    bench: Bench, permit: str
) -> None:
    real = bench.arm().permit
    with pytest.raises(RefusedError):
        bench.service.start(permit)
    assert bench.state() == "ARMED"
    bench.service.start(real)
    assert bench.outcome(real).outcome == "verified"


def test_a_permit_expires(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(writes, "START_WITHIN_S", 0.0)
    report = bench.arm()
    with pytest.raises(RefusedError):
        bench.service.start(report.permit)
    assert bench.car.writes() == []
    bench.heard(lambda e: isinstance(e.body, GateChanged) and e.body.state == "CLOSED")


def test_an_expired_permit_is_refused_even_where_the_gate_did_not_notice(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    report = bench.arm()
    permit = bench.service._permit
    assert permit is not None
    permit.expires_at = clock.now() - 1
    with pytest.raises(RefusedError, match="expired"):
        bench.service.start(report.permit)
    assert bench.state() == "CLOSED"


def test_a_permit_whose_gate_was_cut_is_void_and_the_gate_closes(bench: Bench) -> None:
    report = bench.arm()
    bench.battery.now(9.0)
    closed = bench.heard(lambda e: isinstance(e.body, GateChanged) and e.body.state == "CLOSED")
    assert isinstance(closed.body, GateChanged)
    assert "9.00 V" in closed.body.reason
    bench.battery.now(13.2)
    with pytest.raises(RefusedError, match="void"):
        bench.service.start(report.permit)


def test_a_voltage_that_left_its_window_after_arming_refuses_the_start(bench: Bench) -> None:
    report = bench.arm()
    bench.battery.now(12.2)
    with pytest.raises(RefusedError) as refused:
        bench.service.start(report.permit)
    assert refused.value.gate == "VOLTAGE_CHECK"
    assert bench.state() == "CLOSED"
    assert bench.car.writes() == []
    bench.battery.now(13.2)
    with pytest.raises(RefusedError):
        bench.service.start(report.permit)
    assert bench.service.journal() == []


def test_while_a_write_runs_nothing_else_is_armed_or_started(bench: Bench) -> None:
    entered, go_on = threading.Event(), threading.Event()

    def hold() -> None:
        entered.set()
        assert go_on.wait(LIMIT_S)

    bench.at(b"\x2e", hold)
    run = bench.start()
    assert entered.wait(LIMIT_S)
    assert bench.service.active_run == run
    assert bench.service.journal()[0].state == "running"
    for again in (bench.arm, lambda: bench.service.start(run)):
        with pytest.raises(RefusedError, match="running"):
            again()
    go_on.set()
    assert bench.outcome(run).outcome == "verified"


def test_two_runs_in_a_row_each_with_its_own_acknowledgment(bench: Bench) -> None:
    first = bench.start()
    bench.outcome(first)
    second = bench.start()
    bench.outcome(second)
    assert second > first
    assert [info.run for info in bench.service.journal()] == [second, first]
    assert all(info.state == "verified" for info in bench.service.journal())


def test_an_acknowledgment_is_for_one_run(bench: Bench) -> None:
    given = bench.kit.evidence(bench.plan)
    permit = bench.arm(given).permit
    bench.service.start(permit)
    bench.outcome(permit)
    report = bench.arm(given)
    assert [result.passed for result in report.results] == [True, True, True, False]
    assert "used before" in report.results[3].reason


def test_an_acknowledgment_of_a_run_that_could_not_begin_is_used_up_too(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    given = bench.kit.evidence(bench.plan)
    permit = bench.arm(given).permit

    def full(*_: object) -> RunJournal:
        raise UnavailableError("The medium is full.", "Free space.")

    with monkeypatch.context() as broken:
        broken.setattr(Journal, "begin", full)
        with pytest.raises(UnavailableError):
            bench.service.start(permit)
    assert bench.state() == "CLOSED"
    assert bench.service.active_run == ""
    assert bench.car.writes() == []
    with pytest.raises(RefusedError, match="used before"):
        bench.arm(given)


def test_a_thread_that_cannot_start_leaves_no_run_behind(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    permit = bench.arm().permit

    def none_left(_thread: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    with monkeypatch.context() as broken:
        broken.setattr(threading.Thread, "start", none_left)
        with pytest.raises(RuntimeError):
            bench.service.start(permit)
    assert bench.state() == "CLOSED"
    assert bench.service.active_run == ""
    assert bench.service.journal()[0].state == "interrupted"
    run = bench.start()
    assert bench.outcome(run).outcome == "verified"


# Events and the run log ---------------------------------------------------------------------------


def test_the_log_is_what_was_told_in_order_and_ends_with_the_outcome(bench: Bench) -> None:
    bench.at(b"\x2e", lambda: bench.battery.now(11.5))
    run = bench.start()
    bench.heard(lambda e: isinstance(e.body, GateChanged) and e.body.state == "HELD")
    bench.heard(lambda e: isinstance(e.body, Voltage) and e.run == run)
    bench.battery.now(13.2)
    assert bench.outcome(run).outcome == "verified"
    log = bench.log(run)
    assert [seq for seq, _ in log] == list(range(1, len(log) + 1))
    assert isinstance(log[-1][1], Outcome)
    assert sum(isinstance(body, Outcome) for _, body in log) == 1
    told = [(event.seq, event.body) for event in bench.events if event.run == run]
    assert told == log
    changes = [body.state for _, body in log if isinstance(body, GateChanged)]
    assert changes == ["OPEN", "HELD", "OPEN", "CLOSED"]
    traces = [body for _, body in log if isinstance(body, VoltageTrace)]
    assert len(traces) >= 4
    steps = [body.index for _, body in log if isinstance(body, StepStarted)]
    assert steps == list(range(len(STEPS)))


def test_nothing_of_a_run_is_told_after_its_outcome(bench: Bench) -> None:
    run = bench.start()
    bench.outcome(run)
    bench.arm()  # Makes a change of the gate that belongs to no run.
    bench.heard(
        lambda e: (
            isinstance(e.body, GateChanged)
            and e.body.state == "ARMED"
            and bench.events.index(e) > 5
        )
    )
    after = bench.events[[isinstance(e.body, Outcome) for e in bench.events].index(True) + 1 :]
    assert all(event.run == "" and event.seq == 0 for event in after)


def test_a_trace_lies_around_each_change(bench: Bench) -> None:
    bench.at(b"\x2e", lambda: bench.battery.now(11.5))
    run = bench.start()
    held = bench.heard(lambda e: isinstance(e.body, GateChanged) and e.body.state == "HELD")
    assert isinstance(held.body, GateChanged)
    assert held.body.trace[-1][1] == 11.5
    assert held.body.trace[0][1] == 13.2
    assert all(at <= held.body.at for at, _ in held.body.trace)
    bench.battery.now(13.2)
    bench.outcome(run)


def test_a_log_is_given_in_pages_that_fit_a_packet(bench: Bench) -> None:
    journal = Journal(bench.kit.state / "hw" / "journal")
    book = journal.begin(_header("00000009-aa"))
    trace: list[tuple[float, float | None]] = [(float(n), 13.0) for n in range(2000)]
    for n in range(5):
        book.log(VoltageTrace(at=float(n), samples=trace))
        book.log(GateChanged(at=1.0, state="HELD", reason="r", next_step="", volts=1, trace=trace))
    for n in range(200):
        book.log(Voltage(at=float(n), volts=13.0))
    book.close()
    log = bench.log("00000009-aa")
    assert [seq for seq, _ in log] == list(range(1, 211))
    assert len(bench.service.run_log("00000009-aa", 0)) == 1
    assert len(bench.service.run_log("00000009-aa", 10)) == writes.RUN_LOG_EVENTS
    assert bench.service.run_log("00000009-aa", 210) == []
    assert bench.service.run_log("no-such-run", 0) == []


def _header(run: str, **changes: Any) -> RunHeader:
    header = RunHeader(
        run=run,
        job="0190a0b0-0000-7000-8000-000000000001",
        plan_digest="1" * 64,
        recovers="",
        backup_manifest_sha256="2" * 64,
        acknowledgment=run,
        profile="sim-engine",
        ecu="engine",
        total_bytes=1,
        boot_id="",
    )
    return msgspec.structs.replace(header, **changes)


def test_the_list_of_runs_fits_a_packet_and_keeps_the_unfinished_ones(bench: Bench) -> None:
    journal = Journal(bench.kit.state / "hw" / "journal")
    journal.begin(_header("00000001-aa")).close()
    for number in range(2, 400):
        book = journal.begin(_header(f"{number:08d}-aa"))
        book.log(Outcome(at=1, outcome="verified", code="", what="x" * 90, next_step="", step=1))
        book.close()
    runs = bench.service.journal()
    assert len(encode(JournalReply(id=1, runs=runs))) < MAX_PACKET
    assert (runs[0].run, runs[0].state) == ("00000001-aa", "interrupted")
    assert runs[1].run == "00000399-aa"
    assert len(runs) > 50


# Abort and close ----------------------------------------------------------------------------------


def test_abort_without_anything_does_nothing(bench: Bench) -> None:
    bench.service.abort()
    assert bench.state() == "CLOSED"


def test_abort_gives_a_permit_back(bench: Bench) -> None:
    report = bench.arm()
    bench.service.abort()
    assert bench.state() == "CLOSED"
    with pytest.raises(RefusedError):
        bench.service.start(report.permit)


def test_abort_ends_a_run_recoverably_and_puts_everything_back(bench: Bench) -> None:
    bench.at(b"\x2e", bench.service.abort)
    run = bench.start()
    outcome = bench.outcome(run)
    assert (outcome.outcome, outcome.code) == ("aborted_recoverable", "stopped")
    assert bench.car.received[-2:] == [b"\x28\x00\x01", b"\x85\x01"]
    assert bench.service.journal()[0].state == "aborted_recoverable"


def test_close_stops_a_run_and_waits_for_its_outcome(bench: Bench) -> None:
    bench.at(b"\x2e", lambda: bench.battery.now(11.5))
    run = bench.start()
    bench.heard(lambda e: isinstance(e.body, GateChanged) and e.body.state == "HELD")
    bench.service.close()
    assert bench.outcome(run).code == "stopped"
    assert not bench.line.high


# Cut and resume -----------------------------------------------------------------------------------


def _cut(bench: Bench) -> str:
    bench.at(b"\x2e", lambda: bench.battery.now(10.0))
    run = bench.start()
    bench.heard(lambda e: isinstance(e.body, GateChanged) and e.body.state == "CUT")
    return run


def test_a_cut_write_goes_on_with_a_new_acknowledgment(bench: Bench) -> None:
    run = _cut(bench)
    bench.battery.now(13.2)
    given = bench.kit.acknowledge(bench.plan)
    bench.service.resume(given)
    assert bench.outcome(run).outcome == "verified"
    assert bench.car.writes().count(0x2E) == 1
    changes = [body.state for _, body in bench.log(run) if isinstance(body, GateChanged)]
    assert changes == ["OPEN", "CUT", "OPEN", "CLOSED"]
    with pytest.raises(RefusedError, match="used before"):
        bench.service._check_unused(acknowledgment_digest(given))
    report = bench.arm(
        msgspec.structs.replace(bench.kit.evidence(bench.plan), acknowledgment=given)
    )
    assert not report.results[3].passed


def test_a_resumes_acknowledgment_is_used_up_for_a_kit_that_started_anew(bench: Bench) -> None:
    run = _cut(bench)
    bench.battery.now(13.2)
    given = bench.kit.acknowledge(bench.plan)
    bench.service.resume(given)
    bench.outcome(run)
    fresh = Journal(bench.kit.state / "hw" / "journal")
    assert fresh.used_acknowledgment(acknowledgment_digest(given))


def test_a_cut_write_does_not_go_on_with_anything_less(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = bench.kit.evidence(bench.plan)
    bench.at(b"\x2e", lambda: bench.battery.now(10.0))
    permit = bench.arm(first).permit
    bench.service.start(permit)
    bench.heard(lambda e: isinstance(e.body, GateChanged) and e.body.state == "CUT")
    bench.battery.now(13.2)
    assert first.acknowledgment is not None
    other = bench.kit.acknowledge(bench.plan, plan_digest="0" * 64)
    for given in (first.acknowledgment, other):
        with pytest.raises(RefusedError) as refused:
            bench.service.resume(given)
        assert refused.value.gate == "USER_ACKNOWLEDGMENT"
    with monkeypatch.context() as broken:
        broken.setattr(RunJournal, "resumed", _cannot_write)
        with pytest.raises(UnavailableError):
            bench.service.resume(bench.kit.acknowledge(bench.plan))
    bench.battery.now(12.2)
    with pytest.raises(RefusedError) as low:
        bench.service.resume(bench.kit.acknowledge(bench.plan))
    assert low.value.gate == "VOLTAGE_CHECK"
    assert bench.state() == "CUT"
    assert bench.car.writes().count(0x2E) == 0
    bench.service.abort()
    assert bench.outcome(permit).code == "stopped"


def _cannot_write(*_: object, **__: object) -> int:
    raise UnavailableError("The kit cannot write its journal.", "Free space.")


def test_without_a_cut_there_is_nothing_to_resume(bench: Bench) -> None:
    with pytest.raises(RefusedError, match="nothing to resume"):
        bench.service.resume(bench.kit.acknowledge(bench.plan))
    bench.arm()
    with pytest.raises(RefusedError, match="nothing to resume"):
        bench.service.resume(bench.kit.acknowledge(bench.plan))


def test_a_held_write_cannot_be_resumed_by_hand(bench: Bench) -> None:
    bench.at(b"\x2e", lambda: bench.battery.now(11.5))
    run = bench.start()
    bench.heard(lambda e: isinstance(e.body, GateChanged) and e.body.state == "HELD")
    with pytest.raises(RefusedError, match="nothing to resume"):
        bench.service.resume(bench.kit.acknowledge(bench.plan))
    bench.battery.now(13.2)
    bench.outcome(run)


# Records that cannot be kept ----------------------------------------------------------------------


def test_a_record_that_cannot_be_kept_cuts_the_write_and_ends_it(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = RunJournal.log

    def log(book: RunJournal, body: EventBody, *, durable: bool = False) -> int:
        if isinstance(body, GateChanged) and body.state == "HELD":
            return _cannot_write()
        return real(book, body, durable=durable)

    monkeypatch.setattr(RunJournal, "log", log)
    bench.at(b"\x2e", lambda: bench.battery.now(11.5))
    run = bench.start()
    cut = bench.heard(lambda e: isinstance(e.body, GateChanged) and e.body.state == "CUT")
    assert isinstance(cut.body, GateChanged)
    assert "journal" in cut.body.reason
    # It is told all the same, without a number.
    held = bench.heard(lambda e: isinstance(e.body, GateChanged) and e.body.state == "HELD")
    assert (held.run, held.seq) == (run, 0)
    # Nobody aborts it: a run without a journal cannot be resumed, so that it must not wait.
    outcome = bench.outcome(run)
    assert outcome.outcome == "aborted_recoverable"
    assert "journal" in outcome.what
    assert "recover the job" in outcome.next_step


@pytest.mark.parametrize("steps", [STEPS, [*STEPS[:4]]])
def test_an_outcome_that_cannot_be_kept_is_not_verified(
    bench: Bench, monkeypatch: pytest.MonkeyPatch, steps: list[Step]
) -> None:
    real = RunJournal.log

    def log(book: RunJournal, body: EventBody, *, durable: bool = False) -> int:
        if isinstance(body, Outcome):
            return _cannot_write()
        return real(book, body, durable=durable)

    monkeypatch.setattr(RunJournal, "log", log)
    bench.plan = _with(bench.plan, steps)
    run = bench.start()
    outcome = bench.outcome(run)
    assert outcome.outcome == "aborted_recoverable"
    assert "could not be recorded" in outcome.what
    assert bench.service.journal()[0].state == "interrupted"


def _with(plan: WritePlan, steps: list[Step]) -> WritePlan:
    return msgspec.structs.replace(plan, steps=steps)


@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
def test_a_line_that_cannot_be_driven_at_the_end_hides_no_outcome(bench: Bench) -> None:
    def breaks() -> None:
        bench.line.broken = True

    bench.at(b"\x10\x01", breaks)
    run = bench.start()
    assert bench.outcome(run).outcome == "verified"
    assert bench.state() == "CLOSED"
    assert bench.service.active_run == ""
    bench.line.broken = False


def test_the_voltage_is_told_while_a_write_runs_and_never_as_the_last_value(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    bench.at(b"\x2e", lambda: bench.battery.now(11.5))
    run = bench.start()
    first = bench.heard(lambda e: isinstance(e.body, Voltage) and e.run == run)
    assert isinstance(first.body, Voltage)
    assert first.body.volts in (13.2, 11.5)
    monkeypatch.setattr(bench.battery, "history", lambda _since: [])
    bench.heard(lambda e: isinstance(e.body, Voltage) and e.body.reason == "no sample")
    monkeypatch.undo()
    monkeypatch.setattr(writes, "open_link", bench.car.open_link)
    bench.battery.now(None)
    bench.heard(lambda e: isinstance(e.body, Voltage) and e.body.reason == "not ready")
    bench.service.abort()
    bench.outcome(run)
