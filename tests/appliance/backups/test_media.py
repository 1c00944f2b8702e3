"""The two media: missing, pulled out, full, read-only, or one pretending to be two."""

from __future__ import annotations

import errno
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any
from unittest.mock import Mock

import pytest

from appliance.backups import check_media
from appliance.backups.media import (
    holds_past_cache,
    media_of,
    medium_errors,
    read_past_cache,
)
from appliance.errors import MediumError
from hw.config import MediaConfig
from tests.appliance.backups.conftest import Kit

ROOT = Path(__file__).parents[3]
LINE = "36 27 {device} / {point} rw,relatime shared:1 - ext4 /dev/sda1 rw\n"


def mounts(folder: Path, **points: str) -> Path:
    text = LINE.format(device="254:0", point="/")
    for point, device in points.items():
        text += LINE.format(device=device, point=str(folder / point).replace(" ", "\\040"))
    path = folder / "mountinfo"
    path.write_text(text)
    return path


@pytest.fixture
def real(tmp_path: Path) -> MediaConfig:
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
    return MediaConfig(str(tmp_path / "a"), str(tmp_path / "b"))


def test_a_medium_that_is_not_there_is_named(tmp_path: Path, real: MediaConfig) -> None:
    (tmp_path / "b").rmdir()
    with pytest.raises(MediumError, match=r"Medium B .* is not there") as caught:
        check_media(MediaConfig(real.a, real.b, simulated=True))
    assert caught.value.medium == "B"
    assert "Insert medium B" in caught.value.next_step


def test_a_pulled_out_medium_is_not_the_sd_card_below_it(tmp_path: Path, real: MediaConfig) -> None:
    with pytest.raises(MediumError, match=r"Medium B .* is not mounted") as caught:
        check_media(real, mounts(tmp_path, a="8:1"))
    assert caught.value.medium == "B"


