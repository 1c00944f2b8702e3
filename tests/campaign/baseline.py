"""The same faults against flashers without a gate: what users have today.

`naive` goes through the steps once. `udsoncan` is the same loop, run again by hand, with everything
put right, until it succeeds or three tries were in vain. Both are judged as the kit is: from the
car's memory.
"""

from __future__ import annotations

import os
import random
import time
from typing import Literal

from tests.campaign.faults import OTHER_SERIAL, Scenario
from tests.campaign.judge import Verdict, memory
from tests.campaign.naive import connect, flash
from tests.campaign.rig import Car, Handle, start_rig
from tests.campaign.runner import start_action
from tests.campaign.sandbox import Filesystems, die_with_parent
from tests.campaign.template import CALIBRATION, ECU, MEMORY_LIMIT, Places

Tool = Literal["naive", "udsoncan"]
TRIES: dict[Tool, int] = {"naive": 1, "udsoncan": 3}
TRY_LIMIT_S = 60.0
POLL_S = 0.02


def start_baseline(tool: Tool, scenario: Scenario, places: Places) -> tuple[int, int]:
    """Start a run with a tool; returns what `runner.start_action` does."""
    return start_action(lambda: _run(tool, scenario, places))


def _run(tool: Tool, scenario: Scenario, places: Places) -> Verdict:
    began = time.monotonic()
    rig = start_rig(scenario, places, Filesystems(places, with_power_cut=False), kit=False)
    car = Car(str(places.car / "control.sock"))
    before = memory(car).calibration
    rng = random.Random(f"{scenario.seed}/{scenario.run}/technician")
    planned = rng.randbytes(MEMORY_LIMIT)
    given, wrong = _as_given(planned, scenario, car, rng)
    link = str(rig.links["ecus"][ECU][scenario.kind])
    said_yes = False
    for number in range(TRIES[tool]):
        if number:
            rig.heal()
        if said_yes := _try_once(link, given, rig, first=number == 0):
            break
    rig.heal()
    if wrong:
        return _verdict(scenario, "silently wrong" if said_yes else "failed", began)
    bricked = bool(car.do("state", ecu=ECU)["bricked"])
    now = memory(car).calibration
    if bricked or now not in (before, planned):
        outcome = "silently wrong" if said_yes else "bricked"
    else:
        outcome = "flashed" if now == planned else "failed"
    return _verdict(scenario, outcome, began)


def _verdict(scenario: Scenario, outcome: str, began: float) -> Verdict:
    names = [fault.name for fault in scenario.faults]
    seconds = round(time.monotonic() - began, 2)
    return Verdict(run=scenario.run, outcome=outcome, faults=names, seconds=seconds)


def _as_given(
    planned: bytes, scenario: Scenario, car: Car, rng: random.Random
) -> tuple[bytes, bool]:
    """The bytes that the tool is given, and whether writing them at all is wrong.

    A tool without identity, manifest and evidence cannot see these mistakes; those of evidence do
    not exist for it.
    """
    match scenario.wrong():
        case "wrong ECU on the cable" | "ECU exchanged before the write":
            car.do("exchange", ecu=ECU, dids={"0xF18C": OTHER_SERIAL})
            return planned, True
        case "file for another variant":
            return planned, True
        case "file edited by one byte":
            edited = bytearray(planned)
            edited[rng.randrange(len(edited))] ^= 1 << rng.randrange(8)
            return bytes(edited), True
    return planned, False


def _try_once(link: str, data: bytes, rig: Handle, *, first: bool) -> bool:
    """Run the loop as a process of its own; True if it says that all is well."""
    pid = os.fork()
    if not pid:
        status = 1
        try:
            die_with_parent()
            time.sleep(POLL_S)
            with connect(link) as connection:
                flash(connection, CALIBRATION, data)
            status = 0
        finally:
            os._exit(status)
    rig.flasher(pid)
    if first:
        for phase in ("identify", "backup", "plan", "write"):
            rig.phase(phase)
    until = time.monotonic() + TRY_LIMIT_S
    while (ended := os.waitpid(pid, os.WNOHANG))[0] == 0:
        if time.monotonic() > until:
            os.kill(pid, 9)
        time.sleep(POLL_S)
    return ended[1] == 0
