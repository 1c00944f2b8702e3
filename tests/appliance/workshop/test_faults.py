"""A link that is cut at any byte, in either direction: everything arrives, once and whole."""

from __future__ import annotations

from pathlib import Path

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from appliance.sync.handover import PIECE_BYTES, Handover
from appliance.sync.hubclient import ComeAgain, HubClient, tls_for
from tests.appliance.records.sample import new_job, open_records
from tests.appliance.workshop.conftest import Workshop
from tests.appliance.workshop.cutting import CuttingProxy
from tests.appliance.workshop.test_handover import IMAGE, Kit, job_with_files, stored

JOBS = 60


def handed_over(kit: Kit, most: int) -> None:
    """Hand over again and again, as the kit does after each failure."""
    for _ in range(most):
        try:
            done = kit.hand_over()
        except ComeAgain:
            continue
        if done.waiting == 0:
            assert done.put_aside == 0
            return
    raise AssertionError(f"not over after {most} tries: {kit.outbox.items()}")


def through(proxy: CuttingProxy, workshop: Workshop, key: Ed25519PrivateKey) -> HubClient:
    return HubClient(f"https://127.0.0.1:{proxy.port}", tls_for(workshop.keys.authority), key)


def test_over_a_link_that_is_cut_again_and_again_each_job_arrives_once(
    tmp_path: Path, workshop: Workshop
) -> None:
    key = Ed25519PrivateKey.generate()
    workshop.enrolled(key).__exit__(None, None, None)
    proxy = CuttingProxy(targets=[workshop.port], draw=[3_000, 40_000])
    with (
        open_records(tmp_path, key) as records,
        proxy.running(),
        through(proxy, workshop, key) as hub,
    ):
        kit = Kit(records, workshop, hub)
        jobs = [new_job(records, name=f"Customer {number}") for number in range(JOBS)]
        kit.outbox.freeze()
        handed_over(kit, 20 * JOBS)
        assert proxy.cuts > 5
        assert [stored(workshop, job) for job in jobs] == [[(1, 1)]] * JOBS
        assert len(kit.outbox.items(("RETIRABLE",))) == JOBS
        assert kit.hand_over() == Handover()


def test_a_cut_costs_at_most_the_piece_that_was_under_way(
    tmp_path: Path, workshop: Workshop
) -> None:
    key = Ed25519PrivateKey.generate()
    workshop.enrolled(key).__exit__(None, None, None)
    proxy = CuttingProxy(targets=[workshop.port], draw=[2 * PIECE_BYTES, 2 * PIECE_BYTES + 1])
    with (
        open_records(tmp_path, key) as records,
        proxy.running(),
        through(proxy, workshop, key) as hub,
    ):
        kit = Kit(records, workshop, hub)
        job = job_with_files(records)
        kit.outbox.freeze()
        handed_over(kit, 100)
        assert len(stored(workshop, job)) == 1
        # Beside the pieces there are records, headers and what TLS adds.
        most = len(IMAGE) + proxy.cuts * PIECE_BYTES + 60_000 * (proxy.cuts + 2)
        assert proxy.cuts >= 1
        assert proxy.to_hub < most
