"""Two hub processes behind one address, on one PostgreSQL and one S3."""

from __future__ import annotations

import time
from pathlib import Path

import httpx
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from appliance.sync.handover import PIECE_BYTES
from appliance.sync.hubclient import HubClient, tls_for
from appliance.sync.requests import sign_request
from appliance.workshop.checking import Check
from appliance.workshop.kept import LiveHub
from appliance.workshop.keys import init_workshop
from appliance.workshop.program import open_hub
from tests.appliance.records.sample import new_job, open_records
from tests.appliance.workshop.conftest import Workshop, backends
from tests.appliance.workshop.cutting import CuttingProxy
from tests.appliance.workshop.test_faults import handed_over
from tests.appliance.workshop.test_handover import Kit, job_with_files, stored
from tests.test_workshop import free_port, serving

JOBS = 12


@pytest.mark.timeout(400)
def test_two_hubs_behind_one_address_take_each_job_once_and_its_pieces_in_turn(
    tmp_path: Path,
) -> None:
    folder = tmp_path / "workshop"
    keys = init_workshop(folder, ["127.0.0.1"], lambda identity: identity)
    key = Ed25519PrivateKey.generate()
    ports = [free_port(), free_port()]
    # Each connection goes to the other hub than the one before, and does not live for long.
    proxy = CuttingProxy(targets=ports, draw=[PIECE_BYTES, 2 * PIECE_BYTES])
    with backends("PostgreSQL-S3") as (database, blobs):
        words = ("--database", database, "--blobs", blobs)
        hub, _ = open_hub(folder, database, blobs)
        workshop = Workshop(hub, keys, f"https://127.0.0.1:{ports[0]}", folder)
        workshop_key = tls_for(keys.authority)
        with serving(folder, ports[0], *words), serving(folder, ports[1], *words):
            workshop.enrolled(key).__exit__(None, None, None)
            with (
                open_records(tmp_path, key) as records,
                proxy.running(),
                HubClient(f"https://127.0.0.1:{proxy.port}", workshop_key, key) as through,
            ):
                kit = Kit(records, workshop, through)
                jobs = [job_with_files(records)]
                jobs += [new_job(records, name=f"Customer {n}") for n in range(JOBS)]
                kit.outbox.freeze()
                handed_over(kit, 100)
                assert proxy.cuts > 3
                assert [len(stored(workshop, job)) for job in jobs] == [1] * len(jobs)
            assert list(Check(LiveHub(hub)).findings()) == []
            _sent_to_both(key, ports, keys.authority)
        hub.database.close()


def _sent_to_both(key: Ed25519PrivateKey, ports: list[int], authority: str) -> None:
    """A request that one hub took is not taken by the other."""
    target = f"/v1/blobs/{'0' * 64}?offset=0&total=2"
    headers = sign_request(key, "PATCH", target, b"x", time.time())
    answers = [
        httpx.patch(
            f"https://127.0.0.1:{port}{target}",
            content=b"x",
            headers=headers,
            verify=tls_for(authority),
        ).status_code
        for port in ports
    ]
    assert answers == [204, 401]
