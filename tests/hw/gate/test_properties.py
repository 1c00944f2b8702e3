"""No sequence of inputs opens the gate without four valid pieces of evidence.

The whole write service with its real gate, evidence checks and journal; the sampler, the ECU and
the executor's walk are in the hands of the machine, which judges beside the kit, in the plainest
form, whether this write may run.
"""

from __future__ import annotations

import itertools
import tempfile
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import msgspec
import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from hw import clock, writes
from hw.config import load_config
from hw.cursor import Cursor
from hw.errors import FieldKitError
from hw.gate.errors import NotPlanned, WriteCut, WriteHeld
from hw.gate.gate import Gate
from hw.gate.reads import is_read
from hw.journal import RunJournal
from hw.messages import Acknowledgment, BackupCopies, EventBody, Evidence, Outcome
from hw.plan import DtcSetting, IdentityValue, Session, Timing, WriteDid, WritePlan
from hw.voltage.sampler import Sample
from hw.writes import START_WITHIN_S, WriteService
from tests.hw.gate.rig import STEP_S, Clock
from tests.kit import WINDOW, Kit, canonical, identity, moment

PAYLOAD = b"payload"
LINK = "can://virtual/x?tx=1&rx=2"
GOOD_V = 13.2
LONGEST_WATCHED_S = 1.0
AGE_S = {"backup": 4 * 3600.0, "checks": 1800.0, "acknowledgment": 300.0}
VOLTS = st.sampled_from([GOOD_V] * 6 + [None, 9.0, 11.5, 12.3, 14.9, 16.0])
WRITES = [bytes.fromhex(text) for text in ("14ffffff", "2ef15a00", "1101", "3601aa", "37", "1002")]
PIECE = st.sampled_from(["valid"] * 8 + ["missing", "of another plan", "too old", "damaged"])


class Line:
    """The write-enable line: each time it goes high the machine is asked whether it may."""

    def __init__(self, may_open: Callable[[], bool]) -> None:
        self.high = False
        self._may_open = may_open
        self.wrongly: list[str] = []

    def set_write_enable(self, on: bool) -> None:
        if on and not self._may_open():
            self.wrongly.append("The line went high without four valid pieces of evidence.")
        self.high = on


class Sampler:
    """The sampler's ring."""

    def __init__(self) -> None:
        self.samples: list[Sample] = []

    def history(self, since: float) -> list[Sample]:
        return [sample for sample in self.samples if sample.at >= since]


class Button:
    """The arm button."""

    pressed: bool | None = None

    def arm_pressed(self) -> bool | None:
        return self.pressed


class Ecu:
    """Stands behind `open_link` while the identity is read."""

    max_request_bytes = 4095

    def __init__(self) -> None:
        self.identity: list[IdentityValue] = identity()

    def open_link(self, _uri: str, _gate: Gate, _timing: Timing) -> Ecu:
        return self

    def __enter__(self) -> Ecu:
        return self

    def __exit__(self, *_: object) -> None:
        pass

    def request(self, payload: bytes) -> bytes:
        did = int.from_bytes(payload[1:3], "big")
        value = next(item.value for item in self.identity if item.did == did)
        return b"\x62" + payload[1:3] + bytes.fromhex(value)


class ParkedExecutor:
    """A run that goes on until the machine ends it; the machine itself asks the gate."""

    latest: ParkedExecutor

    def __init__(
        self,
        gate: Gate,
        cursor: Cursor,
        _connect: object,
        _journal: RunJournal,
        _emit: Callable[[EventBody], None],
        *,
        keep_alive_in_cut: bool,
    ) -> None:
        self.cursor = cursor
        self.ended = threading.Event()
        ParkedExecutor.latest = self

    def stop(self) -> None:
        self.ended.set()

    def run(self) -> Outcome:
        assert self.ended.wait(60)
        return Outcome(
            at=clock.now(),
            outcome="aborted_recoverable",
            code="stopped",
            what="Ended.",
            next_step="Recover.",
            step=0,
        )


