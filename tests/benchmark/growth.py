"""What the store costs as it grows: 100, 1,000, 10,000 and 100,000 jobs in one database, and up to
10,000 writes in hw's journal.

The first 10,000 jobs are made by the kit's own record code, signatures and encryption included;
only the number of them that share one transaction is larger than in life. Of the others one in a
thousand is; the rest are copies of rows, under ids of their own: as large, and in every index, but
with the events and signatures of another job. So lists and searches go through all of them, and
what is opened or appended to is real. The journal's files are those of one real flash, under other
names.
"""

from __future__ import annotations

import itertools
import json
import os
import tempfile
import time
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path

import msgspec
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from appliance.identity.trust import signer_line
from appliance.ids import uuid7
from appliance.records import Body, Customer, JobFilter, Records, vehicle
from appliance.records import events as e
from appliance.store import Store, Tables
from hw.journal import Journal
from hw.sshsig import AllowedSigners
from tests.benchmark.figures import BUILD, Figure, compared, figure
from tests.benchmark.rates import CAN_ADDRESS, CAN_SIZE
from tests.benchmark.rig import bench_car, kit_transfer, median, running_kit

SIZES = (100, 1_000, 10_000, 100_000)
LARGEST_JOURNAL = 10_000
COPIED_FROM = 10_000
"""Beyond it most jobs are copies: to sign all would take most of the benchmark's time."""
BATCH = 1_000
OPENINGS, LOOKS = 5, 11
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
    return rows + _journal(min(largest, LARGEST_JOURNAL))


def _journal(largest: int) -> list[Figure]:
    """The list of hw's runs: when hw has just started, and again as each status asks for it."""
    with tempfile.TemporaryDirectory(prefix="journal", dir=BUILD) as name:
        template = _one_flash()
        rows: list[Figure] = []
        made, peers = 0, ([0.0], [0.0])
        for size in (size for size in SIZES if size <= largest):
            for number in range(made + 1, size + 1):
                _copy_run(template, Path(name), f"{number:08d}-bench")
            made = size
            took = _list_runs(Path(name), size)
            if size == SIZES[0]:
                peers = took
            for what, goal_ms, times, first in zip(
                ("first list after a start", "list"), (10_000.0, 250.0), took, peers, strict=True
            ):
                called, peer = f"{size} writes in hw's journal, {what}", f"{SIZES[0]} writes"
                rows.append(compared(called, times, "ms", "lower", peer, first, goal=goal_ms))
    return rows


def _list_runs(folder: Path, size: int) -> tuple[list[float], list[float]]:
    first: list[float] = []
    again: list[float] = []
    for _ in range(5):
        journal = Journal(folder)
        for times in (first, again):
            began = time.perf_counter()
            found = journal.runs()
            times.append((time.perf_counter() - began) * 1e3)
            if len(found) != size:
                raise RuntimeError(f"{len(found)} runs of {size} were listed")
    return first, again


def _one_flash() -> bytes:
    """The journal of one real flash of 64 KiB."""
    with bench_car() as (car, folder), running_kit(car, folder) as kit:
        kit_transfer(kit, car, "can", CAN_ADDRESS, os.urandom(CAN_SIZE))
        (path,) = (kit.state / "hw" / "journal").glob("*.journal")
        return path.read_bytes()


def _copy_run(template: bytes, folder: Path, run: str) -> None:
    """The same run under another name, with a whole first line."""
    first, _, rest = template.partition(b"\n")
    header = msgspec.json.decode(first.partition(b" ")[2])
    text = msgspec.json.encode({**header, "run": run})
    line = b"%08x %s\n" % (zlib.crc32(text), text)
    (folder / f"{run}.journal").write_bytes(line + rest)


class _Kit:
    """The key and the list of signers of a kit that has nothing but a database."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._key = Ed25519PrivateKey.generate()
        (folder / "allowed_signers").write_text(signer_line("kit", self._key.public_key()))
        self.jobs: list[str] = []
        """Those that the record code made."""
        self._size = 0

    def open(self) -> Records:
        """Open the database, as unlocking does."""
        store = Store(self.folder / "appliance.db", DATABASE_KEY)
        return Records(store, self._key, AllowedSigners.load(self.folder / "allowed_signers"))

    def grow(self, records: Records, size: int) -> None:
        """Add jobs until there are so many."""
        while (missing := size - self._size) > 0:
            if self._size < COPIED_FROM:
                self._make(records, min(BATCH, missing, COPIED_FROM - self._size))
            else:
                self._copy(records, min(BATCH, missing) - 1)
                self._make(records, 1)

    def _make(self, records: Records, count: int) -> None:
        fresh = [uuid7() for _ in range(count)]

        def work(tables: Tables) -> None:
            for number, job in enumerate(fresh, start=self._size):
                records._extend(tables, job, None, list(_life(number)))

        records.store.run(work)
        self.jobs += fresh
        self._size += count

    def _copy(self, records: Records, count: int) -> None:
        copies = {job: uuid7() for job in self.jobs[:count]}

        def work(tables: Tables) -> None:
            for statement in _COPY:
                tables.jobs._database.execute_sql(statement, (json.dumps(copies),))

        records.store.run(work)
        self._size += len(copies)


_COPY = (
    """
    INSERT INTO events
    SELECT n.value, seq, kind, iif(run = '', '', n.value), run_seq, hash, document, signature
    FROM json_each(?) n JOIN events ON job = n.key
    """,
    """
    INSERT INTO heads
    SELECT n.value, document, signature FROM json_each(?) n JOIN heads ON job = n.key
    """,
    """
    INSERT INTO jobs
    SELECT n.value, state, vin, made, replace(search, n.key, n.value),
        CAST(replace(CAST(view AS TEXT), n.key, n.value) AS BLOB)
    FROM json_each(?) n JOIN jobs ON job = n.key
    """,
    "INSERT INTO subjects SELECT 'run', n.value, n.value FROM json_each(?) n",
)
"""Every row of a job again under another id; a run that is not empty gets that id as its name."""


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
    for _ in range(OPENINGS):
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


def _search(records: Records, _job: str) -> None:
    """The worst of all searches: nothing fits, so that every job is looked at."""
    if records.list_jobs(JobFilter(words="golf nobody", limit=NEWEST)):
        raise RuntimeError("somebody was found")


def _find(records: Records, job: str) -> None:
    if records.find(job) != job:
        raise RuntimeError("another job was found")


def _find_by_end(records: Records, job: str) -> None:
    if records.find(job[-12:]) != job:
        raise RuntimeError("another job was found")


def _append(records: Records, job: str) -> None:
    records.append(job, e.Note(author="anna", text="Measured."))


_Operation = Callable[[Records, str], None]
_OPERATIONS: dict[str, tuple[float, _Operation | None]] = {
    "unlock opens the store": (1000.0, None),
    f"list the newest {NEWEST}": (10.0, _list),
    "search for what is not there": (1000.0, _search),
    "find one by its id": (10.0, _find),
    "find one by the end of its id": (250.0, _find_by_end),
    "open one": (10.0, _open_one),
    "append one": (25.0, _append),
}
"""Name, the longest that a person should wait for it (ms), and what does it."""
