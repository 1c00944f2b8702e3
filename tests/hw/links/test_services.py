"""All 256 services, in every gate state, on every link: only reads and the planned write arrive."""

from __future__ import annotations

import time
from collections.abc import Iterator

import msgspec
import pytest

from hw import clock
from hw.errors import FieldKitError
from hw.gate.errors import NotPlanned, WriteCut, WriteHeld
from hw.gate.gate import Gate
from hw.gate.reads import READ_LIST, is_read
from hw.links import open_link
from hw.messages import GateStateName
from hw.voltage.sampler import Sampler, sampler_for
from tests.kit import TIMING, WINDOW, Car

# DiagnosticSessionControl to the programming session, as a plan would send it next.
PLANNED = b"\x10\x02"
STATES: tuple[GateStateName, ...] = ("CLOSED", "ARMED", "OPEN", "HELD", "CUT")
SAG_V = {"HELD": 11.5, "CUT": 10.5}
NEVER_BACK = msgspec.structs.replace(WINDOW, resume_after_s=3600.0)


class NoLine:
    def set_write_enable(self, on: bool) -> None:
        """There is no line on this machine."""


class Plan:
    expected: bytes | None = PLANNED
    transfer_digest = ""


@pytest.fixture(scope="module")
def car(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Car]:
    car = Car(tmp_path_factory.mktemp("c"))
    yield car
    car.close()


@pytest.fixture
def rig(car: Car) -> Iterator[tuple[Gate, Sampler]]:
    car.do("battery", volts=13.2)
    gate = Gate(NoLine())
    sampler = sampler_for(car.info["sensor"], 1.0, 500, gate.on_sample)
    sampler.start()
    until = clock.now() + 10
    while sampler.latest().volts is None and clock.now() < until:
        time.sleep(0.01)
    yield gate, sampler
    sampler.stop()


def bring_to(state: GateStateName, gate: Gate, car: Car) -> None:
    """Take the gate to a state the way it gets there in life."""
    if state == "CLOSED":
        return
    gate.arm(Plan(), NEVER_BACK, clock.now() + 600)
    if state == "ARMED":
        return
    gate.open(clock.now() + 600, resume=False)
    if state in SAG_V:
        car.do("battery", volts=SAG_V[state])
        while gate.state != state:
            gate.wait_while("OPEN", 1.0)
    assert gate.state == state


@pytest.mark.parametrize("kind", ["can", "doip"])
@pytest.mark.parametrize("state", STATES)
def test_only_reads_and_the_planned_write_arrive(
    car: Car, rig: tuple[Gate, Sampler], kind: str, state: GateStateName
) -> None:
    gate, _sampler = rig
    bring_to(state, gate, car)
    requests = [bytes([service, *rest]) for service in range(256) for rest in ((), (1, 2, 3))]
    requests.append(PLANNED)
    seen = len(car.do("log")["entries"])
    passed: list[bytes] = []
    with open_link(car.link(kind), gate, TIMING) as link:
        for request in requests:
            try:
                link.request(request)
            except (NotPlanned, WriteHeld, WriteCut):
                continue
            except FieldKitError:
                pass  # The ECU refused it: it arrived.
            passed.append(request)
    planned = state != "CLOSED"
    allowed = [request for request in requests if is_read(request, planned=planned)]
    if state == "OPEN":
        allowed.append(PLANNED)
    assert passed == allowed
    arrived = [entry["request"] for entry in car.do("log")["entries"][seen:]]
    assert arrived == [request.hex() for request in allowed]
    assert {request[0] for request in allowed} <= READ_LIST.keys()
    if state == "OPEN":
        car.do("battery", volts=13.2)
        with open_link(car.link(kind), gate, TIMING) as link:
            gate.close("tested")
            link.request(b"\x10\x01")
