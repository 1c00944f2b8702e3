"""Backups are read again by themselves: what a disk lost is found, and the office sees it."""

from __future__ import annotations

import re
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx
import pytest

from appliance.sync.hubclient import tls_for
from appliance.workshop.blobs import Blobs
from appliance.workshop.errors import HubUnavailable
from appliance.workshop.listedbackups import ListedBackup, backups_of_job
from appliance.workshop.office.pages import COOKIE
from appliance.workshop.people import People
from appliance.workshop.rereading import (
    CLAIM_S,
    EVERY_S,
    RESTS,
    SOON_S,
    Stopped,
    Unhurried,
    claim,
    reread_one,
    rereading,
)
from appliance.workshop.tables import HubDatabase
from tests.appliance.workshop.conftest import backends
from tests.appliance.workshop.filled import Filled, filled
from tests.appliance.workshop.office.conftest import cookie_of, member
from tests.test_workshop import free_port, serving

LIMIT_S = 60.0
NOW = 1_900_000_000


@pytest.fixture(scope="module")
def full(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Filled]:
    with filled(tmp_path_factory.mktemp("filled")) as workshop:
        yield workshop


def listed(full: Filled) -> ListedBackup:
    (backup,) = backups_of_job(full.workshop.hub.database, full.job)
    return backup


def file_of(full: Filled, kind: str) -> Path:
    (sha256,) = [file.sha256 for file in listed(full).files if file.kind == kind]
    return full.workshop.folder / "store" / "blobs" / sha256[:2] / sha256


def flip(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)


def days_later(full: Filled, days: float) -> None:
    full.workshop.clock[0] += days * 86_400


def never(_seconds: float) -> bool:
    return False


@pytest.mark.timeout(300)
def test_a_byte_that_was_flipped_in_the_store_is_found_by_itself_and_shown(tmp_path: Path) -> None:
    with filled(tmp_path) as full:
        hub, folder, port = full.workshop.hub, full.workshop.folder, free_port()
        people = People(hub.database, hub.now)
        member(people, "Tom", "technician")
        backups = hub.database.tables.backups
        arrived = {"received": int(hub.now()) - 2 * SOON_S}
        hub.database.write(lambda _: backups.update(arrived).execute())
        browser = httpx.Client(
            base_url=f"https://127.0.0.1:{port}",
            verify=tls_for(full.workshop.keys.authority),
            headers={"Cookie": f"{COOKIE}={cookie_of(people, 'Tom')}"},
            timeout=LIMIT_S,
        )
        flip(file_of(full, "image"))
        with serving(folder, port) as process, browser:
            until = time.monotonic() + LIMIT_S
            while not listed(full).checked:
                assert time.monotonic() < until
                time.sleep(0.1)
            first, page = (browser.get(path).text for path in ("/jobs", "/backups"))
            process.terminate()
            assert process.wait(LIMIT_S) == 0
    assert re.search(r'Backups <strong class="alarm">1 damaged</strong>', first)
    (alert,) = re.findall(r'role="alert">(.*?)</div>', page, re.DOTALL)
    assert full.backup in alert
    assert re.search(r"image: \d+ bytes with the hash", alert)
    assert "coding:" not in alert


def test_a_backup_is_read_a_day_after_it_came_and_then_every_month(full: Filled) -> None:
    hub = full.workshop.hub
    assert not reread_one(hub, never), "its hash was computed when it came"
    days_later(full, 1.1)
    assert reread_one(hub, never)
    assert listed(full).state == "whole"
    checked = listed(full).checked
    days_later(full, 29)
    assert not reread_one(hub, never)
    days_later(full, 1.1)
    assert reread_one(hub, never)
    assert listed(full).checked - checked > EVERY_S


def test_what_was_put_right_is_found_whole_on_the_next_day(full: Filled) -> None:
    hub, path = full.workshop.hub, file_of(full, "manifest")
    flip(path)
    days_later(full, 31)
    assert reread_one(hub, never)
    assert listed(full).state == "damaged"
    flip(path)
    assert not reread_one(hub, never)
    days_later(full, 1.1)
    assert reread_one(hub, never)
    assert listed(full).state == "whole"


def test_of_a_store_that_does_not_answer_nothing_is_noted(full: Filled) -> None:
    hub, blobs = full.workshop.hub, full.workshop.folder / "store" / "blobs"
    days_later(full, 31)
    before = listed(full)
    blobs.rename(blobs.with_name("away"))
    blobs.write_text("no folder")
    try:
        with pytest.raises(HubUnavailable):
            reread_one(hub, never)
    finally:
        blobs.unlink()
        blobs.with_name("away").rename(blobs)
    assert listed(full) == before
    assert reread_one(hub, never), "it was given back, and is read when the store answers"


def test_whoever_stops_the_hub_does_not_wait_for_a_rest_and_the_backup_is_given_back(
    full: Filled,
) -> None:
    days_later(full, 31)
    hub, before = full.workshop.hub, listed(full)
    rests: list[float] = []

    def stop(seconds: float) -> bool:
        rests.append(seconds)
        return True

    with pytest.raises(Stopped):
        reread_one(hub, stop)
    assert len(rests) == 1
    assert listed(full) == before
    assert claim(hub.database, int(hub.now())) == full.backup
    with rereading(hub):
        pass


def test_after_each_piece_it_rests_for_several_times_as_long_as_that_took(tmp_path: Path) -> None:
    blobs, rests = Blobs(str(tmp_path)), list[float]()
    sha256, content = "a" * 64, bytes(24 << 20)
    (tmp_path / "blobs" / "aa" / sha256).write_bytes(content)

    def wait(seconds: float) -> bool:
        rests.append(seconds)
        return False

    begun = time.monotonic()
    took = [len(part) for part in Unhurried(blobs, wait).read_again(sha256)]
    assert sum(took) == len(content)
    assert len(rests) == len(took) > 1
    assert 0 < sum(rests) <= RESTS * (time.monotonic() - begun)


@pytest.fixture(params=["SQLite", "PostgreSQL"])
def where(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    with backends(request.param) as (database, _):
        yield database or str(tmp_path / "hub.db")


def test_of_several_hubs_one_reads_each_backup_the_one_that_waited_longest_first(
    where: str,
) -> None:
    hubs = [HubDatabase(where) for _ in range(4)]
    month = NOW - EVERY_S
    checked = {"new": 0, "fresh": NOW - 1, "old": month - 5, "older": month - 6, "never": 0}
    damaged = {"mended": NOW - SOON_S - 1, "broken": NOW - 5}
    rows = [
        {
            "backup": backup,
            "job": "job",
            "kit": "kit",
            "ecu": "engine",
            "received": NOW - 5 if backup == "new" else month - 100,
            "files": b"[]",
            "checked": at,
            "damaged": int(backup in damaged),
        }
        for backup, at in (checked | damaged | {"future": NOW + EVERY_S}).items()
    ]
    hubs[0].write(lambda tables: tables.backups.insert_many(rows).execute())
    due = ["never", "older", "old", "mended", "future"]
    assert claim(hubs[0], NOW) == "never"
    with ThreadPoolExecutor(len(hubs)) as threads:
        taken: list[str] = []
        while len(taken) < len(due) - 1:
            one_each = threads.map(lambda hub: claim(hub, NOW), hubs)
            taken += [backup for backup in one_each if backup]
    assert sorted(taken) == sorted(due[1:])
    assert claim(hubs[1], NOW) == ""
    later = NOW + CLAIM_S + 1
    assert [claim(hubs[1], later) for _ in due] == due, "who took them never said what was found"
    for hub in hubs:
        hub.close()
