"""The main job by the models alone, on the real processes and the simulated car.

What the models say is held against the car's own memory and log. One kit serves all tests of this
file; each writes other bytes.
"""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TypeVar

import pytest
from msgspec import structs

from tests.stack import (
    GOOD_VOLTS,
    PASSPHRASE,
    TECHNICIAN,
    Stack,
    running_stack,
    write_srecord,
)
from tests.ui.models.bench import Pump
from ui.models.kit import Kit
from ui.models.write import WriteState

CALIBRATION = 0x8000
SIZE = 24 * 1024
SEEDS = random.Random(7)
T = TypeVar("T")


@pytest.fixture(scope="module")
def stack() -> Iterator[Stack]:
    with running_stack() as running:
        yield running


class Person:
    """A technician in front of the screen: looks at states and calls what buttons call."""

    def __init__(self, stack: Stack, kit: Kit, pump: Pump) -> None:
        self.stack, self.kit, self._pump = stack, kit, pump

    def until(self, condition: Callable[[], T], what: str) -> T:
        try:
            return self._pump.until(condition, what)
        except AssertionError as error:
            kit = self.kit
            write = structs.replace(kit.write.state, trace=())
            error.add_note(f"{kit.navigation.state}\n{write}\n{kit.acknowledge.state}")
            raise

    def sees(self, screen: str) -> None:
        self.until(
            lambda: self.kit.navigation.state.screen == screen,
            f"{screen}, {self.kit.navigation.state.screen} is shown",
        )

    def unlocks(self) -> None:
        unlock = self.kit.unlock
        self.sees("unlock")
        self.until(lambda: unlock.state.technicians, "who can unlock")
        unlock.choose(TECHNICIAN)
        self.until(lambda: unlock.state.can_try, "a try")
        unlock.unlock(PASSPHRASE)
        self.until(lambda: not self.kit.status.state.locked, "the kit is open")

    def opens_a_job(self) -> None:
        self.kit.navigation.home()
        self.sees("home")
        self.kit.home.new_job()
        self.sees("new_job")
        self.kit.new_job.enter("customer", "Fleet Ltd")
        self.kit.new_job.enter("vehicle", "Test car")
        self.kit.new_job.save()
        self.sees("vehicle")

    def reads_and_backs_up(self, ecu: str) -> None:
        vehicle = self.kit.vehicle
        self.until(lambda: not vehicle.state.busy and vehicle.state.ecus, "the kinds of ECU")
        self.reads(ecu, "doip")  # Four megabytes come quicker this way.
        vehicle.back_up()
        self.until(lambda: vehicle.state.backup or vehicle.state.what, "a backup")
        assert vehicle.state.backup, vehicle.state.what
        self.reads(ecu, "can")

    def reads(self, ecu: str, kind: str) -> None:
        vehicle = self.kit.vehicle
        vehicle.choose(self.stack.link(ecu, kind), f"sim-{ecu}")
        vehicle.identify()
        self.until(lambda: vehicle.state.can_go_on or vehicle.state.what, "the ECU is read")
        assert vehicle.state.can_go_on, vehicle.state.what

    def plans_a_flash(self, data: bytes) -> None:
        """Choose a file on the stick, look at it, plan."""
        name = f"{SEEDS.randbytes(4).hex()}.s37"
        work = self.kit.work
        self.kit.vehicle.go_on()
        self.sees("work")
        self.until(lambda: work.state.can_flash, "the profile flashes")
        work.choose("programming")
        self.until(lambda: work.state.sticks and work.state.folder, "the stick")
        write_srecord(data, CALIBRATION, Path(work.state.folder) / name)
        work.enter(work.state.folder)
        self.until(lambda: any(row.name == name for row in work.state.files), "the file")
        work.inspect(next(row.path for row in work.state.files if row.name == name))
        self.until(lambda: work.state.container and work.state.can_plan, "a file that fits")
        work.plan()
        self.sees("plan")
        self.until(lambda: self.kit.plan.state.digest, "a plan")
        assert {step.kind for step in self.kit.plan.state.steps} >= {"erase", "write", "check"}

    def asks_the_gates(self) -> None:
        gates = self.kit.gates
        if self.kit.navigation.state.screen != "gates":
            self.kit.plan.go_on()
            self.sees("gates")
        else:
            gates.check()
        self.until(
            lambda: (
                not any(row.state == "working" for row in gates.state.rows) and not gates.state.busy
            ),
            "the gates have spoken",
        )

    def passes_the_gates(self) -> None:
        """Ask until the voltage has been good for long enough."""
        until = time.monotonic() + 60
        self.asks_the_gates()
        while not self.kit.gates.state.can_go_on:
            assert time.monotonic() < until, self.kit.gates.state
            self.asks_the_gates()
        self.kit.gates.go_on()
        self.sees("acknowledge")

    def holds_the_button(self) -> None:
        """Hold it until the write is there; a refusal is read and tried again."""
        button, navigation = self.kit.acknowledge, self.kit.navigation
        until = time.monotonic() + 60
        while navigation.state.screen == "acknowledge":
            assert time.monotonic() < until, button.state
            self.until(lambda: button.state.risk_text and not button.state.wait_s, "the risk text")
            button.enter(PASSPHRASE)
            button.press()
            self.until(
                lambda: (
                    navigation.state.screen != "acknowledge"
                    or (button.state.what and not button.state.holding)
                ),
                "an answer",
            )
        self.sees("write")

    def watches_the_write(self) -> None:
        """To its end. Where computers are busy the sampler may miss its time: that is a cut."""
        write = self.kit.write
        self.until(lambda: write.state.outcome or write.state.can_resume, "an end")
        while not write.state.outcome:
            write.resume()
            self.sees("acknowledge")
            self.holds_the_button()
            self.until(lambda: write.state.outcome or write.state.can_resume, "an end")

    def reads_the_result(self) -> str:
        self.sees("result")
        result = self.kit.result
        self.until(lambda: result.state.outcome, "an outcome")
        return result.state.outcome