def test_two_subvolumes_of_one_filesystem_are_one_medium(
    tmp_path: Path, real: MediaConfig, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Stat:
        def __init__(self, device: int) -> None:
            self.st_dev = device

    devices = {Path(real.a).resolve(): Stat(50), Path(real.b).resolve(): Stat(51)}
    plain = Path.stat

    def stat(path: Path, **keywords: bool) -> object:
        return devices.get(path) or plain(path, **keywords)

    same, other = mounts(tmp_path, a="0:31", b="0:31"), tmp_path / "other"
    monkeypatch.setattr(Path, "is_dir", lambda _path: True)
    monkeypatch.setattr(Path, "stat", stat)
    with pytest.raises(MediumError, match="same filesystem"):
        check_media(real, same)
    other.mkdir()
    assert check_media(real, mounts(tmp_path, a="0:31", b="0:32"))[0].name == "A"


def test_one_filesystem_under_two_names_is_one_medium(tmp_path: Path, real: MediaConfig) -> None:
    # Both folders lie on this machine's own disk, whatever the list of mounts says.
    with pytest.raises(MediumError, match="that is one copy"):
        check_media(real, mounts(tmp_path, a="8:1", b="8:17"))


def test_simulated_media_are_two_folders_at_least(tmp_path: Path, real: MediaConfig) -> None:
    check_media(MediaConfig(real.a, real.b, simulated=True))
    (tmp_path / "link").symlink_to(real.a)
    with pytest.raises(MediumError, match="that is one copy"):
        check_media(MediaConfig(real.a, str(tmp_path / "link"), simulated=True))


def test_a_mount_point_with_a_space_is_found(tmp_path: Path) -> None:
    (tmp_path / "my stick").mkdir()
    config = MediaConfig(str(tmp_path / "my stick"), str(tmp_path / "missing"))
    with pytest.raises(MediumError) as caught:
        check_media(config, mounts(tmp_path, **{"my stick": "8:1"}))
    assert caught.value.medium == "B", "A was found"


@pytest.mark.parametrize(
    ("number", "said", "next_step"),
    [
        (28, "is full", "Make room on medium A"),
        (30, "cannot be written", "write protection of medium A"),
        (19, "went away", "Insert medium A again"),
        (5, "failed", "Replace medium A"),
    ],
)
def test_what_the_system_says_becomes_what_a_person_does(
    real: MediaConfig, number: int, said: str, next_step: str
) -> None:
    with pytest.raises(MediumError, match=said) as caught, medium_errors(media_of(real)[0]):
        raise OSError(number, os.strerror(number))
    assert next_step in caught.value.next_step


def opened_with(flags: list[int], monkeypatch: pytest.MonkeyPatch, *, direct: bool) -> None:
    """Note how files are opened; without `direct` as on a filesystem that has no O_DIRECT."""
    real = os.open

    def noting(path: Any, wanted: int, *more: Any, **further: Any) -> int:
        flags.append(wanted & os.O_DIRECT)
        if wanted & os.O_DIRECT and not direct:
            raise OSError(errno.EINVAL, os.strerror(errno.EINVAL))
        return real(path, wanted, *more, **further)

    monkeypatch.setattr(os, "open", noting)


@pytest.mark.parametrize("direct", [True, False])
@pytest.mark.parametrize("size", [0, 1, 4095, 4096, 4097, (1 << 20) + 1, 8 << 20, (8 << 20) + 1])
def test_reading_past_the_cache_gives_every_byte(
    tmp_path: Path, size: int, direct: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    data = os.urandom(size)
    (tmp_path / "file").write_bytes(data)
    flags: list[int] = []
    opened_with(flags, monkeypatch, direct=direct)
    assert read_past_cache(tmp_path / "file") == data
    assert flags[:2] == [0, os.O_DIRECT]
    assert holds_past_cache(tmp_path / "file", data)
    assert not holds_past_cache(tmp_path / "file", data + b"0"), "the file is shorter"
    if data:
        assert not holds_past_cache(tmp_path / "file", data[:-1]), "the file is longer"
        other = data[:-1] + bytes([data[-1] ^ 1])
        assert not holds_past_cache(tmp_path / "file", other), "its last byte differs"
        other = bytes([data[0] ^ 1]) + data[1:]
        assert not holds_past_cache(tmp_path / "file", other), "its first byte differs"


def test_a_file_that_cannot_be_read_is_not_taken_for_a_copy(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").write_bytes(b"data")
    worn_out = OSError(errno.EIO, os.strerror(errno.EIO))
    monkeypatch.setattr(os, "readv", Mock(side_effect=worn_out))
    with pytest.raises(OSError, match="Input/output error"):
        holds_past_cache(tmp_path / "file", b"data")


REAL_MOUNTS = """
import json, subprocess, sys
from pathlib import Path
from appliance.backups import list_backups
from appliance.errors import MediumError
from appliance.identity import unlock
from hw.config import MediaConfig
from tests.appliance.backups.test_make import make_small

base = Path(sys.argv[2])
for name, options in (("a", "size=8m"), ("b", "size=8m"), ("small", "size=64k"),
                      ("readonly", "size=8m,ro")):
    (base / name).mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", options, "none", base / name], check=True)
for name in ("bound", "plain", "tight"):
    (base / name).mkdir()
subprocess.run(["mount", "--bind", base / "a", base / "bound"], check=True)
# Room by bytes but not for files: the second way of being full.
subprocess.run(["mount", "-t", "tmpfs", "-o", "size=8m,nr_inodes=4", "none", base / "tight"],
               check=True)
unlocked = unlock(Path(sys.argv[1]), "maria", "correct horse battery")
said = {}
for name in ("b", "small", "readonly", "bound", "plain", "tight"):
    media = MediaConfig(str(base / "a"), str(base / name))
    before = len(list_backups(media)) if name == "b" else len(list((base / "a").rglob("*.json")))
    try:
        said[name] = ["made", list_backups(media)[0].on_b if make_small(unlocked, media) else ""]
    except MediumError as error:
        said[name] = [error.medium, error.what]
        assert before == len(list((base / "a").rglob("*.json"))), "a half backup stayed on A"
        assert not list((base / "a" / "fieldkit-backups").glob(".tmp*"))
print(json.dumps(said))
"""


def test_real_mounts_full_read_only_bound_and_unmounted(kit: Kit, tmp_path: Path) -> None:
    private = ["unshare", "-m"] if os.getuid() == 0 else ["unshare", "-rm"]
    if subprocess.run([*private, "true"], check=False, timeout=20).returncode != 0:
        pytest.skip("this machine allows no private mounts: 'unshare -m' failed")
    done = subprocess.run(
        [*private, sys.executable, "-c", REAL_MOUNTS, kit.unlocked.state, tmp_path],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert done.returncode == 0, done.stderr
    said = json.loads(done.stdout)
    assert said["b"] == ["made", "there"]
    assert said["small"][0] == "B"
    assert "is full" in said["small"][1]
    assert said["readonly"][0] == "B"
    assert "cannot be written: Read-only" in said["readonly"][1]
    assert said["bound"][0] == "B"
    assert "that is one copy" in said["bound"][1]
    assert said["plain"][0] == "B"
    assert "is not mounted" in said["plain"][1]
    assert said["tight"][0] == "B"
    assert "is full" in said["tight"][1]
