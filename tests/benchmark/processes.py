"""What each process of the kit takes: memory (PSS: shared pages count in parts) and time to ready.

Memory is looked at after the kit was unlocked and an ECU was identified over both links.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from appliance import supervisor
from appliance.age import new_identity
from appliance.cli.setup import REGISTERS
from appliance.client import Client
from appliance.identity import init_kit
from tests.benchmark.figures import Figure, compared, figure
from tests.stack import PASSPHRASE, TECHNICIAN, environment

STOCK = "import can, isotp, udsoncan, doipclient"
STOCK_NAME = "python, stock stack imported"
ROLES = {"hw": "fieldkit-hw", "appliance": "fieldkit-appliance", "sim": "fieldkit sim"}
GOALS = {"hw": (60.0, 1.0), "appliance": (120.0, 2.0), "sim": (60.0, 2.0)}
"""Megabytes and seconds; those of hw are promised, the others keep a kit with 1 GB comfortable."""
STATUS_GOAL_S = 1.0


def measure(runs: int) -> list[Figure]:
    """Start everything anew so often."""
    took: dict[str, list[tuple[float, float]]] = {name: [] for name in (*ROLES, "stock")}
    commands: list[float] = []
    for _ in range(runs):
        with tempfile.TemporaryDirectory(prefix="fkb") as folder:
            for name, one in _start_all(Path(folder), commands).items():
                took[name].append(one)
        took["stock"].append(_stock())
    rows = []
    for name, role in ROLES.items():
        for kind, unit, at in (("memory (PSS)", "MB", 0), ("start to ready", "s", 1)):
            ours, goal = [one[at] for one in took[name]], GOALS[name][at]
            called = f"{role}, {kind}"
            if name == "hw":
                theirs = [one[at] for one in took["stock"]]
                rows.append(compared(called, ours, unit, "lower", STOCK_NAME, theirs, goal=goal))
            else:
                rows.append(figure(called, ours, unit, "lower", goal))
    rows.append(figure("'fieldkit status', whole command", commands, "s", "lower", STATUS_GOAL_S))
    return rows


def _start_all(folder: Path, commands: list[float]) -> dict[str, tuple[float, float]]:
    """Megabytes and seconds of each process of a fresh kit."""
    run, car = folder / "run", folder / "run" / "sim"
    car.mkdir(parents=True)
    os.environ.update(environment(folder))
    make_kit(folder, car)
    starts: dict[str, float] = {}
    with supervisor.Supervisor(run, lambda _text: None) as programs:

        def start(name: str, program: supervisor.Program) -> str:
            began = time.perf_counter()
            told = programs.start(program)
            starts[name] = time.perf_counter() - began
            return told

        told = start("sim", supervisor.simulator("--folder", str(car)))
        start("hw", supervisor.hw_program(run))
        start("appliance", supervisor.appliance_program(run))
        with Client(run / "appliance.sock") as client:
            client.unlock(TECHNICIAN, PASSPHRASE)
            links = supervisor.car_of(told)["ecus"]["engine"]
            for kind in ("can", "doip"):
                client.identify(links[kind], "sim-engine")
        commands.append(_seconds(lambda: _run("-m", "appliance.cli", "status")))
        return {name: (pss_mb(programs.pid(name)), starts[name]) for name in ROLES}


def make_kit(folder: Path, car: Path) -> None:
    media = {name: folder / f"medium-{name}" for name in ("a", "b")}
    for medium in media.values():
        medium.mkdir()
    init_kit(
        folder / "state",
        technicians=[(TECHNICIAN, "owner", PASSPHRASE)],
        workshop_recipient=new_identity()[1],
        recovery_recipient=new_identity()[1],
        config={
            "voltage": {"sensor": f"ina219+sim://{car / REGISTERS}"},
            "media": {name: str(medium) for name, medium in media.items()} | {"simulated": True},
        },
    )


def pss_mb(pid: int) -> float:
    """Memory of a process, with its share of what it shares."""
    text = Path(f"/proc/{pid}/smaps_rollup").read_text()
    found = re.search(r"^Pss:\s+(\d+) kB", text, re.MULTILINE)
    if found is None:
        raise RuntimeError(f"the kernel does not tell the memory of {pid}")
    return int(found[1]) / 1024


def _stock() -> tuple[float, float]:
    """The same of a process that only imports the stock stack."""
    began = time.perf_counter()
    command = [sys.executable, "-c", f"{STOCK}\nprint(flush=True)\ninput()"]
    pipe = subprocess.PIPE
    with subprocess.Popen(command, stdin=pipe, stdout=pipe, stderr=subprocess.DEVNULL) as process:
        if process.stdout is None:
            raise RuntimeError("the process has no pipe")
        process.stdout.readline()
        seconds = time.perf_counter() - began
        size = pss_mb(process.pid)
        process.kill()
    return size, seconds


def _run(*words: str) -> None:
    subprocess.run([sys.executable, *words], check=True, stdout=subprocess.DEVNULL)


def _seconds(work: Callable[[], None]) -> float:
    began = time.perf_counter()
    work()
    return time.perf_counter() - began