class WriteMachine(RuleBasedStateMachine):
    """Two plans, evidence of every kind for either, and everything that can happen between."""

    def __init__(self) -> None:
        super().__init__()
        self.patch = pytest.MonkeyPatch()
        self.folder = tempfile.TemporaryDirectory(prefix="fk")
        self.clock, self.sampler, self.ecu, self.button = Clock(), Sampler(), Ecu(), Button()
        self.patch.setattr(clock, "now", self.clock)
        self.patch.setattr("hw.evidence.time.sleep", lambda _s: self.feed(GOOD_V, 0.05))
        self.patch.setattr(writes, "open_link", self.ecu.open_link)
        self.patch.setattr(writes, "Executor", ParkedExecutor)
        self.kit = Kit(Path(self.folder.name), "ina219+sim:///none")
        self.line = Line(lambda: self.may_open)
        self.gate = Gate(self.line)
        self.service = WriteService(
            self.gate,
            self.sampler,
            self.button,
            load_config(self.kit.state),
            self.kit.state,
            lambda _event: None,
        )
        steps = [Session(session=3), DtcSetting(setting=2), WriteDid(did=0x0600, data="01")]
        plan = self.kit.plan(LINK, PAYLOAD, steps=steps)
        self.plans = [plan, msgspec.structs.replace(plan, title="Another plan")]
        self.backup = self.kit.backup()
        self.backup_made_at = self.clock.time
        self.permit = ""  # The newest permit that the kit gave.
        self.running = False
        self.may_open = False
        self.used: set[bytes] = set()
        self.last_acknowledgment: Acknowledgment | None = None
        self.permit_plan = self.plans[0]
        self.checks: list[Callable[[], None]] = []
        self.feed(GOOD_V, LONGEST_WATCHED_S)

    def teardown(self) -> None:
        if self.running:
            ParkedExecutor.latest.ended.set()
        self.service.close()
        self.patch.undo()
        self.folder.cleanup()

    # What the world does ----------------------------------------------------------------------

    def feed(self, volts: float | None, for_s: float) -> None:
        for _ in range(round(for_s / STEP_S)):
            self.clock.time += STEP_S
            sample = Sample(self.clock.time, volts, "" if volts is not None else "not ready")
            self.sampler.samples.append(sample)
            self.gate.on_sample(sample)

    @rule(volts=VOLTS, for_s=st.sampled_from([0.004, 0.1, 0.6]))
    def samples(self, volts: float | None, for_s: float) -> None:
        self.feed(volts, for_s)

    @rule(for_s=st.sampled_from([0.04, 0.06, 100.0, 200.0, 1000.0, 3 * 3600.0]))
    def the_sampler_is_silent(self, for_s: float) -> None:
        self.clock.time += for_s

    @rule(other=st.booleans())
    def the_ecu_on_the_cable(self, other: bool) -> None:
        first, *rest = identity()
        changed = msgspec.structs.replace(first, value="00" + first.value[2:])
        self.ecu.identity = [changed if other else first, *rest]

    @rule(pressed=st.sampled_from([None, True, False]))
    def the_arm_button(self, pressed: bool | None) -> None:
        self.button.pressed = pressed

    @rule()
    def a_new_backup(self) -> None:
        self.backup, self.backup_made_at = self.kit.backup(), self.clock.time

    # What clients do --------------------------------------------------------------------------

    def acknowledge(self, plan: WritePlan, kind: str) -> Acknowledgment | None:
        other = next(each for each in self.plans if each != plan)
        match kind:
            case "missing":
                return None
            case "of another plan":
                return self.kit.acknowledge(other)
            case "too old":
                made = moment(boottime=self.clock.time - AGE_S["acknowledgment"] - 1)
                return self.kit.acknowledge(plan, made=made)
            case "damaged":
                given = self.kit.acknowledge(plan)
                return msgspec.structs.replace(given, document=given.document + b" ")
            case "used before":
                return self.last_acknowledgment
        return self.kit.acknowledge(plan)

    def acknowledged(self, given: Acknowledgment, *, made_now: bool) -> None:
        self.last_acknowledgment = given
        if made_now:
            self.acknowledged_at = self.clock.time

    def state_checks(self, plan: WritePlan, kind: str) -> tuple[bytes | None, bytes | None]:
        other = next(each for each in self.plans if each != plan)
        match kind:
            case "missing":
                return None, None
            case "of another plan":
                return self.kit.checks(other)
            case "too old":
                made = moment(boottime=self.clock.time - AGE_S["checks"] - 1)
                return self.kit.checks(plan, made=made)
            case "damaged":
                document, signature = self.kit.checks(plan)
                return document + b" ", signature
        return self.kit.checks(plan)

    def copies(self, kind: str) -> BackupCopies | None:
        match kind:
            case "missing":
                return None
            case "of another plan":
                return self.kit.backup(job="another-job")
            case "too old":
                return self.kit.backup(made=moment(boottime=self.clock.time - AGE_S["backup"] - 1))
            case "damaged":
                copies = self.kit.backup()
                next(Path(copies.folders[1]).glob("*.age")).write_bytes(b"something else")
                return copies
        return self.backup

    def voltage_is_good(self) -> bool:
        """Watched without a gap for the settling time, always inside the start window."""
        now, needed = self.clock.time, WINDOW.settle_s
        recent = self.sampler.history(now - needed)
        times = [now - needed, *(sample.at for sample in recent), now]
        gaps = [after - before for before, after in itertools.pairwise(times)]
        inside = [
            sample.volts is not None and WINDOW.start_min_v <= sample.volts <= WINDOW.start_max_v
            for sample in recent
        ]
        return bool(recent) and all(inside) and max(gaps) <= 2 * WINDOW.stale_s

    @rule(
        which=st.integers(0, 1),
        backup=PIECE,
        checks=PIECE,
        acknowledgment=st.one_of(PIECE, st.just("used before")),
        dry=st.sampled_from([False, False, False, True]),
    )
    def arm(self, which: int, backup: str, checks: str, acknowledgment: str, dry: bool) -> None:
        plan = self.plans[which]
        given = self.acknowledge(plan, acknowledgment)
        document, signature = self.state_checks(plan, checks)
        shown = Evidence(
            profile_file=str(self.kit.profile),
            backup=self.copies(backup),
            checks_document=document,
            checks_signature=signature,
            acknowledgment=given,
        )
        fresh_backup = self.clock.time - self.backup_made_at <= AGE_S["backup"]
        acknowledged = acknowledgment == "valid" or (
            given is not None
            and given.document not in self.used
            and (given, plan) == (self.last_acknowledgment, self.permit_plan)
            and self.clock.time - self.acknowledged_at <= AGE_S["acknowledgment"]
        )
        valid = {backup, checks} == {"valid"} and fresh_backup and acknowledged
        valid = valid and self.ecu.identity == identity() and self.button.pressed is not False
        try:
            report = self.service.arm(canonical(plan), PAYLOAD, shown, dry)
        except FieldKitError:
            assert self.running or given is None or given.document in self.used
            return
        if not report.permit:
            # A gate may refuse what the machine holds for good, never the other way round.
            assert dry or not all(result.passed for result in report.results)
            return
        assert valid
        assert not dry
        assert self.voltage_is_good()
        assert given is not None
        self.acknowledged(given, made_now=acknowledgment == "valid")
        self.permit = report.permit
        self.permit_until, self.permit_plan = self.clock.time + START_WITHIN_S, plan
        self.permit_used = False

    @precondition(lambda self: self.permit)
    @rule(how=st.sampled_from(["as given", "as given", "as given", "changed", "empty"]))
    def start(self, how: str) -> None:
        given = {"as given": self.permit, "changed": self.permit + "0", "empty": ""}[how]
        usable = how == "as given" and not self.permit_used and not self.running
        self.may_open = usable and self.clock.time <= self.permit_until and self.voltage_is_good()
        try:
            self.service.start(given)
        except FieldKitError:
            self.permit_used |= usable
            return
        finally:
            may, self.may_open = self.may_open, False
        assert may
        assert self.last_acknowledgment is not None
        self.used.add(self.last_acknowledgment.document)
        self.permit_used = self.running = True
        self.checks.clear()

    @rule(kind=st.one_of(st.just("valid"), PIECE, st.just("used before")))
    def resume(self, kind: str) -> None:
        plan = self.permit_plan if self.running else self.plans[0]
        given = self.acknowledge(plan, kind)
        if given is None:
            return
        fresh = kind == "valid" and given.document not in self.used
        self.may_open = self.running and fresh and self.gate.state == "CUT"
        try:
            self.service.resume(given)
        except FieldKitError:
            return
        finally:
            may, self.may_open = self.may_open, False
        assert may
        self.used.add(given.document)
        self.acknowledged(given, made_now=True)

    @rule()
    def cut(self) -> None:
        self.gate.cut("A record could not be kept.")

    @precondition(lambda self: not self.running)
    @rule()
    def give_the_permit_back(self) -> None:
        self.service.abort()

    @precondition(lambda self: self.running)
    @rule()
    def the_run_ends(self) -> None:
        ParkedExecutor.latest.ended.set()
        while self.service.active_run:
            threading.Event().wait(0.001)
        self.running = False

    # What asks the gate -----------------------------------------------------------------------

    @rule(request=st.one_of(st.sampled_from(WRITES), st.binary(max_size=6)))
    def any_request(self, request: bytes) -> None:
        state = self.gate.state
        try:
            check = self.gate.admit(request)
        except (NotPlanned, WriteHeld, WriteCut):
            return
        if check is None:
            assert is_read(request, planned=False)
            return
        assert state == "OPEN"
        assert self.running
        assert request == ParkedExecutor.latest.cursor.expected

    @precondition(lambda self: self.running)
    @rule(confirm=st.booleans())
    def the_planned_request(self, confirm: bool) -> None:
        cursor = ParkedExecutor.latest.cursor
        if (request := cursor.expected) is None:
            return
        state = self.gate.state
        try:
            check = self.gate.admit(request)
        except (NotPlanned, WriteHeld, WriteCut):
            return
        if check is not None:
            assert state == "OPEN"
            self.checks.append(check)
        if confirm:
            self.gate.confirmed(request)
            cursor.advance(bytes([request[0] + 0x40]) + request[1:3])

    # What must always be ----------------------------------------------------------------------

    @invariant()
    def the_line_never_went_high_wrongly(self) -> None:
        assert not self.line.wrongly
        assert self.running or not self.line.high

    @invariant()
    def the_gate_is_open_only_in_a_run(self) -> None:
        assert self.running or self.gate.state in ("CLOSED", "ARMED", "CUT")

    @invariant()
    def no_frame_of_an_old_message_passes_outside_open(self) -> None:
        for check in self.checks[-2:]:
            state = self.gate.state
            try:
                check()
            except (WriteHeld, WriteCut):
                assert state != "OPEN"
            else:
                assert state == "OPEN"