@pytest.fixture
def place(tmp_path: Path) -> Path:
    return tmp_path / "ui" / "place.json"


@pytest.fixture
def person(stack: Stack, place: Path) -> Iterator[Person]:
    """A technician who has just unlocked the kit; the battery is well."""
    stack.volts(GOOD_VOLTS)
    pump = Pump()
    with Kit(stack.client, pump.post, place) as kit:
        it = Person(stack, kit, pump)
        it.until(lambda: kit.status.state.fresh, "the kit answers")
        if not kit.status.state.locked:
            kit.unlock.lock()
        it.unlocks()
        yield it


def test_a_flash_with_a_sag_in_the_middle_is_verified_and_the_car_holds_the_file(
    stack: Stack, person: Person
) -> None:
    data = SEEDS.randbytes(SIZE)
    kit = person.kit
    person.opens_a_job()
    person.reads_and_backs_up("engine")
    person.plans_a_flash(data)
    person.passes_the_gates()
    stack.when_blocks("engine", 3, do="sag", volts=11.5, for_s=1.0)
    seen: list[WriteState] = []
    kit.write.subscribe(seen.append)
    person.holds_the_button()
    person.until(lambda: kit.write.state.takeover, "the sag")
    assert not kit.navigation.state.can_go_back
    assert kit.write.state.gate_next_step
    person.watches_the_write()
    assert person.reads_the_result() == "verified"
    assert stack.memory("engine", CALIBRATION, SIZE) == data

    assert {"held", "cut"} & {state.takeover for state in seen}
    last = seen[-1]
    assert (last.done_bytes, last.total_bytes, last.part) == (SIZE, SIZE, 1.0)
    assert any(volts is not None and volts < 12.0 for state in seen for _, volts in state.trace)

    kit.result.verify()
    person.until(lambda: kit.result.state.record_whole, "the record is whole")
    kit.result.look_for_sticks()
    person.until(lambda: kit.result.state.sticks, "a stick")
    kit.result.export(kit.result.state.sticks[0].folder)
    person.until(lambda: kit.result.state.exported, "the record is on the stick")
    assert list(Path(kit.result.state.sticks[0].folder).rglob("report.pdf"))


