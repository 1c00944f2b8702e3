"""Whatever goes wrong, the ECU talks and stores DTCs again, or the outcome says that it may not.

The ECU here keeps its own book of what it was told, and of what it did although its answer was
lost. What the kit says at the end is compared with that book.
"""

from __future__ import annotations

import tempfile
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from hw import clock, executor
from hw.links.base import LinkError
from hw.messages import Outcome
from hw.plan import (
    CommunicationControl,
    DtcSetting,
    Reset,
    RestoreStep,
    Session,
    Step,
    TransferExit,
    WriteDid,
)
from tests.hw.gate.rig import Clock, Rig
from tests.hw.test_cursor import download
from tests.hw.test_executor import PAYLOAD, Bench, Make, lost, make, negative, silent

__all__ = ["make"]  # The fixture of the executor's tests.

OFF: list[Step] = [
    CommunicationControl(control_type=3, communication_type=1),
    CommunicationControl(control_type=1, communication_type=3),
    DtcSetting(setting=2),
]
ON: list[RestoreStep] = [
    CommunicationControl(control_type=0, communication_type=1),
    CommunicationControl(control_type=0, communication_type=3),
    DtcSetting(setting=1),
]
STEPS: list[Step] = [
    *OFF,
    *ON,
    Session(session=0x01),
    Session(session=0x03),
    *(Reset(reset_type=kind) for kind in (0x01, 0x03, 0x04, 0x60)),
    WriteDid(did=0xF15A, data="01020304"),
    TransferExit(),
    download(len(PAYLOAD)),
]
# What can happen to one request, and whether the ECU acts on it.
FAULTS = {
    "none": True,
    "refused": False,
    "busy": False,
    "too low": False,
    "lost before": False,
    "lost after": True,
    "link lost before": False,
    "link lost after": True,
    "nonsense": True,
    "wrong echo": True,
    "defect": True,
}
AROUND = st.sampled_from(["nothing"] * 12 + ["sag", "cut", "cut for good", "stop", "gate closed"])


class Ecu:
    """What an ECU that follows ISO 14229-1 has switched off (10.2, 10.3, 10.5, 10.8)."""

    def __init__(self) -> None:
        self.silent_types = 0  # Bits: 1 normal messages, 2 network management.
        self.dtcs_off = False

    def act(self, request: bytes) -> None:
        match request[0]:
            case 0x28 if request[1] == 0:
                self.silent_types &= ~request[2]
            case 0x28:
                self.silent_types |= request[2]
            case 0x85:
                self.dtcs_off = request[1] == 2
            case 0x11 if request[1] in (1, 2, 3):
                self.silent_types, self.dtcs_off = 0, False
            case 0x10 if request[1] == 1:
                self.silent_types, self.dtcs_off = 0, False

    @property
    def off(self) -> set[str]:
        names = {"0x28": bool(self.silent_types), "0x85": self.dtcs_off}
        return {name for name, is_off in names.items() if is_off}


class Trouble:
    """Stands between the bench and its ECU, and draws what happens."""

    def __init__(self, bench: Bench, data: st.DataObject) -> None:
        self.bench, self.data, self.ecu = bench, data, Ecu()
        self._quiet_for = data.draw(st.integers(0, 12), label="requests without trouble")

    def around(self, _payload: bytes, _frame: int) -> None:
        """Something happens to the gate or the technician before a frame."""
        if self._quiet_for:
            return
        rig = self.bench.rig
        match self.data.draw(AROUND, label="before a frame"):
            case "sag":
                self.bench.volts = [(1.0, 11.5)]
                self.bench.pass_time(0.004)
            case "cut":
                rig.gate.cut("for the test")
                self.bench.on_wait = self.resume
            case "cut for good":
                rig.gate.cut("for the test")
                self.bench.on_wait = lambda: None
            case "stop":
                self.bench.executor.stop()
            case "gate closed":
                rig.gate.close("for the test")

    def resume(self) -> None:
        if self.bench.rig.state() == "CUT":
            self.bench.pass_time(0.004)
            self.bench.rig.gate.open(self.bench.rig.clock.time + 36000, resume=True)

    def answer(self, payload: bytes) -> bytes:
        """In place of the bench's: the ECU has the whole request."""
        if self._quiet_for:
            self._quiet_for -= 1
            fault = "none"
        else:
            fault = self.data.draw(st.sampled_from(["none"] * 8 + list(FAULTS)), label="fault")
        if FAULTS[fault]:
            self.ecu.act(payload)
        match fault:
            case "refused" | "busy" | "too low":
                raise negative(payload[0], {"refused": 0x22, "busy": 0x21, "too low": 0x93}[fault])
            case "lost before" | "lost after":
                raise silent()
            case "link lost before" | "link lost after":
                raise lost()
            case "defect":
                raise ZeroDivisionError
            case "nonsense":
                return b"\x00"
            case "wrong echo":
                return bytes([payload[0] + 0x40, 0x7F])
        return self.bench.obey(payload)


def _run(data: st.DataObject, steps: list[Step], restore: list[RestoreStep]) -> tuple[Outcome, Ecu]:
    with tempfile.TemporaryDirectory() as folder, pytest.MonkeyPatch.context() as patch:
        time = Clock()
        patch.setattr(clock, "now", time)
        patch.setattr(executor, "CUT_WAIT_S", 3.0)
        rig = Rig(time)
        bench = Bench(rig, Path(folder), steps, restore=restore)
        patch.setattr(rig.gate, "wait_while", bench.wait_while)
        trouble = Trouble(bench, data)
        bench.on_frame = trouble.around
        patch.setattr(bench, "answer", trouble.answer)
        if data.draw(st.integers(0, 20), label="no link when 0") == 0:
            bench.connect_fails = [LinkError("No link.", "Plug it in.")]
        return bench.run(), trouble.ecu


@settings(suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large])
@given(
    data=st.data(),
    steps=st.lists(st.sampled_from(STEPS), min_size=1, max_size=8),
    restore=st.lists(st.sampled_from(ON), max_size=3, unique=True),
)
def test_what_is_still_off_in_the_ecu_is_named_in_the_outcome(
    data: st.DataObject, steps: list[Step], restore: list[RestoreStep]
) -> None:
    outcome, ecu = _run(data, steps, restore)
    assert ecu.off <= set(outcome.not_restored)
    if outcome.outcome == "verified":
        assert not outcome.not_restored


@pytest.mark.parametrize("at", range(len(OFF) + 4))
def test_after_a_step_that_fails_everything_is_put_back_and_nothing_named(
    make: Make, at: int
) -> None:
    steps = [*OFF[1:], download(len(PAYLOAD)), TransferExit(), Session(session=0x03)]
    bench = make(steps, restore=ON[1:])
    ecu, count = Ecu(), iter(range(1000))

    def answer(payload: bytes) -> bytes:
        ecu.act(payload)
        if next(count) == at:
            raise negative(payload[0], 0x72)
        return bench.obey(payload)

    bench.answer = answer  # type: ignore[method-assign]  # The ECU of this file, with its book.
    assert bench.run().outcome == "aborted_recoverable"
    assert not ecu.off
    assert not bench.executor._cursor.to_restore
