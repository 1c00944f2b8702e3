"""A kit's jobs on their way to the workshop, over real TLS: once, whole, and in order."""

from __future__ import annotations

import hashlib
import io
import os
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import BinaryIO

import msgspec
import obstore
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from appliance.records import JobView, Records
from appliance.records.events import BackupMade, StoredObject
from appliance.sync import outbox as outbox_module
from appliance.sync.handover import BlobAway, Handover, Sent, Way, hand_over
from appliance.sync.hubclient import HubClient, Paused, PutAside
from appliance.sync.outbox import Outbox, Unfrozen
from appliance.sync.pace import Pace
from appliance.sync.receipt import NAMESPACE_RECEIPT, Receipt
from appliance.sync.record import BlobKind, BlobRef, Signed
from hw import clock
from hw.plan import digest_of
from hw.sshsig import AllowedSigners, Signer
from tests.appliance.records.sample import (
    CONTAINER,
    KIT_KEY,
    compiled,
    identified,
    new_job,
    open_records,
    plan_document,
)
from tests.appliance.workshop.conftest import Workshop

MANIFEST, SIGNATURE = b'{"format":"fieldkit-backup/1"}', b"-----BEGIN SSH SIGNATURE-----\n"
IMAGE = bytes(range(256)) * 2000
"""What is encrypted of a backup: larger than a few pieces."""


def job_with_files(records: Records, image: bytes = IMAGE) -> str:
    """A job with a backup, and with a plan whose file the kit kept."""
    job = new_job(records)
    made = BackupMade(
        backup="01a20000-0000-7000-8000-00000000000b",
        ecu="engine",
        manifest_sha256=hashlib.sha256(MANIFEST).hexdigest(),
        objects=[
            StoredObject(kind="image", sha256=hashlib.sha256(image).hexdigest(), size=len(image))
        ],
        refused=[],
        folders=["a", "b"],
        simulated=True,
    )
    document = plan_document(job)
    records.store.put_blob(document)
    records.store.put_blob(CONTAINER)
    records.append_all(job, [identified("1.0.7"), made, compiled(digest_of(document))])
    return job


def forget_image(workshop: Workshop) -> None:
    """Take the image from the hub, where an earlier test's job may have left it."""
    name = hashlib.sha256(IMAGE).hexdigest()
    if workshop.hub.database.write(lambda tables: tables.blobs.delete_by_id(name)):
        obstore.delete(workshop.hub.blobs._store, f"blobs/{name[:2]}/{name}")


class Kit:
    """A kit's outbox with the files that belong to its records."""

    def __init__(self, records: Records, workshop: Workshop, hub: HubClient) -> None:
        self.records, self.hub = records, hub
        self.medium = True
        self.outbox = Outbox(records, self._backup_files)
        signing = workshop.keys.signing.public_key().public_bytes_raw()
        self.trusted = AllowedSigners(
            (Signer(("workshop",), frozenset({NAMESPACE_RECEIPT}), signing),)
        )
        self.opened: list[BlobRef] = []
        self.image = IMAGE

    def _backup_files(self, backup: str) -> list[tuple[BlobKind, bytes]] | None:
        del backup
        files: list[tuple[BlobKind, bytes]] = [
            ("manifest", MANIFEST),
            ("manifest_signature", SIGNATURE),
        ]
        return files if self.medium else None

    def open_blob(self, blob: BlobRef) -> BinaryIO:
        self.opened.append(blob)
        if not self.medium:
            raise BlobAway("No medium has it.", "Insert one.")
        files = {hashlib.sha256(one).hexdigest(): one for one in (MANIFEST, SIGNATURE, self.image)}
        return io.BytesIO(files.get(blob.sha256) or self.records.store.blob(blob.sha256))

    def way(self) -> Way:
        return Way(self.hub, self.trusted, self.open_blob, lambda: True)

    def hand_over(self) -> Handover:
        return hand_over(self.outbox, self.way())


@pytest.fixture
def kit(tmp_path: Path, workshop: Workshop) -> Iterator[Kit]:
    key = Ed25519PrivateKey.generate()
    with open_records(tmp_path, key) as records, workshop.enrolled(key) as hub:
        yield Kit(records, workshop, hub)


def stored(workshop: Workshop, job: str) -> list[tuple[int, int]]:
    """First and last event of each record of a job at the hub."""
    with workshop.hub.database.reading() as tables:
        records = tables.records
        rows = records.select().where(records.job == job).order_by(records.first)
        return [(row.first, row.last) for row in rows]


