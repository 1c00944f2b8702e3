"""What is told of a medium: its device, how many backups, and when one was last read back whole."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from appliance.backups import BackupRef
from appliance.backups.media import media_of
from appliance.mounts import read_mounts
from appliance.service.book import Book
from appliance.service.mediause import medium_use
from hw.config import MediaConfig
from tests.appliance.backups.conftest import Kit


@pytest.fixture
def book(kit: Kit) -> Iterator[Book]:
    opened = Book.open(kit.unlocked)
    yield opened
    opened.close()


def test_a_verification_counts_for_the_medium_that_still_holds_it(
    book: Book, media: MediaConfig, backup: BackupRef
) -> None:
    first, second = media_of(media)
    assert medium_use(first, media, book).verified == ""
    book.note_verified("AB", backup.id)
    use = medium_use(first, media, book)
    assert (use.name, use.backups, use.verified_backup) == ("a", 1, backup.id)
    assert use.verified.endswith("Z")
    assert medium_use(second, media, book).verified == use.verified
    # Another stick in the same place.
    shutil.rmtree(second.store)
    exchanged = medium_use(second, media, book)
    assert (exchanged.name, exchanged.backups, exchanged.verified) == ("b", 0, "")


def test_the_device_is_the_one_that_is_mounted_there(book: Book, media: MediaConfig) -> None:
    use = medium_use(media_of(media)[0], media, book)
    assert use.device in {"", *(mount.source for mount in read_mounts())}
    assert use.size_bytes


def test_of_a_missing_medium_nothing_is_told(book: Book, tmp_path: Path) -> None:
    # The folder is there and nothing is mounted on it: it would be the SD card.
    media = MediaConfig(str(tmp_path), str(tmp_path / "none"))
    for medium in media_of(media):
        use = medium_use(medium, media, book)
        assert (use.device, use.size_bytes, use.backups, use.verified) == ("", None, None, "")
