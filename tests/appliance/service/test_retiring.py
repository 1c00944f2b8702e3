"""What the workshop signed for may go from the kit in time; nothing else, and never half of it."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from msgspec import structs

from appliance.backups.check import names_on
from appliance.backups.media import media_of
from appliance.records import Records
from appliance.records.events import Note, WriteStarted
from appliance.records.export import export_files
from appliance.service.retiring import Kept, Retiring
from appliance.store import Tables
from appliance.sync.receipt import NAMESPACE_RECEIPT
from hw.config import MediaConfig
from hw.sshsig import AllowedSigners, Signer
from tests.appliance.records.sample import (
    CONTAINER_SHA256,
    backup,
    compiled,
    new_job,
    open_records,
    plan_document,
)
from tests.appliance.workshop.conftest import Workshop, serving
from tests.appliance.workshop.test_handover import Kit, job_with_files

BACKUP = "01a20000-0000-7000-8000-00000000000b"
KEEP_S = 90 * 86_400.0
FILES = {"manifest.json": b"{}", "a.age": b"sealed", "OPEN-ME.txt": b"how"}


@dataclass
class Shelf:
    """A kit that handed a job over to a real workshop, with its backup on both media."""

    kit: Kit
    job: str
    retiring: Retiring

    @property
    def records(self) -> Records:
        return self.kit.records

    def run(self, days: float, unfinished: tuple[str, ...] = ()) -> Kept:
        """Let go, so many days after the receipt by the workshop's clock."""
        return self.retiring.run(time.time() + days * 86_400 + 60, unfinished)

    def on_media(self) -> list[list[str]]:
        """What each medium holds."""
        return [names_on(medium) for medium in media_of(self.retiring.media)]

    def has_file(self) -> bool:
        """Is the file that the plan came from in the kit's database?"""
        return self.records.store.has_blob(CONTAINER_SHA256)


@pytest.fixture(scope="module")
def workshop(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Workshop]:
    with serving(tmp_path_factory.mktemp("workshop")) as workshop:
        yield workshop


@pytest.fixture
def shelf(tmp_path: Path, workshop: Workshop) -> Iterator[Shelf]:
    with _shelf(tmp_path, workshop) as shelf:
        yield shelf


@contextmanager
def _shelf(folder: Path, workshop: Workshop) -> Iterator[Shelf]:
    media = MediaConfig(str(folder / "a"), str(folder / "b"), simulated=True)
    key = Ed25519PrivateKey.generate()
    with open_records(folder, key) as records, workshop.enrolled(key) as hub:
        kit = Kit(records, workshop, hub)
        job = job_with_files(records)
        for medium in media_of(media):
            put_backup(medium.root, BACKUP)
        kit.outbox.freeze()
        assert kit.hand_over().handed_over == 1
        yield Shelf(kit, job, Retiring(kit.outbox, media, kit.trusted, KEEP_S, kit.hub.receipt))


def put_backup(root: Path, name: str) -> Path:
    folder = root / "fieldkit-backups" / name
    folder.mkdir(parents=True)
    for file, content in FILES.items():
        (folder / file).write_bytes(content)
    return folder


def test_files_go_when_the_workshop_had_them_for_long_and_the_record_stays(shelf: Shelf) -> None:
    before = export_files(shelf.records, shelf.job)
    assert shelf.run(89) == Kept(held=1, gone=0)
    assert shelf.on_media() == [[BACKUP], [BACKUP]]
    assert shelf.has_file()

    assert shelf.run(91) == Kept(held=0, gone=1)
    assert shelf.on_media() == [[], []]
    assert not shelf.has_file()
    assert [view.job for view in shelf.records.list_jobs()] == [shelf.job]
    after = export_files(shelf.records, shelf.job)
    assert after["events.jsonl"] == before["events.jsonl"]
    gone = {name for name in before if name not in after}
    assert {name.split("/")[0] for name in gone} == {"containers"}
    assert shelf.run(92) == Kept(held=0, gone=1)


def kept_records(shelf: Shelf) -> list[int]:
    """How many bytes of each record the kit still has."""
    rows = shelf.records.store.run(lambda tables: list(tables.outbox.select()))
    assert all(row["receipt"] and row["sha256"] for row in rows)
    return [len(bytes(row["body"])) for row in rows]


