"""Making a backup: what lies on the media, what stays secret, what is refused."""

from __future__ import annotations

import base64
import fcntl
import hashlib
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import msgspec
import pytest

from appliance.age import DecryptionError, encrypt
from appliance.backups import BackupRef, list_backups, make_backup, open_backup, read_backup
from appliance.backups import make as making
from appliance.backups.media import holds_past_cache
from appliance.errors import MediumError, PassphraseError
from appliance.identity import Recipients, Unlocked, unlock
from hw.config import MediaConfig
from hw.errors import BadInputError, RefusedError, UsageError
from hw.plan import IdentityValue
from hw.statements import BackupManifest, ReadoutRefused, identity_digest
from tests.appliance.backups.conftest import (
    CALIBRATION,
    CODING,
    EEPROM,
    PASSPHRASE,
    VIN,
    Kit,
)

ROOT = Path(__file__).parents[3]
REFUSED = ReadoutRefused(region="calibration", request="23440000800000001000", response="7f2333")
Make = Callable[..., BackupRef]


def test_both_media_hold_the_same_files(backup: BackupRef, media: MediaConfig) -> None:
    first, second = (Path(folder) for folder in backup.folders)
    assert first.is_relative_to(media.a)
    assert second.is_relative_to(media.b)
    contents = [
        {path.name: path.read_bytes() for path in folder.iterdir()} for folder in (first, second)
    ]
    assert contents[0] == contents[1]
    document = contents[0]["manifest.json"]
    assert hashlib.sha256(document).hexdigest() == backup.manifest_sha256
    manifest = msgspec.json.decode(document, type=BackupManifest)
    names = {f"{item.sha256}.age" for item in manifest.objects}
    assert set(contents[0]) == names | {
        "manifest.json",
        "manifest.json.sig",
        "OPEN-ME.txt",
        "allowed_signers",
    }
    assert [item.kind for item in manifest.objects] == ["coding", "image"]
    assert manifest.backup == backup.id == first.name
    salt = bytes.fromhex(manifest.identity_salt)
    identity = [IdentityValue(did=0xF190, value=VIN.hex())]
    assert identity_digest(salt, identity) == manifest.identity_sha256


def test_a_backup_is_read_back_as_it_was_given(kit: Kit, media: MediaConfig, make: Make) -> None:
    made = make(refused=[REFUSED], known_good=b"\x00good")
    content = read_backup(kit.unlocked, media, made.id)
    assert content.coding == CODING
    assert content.images == {"eeprom": EEPROM, "calibration": CALIBRATION}
    assert content.known_good == b"\x00good"
    assert content.identity == [IdentityValue(did=0xF190, value=VIN.hex())]
    assert content.manifest.refused == [REFUSED]
    assert content.manifest_sha256 == made.manifest_sha256
    assert VIN.decode() not in repr(content)


def test_the_stock_tools_open_it_by_the_commands_in_the_folder(
    kit: Kit, backup: BackupRef, tmp_path: Path
) -> None:
    for number, identity in enumerate(
        (kit.workshop_identity, kit.recovery_identity, str(kit.unlocked.kit_identity))
    ):
        folder = tmp_path / f"copy-{number}"
        shutil.copytree(backup.folders[number % 2], folder)
        (folder / "identity.txt").write_text(identity + "\n")
        guide = (folder / "OPEN-ME.txt").read_text().splitlines()
        commands = [line.strip() for line in guide if line.startswith("    ")]
        assert [command.split()[0] for command in commands] == [
            "ssh-keygen",
            "sha256sum",
            "age",
            "age",
        ]
        script = " && ".join(commands)
        done = subprocess.run(
            ["sh", "-c", script],
            cwd=folder,
            capture_output=True,
            text=True,
            check=False,
            timeout=30,
        )
        assert done.returncode == 0, done.stderr
        assert 'Good "fieldkit-backup" signature for kit' in done.stdout
        assert (folder / "coding" / "coding.json").read_bytes() == CODING
        assert (folder / "image" / "eeprom.bin").read_bytes() == EEPROM
        assert (folder / "image" / "calibration.bin").read_bytes() == CALIBRATION
        for kind in ("coding", "image"):
            subprocess.run(
                ["sha256sum", "--quiet", "-c", "SHA256SUMS"],
                cwd=folder / kind,
                check=True,
                timeout=20,
            )


