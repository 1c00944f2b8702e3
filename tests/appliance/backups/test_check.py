"""Verify and repair: any bit, in any file, on either medium."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from appliance.age import new_identity, parse_identity
from appliance.backups import (
    BackupDamagedError,
    BackupRef,
    list_backups,
    read_backup,
    repair_backup,
    verify_backup,
)
from appliance.errors import MediumError
from appliance.identity import init_kit, unlock
from hw.config import MediaConfig
from hw.errors import BadInputError, UsageError
from hw.sshsig import AllowedSigners
from tests.appliance.backups.conftest import CALIBRATION, CODING, EEPROM, Kit

Make = Callable[..., BackupRef]


def flip(path: Path, bit: int) -> None:
    data = bytearray(path.read_bytes())
    data[bit // 8] ^= 1 << bit % 8
    path.write_bytes(data)


def content_of(folder: str) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in Path(folder).iterdir()}


def files_of(backup: BackupRef, kind: str = "") -> list[Path]:
    return sorted(Path(backup.folders[0]).glob(f"*{kind}"))


def test_two_whole_copies_are_good_and_were_opened(
    kit: Kit, media: MediaConfig, backup: BackupRef
) -> None:
    report = verify_backup(media, backup.id, kit.signers, kit.unlocked)
    assert report.good
    assert report.manifest_sha256 == backup.manifest_sha256
    assert [(copy.medium, copy.opened, copy.problems) for copy in report.copies] == [
        ("A", True, []),
        ("B", True, []),
    ]
    assert [copy.folder for copy in report.copies] == list(backup.folders)
    locked = verify_backup(media, backup.id, kit.signers)
    assert locked.good
    assert not any(copy.opened for copy in locked.copies)
    assert repair_backup(media, backup.id, kit.signers).repaired == []


@settings(
    max_examples=80, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(data=st.data())
def test_a_flipped_bit_anywhere_in_one_copy_is_found_and_repaired(
    kit: Kit, media: MediaConfig, backup: BackupRef, data: st.DataObject
) -> None:
    whole = content_of(backup.folders[0])
    medium = data.draw(st.integers(0, 1), label="medium")
    name = data.draw(st.sampled_from(sorted(whole)), label="file")
    bit = data.draw(st.integers(0, len(whole[name]) * 8 - 1), label="bit")
    flip(Path(backup.folders[medium]) / name, bit)

    report = verify_backup(media, backup.id, kit.signers)
    assert [copy.good for copy in report.copies] == [medium == 1, medium == 0]
    assert [item.file for item in report.copies[medium].problems] == [name]
    repaired = repair_backup(media, backup.id, kit.signers, kit.unlocked)
    assert repaired.good
    assert repaired.repaired == [f"{'AB'[medium]}: {name}"]
    assert content_of(backup.folders[0]) == content_of(backup.folders[1]) == whole


@pytest.mark.parametrize("pattern", ["manifest.json", "manifest.json.sig", "OPEN-ME.txt", "*.age"])
def test_a_truncated_emptied_or_missing_file_is_found_and_repaired(
    kit: Kit, media: MediaConfig, backup: BackupRef, pattern: str
) -> None:
    path = next(Path(backup.folders[1]).glob(pattern))
    whole = path.read_bytes()
    path.write_bytes(whole[:-1])
    assert not verify_backup(media, backup.id, kit.signers).copies[1].good
    assert repair_backup(media, backup.id, kit.signers).good
    path.write_bytes(b"")
    assert repair_backup(media, backup.id, kit.signers).good
    path.unlink()
    report = verify_backup(media, backup.id, kit.signers)
    assert report.copies[1].problems[0].what == f"{path.name} is missing"
    assert repair_backup(media, backup.id, kit.signers).good
    assert path.read_bytes() == whole


def test_a_file_that_cannot_be_read_is_a_problem_of_its_copy(
    kit: Kit, media: MediaConfig, backup: BackupRef
) -> None:
    path = files_of(backup, ".age")[0]
    path.unlink()
    path.mkdir()
    report = verify_backup(media, backup.id, kit.signers)
    assert [item.file for item in report.copies[0].problems] == [path.name]
    assert "cannot be read" in report.copies[0].problems[0].what
    assert report.copies[1].good


def test_a_whole_missing_copy_is_written_again(
    kit: Kit, media: MediaConfig, backup: BackupRef
) -> None:
    shutil.rmtree(backup.folders[1])
    report = verify_backup(media, backup.id, kit.signers)
    assert "has no copy" in report.copies[1].problems[0].what
    assert list_backups(media)[0].on_b == "missing"
    assert repair_backup(media, backup.id, kit.signers, kit.unlocked).good
    assert content_of(backup.folders[0]) == content_of(backup.folders[1])


def test_two_copies_with_different_damage_heal_each_other(
    kit: Kit, media: MediaConfig, backup: BackupRef
) -> None:
    whole = content_of(backup.folders[0])
    first, second = (Path(folder) for folder in backup.folders)
    objects = sorted(first.glob("*.age"))
    flip(first / "manifest.json", 100)
    flip(first / objects[0].name, 5000)
    flip(second / "manifest.json.sig", 1000)
    flip(second / objects[1].name, 6000)
    report = verify_backup(media, backup.id, kit.signers)
    assert [len(copy.problems) for copy in report.copies] == [2, 2]
    assert read_backup(kit.unlocked, media, backup.id).images["eeprom"] == EEPROM
    assert repair_backup(media, backup.id, kit.signers, kit.unlocked).good
    assert content_of(backup.folders[0]) == content_of(backup.folders[1]) == whole


def test_the_same_file_damaged_on_both_media_is_said_with_what_can_be_saved(
    kit: Kit, media: MediaConfig, make: Make
) -> None:
    backup = make(known_good=b"good")
    manifest = read_backup(kit.unlocked, media, backup.id).manifest
    image = next(item for item in manifest.objects if item.kind == "image")
    for folder in backup.folders:
        flip(Path(folder) / f"{image.sha256}.age", 4000)
    before = [content_of(folder) for folder in backup.folders]
    assert [copy.good for copy in verify_backup(media, backup.id, kit.signers).copies] == [
        False,
        False,
    ]
    for action in (
        lambda: repair_backup(media, backup.id, kit.signers),
        lambda: read_backup(kit.unlocked, media, backup.id),
    ):
        with pytest.raises(BackupDamagedError, match="on both media: image") as caught:
            action()
        assert "coding, known_good" in caught.value.next_step
    assert [content_of(folder) for folder in backup.folders] == before, "nothing was changed"


def test_without_any_signed_manifest_the_way_to_the_rest_is_said(
    kit: Kit, media: MediaConfig, backup: BackupRef
) -> None:
    for folder in backup.folders:
        flip(Path(folder) / "manifest.json", 300)
    report = verify_backup(media, backup.id, kit.signers)
    assert report.manifest_sha256 == ""
    assert not any(copy.good for copy in report.copies)
    with pytest.raises(BackupDamagedError, match="No copy") as caught:
        repair_backup(media, backup.id, kit.signers)
    assert "sha256sum" in caught.value.next_step
    assert "age -d" in caught.value.next_step


def test_a_manifest_from_another_folder_is_not_taken(
    kit: Kit, media: MediaConfig, make: Make
) -> None:
    first, second = make(), make()
    for one, other in zip(first.folders, second.folders, strict=True):
        shutil.rmtree(one)
        shutil.copytree(other, one)
    report = verify_backup(media, first.id, kit.signers)
    assert all(second.id in copy.problems[0].what for copy in report.copies)
    with pytest.raises(BackupDamagedError):
        read_backup(kit.unlocked, media, first.id)


def test_a_backup_of_another_kit_is_not_trusted(
    kit: Kit, media: MediaConfig, backup: BackupRef, tmp_path: Path
) -> None:
    init_kit(
        tmp_path / "other",
        technicians=[("lea", "owner", "some other words")],
        workshop_recipient=new_identity()[1],
        recovery_recipient=new_identity()[1],
        config={"voltage": {"sensor": "x"}, "media": {"a": "/a", "b": "/b"}},
    )
    signers = AllowedSigners.load(tmp_path / "other" / "trust" / "allowed_signers")
    report = verify_backup(media, backup.id, signers)
    assert not any(copy.good for copy in report.copies)
    assert "may not sign" in report.copies[0].problems[0].what
    other = unlock(tmp_path / "other", "lea", "some other words")
    with pytest.raises(BackupDamagedError):
        read_backup(other, media, backup.id)


def test_one_medium_alone_is_enough_to_read_but_not_to_repair(
    kit: Kit, media: MediaConfig, backup: BackupRef, tmp_path: Path
) -> None:
    (tmp_path / "medium-a").rename(tmp_path / "in-a-drawer")
    content = read_backup(kit.unlocked, media, backup.id)
    assert (content.coding, content.images["calibration"]) == (CODING, CALIBRATION)
    report = verify_backup(media, backup.id, kit.signers, kit.unlocked)
    assert [copy.good for copy in report.copies] == [False, True]
    assert "is not there" in report.copies[0].problems[0].what
    listed = list_backups(media)
    assert [(item.on_a, item.on_b) for item in listed] == [("no_medium", "there")]
    with pytest.raises(MediumError) as caught:
        repair_backup(media, backup.id, kit.signers)
    assert caught.value.medium == "A"
    shutil.rmtree(media.b)
    with pytest.raises(MediumError):
        list_backups(media)


def test_the_list_is_newest_first_and_survives_a_damaged_manifest(
    media: MediaConfig, make: Make
) -> None:
    made = [make(job=f"job-{number}") for number in range(3)]
    assert [item.id for item in list_backups(media)] == [ref.id for ref in reversed(made)]
    for folder in made[1].folders:
        (Path(folder) / "manifest.json").write_bytes(b"{}")
    (Path(media.a) / "fieldkit-backups" / "photos").mkdir()
    listed = list_backups(media)
    assert [item.job for item in listed] == ["job-2", "", "job-0"]
    assert "cannot be read" in listed[1].problem
    assert listed[0].kinds == ["coding", "image"]


@pytest.mark.parametrize("name", ["", "..", "../fieldkit-backups", "not-an-id", ".tmp-x"])
def test_something_else_than_an_id_is_refused(kit: Kit, media: MediaConfig, name: str) -> None:
    with pytest.raises(UsageError, match="not the id"):
        verify_backup(media, name, kit.signers)


def test_an_unknown_backup_is_said(kit: Kit, media: MediaConfig) -> None:
    with pytest.raises(UsageError, match="no backup 0190"):
        read_backup(kit.unlocked, media, "01900000-0000-7000-8000-000000000000")


def test_what_a_broken_repair_left_is_removed_by_the_next(
    kit: Kit, media: MediaConfig, backup: BackupRef
) -> None:
    left = Path(backup.folders[0]) / ".manifest.json.1234abcd.tmp"
    left.write_bytes(b"half")
    assert repair_backup(media, backup.id, kit.signers).good
    assert not left.exists()


def test_an_identity_that_it_was_not_made_for_does_not_open_it(
    kit: Kit, media: MediaConfig, backup: BackupRef
) -> None:
    stranger = replace(kit.unlocked, kit_identity=parse_identity(new_identity()[0]))
    report = verify_backup(media, backup.id, kit.signers, stranger)
    assert not any(copy.good or copy.opened for copy in report.copies)
    with pytest.raises(BadInputError, match="cannot be opened"):
        read_backup(stranger, media, backup.id)