TestWriteMachine = WriteMachine.TestCase
TestWriteMachine.settings = settings(
    max_examples=20 if settings().max_examples <= 100 else 400,
    stateful_step_count=30,
)


@pytest.fixture
def machine() -> Iterator[WriteMachine]:
    started = WriteMachine()
    yield started
    started.teardown()


def test_with_all_four_pieces_the_machine_does_reach_open(machine: WriteMachine) -> None:
    seen: list[str] = []
    machine.arm(0, "valid", "valid", "valid", dry=False)
    machine.start("as given")
    seen.append(machine.gate.state)
    machine.samples(11.5, 0.1)
    seen.append(machine.gate.state)
    machine.cut()
    machine.samples(GOOD_V, 0.6)
    machine.resume("valid")
    seen.append(machine.gate.state)
    machine.the_planned_request(confirm=True)
    machine.the_planned_request(confirm=False)
    assert len(machine.checks) == 2
    machine.the_run_ends()
    seen.append(machine.gate.state)
    assert seen == ["OPEN", "HELD", "OPEN", "CLOSED"]
    machine.the_line_never_went_high_wrongly()


@pytest.mark.parametrize("kind", ["missing", "of another plan", "too old", "damaged"])
@pytest.mark.parametrize("piece", ["backup", "checks", "acknowledgment"])
def test_one_piece_that_is_not_valid_gives_no_permit(
    machine: WriteMachine, piece: str, kind: str
) -> None:
    pieces = dict.fromkeys(("backup", "checks", "acknowledgment"), "valid") | {piece: kind}
    machine.arm(0, **pieces, dry=False)
    assert not machine.permit
    assert machine.gate.state == "CLOSED"