def test_opening_writes_a_folder_for_the_owner_only(
    kit: Kit, media: MediaConfig, backup: BackupRef, tmp_path: Path
) -> None:
    written = open_backup(kit.unlocked, media, backup.id, tmp_path / "deep" / "open")
    assert (tmp_path / "deep" / "open").stat().st_mode & 0o777 == 0o700
    assert {path.stat().st_mode & 0o777 for path in written} == {0o600}
    names = {str(path.relative_to(tmp_path / "deep" / "open")) for path in written}
    assert names == {
        "coding/coding.json",
        "coding/identity.json",
        "coding/SHA256SUMS",
        "image/regions.json",
        "image/eeprom.bin",
        "image/calibration.bin",
        "image/SHA256SUMS",
    }
    assert (tmp_path / "deep/open/image/eeprom.bin").read_bytes() == EEPROM


def test_opening_never_writes_among_other_files(
    kit: Kit, media: MediaConfig, backup: BackupRef, tmp_path: Path
) -> None:
    (tmp_path / "mine").mkdir(mode=0o755)
    (tmp_path / "mine" / "letter").write_text("dear")
    with pytest.raises(UsageError, match="not empty"):
        open_backup(kit.unlocked, media, backup.id, tmp_path / "mine")
    assert (tmp_path / "mine").stat().st_mode & 0o777 == 0o755
    with pytest.raises(UsageError, match="Name another folder"):
        open_backup(kit.unlocked, media, backup.id, tmp_path / "mine" / "letter")


def test_nothing_secret_is_readable_in_the_state_folder_or_on_the_media(
    kit: Kit, media: MediaConfig, make: Make
) -> None:
    make(refused=[REFUSED], known_good=b"known good payload" * 9)
    for name, passphrase in (("maria", "wrong " + PASSPHRASE), (PASSPHRASE, PASSPHRASE)):
        with pytest.raises(PassphraseError):
            unlock(kit.unlocked.state, name, passphrase)
    opened = kit.unlocked
    secrets = [
        VIN,
        PASSPHRASE.encode(),
        b"immobiliser secret",
        b"calibration payload",
        b"known good payload",
        CODING,
        opened.kit_key.private_bytes_raw(),
        opened.technician.signing_key.private_bytes_raw(),
        opened.database_key,
        opened.master_key,
        str(opened.kit_identity).encode(),
        b"AGE-SECRET-KEY",
    ]
    assert opened.workshop_key is not None
    secrets.append(opened.workshop_key.private_bytes_raw())
    plain_hashes = [hashlib.sha256(data).hexdigest().encode() for data in (EEPROM, CODING)]
    spellings = {
        spelled.lower()
        for secret in [*secrets, *plain_hashes]
        for spelled in (secret, secret.hex().encode(), base64.b64encode(secret).rstrip(b"="))
    }
    files = [
        path
        for folder in (opened.state, Path(media.a), Path(media.b))
        for path in folder.rglob("*")
        if path.is_file()
    ]
    assert len(files) > 20
    for path in files:
        content = path.read_bytes().lower() + str(path).lower().encode()
        assert not [spelled for spelled in spellings if spelled in content], path


def test_a_refused_readout_needs_a_known_good_file(
    kit: Kit, media: MediaConfig, make: Make
) -> None:
    with pytest.raises(RefusedError, match="known-good") as caught:
        make(images={}, refused=[REFUSED])
    assert caught.value.gate == "DUAL_BACKUP"
    assert list_backups(media) == []
    made = make(images={}, refused=[REFUSED], known_good=b"good")
    content = read_backup(kit.unlocked, media, made.id)
    assert (content.images, content.known_good) == ({}, b"good")


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"coding": b"{"}, "not JSON"),
        ({"images": {"../x": b"1"}}, "cannot be stored"),
        ({"images": {"": b"1"}}, "cannot be stored"),
    ],
)
def test_unusable_content_is_refused_before_anything_is_written(
    media: MediaConfig, make: Make, changed: dict[str, object], said: str
) -> None:
    with pytest.raises(BadInputError, match=said):
        make(**changed)
    assert list(Path(media.a).iterdir()) == []


def test_a_changed_kit_recipient_is_noticed(kit: Kit, media: MediaConfig, tmp_path: Path) -> None:
    state = tmp_path / "state"
    shutil.copytree(kit.unlocked.state, state)
    unlocked = unlock(state, "maria", PASSPHRASE)
    mine = Recipients.load(state)
    (state / "trust" / "recipients").write_text(
        Recipients(mine.recovery, mine.workshop, mine.kit).text()
    )
    with pytest.raises(BadInputError, match="another key"):
        make_small(unlocked, media)
    assert list(Path(media.a).iterdir()) == []


