"""What the store costs as it grows: 100, 1,000, 10,000 and 100,000 jobs in one database.

The jobs are made by the kit's own record code, signatures and encryption included; only the number
of them that share one transaction is larger than in life.
"""

from __future__ import annotations

import itertools
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from appliance.identity.trust import signer_line
from appliance.ids import uuid7
from appliance.records import Body, Customer, JobFilter, Records, vehicle
from appliance.records import events as e
from appliance.store import Store, Tables
from hw.sshsig import AllowedSigners
from tests.benchmark.figures import BUILD, Figure, compared, figure
from tests.benchmark.rig import median

SIZES = (100, 1_000, 10_000, 100_000)
BATCH = 1_000
LOOKS = 21
NEWEST = 50
DATABASE_KEY = bytes(range(32))


def measure(largest: int) -> list[Figure]:
    """Every operation at every size, beside the same one at 100 jobs."""
    BUILD.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="growth", dir=BUILD) as folder:
        kit = _Kit(Path(folder))
        took = {size: _at(kit, size) for size in SIZES if size <= largest}
    first = took[SIZES[0]]
    rows = []
    for name, (goal_ms, _) in _OPERATIONS.items():
        for size, times in took.items():
            called = f"{size} jobs, {name}"
            if size == SIZES[0]:
                rows.append(figure(called, times[name], "ms", "lower", goal_ms))
            else:
                peer = f"{SIZES[0]} jobs"
                row = compared(called, times[name], "ms", "lower", peer, first[name], goal=goal_ms)
                rows.append(row)
    return rows


class _Kit:
    """The key and the list of signers of a kit that has nothing but a database."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._key = Ed25519PrivateKey.generate()
        (folder / "allowed_signers").write_text(signer_line("kit", self._key.public_key()))
        self.jobs: list[str] = []

    def open(self) -> Records:
        """Open the database, as unlocking does."""
        store = Store(self.folder / "appliance.db", DATABASE_KEY)
        return Records(store, self._key, AllowedSigners.load(self.folder / "allowed_signers"))

    def grow(self, records: Records, size: int) -> None:
        """Add jobs until there are so many."""
        while len(self.jobs) < size:
            fresh = [uuid7() for _ in range(min(BATCH, size - len(self.jobs)))]
            first = len(self.jobs)

            def work(tables: Tables, fresh: list[str] = fresh, first: int = first) -> None:
                for number, job in enumerate(fresh, start=first):
                    records._extend(tables, job, None, list(_life(number)))

            records.store.run(work)
            self.jobs += fresh


def _life(number: int) -> Iterator[Body]:
    """What a job that ended well holds of the events that its view is made of."""
    run, digest = f"run-{number}", f"{number:064x}"
    car = vehicle(f"Volkswagen Golf {number}", "WVWZZZ1JZXW000001", f"B-FK {number}", number)
    customer = Customer(f"Customer {number}", "+49 30 1234567", "somebody@example.org")
    yield e.JobCreated(
        customer=customer, vehicle=car, complaint="Stalls when hot", technician="anna"
    )
    values = [e.DidValue(did=did, label="A value", value="00" * 16) for did in range(10)]
    yield e.Identified(ecu="engine", profile="sim-engine", link="doip://", values=values)
    yield e.WriteStarted(run=run, plan_digest=digest)
    yield e.WriteEnded(run=run, outcome="verified", code="verified", what="Done.", next_step="")


def _at(kit: _Kit, size: int) -> dict[str, list[float]]:
    """Milliseconds of each operation, several times, at one size."""
    records = kit.open()
    kit.grow(records, size)
    records.store.close()
    took: dict[str, list[float]] = {name: [] for name in _OPERATIONS}
    for _ in range(5):
        began = time.perf_counter()
        records = kit.open()
        took["unlock opens the store"].append((time.perf_counter() - began) * 1e3)
        _look(kit, records, took)
        records.store.close()
    return took


def _look(kit: _Kit, records: Records, took: dict[str, list[float]]) -> None:
    jobs = itertools.cycle(kit.jobs[:: max(len(kit.jobs) // LOOKS, 1)])
    for name, (_, operation) in _OPERATIONS.items():
        if operation is None:
            continue
        times = []
        for _ in range(LOOKS):
            job = next(jobs)
            began = time.perf_counter()
            operation(records, job)
            times.append((time.perf_counter() - began) * 1e3)
        took[name].append(median(times))


def _open_one(records: Records, job: str) -> None:
    records.job(job)
    records.events(job)


def _list(records: Records, _job: str) -> None:
    if len(records.list_jobs(JobFilter(limit=NEWEST))) != NEWEST:
        raise RuntimeError("the list is too short")


def _find(records: Records, _job: str) -> None:
    records.list_jobs(JobFilter(words="golf somebody", limit=NEWEST))


def _append(records: Records, job: str) -> None:
    records.append(job, e.Note(author="anna", text="Measured."))


_Operation = Callable[[Records, str], None]
_OPERATIONS: dict[str, tuple[float, _Operation | None]] = {
    "unlock opens the store": (1000.0, None),
    f"list the newest {NEWEST}": (10.0, _list),
    f"search, the newest {NEWEST}": (50.0, _find),
    "open one": (10.0, _open_one),
    "append one": (25.0, _append),
}
"""Name, the longest that a person should wait for it (ms), and what does it."""
