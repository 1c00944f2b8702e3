"""A kit for journeys: the processes that `fieldkit up --sim` starts, each under the test's hand.

Memory is small and times are short, so that a write is a matter of seconds: by data, as in the
campaign. What a test kills stays down until the test starts it again.
"""

from __future__ import annotations

import hashlib
import json
import random
import shutil
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path

from appliance import supervisor
from appliance.api import messages as m
from appliance.carlinks import write_car_links
from appliance.client import ApiError
from appliance.identity import sign_profile, unlock
from tests.campaign.template import quick_profile
from tests.stack import (
    GOOD_VOLTS,
    PASSPHRASE,
    TECHNICIAN,
    WAIT_LIMIT_S,
    Stack,
    environment,
    make_kit,
    write_srecord,
)

ECU, PROFILE = "engine", "sim-engine"
CLUSTER, CLUSTER_PROFILE = "cluster", "sim-cluster"
CUSTOMER = "Fleet Ltd"
CALIBRATION = 0x8000
SIZE = 16 * 1024
SOFTWARE_NUMBER = "8K0907115R"
BLOCKS = 64
PROGRAM_US_PER_KIB = 400_000
"""A block takes 100 ms, so that there is a middle of a write to do something in."""
TIMES = {"settle_s": "0.5", "resume_after_s": "0.5", "stale_s": "0.5"}
"""A sample that comes late because the computer is busy is another test's business."""
TRANSFER_DATA = "36"
SEEDS = random.Random(41)


@dataclass
class Kit(Stack):
    """A kit and a car whose processes can be killed and started again one by one."""

    programs: supervisor.Supervisor = field(kw_only=True)

    def start_program(self, program: supervisor.Program) -> str:
        """Start one of the kit's processes; gives what it announced."""
        return self.programs.start(supervisor.in_environment(program, environment(self.folder)))

    def start_hw(self) -> None:
        """Start the process that reaches the car, at the priority of its unit where allowed."""
        hw = supervisor.hw_program(self.run)
        self.start_program(replace(hw, arguments=["nice", "-n", "-10", *hw.arguments]))

    def start_appliance(self) -> None:
        """Start the process that knows the job; it is locked then."""
        self.start_program(supervisor.appliance_program(self.run))

    def blocks(self, after: int = 0) -> int:
        """How many TransferData the car got behind an entry of its log."""
        return sum(entry["request"].startswith(TRANSFER_DATA) for entry in self.requests(after))

    def wait_for(self, service: str, count: int, after: int) -> None:
        """Return once the car got so many requests of a service behind an entry of its log."""
        end = time.monotonic() + WAIT_LIMIT_S
        while sum(one["request"].startswith(service) for one in self.requests(after)) < count:
            assert time.monotonic() < end, f"the car got no {count} of {service}"
            time.sleep(0.05)

    def file_on_stick(self, name: str) -> bytes:
        """Put a file of random bytes for the engine's calibration onto the stick."""
        data = SEEDS.randbytes(SIZE)
        (stick,) = (self.state / "sticks").iterdir()
        write_srecord(data, CALIBRATION, stick / name)
        return data

    def put_back(self) -> None:
        """Put the exchanged ECU back, and return once it hears again."""
        self.control(do="exchange", ecu=ECU)
        end = time.monotonic() + WAIT_LIMIT_S
        with self.client() as client:
            while True:
                try:
                    client.identify(self.link(ECU, "can"), PROFILE)
                except ApiError:
                    assert time.monotonic() < end, "the ECU that was put back does not answer"
                else:
                    return

    def planned(self, vehicle: str) -> tuple[str, bytes]:
        """A job that is ready for its gates; gives its id and the bytes that it writes."""
        data = SEEDS.randbytes(SIZE)
        manifest = {
            "address": CALIBRATION,
            "size": SIZE,
            "sha256": hashlib.sha256(data).hexdigest(),
            "sw_part_number": SOFTWARE_NUMBER,
        }
        link = self.link(ECU, "can")
        with self.client() as client:
            job = client.job_new(CUSTOMER, vehicle).job
            client.identify(link, PROFILE, job)
            client.backup_make(m.BackupMake(link=link, profile=PROFILE, job=job))
            client.plan_flash(
                m.PlanFlash(
                    link=link,
                    profile=PROFILE,
                    job=job,
                    name="new.bin",
                    content=data,
                    manifest=json.dumps(manifest).encode(),
                )
            )
        return job, data

    def planned_keys(self, vehicle: str, keys: int) -> str:
        """A job whose plan learns keys into the cluster, ready for what the customer must sign."""
        link = self.link(CLUSTER, "can")
        with self.client() as client:
            job = client.job_new(CUSTOMER, vehicle).job
            client.identify(link, CLUSTER_PROFILE, job)
            client.backup_make(m.BackupMake(link=link, profile=CLUSTER_PROFILE, job=job))
            client.plan_code(
                m.PlanCode(
                    link=link,
                    profile=CLUSTER_PROFILE,
                    job=job,
                    settings=[f"immobiliser.keys={keys}"],
                )
            )
        return job

    def state_of(self, job: str) -> str:
        """What the kit says of a job."""
        with self.client() as client:
            return client.job_show(job).state

    def holds(self, data: bytes) -> bool:
        """Does the car's own memory hold these bytes?"""
        return self.memory(ECU, CALIBRATION, SIZE) == data


@contextmanager
def running_kit() -> Iterator[Kit]:
    """Make a kit, start its processes and the car, unlock it; end it all."""
    folder = Path(tempfile.mkdtemp(prefix="fk", dir="/tmp"))
    try:
        recovery_key = make_kit(folder)
        _make_quick(folder / "state")
        (folder / "run" / "sim").mkdir(parents=True)
        with supervisor.Supervisor(folder / "run", print) as programs:
            kit = Kit(folder, recovery_key, programs=programs)
            kit.car = supervisor.car_of(kit.start_program(_car(kit.run / "sim")))
            write_car_links(kit.state, kit.car)
            kit.start_hw()
            kit.start_appliance()
            kit.volts(GOOD_VOLTS)
            kit.unlock()
            yield kit
    finally:
        shutil.rmtree(folder)


def _car(folder: Path) -> supervisor.Program:
    return supervisor.simulator(
        *("--folder", str(folder), "--memory-limit", str(SIZE)),
        *("--erase-ms-per-sector", "20", "--program-us-per-kib", str(PROGRAM_US_PER_KIB)),
    )


def _make_quick(state: Path) -> None:
    unlocked = unlock(state, TECHNICIAN, PASSPHRASE)
    for name in (PROFILE, CLUSTER_PROFILE):
        path = state / "profiles" / f"{name}.toml"
        path.write_text(quick_profile(path.read_text(), TIMES, SIZE))
        sign_profile(unlocked, path)
