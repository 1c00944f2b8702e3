"""The workshop's hub under load, over a link that is cut, and what it takes of memory.

Fifty simulated kits hand over jobs with a file each, as a kit does: the file, which is small, and
then the record.
All is signed beforehand, so that what the kits compute does not count; the hub checks everything,
and has durability on (WAL, `synchronous=FULL`). The hub is one process; those who load it share the
processors with it. The same without HTTP and TLS shows what the rules and the database alone take.
"""

from __future__ import annotations

import asyncio
import hashlib
import io
import os
import re
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from appliance import supervisor
from appliance.api import messages as m
from appliance.client import Client
from appliance.demohub import make_demo_hub
from appliance.identity.wallclock import moment
from appliance.ids import uuid7
from appliance.records import Customer, vehicle
from appliance.records import events as e
from appliance.records.chain import NO_EVENT, make_event, make_head
from appliance.records.records import Records
from appliance.sync.handover import Handover
from appliance.sync.hubclient import ComeAgain, HubClient, tls_for
from appliance.sync.record import (
    NO_RECORD,
    BlobRef,
    Record,
    SealedRecord,
    seal_record,
    signed_pairs,
)
from appliance.sync.requests import NONCE_BYTES, Caller, kit_id, sign_request
from appliance.workshop.hub import Hub
from appliance.workshop.keys import init_workshop
from appliance.workshop.program import open_hub
from tests.appliance.records.sample import identified, new_job, open_records
from tests.appliance.workshop.conftest import Workshop
from tests.appliance.workshop.conftest import serving as serving_here
from tests.appliance.workshop.cutting import CuttingProxy
from tests.appliance.workshop.test_handover import MANIFEST, SIGNATURE, Kit
from tests.benchmark.figures import BUILD, Figure, figure
from tests.benchmark.processes import make_kit, pss_mb
from tests.benchmark.rig import percentile
from tests.stack import PASSPHRASE, TECHNICIAN, environment
from tests.test_workshop import free_port, serving

KITS = 50
BLOB_BYTES = 2_000
RATE_GOAL, P99_GOAL_MS, MEMORY_GOAL_MB, SYNC_GOAL_MB, EXTRA_GOAL = 800.0, 250.0, 250.0, 40.0, 5.0
BACKUP_BYTES, CUT_EVERY = 64 << 20, 2 << 20
SIGNED_AHEAD_S = 240
"""A hub takes what is signed for up to 300 s on either side of its clock."""


def measure(jobs: int) -> list[Figure]:
    """So many jobs of each kit."""
    BUILD.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="workshop", dir=BUILD.resolve()) as name:
        return [
            *_over_tls(Path(name) / "tls", jobs),
            *_rules_alone(Path(name) / "rules", jobs),
            _over_cut_link(Path(name) / "cut"),
            _memory_of_sync(),
        ]


# Simulated kits -----------------------------------------------------------------------------------


@dataclass(frozen=True)
class _Job:
    """A job's record and its file."""

    sealed: SealedRecord
    blob: bytes

    @property
    def name(self) -> str:
        return self.sealed.record.blobs[0].sha256


@dataclass(frozen=True)
class _SimulatedKit:
    key: Ed25519PrivateKey
    jobs: list[_Job]


def _kits(hub: Hub, jobs: int) -> list[_SimulatedKit]:
    """Kits that are let in, with their jobs."""
    kits = []
    for number in range(KITS):
        key = Ed25519PrivateKey.generate()
        caller = Caller(kit_id(key.public_key()), os.urandom(NONCE_BYTES).hex(), int(time.time()))
        hub.enrol(hub.new_token(f"Van {number}"), key.public_key(), caller)
        kits.append(_SimulatedKit(key, _jobs(key, jobs)))
    return kits


def _jobs(key: Ed25519PrivateKey, count: int) -> list[_Job]:
    previous, made = NO_RECORD, []
    for number in range(1, count + 1):
        job, blob = uuid7(), os.urandom(BLOB_BYTES)
        created = e.JobCreated(
            customer=Customer(f"Customer {number}", f"+27 82 {number:07}", ""),
            vehicle=vehicle("Golf IV", f"WVWZZZ1JZXW{number:06}", f"B-FK {number}", number),
            complaint="Stalls when hot",
            technician="anna",
        )
        first = make_event(job, 1, NO_EVENT, moment(), created, key)
        last = make_event(job, 2, first.hash, moment(), identified("1.0.7"), key)
        head = make_head(last, key)
        record = Record(
            format="fieldkit-record/1",
            record=uuid7(),
            kit=kit_id(key.public_key()),
            sequence=number,
            prev_sha256=previous,
            job=job,
            first=1,
            prev_hash=NO_EVENT,
            events=signed_pairs([(one.document, one.signature) for one in (first, last)]),
            head=signed_pairs([(head.document, head.signature)])[0],
            blobs=[BlobRef(kind="plan", sha256=_sha256(blob), size=len(blob))],
        )
        sealed = seal_record(record, key)
        previous = sealed.sha256
        made.append(_Job(sealed, blob))
    return made


