"""A whole kit at a car on a paced bus, for the screen to be a client of; flashes by the API."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from bincopy import BinFile

from appliance import supervisor
from appliance.client import Client
from appliance.client import messages as m
from tests.benchmark.processes import make_kit
from tests.benchmark.rates import CAN_ADDRESS, CAN_SIZE
from tests.benchmark.rig import BUS_PRIORITY, UNIT_PRIORITY, run_before_others
from tests.stack import PASSPHRASE, TECHNICIAN, environment

PROFILE = "sim-engine"
FAST = ("--erase-ms-per-sector", "0", "--program-us-per-kib", "0", "--pace")
GATES_LIMIT_S = 30.0


@dataclass
class ScreenKit:
    """The kit, unlocked, with a job whose ECU is backed up."""

    socket: Path
    client: Client
    links: dict[str, str]
    job: str = ""

    def unlock(self) -> None:
        """Open it."""
        self.client.unlock(TECHNICIAN, PASSPHRASE)

    def prepare(self) -> None:
        """A job with a backup."""
        self.job = self.client.job_new("Ada", "Polo").job
        self.client.backup_make(m.BackupMake(self.links["doip"], PROFILE, self.job))

    def start_flash(self) -> m.Started:
        """Begin to write 64 KiB over CAN at 500 kbit/s, once the gates let it."""
        file = BinFile()
        file.add_binary(os.urandom(CAN_SIZE), address=CAN_ADDRESS)
        plan = self.client.plan_flash(
            m.PlanFlash(
                link=self.links["can"], profile=PROFILE, job=self.job, name="new.hex",
                content=file.as_ihex().encode(),
            )
        )  # fmt: skip
        until = time.monotonic() + GATES_LIMIT_S
        while True:
            started = self.client.run(self.job, plan.file, plan.risk_digest, PASSPHRASE)
            if started.run:
                return started
            if time.monotonic() > until:
                raise RuntimeError([one.reason for one in started.gates if not one.passed])

    def finish_flash(self, started: m.Started, written: Callable[[], None]) -> float:
        """Wait until it is verified; gives the kB/s of its blocks.

        `written` is called when the last of them is: reading back takes as long again.
        """
        download, began, rate = -1, 0.0, 0.0
        for event in self.client.events(started.job, started.after, follow=True):
            body = event.body
            if event.kind == "step_started" and body["step"] == "download":
                download, began = body["index"], body["at"]
            if event.kind == "step_done" and body["index"] == download:
                rate = CAN_SIZE / (body["at"] - began) / 1e3
                written()
            if event.kind == "outcome":
                if body["outcome"] != "verified":
                    raise RuntimeError(body["what"])
                break
        return rate


@contextmanager
def running_screen_kit(folder: Path) -> Iterator[ScreenKit]:
    """Start car, hw and appliance; the kit is locked."""
    run, car = folder / "run", folder / "run" / "sim"
    car.mkdir(parents=True)
    os.environ.update(environment(folder))
    make_kit(folder, car)
    with supervisor.Supervisor(run, lambda _text: None) as programs:
        told = programs.start(supervisor.simulator("--folder", str(car), *FAST))
        run_before_others(programs.pid("sim"), os.SCHED_FIFO, BUS_PRIORITY)
        programs.start(supervisor.hw_program(run))
        run_before_others(programs.pid("hw"), os.SCHED_RR, UNIT_PRIORITY)
        programs.start(supervisor.appliance_program(run))
        socket = run / "appliance.sock"
        with Client(socket) as client:
            yield ScreenKit(socket, client, supervisor.car_of(told)["ecus"]["engine"])
