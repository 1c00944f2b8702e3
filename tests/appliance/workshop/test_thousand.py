"""A thousand jobs of several kits over links that do everything wrong: each arrives once."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from appliance.ids import uuid7
from appliance.records import Customer, Records, vehicle
from appliance.records.events import JobCreated
from appliance.store import Tables
from appliance.sync.handover import PIECE_BYTES
from appliance.sync.hubclient import HubClient, tls_for
from appliance.workshop.checking import Check
from appliance.workshop.kept import LiveHub
from tests.appliance.records.sample import open_records
from tests.appliance.workshop.conftest import Workshop, serving
from tests.appliance.workshop.cutting import CuttingProxy
from tests.appliance.workshop.faulty import FaultyProxy
from tests.appliance.workshop.test_faults import handed_over
from tests.appliance.workshop.test_handover import IMAGE, Kit, job_with_files

KITS, JOBS = 4, 250
TRIES = 2_000
WITH_FILES = 20
"""Requests more for the job with files: it is put twice, each file asked for and sent in pieces."""
FILES_BYTES = len(IMAGE) + 50_000
"""What that job's record and files have, at most; kits may send the same image at the same time."""


@pytest.mark.timeout(600)
def test_a_thousand_jobs_arrive_as_a_thousand_records_whatever_the_link_does(
    tmp_path: Path,
) -> None:
    with serving(tmp_path / "workshop") as workshop, ExitStack() as stack:
        faulty = FaultyProxy(workshop.address, workshop.keys, one_in=12)
        stack.enter_context(faulty.running())
        # The pieces of a backup are 128 KiB: most connections end within a few of them.
        cutting = CuttingProxy(targets=[faulty.port], draw=[2_000, 600_000])
        stack.enter_context(cutting.running())
        kits = [_kit(stack, tmp_path / f"kit-{n}", workshop, cutting.port) for n in range(KITS)]
        with ThreadPoolExecutor(KITS) as threads:
            for ended in [threads.submit(handed_over, kit, TRIES) for kit in kits]:
                ended.result()
        records = _judge(workshop, kits)
        assert cutting.cuts > KITS
        assert all(faulty.faults[kind] > 5 for kind in ("lost", "answer lost", "twice"))
        # What came to the hub and had to come again; "lost" never came.
        again = cutting.cuts + faulty.faults["answer lost"] + faulty.faults["twice"]
        assert faulty.requests <= KITS * (JOBS + WITH_FILES) + 2 * again
        assert faulty.to_hub <= records + KITS * FILES_BYTES + again * PIECE_BYTES
        assert list(Check(LiveHub(workshop.hub)).findings()) == []


def _kit(stack: ExitStack, folder: Path, workshop: Workshop, port: int) -> Kit:
    """A kit with its jobs, the first of them with a backup, ready to hand over."""
    folder.mkdir()
    key = Ed25519PrivateKey.generate()
    workshop.enrolled(key, folder.name).__exit__(None, None, None)
    records = stack.enter_context(open_records(folder, key))
    hub = HubClient(f"https://127.0.0.1:{port}", tls_for(workshop.keys.authority), key)
    kit = Kit(records, workshop, stack.enter_context(hub))
    job_with_files(records)
    _make_jobs(records, JOBS - 1)
    kit.outbox.freeze()
    assert len(kit.outbox.items()) == JOBS
    return kit


def _make_jobs(records: Records, count: int) -> None:
    def work(tables: Tables) -> None:
        for number in range(count):
            created = JobCreated(
                customer=Customer(f"Customer {number}", "", ""),
                vehicle=vehicle("Golf IV", "WVWZZZ1JZXW000001", "B-FK 2026", 1),
                complaint="Stalls",
                technician="anna",
            )
            records._extend(tables, uuid7(), None, [created])

    records.store.run(work)


def _judge(workshop: Workshop, kits: list[Kit]) -> int:
    """Exactly what the kits had is there; returns how many bytes their records have."""
    sent: dict[str, bytes] = {}
    for kit in kits:
        items = kit.outbox.items(("RETIRABLE",))
        assert len(items) == JOBS
        sent |= {item.record: kit.outbox.sealed(item).body for item in items}
    with workshop.hub.database.reading() as tables:
        taken = {row.id: bytes(row.body) for row in tables.records.select()}
        assert tables.conflicts.select().count() == 0
        assert tables.jobs.select().count() == KITS * JOBS
    assert taken == sent
    return sum(len(body) for body in sent.values())