def _sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


# Over TLS -----------------------------------------------------------------------------------------


def _over_tls(folder: Path, jobs: int) -> list[Figure]:
    keys = init_workshop(folder, ["127.0.0.1"], lambda identity: identity)
    hub, _ = open_hub(folder, "", "")
    kits = _kits(hub, jobs)
    port = free_port()
    with serving(folder, port) as process:
        requests = [[_signed(kit.key, job) for job in kit.jobs] for kit in kits]
        began = time.perf_counter()
        took = asyncio.run(_load(port, keys.authority, requests))
        seconds = time.perf_counter() - began
        peak = _peak_mb(process.pid)
    _demand_all(hub, KITS * jobs)
    called = f"hub over TLS, {KITS} kits x {jobs} jobs with a file"
    return [
        figure(f"{called}: new records", [KITS * jobs / seconds], "1/s", "higher", RATE_GOAL),
        figure(
            f"{called}: one record, p99",
            [percentile(took, 99) * 1e3],
            "ms",
            "lower",
            P99_GOAL_MS,
        ),
        figure("hub, memory at its peak (RSS)", [peak], "MB", "lower", MEMORY_GOAL_MB),
    ]


def _signed(key: Ed25519PrivateKey, job: _Job) -> list[tuple[bytes, int]]:
    """The requests of one job as they go over the wire, each with the status that it must get."""
    record = f"/v1/records/{job.sealed.record.record}"
    piece = f"/v1/blobs/{job.name}?offset=0&total={len(job.blob)}"
    return [
        (_request(key, "PATCH", piece, job.blob), 204),
        (_request(key, "PUT", record, job.sealed.body), 201),
    ]


def _request(key: Ed25519PrivateKey, method: str, target: str, body: bytes) -> bytes:
    signed = sign_request(key, method, target, body, time.time() + SIGNED_AHEAD_S)
    lines = [f"{method} {target} HTTP/1.1", "Host: hub", f"Content-Length: {len(body)}"]
    lines += [f"{name}: {value}" for name, value in signed.items()]
    return "\r\n".join([*lines, "", ""]).encode() + body


async def _load(
    port: int, authority: str, requests: list[list[list[tuple[bytes, int]]]]
) -> list[float]:
    """All kits at once, each with one connection; seconds that each record took."""
    tls, took = tls_for(authority), list[float]()
    tls.check_hostname = False

    async def kit(jobs: list[list[tuple[bytes, int]]]) -> None:
        reader, writer = await asyncio.open_connection("127.0.0.1", port, ssl=tls)
        for job in jobs:
            began = time.perf_counter()
            for request, wanted in job:
                writer.write(request)
                status = await _status(reader, has_body=not request.startswith(b"HEAD"))
                if status != wanted:
                    raise RuntimeError(f"{request[:60]!r} was answered with {status}")
            took.append(time.perf_counter() - began)
        writer.close()
        await writer.wait_closed()

    await asyncio.gather(*(kit(jobs) for jobs in requests))
    return took


async def _status(reader: asyncio.StreamReader, *, has_body: bool) -> int:
    head = await reader.readuntil(b"\r\n\r\n")
    length = re.search(rb"content-length: (\d+)", head, re.IGNORECASE)
    if has_body and length is not None:
        await reader.readexactly(int(length[1]))
    return int(head.split(b" ", 2)[1])


def _peak_mb(pid: int) -> float:
    found = re.search(r"VmHWM:\s+(\d+) kB", Path(f"/proc/{pid}/status").read_text())
    if found is None:
        raise RuntimeError(f"the kernel does not tell the memory of {pid}")
    return int(found[1]) / 1024


def _demand_all(hub: Hub, wanted: int) -> None:
    with hub.database.reading() as tables:
        there = tables.records.select().count()
    hub.database.close()
    if there != wanted:
        raise RuntimeError(f"{there} records of {wanted} are at the hub")


# Without HTTP and TLS -----------------------------------------------------------------------------


