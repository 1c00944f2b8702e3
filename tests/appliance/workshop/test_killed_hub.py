"""The hub as its own process, killed at random moments: what it signed for is there."""

from __future__ import annotations

import random
import threading
import time
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from appliance.sync.hubclient import ComeAgain, HubClient, tls_for
from appliance.workshop.keys import init_workshop
from appliance.workshop.program import open_hub
from tests.appliance.records.sample import open_records
from tests.appliance.workshop.conftest import Workshop
from tests.appliance.workshop.test_handover import Kit, job_with_files
from tests.test_workshop import free_port, serving

KILLS = 4
LIMIT_S = 100.0


def test_what_a_killed_hub_signed_for_is_there_with_all_that_belongs_to_it(tmp_path: Path) -> None:
    folder, port = tmp_path / "workshop", free_port()
    keys = init_workshop(folder, ["127.0.0.1"], lambda identity: identity)
    hub, _ = open_hub(folder, "", "")
    key = Ed25519PrivateKey.generate()
    address = f"https://127.0.0.1:{port}"
    workshop = Workshop(hub, keys, address, folder)
    over, killed = threading.Event(), threading.Event()

    def keep_serving_and_killing() -> None:
        draw = random.Random(3)
        for _ in range(KILLS):
            with serving(folder, port):
                over.wait(draw.uniform(0.3, 1.5))
        killed.set()
        with serving(folder, port):
            over.wait(LIMIT_S)

    killer = threading.Thread(target=keep_serving_and_killing)
    killer.start()
    try:
        with (
            open_records(tmp_path, key) as records,
            HubClient(address, tls_for(keys.authority), key) as client,
        ):
            enrolled(client, hub.new_token("Van 1"))
            kit = Kit(records, workshop, client)
            until, jobs = time.monotonic() + LIMIT_S, 0
            while not killed.is_set() or kit.outbox.items():
                assert time.monotonic() < until
                if not killed.is_set():
                    job_with_files(records)
                    jobs += 1
                    kit.outbox.freeze()
                try:
                    assert kit.hand_over().put_aside == 0
                except ComeAgain:
                    time.sleep(0.1)
            signed_for = [kit.outbox.sealed(item) for item in kit.outbox.items(("RETIRABLE",))]
    finally:
        over.set()
        killer.join()
    assert len(signed_for) == jobs
    with hub.database.reading() as tables:
        taken = {row.id: (row.sha256, bytes(row.body)) for row in tables.records.select()}
    assert taken == {one.record.record: (one.sha256, one.body) for one in signed_for}
    for one in signed_for:
        for blob in one.record.blobs:
            assert len(b"".join(hub.blobs.read(blob.sha256))) == blob.size


def enrolled(client: HubClient, token: str) -> None:
    until = time.monotonic() + LIMIT_S
    while True:
        try:
            client.enrol(token)
        except ComeAgain:
            assert time.monotonic() < until
            time.sleep(0.1)
        else:
            return
