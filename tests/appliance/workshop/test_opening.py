"""A backup is opened at the workshop with its own identity, and that is written down."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from appliance.workshop.keys import IDENTITY
from appliance.workshop.opening import Opener, person
from hw.errors import FieldKitError, UsageError
from tests.appliance.workshop.filled import EEPROM, Filled, filled


@pytest.fixture(scope="module")
def full(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Filled]:
    with filled(tmp_path_factory.mktemp("filled")) as workshop:
        yield workshop


@pytest.fixture
def opener(full: Filled) -> Opener:
    return Opener(full.workshop.hub, full.workshop.keys.folder, "anna")


def openings(full: Filled) -> list[tuple[str, str, str, str]]:
    with full.workshop.hub.database.reading() as tables:
        rows = list(tables.openings.select().order_by(tables.openings.id))
    return [(row.who, row.reason, row.job, row.backup) for row in rows]


@pytest.mark.parametrize("by", ["job", "backup"])
def test_a_backup_is_opened_by_its_job_or_its_id_and_written_down(
    full: Filled, opener: Opener, tmp_path: Path, by: str
) -> None:
    before = openings(full)
    opened = opener.open(getattr(full, by), tmp_path / "open", "The ECU was swapped.")
    image = tmp_path / "open" / full.backup / "image" / "eeprom.bin"
    assert image in opened.files
    assert image.read_bytes() == EEPROM
    assert image.stat().st_mode & 0o077 == 0
    assert openings(full) == [*before, ("anna", "The ECU was swapped.", full.job, full.backup)]


@pytest.mark.parametrize(
    ("wanted", "reason", "occupied", "what"),
    [
        ("", " ", False, "reason is needed"),
        ("", "why", True, "not an empty folder"),
        ("01a20000-0000-7000-8000-0000000000ff", "why", False, "no backup of that id"),
    ],
)
def test_what_cannot_be_opened_leaves_nothing_and_is_not_written_down(
    full: Filled,
    opener: Opener,
    tmp_path: Path,
    wanted: str,
    reason: str,
    occupied: bool,
    what: str,
) -> None:
    before, folder = openings(full), tmp_path / "open"
    if occupied:
        folder.mkdir()
        (folder / "mine").write_text("x")
    with pytest.raises(UsageError, match=what):
        opener.open(wanted or full.backup, folder, reason)
    assert openings(full) == before
    assert sorted(tmp_path.rglob("*")) == ([folder, folder / "mine"] if occupied else [])


def test_a_damaged_file_is_not_opened(tmp_path: Path) -> None:
    with filled(tmp_path / "filled") as full:
        opener = Opener(full.workshop.hub, full.workshop.keys.folder, person())
        for path in (full.workshop.folder / "store").glob("blobs/*/*"):
            if path.read_bytes().startswith(b"age-encryption.org"):
                path.write_bytes(path.read_bytes()[:-1] + b"?")
        with pytest.raises(FieldKitError, match="is damaged in the store"):
            opener.open(full.backup, tmp_path / "open", "why")
        assert openings(full) == []
        assert not (tmp_path / "open").exists()
        (full.workshop.keys.folder / IDENTITY).unlink()
        with pytest.raises(FieldKitError, match="identity"):
            opener.open(full.backup, tmp_path / "open", "why")
    assert [path.name for path in tmp_path.iterdir()] == ["filled"]