def test_a_job_arrives_whole_with_its_files_and_a_receipt_allows_to_let_it_go(
    kit: Kit, workshop: Workshop
) -> None:
    job = job_with_files(kit.records)
    length = kit.records.job(job).length
    assert kit.outbox.freeze() == Unfrozen()
    assert kit.hand_over() == Handover(handed_over=1)

    (item,) = kit.outbox.items(("RETIRABLE",))
    record = kit.outbox.sealed(item).record
    assert stored(workshop, job) == [(1, length)]
    for blob in record.blobs:
        content = b"".join(workshop.hub.blobs.read(blob.sha256))
        assert (hashlib.sha256(content).hexdigest(), len(content)) == (blob.sha256, blob.size)
    assert {blob.kind for blob in record.blobs} == {
        "plan",
        "container",
        "backup",
        "manifest",
        "manifest_signature",
    }
    with workshop.hub.database.reading() as tables:
        row = tables.jobs.get(tables.jobs.job == job)
    assert msgspec.json.decode(row.view, type=JobView) == kit.records.job(job)
    receipt = msgspec.json.decode(
        msgspec.json.decode(kit.hub.receipt(record.record), type=Signed).document, type=Receipt
    )
    assert receipt.sha256 == item.sha256


def test_what_was_handed_over_is_not_sent_again_and_a_job_that_grows_is_continued(
    kit: Kit, workshop: Workshop
) -> None:
    job = new_job(kit.records)
    kit.outbox.freeze()
    assert kit.hand_over() == Handover(handed_over=1)
    kit.outbox.freeze()
    assert kit.hand_over() == Handover()
    kit.records.append(job, identified("1.0.9"))
    kit.outbox.freeze()
    assert kit.hand_over() == Handover(handed_over=1)
    assert stored(workshop, job) == [(1, 1), (2, 2)]


def answers(hub: HubClient) -> list[tuple[str, int]]:
    """Gets every request that is answered from here on, as method and status."""
    told: list[tuple[str, int]] = []
    hub._http.event_hooks = {
        "response": [lambda answer: told.append((answer.request.method, answer.status_code))]
    }
    return told


def test_small_files_go_first_and_the_workshop_looks_at_the_record_once(
    kit: Kit, workshop: Workshop
) -> None:
    kit.image = os.urandom(500)
    job = job_with_files(kit.records, kit.image)
    kit.outbox.freeze()
    (item,) = kit.outbox.items()
    files = len(kit.outbox.sealed(item).record.blobs)
    told = answers(kit.hub)
    assert kit.hand_over() == Handover(handed_over=1)
    assert told == [("PATCH", 204)] * files + [("PUT", 201)]
    assert stored(workshop, job) == [(1, kit.records.job(job).length)]


def test_after_a_cut_the_record_is_asked_for_before_anything_is_sent_again(kit: Kit) -> None:
    kit.image = os.urandom(500)
    job_with_files(kit.records, kit.image)
    kit.outbox.freeze()
    (item,) = kit.outbox.items()
    assert kit.hand_over() == Handover(handed_over=1)
    kit.outbox.move(item, "SENDING")  # as it was when the answer was lost
    told = answers(kit.hub)
    assert kit.hand_over() == Handover(handed_over=1)
    assert told == [("PUT", 200)]


def test_a_small_file_that_no_medium_has_holds_nothing_back_if_the_workshop_has_it(
    kit: Kit, workshop: Workshop
) -> None:
    kit.image = os.urandom(500)
    job = job_with_files(kit.records, kit.image)
    kit.outbox.freeze()
    (item,) = kit.outbox.items()
    for blob in kit.outbox.sealed(item).record.blobs:
        with kit.open_blob(blob) as file:
            workshop.hub.keep_blob(file.read())
    kit.medium = False
    assert kit.hand_over() == Handover(handed_over=1)
    assert stored(workshop, job) == [(1, kit.records.job(job).length)]