def make_small(unlocked: Unlocked, media: MediaConfig) -> BackupRef:
    return make_backup(
        unlocked,
        media,
        job="job-1",
        ecu="engine",
        profile="sim-engine",
        identity=[IdentityValue(did=0xF190, value=VIN.hex())],
        coding=CODING,
        images={"eeprom": EEPROM},
    )


def test_a_medium_that_gives_back_other_bytes_does_not_count(
    kit: Kit, media: MediaConfig, make: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    def worn_out(path: Path, data: bytes) -> bool:
        if path.is_relative_to(media.b) and path.suffix == ".age":
            path.write_bytes(data[:-1] + bytes([data[-1] ^ 1]))
        return holds_past_cache(path, data)

    monkeypatch.setattr(making, "holds_past_cache", worn_out)
    with pytest.raises(MediumError, match="other bytes") as caught:
        make()
    assert caught.value.medium == "B"
    assert "Replace medium B" in caught.value.next_step
    assert list_backups(media) == []
    assert [list(Path(root, "fieldkit-backups").iterdir()) for root in (media.a, media.b)] == [
        [],
        [],
    ]


def test_a_backup_that_the_kit_cannot_open_again_does_not_count(
    kit: Kit, media: MediaConfig, make: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(making, "encrypt", lambda plain, keys: encrypt(plain, keys[1:]))
    with pytest.raises(DecryptionError, match="cannot be opened"):
        make()
    assert list_backups(media) == []


def test_a_backup_that_opens_to_something_else_does_not_count(
    kit: Kit, media: MediaConfig, make: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(making, "encrypt", lambda plain, keys: encrypt(plain[:-1], keys))
    with pytest.raises(DecryptionError, match="opens to something else"):
        make()
    assert list_backups(media) == []


def test_two_backups_at_once_do_not_remove_each_others_files(
    media: MediaConfig, make: Make
) -> None:
    make()
    descriptor = os.open(Path(media.b) / "fieldkit-backups", os.O_RDONLY)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        with pytest.raises(MediumError, match="right now") as caught:
            make()
    finally:
        os.close(descriptor)
    assert caught.value.medium == "B"
    make()


CRASH = """
import json, os, signal, sys
from appliance.backups import list_backups, repair_backup, verify_backup
from appliance.identity import unlock
from hw.config import MediaConfig
from hw.sshsig import AllowedSigners
from pathlib import Path
from tests.appliance.backups.test_make import make_small

unlocked = unlock(Path(sys.argv[1]), "maria", "correct horse battery")
signers = AllowedSigners.load(unlocked.state / "trust" / "allowed_signers")

def dies_at(media, count):
    child = os.fork()
    if child == 0:
        real, left = os.fsync, [count]
        def fsync(descriptor):
            left[0] -= 1
            if left[0] == 0:
                os.kill(os.getpid(), signal.SIGKILL)
            real(descriptor)
        os.fsync = fsync
        make_small(unlocked, media)
        os._exit(0)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])

for count in range(1, 60):
    roots = [Path(sys.argv[2]) / f"{count}{name}" for name in "ab"]
    for root in roots:
        root.mkdir()
    media = MediaConfig(str(roots[0]), str(roots[1]), simulated=True)
    code = dies_at(media, count)
    found = list_backups(media)
    good = [verify_backup(media, item.id, signers, unlocked) for item in found]
    copies = [copy for report in good for copy in report.copies if copy.good]
    present = sum(info.on_a == "there" for info in found) + sum(
        info.on_b == "there" for info in found
    )
    healed = [repair_backup(media, item.id, signers, unlocked).good for item in found]
    make_small(unlocked, media)
    left = [path.name for root in roots for path in (root / "fieldkit-backups").glob(".*")]
    print(json.dumps([code, present, len(copies), all(healed), left]))
    if code == 0:
        break
"""


def test_a_power_cut_at_any_sync_leaves_only_copies_that_are_whole(
    kit: Kit, tmp_path: Path
) -> None:
    done = subprocess.run(
        [sys.executable, "-c", CRASH, kit.unlocked.state, tmp_path],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
        timeout=100,
    )
    assert done.returncode == 0, done.stderr
    runs = [json.loads(line) for line in done.stdout.splitlines()]
    assert len(runs) > 15
    assert {code for code, *_ in runs[:-1]} == {-9}
    assert runs[-1][0] == 0, "the last one was not killed"
    for _, present, whole, healed, left in runs:
        assert present == whole, "what has a backup's name is whole"
        assert healed
        assert left == [], "the next backup removes what was left unfinished"
    assert {present for _, present, *_ in runs} == {0, 1, 2}