def _rules_alone(folder: Path, jobs: int) -> list[Figure]:
    """The same in one process, a thread for each kit: rules, store and database."""
    init_workshop(folder, ["127.0.0.1"], lambda identity: identity)
    hub, _ = open_hub(folder, "", "")
    kits = _kits(hub, jobs)
    took: list[float] = []

    def hand_over(kit: _SimulatedKit) -> None:
        name = kit_id(kit.key.public_key())

        def caller() -> Caller:
            return Caller(name, os.urandom(NONCE_BYTES).hex(), int(time.time()))

        for job in kit.jobs:
            record, body = job.sealed.record.record, job.sealed.body
            began = time.perf_counter()
            hub.blob_add(caller(), job.name, 0, len(job.blob), job.blob)
            hub.put_record(caller(), record, body)
            took.append(time.perf_counter() - began)

    began = time.perf_counter()
    with ThreadPoolExecutor(KITS) as threads:
        for done in [threads.submit(hand_over, kit) for kit in kits]:
            done.result()
    seconds = time.perf_counter() - began
    _demand_all(hub, KITS * jobs)
    called = "hub without HTTP and TLS, the same"
    return [
        figure(f"{called}: new records", [KITS * jobs / seconds], "1/s", "higher", RATE_GOAL),
        figure(
            f"{called}: one record, p99",
            [percentile(took, 99) * 1e3],
            "ms",
            "lower",
            P99_GOAL_MS,
        ),
    ]


# A link that is cut -------------------------------------------------------------------------------


class _LargeKit(Kit):
    """A kit with one large backup."""

    def __init__(self, workshop: Workshop, hub: HubClient, records: Records, image: bytes) -> None:
        super().__init__(records, workshop, hub)
        self.image = image

    def open_blob(self, blob: BlobRef) -> BinaryIO:
        return io.BytesIO(self.image) if blob.size == len(self.image) else super().open_blob(blob)


def _over_cut_link(folder: Path) -> Figure:
    """What goes over the link beside the backup itself: headers, TLS, and what comes again."""
    folder.mkdir()
    image, key = os.urandom(BACKUP_BYTES), Ed25519PrivateKey.generate()
    with serving_here(folder / "workshop") as workshop, open_records(folder, key) as records:
        workshop.enrolled(key).__exit__(None, None, None)
        proxy = CuttingProxy(targets=[workshop.port], draw=[CUT_EVERY, CUT_EVERY])
        job = new_job(records)
        made = e.BackupMade(
            backup=uuid7(),
            ecu="engine",
            manifest_sha256=_sha256(MANIFEST),
            objects=[e.StoredObject(kind="image", sha256=_sha256(image), size=len(image))],
            refused=[],
            folders=["a", "b"],
            simulated=True,
        )
        records.append(job, made)
        with (
            proxy.running(),
            HubClient(
                f"https://127.0.0.1:{proxy.port}", tls_for(workshop.keys.authority), key
            ) as through,
        ):
            kit = _LargeKit(workshop, through, records, image)
            kit.outbox.freeze()
            for _ in range(4 * BACKUP_BYTES // CUT_EVERY):
                try:
                    done = kit.hand_over()
                except ComeAgain:
                    continue
                if done == Handover(handed_over=1):
                    break
            else:
                raise RuntimeError("the backup did not arrive")
        workshop.hub.database.close()
    extra = 100 * (proxy.to_hub / (BACKUP_BYTES + len(MANIFEST) + len(SIGNATURE)) - 1)
    called = f"64 MiB backup over a link cut every 2 MiB ({proxy.cuts} cuts): extra bytes"
    return figure(called, [extra], "%", "lower", EXTRA_GOAL)


# What it takes of a kit ---------------------------------------------------------------------------


def _memory_of_sync() -> Figure:
    """Of fieldkit-appliance, before it knows a workshop and after it handed a job over."""
    with tempfile.TemporaryDirectory(prefix="fkb", dir="/tmp") as name:
        folder = Path(name)
        run, car = folder / "run", folder / "run" / "sim"
        car.mkdir(parents=True)
        os.environ.update(environment(folder))
        make_kit(folder, car)
        hub = make_demo_hub(folder / "workshop")
        with supervisor.Supervisor(run, lambda _text: None) as programs:
            told = programs.start(supervisor.simulator("--folder", str(car)))
            programs.start(supervisor.hw_program(run))
            programs.start(supervisor.appliance_program(run))
            programs.start(hub.program)
            with Client(run / "appliance.sock") as client:
                client.unlock(TECHNICIAN, PASSPHRASE)
                link = supervisor.car_of(told)["ecus"]["engine"]["doip"]
                job = client.job_new("Somebody", "Golf IV").job
                client.identify(link, "sim-engine", job)
                client.backup_make(m.BackupMake(link=link, profile="sim-engine", job=job))
                before = pss_mb(programs.pid("appliance"))
                hub.enrol(client)
                kit, there = hub.taken(client)
                after = pss_mb(programs.pid("appliance"))
        if kit.state != "idle" or not there["records"]:
            raise RuntimeError(f"the job was not handed over: {kit}")
    called = "fieldkit-appliance, memory (PSS) that handing over adds"
    return figure(called, [after - before], "MB", "lower", SYNC_GOAL_MB)