def test_a_job_of_several_records_arrives_with_its_last_state(
    kit: Kit, workshop: Workshop, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(outbox_module, "MOST_AT_ONCE", 3)
    job = job_with_files(kit.records)
    kit.outbox.freeze()
    assert kit.hand_over() == Handover(handed_over=2)
    assert stored(workshop, job) == [(1, 3), (4, 4)]
    with workshop.hub.database.reading() as tables:
        row = tables.jobs.get(tables.jobs.job == job)
    assert msgspec.json.decode(row.view, type=JobView) == kit.records.job(job)


def test_what_is_sent_keeps_to_the_rate_that_is_set_and_tells_how_far_it_is(
    kit: Kit, workshop: Workshop
) -> None:
    rate, told = 200_000, list[Sent]()
    kit.image = IMAGE[::-1]  # The hub has the other one from other tests, and would not want it.
    job = job_with_files(kit.records, kit.image)
    kit.outbox.freeze()
    forget_image(workshop)
    way = replace(kit.way(), pace=Pace(rate), told=told.append)
    begun = clock.now()
    assert hand_over(kit.outbox, way) == Handover(handed_over=1)
    took_s = clock.now() - begun
    # The last piece is paid for by nobody; a slow machine only takes longer.
    assert took_s >= (len(IMAGE) - rate) / rate
    assert len(stored(workshop, job)) == 1
    assert {one.job for one in told} == {job}
    assert [one.done for one in told] == sorted(one.done for one in told)
    assert len(IMAGE) <= told[-1].done <= told[-1].total


def test_a_pass_that_is_held_back_ends_as_soon_as_it_is_to(kit: Kit) -> None:
    asked = iter([True, True, True, False])
    job_with_files(kit.records)
    kit.outbox.freeze()
    way = replace(kit.way(), pace=Pace(1), go_on=lambda: next(asked, False))
    assert hand_over(kit.outbox, way) == Handover(waiting=1)
    assert [item.state for item in kit.outbox.items()] == ["SENDING"]
    assert kit.hand_over() == Handover(handed_over=1)


def test_a_record_whose_answer_was_lost_is_taken_once(kit: Kit, workshop: Workshop) -> None:
    job = new_job(kit.records)
    kit.outbox.freeze()
    kit.hand_over()
    (item,) = kit.outbox.items(("RETIRABLE",))
    kit.outbox.move(item, "SENDING")
    assert kit.hand_over() == Handover(handed_over=1)
    assert stored(workshop, job) == [(1, 1)]


def test_a_job_waits_for_the_medium_that_has_its_backup_and_the_rest_goes_on(
    kit: Kit, workshop: Workshop
) -> None:
    backed_up = job_with_files(kit.records)
    plain = new_job(kit.records)
    kit.medium = False
    assert kit.outbox.freeze() == Unfrozen(without_medium=[backed_up])
    assert kit.hand_over() == Handover(handed_over=1)
    assert (stored(workshop, plain), stored(workshop, backed_up)) == ([(1, 1)], [])
    kit.medium = True
    assert kit.outbox.freeze() == Unfrozen()
    kit.medium = False
    assert kit.hand_over() == Handover(waiting=1)
    assert "No medium has it" in kit.outbox.items()[0].why
    kit.medium = True
    assert kit.hand_over() == Handover(handed_over=1)


def test_a_medium_that_is_pulled_while_it_is_read_keeps_one_record_and_not_the_rest(
    kit: Kit, workshop: Workshop
) -> None:
    class Pulled(io.BytesIO):
        def read(self, size: int | None = -1, /) -> bytes:
            raise OSError(5, "Input/output error")

    backed_up, plain = job_with_files(kit.records), new_job(kit.records)
    kit.outbox.freeze()
    done = hand_over(kit.outbox, replace(kit.way(), open_blob=lambda _blob: Pulled()))
    assert done == Handover(handed_over=1, waiting=1)
    assert (stored(workshop, plain), stored(workshop, backed_up)) == ([(1, 1)], [])
    assert "Input/output error" in kit.outbox.items()[0].why
    assert kit.hand_over() == Handover(handed_over=1)


def test_a_kit_that_was_set_back_is_found_and_both_contents_are_kept(
    kit: Kit, workshop: Workshop, tmp_path: Path
) -> None:
    """Its database was put back from before: it gives a number again that was used."""
    new_job(kit.records)
    kit.outbox.freeze()
    kit.hand_over()
    (tmp_path / "again").mkdir()
    with open_records(tmp_path / "again", kit.records.kit_key) as older:
        back = Kit(older, workshop, kit.hub)
        new_job(older, name="Somebody else")
        back.outbox.freeze()
        assert back.hand_over() == Handover(put_aside=1)
        (item,) = back.outbox.items(("QUARANTINED",))
    assert "cloned or set back" in item.why
    with workshop.hub.database.reading() as tables:
        row = tables.conflicts.get(tables.conflicts.sha256 == item.sha256)
    assert "cloned or set back" in row.why


def test_a_kit_that_was_shut_out_sends_nothing_more_and_keeps_everything(
    kit: Kit, workshop: Workshop
) -> None:
    job = new_job(kit.records)
    kit.outbox.freeze()
    (item,) = kit.outbox.items()
    workshop.hub.revoke(kit.outbox.sealed(item).record.kit)
    with pytest.raises(Paused, match="shut out"):
        kit.hand_over()
    assert stored(workshop, job) == []
    assert [one.state for one in kit.outbox.items()] == ["SENDING"]


def test_a_kit_whose_clock_stands_at_1970_or_2038_is_served(
    kit: Kit, workshop: Workshop, monkeypatch: pytest.MonkeyPatch
) -> None:
    for offset in (-56 * 365 * 86_400, 11 * 365 * 86_400 + 10 * 365 * 86_400):
        job = new_job(kit.records)
        kit.outbox.freeze()
        # The hub's clock is moved the other way: only the difference matters, and this process
        # has one clock.
        monkeypatch.setattr(kit.hub, "_ahead_s", float(offset))
        assert kit.hand_over() == Handover(handed_over=1)
        assert stored(workshop, job) == [(1, 1)]


def test_a_greeting_is_answered_with_the_clock_of_the_workshop(
    kit: Kit, workshop: Workshop
) -> None:
    first = kit.hub.hello("1", -1, 0).time
    workshop.clock[0] += 1000.0
    try:
        ahead = kit.hub.hello("1", -1, 0).time - first
    finally:
        workshop.clock[0] -= 1000.0
    assert 1000 <= ahead < 2000


def test_who_is_not_enrolled_is_not_served(workshop: Workshop) -> None:
    with workshop.client(KIT_KEY) as stranger, pytest.raises(Paused):
        stranger.hello("0", -1, 0)


def test_a_word_for_enrolment_serves_one_kit_once(workshop: Workshop) -> None:
    token = workshop.hub.new_token("Van 2")
    first, second = Ed25519PrivateKey.generate(), Ed25519PrivateKey.generate()
    with workshop.client(first) as one, workshop.client(second) as other:
        assert one.enrol(token).name == "Van 2"
        assert one.enrol(token).name == "Van 2", "its answer may have been lost"
        with pytest.raises(Paused, match="used up"):
            other.enrol(token)
        with pytest.raises(Paused, match="used up"):
            other.enrol("no word at all")


def test_a_blob_goes_on_where_it_was_cut_off_and_one_that_is_not_itself_is_dropped(
    kit: Kit, workshop: Workshop
) -> None:
    content = bytes(range(256)) * 1000
    name = hashlib.sha256(content).hexdigest()
    assert kit.hub.blob_offset(name) == (0, False)
    assert kit.hub.blob_add(name, 0, len(content), content[:100_000]) == (100_000, False)
    assert kit.hub.blob_offset(name) == (100_000, False)
    with pytest.raises(PutAside, match="100000 of 256000"):
        kit.hub.blob_add(name, 0, len(content), content[:100_000])
    assert kit.hub.blob_add(name, 100_000, len(content), content[100_000:]) == (256_000, True)
    assert b"".join(workshop.hub.blobs.read(name)) == content

    false = hashlib.sha256(b"something else").hexdigest()
    with pytest.raises(PutAside, match="has the hash"):
        kit.hub.blob_add(false, 0, 5, b"wrong")
    assert kit.hub.blob_offset(false) == (0, False)
    for bad in ("..%2F..%2Fetc%2Fpasswd", "A" * 64, "0" * 63):
        with pytest.raises(PutAside):
            kit.hub.blob_add(bad, 0, 1, b"x")


def test_a_blob_that_a_stopped_hub_had_not_put_together_is_finished_when_it_is_asked_for(
    kit: Kit, workshop: Workshop
) -> None:
    """All pieces lie there, and whoever took the last one was killed."""
    job = job_with_files(kit.records)
    kit.outbox.freeze()
    name = hashlib.sha256(IMAGE).hexdigest()
    forget_image(workshop)
    store = workshop.hub.blobs._store
    for at in range(0, len(IMAGE), 100_000):
        obstore.put(store, f"parts/{name}/{at:012d}", IMAGE[at : at + 100_000])
    assert kit.hub.blob_offset(name) == (len(IMAGE), False)
    assert kit.hand_over() == Handover(handed_over=1)
    assert len(stored(workshop, job)) == 1
    assert b"".join(workshop.hub.blobs.read(name)) == IMAGE
