"""One run, in its own namespaces: the job, then the verdict, as JSON into a pipe."""

from __future__ import annotations

import os
import shutil
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import msgspec

from tests.campaign.faults import Scenario
from tests.campaign.judge import Judge, Verdict, memory
from tests.campaign.rig import Car, log_of, start_rig
from tests.campaign.sandbox import Filesystems, run_isolated
from tests.campaign.technician import Hang, Technician
from tests.campaign.template import Places

LOGS = ("hw", "appliance", "sim", "rig")


def start_run(scenario: Scenario, places: Places) -> tuple[int, int]:
    """Start a run with the kit; returns what `start_action` does."""
    return start_action(lambda: run(scenario, places))


def start_action(action: Callable[[], Verdict]) -> tuple[int, int]:
    """Start something in namespaces of its own.

    Returns:
        Its process, and the pipe that its verdict comes out of.
    """
    out, into = os.pipe()

    def tell() -> None:
        os.close(out)
        verdict = action()
        with os.fdopen(into, "wb") as pipe:
            pipe.write(msgspec.json.encode(verdict))

    child = run_isolated(tell)
    os.close(into)
    return child, out


def run(scenario: Scenario, places: Places) -> Verdict:
    """Do a whole job and judge it."""
    began = time.monotonic()
    filesystems = Filesystems(places, with_power_cut=scenario.power_cut)
    try:
        verdict = _job(scenario, places, filesystems)
    except Exception:
        _keep_logs(scenario, places)
        raise
    if verdict.defects:
        _keep_logs(scenario, places)
    verdict.seconds = round(time.monotonic() - began, 2)
    return verdict


def _job(scenario: Scenario, places: Places, filesystems: Filesystems) -> Verdict:
    rig = start_rig(scenario, places, filesystems)
    car = Car(str(places.car / "control.sock"))
    before, hang = memory(car), ""
    technician = Technician(scenario, places, rig, car)
    try:
        technician.work()
    except Hang as stuck:
        hang = str(stuck)
    return Judge(scenario, places, rig, car, before, technician.seen).judge(hang)


def _keep_logs(scenario: Scenario, places: Places) -> None:
    """For whoever looks into a defect: what the processes wrote, and what the car received."""
    folder = kept_logs(places, scenario.run)
    folder.mkdir(parents=True, exist_ok=True)
    for name in LOGS:
        (folder / f"{name}.log").write_text(log_of(places, name))
    with suppress(FileNotFoundError):
        shutil.copy(places.car / "requests.jsonl", folder)
    (folder / "scenario.json").write_bytes(msgspec.json.format(msgspec.json.encode(scenario)))


def kept_logs(places: Places, run: int) -> Path:
    """Where the logs of a run that had a defect are."""
    return places.root / "kept" / str(run)