def test_a_record_goes_with_the_files_and_the_next_one_still_follows_it(
    shelf: Shelf, workshop: Workshop
) -> None:
    assert kept_records(shelf)[0] > 1000
    shelf.run(89)
    assert kept_records(shelf)[0] > 1000
    shelf.run(91)
    assert kept_records(shelf) == [0]

    # The job is taken up again: what is new goes over, and goes from here in its time, too.
    shelf.records.append(shelf.job, Note(author="anna", text="It is back."))
    shelf.kit.outbox.freeze()
    assert shelf.kit.hand_over().handed_over == 1
    with workshop.hub.database.reading() as tables:
        records = tables.records
        taken = [row.first for row in records.select().where(records.job == shelf.job)]
    assert len(taken) == 2
    assert [size > 0 for size in kept_records(shelf)] == [False, True]
    shelf.run(91)
    assert kept_records(shelf) == [0, 0]


def test_the_room_of_records_that_went_is_used_again(shelf: Shelf) -> None:
    def pages(what: str) -> int:
        def work(tables: Tables) -> int:
            ((count,),) = tables.outbox._database.execute_sql(f"PRAGMA {what}").fetchall()
            return int(count)

        return shelf.records.store.run(work)

    def hand_over_notes() -> None:
        for _ in range(10):
            shelf.records.append(shelf.job, Note(author="anna", text="x" * 9_000))
        shelf.kit.outbox.freeze()
        assert shelf.kit.hand_over().handed_over == 1

    hand_over_notes()
    before = pages("freelist_count")
    shelf.run(91)
    assert pages("freelist_count") >= before + 20
    hand_over_notes()
    assert pages("freelist_count") <= before + 2


def test_without_the_clock_of_the_workshop_nothing_goes(shelf: Shelf) -> None:
    assert shelf.retiring.run(0.0, ()) == Kept(held=1, gone=0)
    assert shelf.on_media() == [[BACKUP], [BACKUP]]


def test_without_the_signature_of_the_workshop_nothing_goes(shelf: Shelf) -> None:
    stranger = Ed25519PrivateKey.generate().public_key().public_bytes_raw()
    signers = AllowedSigners((Signer(("other",), frozenset({NAMESPACE_RECEIPT}), stranger),))
    shelf.retiring = replace(shelf.retiring, workshop=signers)
    assert shelf.run(1000) == Kept(held=1, gone=0)
    assert shelf.has_file()


def test_a_job_of_which_hw_has_an_unfinished_write_keeps_everything(shelf: Shelf) -> None:
    assert shelf.run(1000, (shelf.job,)) == Kept(held=1, gone=0)
    assert shelf.on_media() == [[BACKUP], [BACKUP]]


def test_a_job_that_went_on_waits_until_that_was_handed_over_too(shelf: Shelf) -> None:
    shelf.records.append(shelf.job, Note(author="maria", text="The customer came back."))
    assert shelf.run(1000) == Kept(held=0, gone=0)
    shelf.kit.outbox.freeze()
    assert shelf.run(1000) == Kept(held=0, gone=0)
    assert shelf.kit.hand_over().handed_over == 1
    assert shelf.run(1000) == Kept(held=0, gone=1)


def test_a_job_whose_write_began_is_not_let_go(shelf: Shelf) -> None:
    shelf.records.append(shelf.job, WriteStarted(run="run-1", plan_digest="0" * 64))
    assert shelf.run(1000) == Kept(held=0, gone=0)
    assert shelf.has_file()


def test_a_file_that_another_job_needs_stays(shelf: Shelf) -> None:
    other = new_job(shelf.records)
    digest = shelf.records.store.put_blob(plan_document(other))
    shelf.records.append(other, compiled(digest))
    assert shelf.run(91) == Kept(held=0, gone=1)
    assert shelf.has_file()
    assert shelf.on_media() == [[], []]


def test_a_medium_that_was_away_is_cleared_when_it_comes_back(shelf: Shelf, tmp_path: Path) -> None:
    (tmp_path / "b").rename(tmp_path / "in a drawer")
    assert shelf.run(91) == Kept(held=0, gone=1)
    (tmp_path / "in a drawer").rename(tmp_path / "b")
    assert shelf.on_media() == [[], [BACKUP]]
    shelf.run(91)
    assert shelf.on_media() == [[], []]


def test_a_removal_that_was_cut_off_is_finished(shelf: Shelf, tmp_path: Path) -> None:
    left = put_backup(tmp_path / "a", f".going-{BACKUP}")
    (left / "manifest.json").unlink()
    assert shelf.run(89) == Kept(held=1, gone=0)
    assert not left.exists()
    assert shelf.on_media() == [[BACKUP], [BACKUP]]


def test_what_is_made_for_a_job_that_is_taken_up_again_stays(shelf: Shelf, tmp_path: Path) -> None:
    shelf.run(91)
    again = "01a20000-0000-7000-8000-0000000000ff"
    put_backup(tmp_path / "a", again)
    shelf.records.append(shelf.job, structs.replace(backup(shelf.job), backup=again))
    shelf.run(1000)
    assert shelf.on_media() == [[again], []]
