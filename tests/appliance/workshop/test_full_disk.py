"""The workshop's disk is full: nothing is half there, kits keep all, and with room it goes on."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from appliance.sync.handover import Handover
from appliance.sync.hubclient import ComeAgain
from appliance.workshop.checking import Check
from appliance.workshop.kept import LiveHub
from tests.appliance.records.sample import new_job, open_records
from tests.appliance.workshop.conftest import serving
from tests.appliance.workshop.test_handover import Kit, job_with_files, stored

DISK_BYTES = 80 << 20


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Path]:
    """A small disk of its own, in memory."""
    if os.geteuid() != 0:
        pytest.skip("only root may mount the small disk that this fills")
    place = tmp_path / "disk"
    place.mkdir()
    options = f"size={DISK_BYTES}"
    subprocess.run(["mount", "-t", "tmpfs", "-o", options, "tmpfs", place], check=True)
    yield place
    subprocess.run(["umount", "--lazy", place], check=True)


def fill(disk: Path, leave: int) -> Path:
    """Fill the disk up to so many bytes."""
    filler = disk / "filler"
    room = os.statvfs(disk)
    free = room.f_bavail * room.f_frsize
    with filler.open("ab") as file:
        file.write(bytes(max(free - leave, 0)))
    return filler


def test_a_full_disk_is_told_and_kits_keep_all_until_there_is_room(
    disk: Path, tmp_path: Path
) -> None:
    key = Ed25519PrivateKey.generate()
    with (
        serving(disk / "workshop") as workshop,
        open_records(tmp_path, key) as records,
        workshop.enrolled(key) as hub,
    ):
        kit = Kit(records, workshop, hub)
        backed_up = job_with_files(records)
        kit.outbox.freeze()
        filler = fill(disk, leave=32 << 20)  # less than the database must have
        with pytest.raises(ComeAgain, match="disk is full"):
            kit.hand_over()
        assert [item.state for item in kit.outbox.items()] == ["SENDING"]

        fill(disk, leave=0)
        with pytest.raises(ComeAgain, match="disk is full"):
            kit.hand_over()
        plain = new_job(records)
        kit.outbox.freeze()
        with pytest.raises(ComeAgain, match="disk is full"):
            kit.hand_over()
        assert stored(workshop, backed_up) == stored(workshop, plain) == []
        assert len(kit.outbox.items()) == 2

        filler.unlink()
        assert kit.hand_over() == Handover(handed_over=2)
        assert len(stored(workshop, backed_up)) == len(stored(workshop, plain)) == 1
        assert list(Check(LiveHub(workshop.hub)).findings()) == []
        workshop.hub.database.close()