def test_a_voltage_that_is_too_low_is_refused_at_its_gate_and_nothing_is_sent(
    stack: Stack, person: Person
) -> None:
    person.opens_a_job()
    person.reads_and_backs_up("engine")
    person.plans_a_flash(SEEDS.randbytes(SIZE))
    stack.volts(12.1)
    gates = person.kit.gates
    person.until(
        lambda: gates.state.volts is not None and gates.state.volts < 12.3, "the low volts"
    )
    mark = stack.mark()
    person.asks_the_gates()
    row = gates.state.rows[0]
    assert (row.gate, row.state) == ("VOLTAGE_CHECK", "refused")
    assert row.reason
    assert row.next_step
    assert [one.state for one in gates.state.rows[1:]] == ["passed", "passed", "waiting"]
    gates.go_on()
    assert person.kit.navigation.state.screen == "gates"
    assert stack.writes(mark) == []


def test_an_ecu_that_cannot_be_read_is_backed_up_with_a_known_good_file_from_the_stick(
    person: Person,
) -> None:
    vehicle = person.kit.vehicle
    person.opens_a_job()
    person.until(lambda: not vehicle.state.busy and vehicle.state.ecus, "the kinds of ECU")
    person.reads("gearbox", "can")
    vehicle.back_up()
    person.until(lambda: vehicle.state.what, "it is refused")
    assert vehicle.state.backup == ""
    person.kit.result.look_for_sticks()
    person.until(lambda: person.kit.result.state.sticks, "the stick")
    known = Path(person.kit.result.state.sticks[0].folder) / "known-good.bin"
    known.write_bytes(SEEDS.randbytes(SIZE))
    vehicle.back_up(str(known))
    person.until(lambda: vehicle.state.backup or vehicle.state.what, "a backup")
    assert vehicle.state.backup, vehicle.state.what


def test_a_screen_that_starts_anew_during_the_write_and_an_abort_lead_to_the_recovery(
    stack: Stack, person: Person, place: Path
) -> None:
    data = SEEDS.randbytes(SIZE)
    person.opens_a_job()
    job = person.kit.desk.state.job
    person.reads_and_backs_up("engine")
    person.plans_a_flash(data)
    person.passes_the_gates()
    # Held, so that there is something to come back to.
    stack.when_blocks("engine", 3, do="sag", volts=11.5, for_s=600.0)
    person.holds_the_button()
    person.until(lambda: person.kit.write.state.takeover, "the sag")
    person.kit.close()

    pump = Pump()
    with Kit(stack.client, pump.post, place) as kit:
        again = Person(stack, kit, pump)
        again.sees("write")
        again.until(lambda: kit.write.state.takeover, "still held")
        again.until(lambda: kit.write.state.total_bytes == SIZE, "what was written so far")
        kit.write.ask_abort()
        kit.messages.confirm()
        assert again.reads_the_result() == "aborted_recoverable"
        assert (kit.result.state.job, kit.result.state.action) == (job, "recover")
        assert stack.memory("engine", CALIBRATION, SIZE) != data
        stack.volts(GOOD_VOLTS)
        kit.result.act()
        again.sees("plan")
        again.until(lambda: kit.plan.state.digest, f"a recovery plan: {kit.plan.state.what}")
        again.passes_the_gates()
        again.holds_the_button()
        again.watches_the_write()
        assert again.reads_the_result() == "verified"
    assert stack.memory("engine", CALIBRATION, SIZE) == data
