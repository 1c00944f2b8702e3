"""USB sticks: which are there, that no path leads off one, and writing a folder onto one."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import msgspec
import pytest

from appliance import sticks
from appliance.errors import StickError
from appliance.sticks import (
    MAX_ENTRIES,
    NotOnStick,
    Stick,
    find_sticks,
    has_file,
    list_folder,
    place_of,
    put_file,
    put_folder,
    read_file,
    stick_at,
)
from hw.config import KitConfig, MediaConfig, SticksConfig, VoltageConfig

ROOT = Path(__file__).parents[2]
LINE = "{number} 27 {device} / {point} {options} shared:1 - vfat {source} rw\n"


def config(root: Path, *, simulated: bool = True) -> KitConfig:
    return KitConfig(
        voltage=VoltageConfig(sensor="ina219:///dev/i2c-1/0x40"),
        media=MediaConfig(str(root / "fieldkit-a"), str(root / "fieldkit-b")),
        sticks=SticksConfig(roots=(str(root), str(root / "missing")), simulated=simulated),
    )


@pytest.fixture
def stick(tmp_path: Path) -> Stick:
    (tmp_path / "media" / "blue" / "cars").mkdir(parents=True)
    (tmp_path / "media" / "blue" / "file.hex").write_bytes(b"content")
    (tmp_path / "secret").write_bytes(b"of the kit")
    (found,) = find_sticks(config(tmp_path / "media"))
    return found


def read(stick: Stick, path: str | Path) -> bytes:
    return read_file(place_of([stick], str(path)), 100)


def test_folders_stand_for_sticks_where_they_are_simulated(tmp_path: Path) -> None:
    for name in ("blue", "fieldkit-a", "fieldkit-b", ".hidden"):
        (tmp_path / name).mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "blue")
    (tmp_path / "file").touch()
    (found,) = find_sticks(config(tmp_path))
    assert (found.name, found.simulated, found.read_only) == ("blue", True, False)
    assert 0 < found.free_bytes <= found.size_bytes


def test_block_devices_below_the_roots_are_sticks_and_backup_media_are_not(
    tmp_path: Path,
) -> None:
    mounts = [
        ("/", "254:0", "/dev/root", "rw"),
        (str(tmp_path), "8:64", "/dev/sde1", "rw"),  # the root itself, as a service sees it
        (str(tmp_path / "fieldkit-a"), "8:1", "/dev/sda1", "rw"),
        (str(tmp_path / "anna" / "my stick"), "8:17", "/dev/sdb1", "rw"),
        (str(tmp_path / "locked"), "8:33", "/dev/sdc1", "ro"),
        (str(tmp_path / "other-name-of-a"), "8:1", "/dev/sda1", "rw"),
        (str(tmp_path / "memory"), "0:50", "tmpfs", "rw"),
        ("/elsewhere", "8:49", "/dev/sdd1", "rw"),
        (str(tmp_path / "pulled"), "8:65", "/dev/sdf1", "rw"),  # its folder is gone
    ]
    for point, *_ in mounts:
        if point.startswith(str(tmp_path)) and "pulled" not in point:
            Path(point).mkdir(parents=True, exist_ok=True)
    mountinfo = tmp_path / "mountinfo"
    mountinfo.write_text(
        "".join(
            LINE.format(
                number=number,
                device=device,
                point=point.replace(" ", "\\040"),
                options=f"{options},relatime",
                source=source,
            )
            for number, (point, device, source, options) in enumerate(mounts, 40)
        )
    )
    found = find_sticks(config(tmp_path, simulated=False), mountinfo)
    assert [(one.name, one.read_only) for one in found] == [("my stick", False), ("locked", True)]
    with pytest.raises(StickError, match="does not tell what is mounted"):
        find_sticks(config(tmp_path, simulated=False), tmp_path / "nothing")


def test_a_folder_tells_its_folders_and_files_by_name(stick: Stick) -> None:
    (stick.folder / "Zoo").mkdir()
    (stick.folder / "B.vbf").write_bytes(b"12345")
    (stick.folder / ".Trashes").mkdir()
    (stick.folder / "link").symlink_to("file.hex")
    os.mkfifo(stick.folder / "pipe")
    (stick.folder / os.fsdecode(b"bad\xff.hex")).touch()
    os.utime(stick.folder / "B.vbf", (0, 0))
    listing = list_folder(place_of([stick], str(stick.folder)))
    assert [one.name for one in listing.entries] == ["cars", "Zoo", "B.vbf", "file.hex"]
    assert [one.folder for one in listing.entries] == [True, True, False, False]
    assert (listing.entries[2].size, listing.entries[2].modified) == (5, "1970-01-01T00:00:00Z")
    assert listing.left_out == 3


def test_a_long_folder_is_told_up_to_a_limit(stick: Stick, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sticks, "MAX_ENTRIES", 5)
    assert MAX_ENTRIES > 5
    for number in range(7):
        (stick.folder / "cars" / f"{number}.hex").touch()
    listing = list_folder(place_of([stick], str(stick.folder / "cars")))
    assert (len(listing.entries), listing.left_out) == (5, 2)


@pytest.mark.parametrize(
    "path",
    ["file.hex", "../secret", "", "{}/../../secret", "{}/cars/../../../secret", "{}/a\x00b", "{}x"],
)
def test_a_path_that_is_not_plainly_on_a_stick_is_refused(stick: Stick, path: str) -> None:
    with pytest.raises(NotOnStick) as caught:
        read(stick, path.replace("{}", str(stick.folder)))
    assert caught.value.next_step.endswith(".")


@pytest.mark.parametrize("target", ["../../secret", "{}/secret", "file.hex"])
def test_no_link_is_followed_wherever_it_leads(stick: Stick, target: str) -> None:
    root = stick.folder.parent.parent
    (stick.folder / "link.hex").symlink_to(target.replace("{}", str(root)))
    (stick.folder / "up").symlink_to(root, target_is_directory=True)
    for path in ("link.hex", "up/secret", "up/media/blue/file.hex"):
        with pytest.raises(NotOnStick, match="no link on a stick is followed"):
            read(stick, stick.folder / path)
    with pytest.raises(NotOnStick, match="no link on a stick is followed"):
        list_folder(place_of([stick], str(stick.folder / "up")))


def test_what_is_no_file_or_not_there_is_said(stick: Stick) -> None:
    os.mkfifo(stick.folder / "pipe.hex")
    for path in ("pipe.hex", "cars", ""):
        with pytest.raises(NotOnStick, match="is no file"):
            read(stick, stick.folder / path)
    with pytest.raises(NotOnStick, match="is no folder"):
        list_folder(place_of([stick], str(stick.folder / "file.hex")))
    for path in ("nothing.hex", "file.hex/below"):
        with pytest.raises(StickError, match="is not there"):
            read(stick, stick.folder / path)
    assert has_file(place_of([stick], str(stick.folder / "file.hex")))
    assert not has_file(place_of([stick], str(stick.folder / "nothing.hex")))


def test_a_stick_that_was_pulled_out_is_not_the_card_below_it(stick: Stick) -> None:
    # The list of mounts named mount 1; what lies at the folder by now is another one.
    pulled = sticks.Stick(folder=stick.folder, mount=1, read_only=False, free_bytes=0, size_bytes=0)
    with pytest.raises(StickError, match="does not answer any more"):
        read(pulled, stick.folder / "file.hex")
    with pytest.raises(StickError, match="does not answer any more"):
        put_folder(pulled, "export", {"a": b"a"})
    assert not (stick.folder / "export").exists()
    (stick.folder.parent / "blue").rename(stick.folder.parent / "away")
    with pytest.raises(StickError, match="is not there any more") as caught:
        list_folder(place_of([stick], str(stick.folder)))
    assert "Plug it in again" in caught.value.next_step


def test_a_folder_is_put_whole_and_beside_an_older_one(stick: Stick) -> None:
    files = {"report.pdf": b"%PDF" * 1000, "plans/one/plan.json": b"{}", "SHA256SUMS": b""}
    assert put_folder(stick, "export", files) == "export"
    assert put_folder(stick, "export", files) == "export-2"
    for name, content in files.items():
        assert (stick.folder / "export-2" / name).read_bytes() == content
    assert {path.name for path in stick.folder.iterdir()} == {
        "cars", "file.hex", "export", "export-2",
    }  # fmt: skip


def test_a_stick_that_gives_back_other_bytes_is_told_and_nothing_stays(
    stick: Stick, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sticks, "holds_past_cache", lambda _path, _data: False)
    with pytest.raises(StickError, match="gave back other bytes") as caught:
        put_folder(stick, "export", {"a/b": b"b"})
    assert "throw this one away" in caught.value.next_step
    assert {path.name for path in stick.folder.iterdir()} == {"cars", "file.hex"}


def test_a_file_is_put_whole_and_beside_an_older_one(stick: Stick) -> None:
    assert put_file(stick, "log.zip", b"x" * 5000) == "log.zip"
    assert put_file(stick, "log.zip", b"y") == "log-2.zip"
    assert (stick.folder / "log.zip").read_bytes() == b"x" * 5000
    assert {path.name for path in stick.folder.iterdir()} == {
        "cars", "file.hex", "log.zip", "log-2.zip",
    }  # fmt: skip


def test_of_a_file_that_comes_back_otherwise_or_finds_no_room_nothing_stays(
    stick: Stick, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sticks, "_RESERVE", stick.size_bytes)
    with pytest.raises(StickError, match="is full: "):
        put_file(stick, "log.zip", b"x")
    monkeypatch.setattr(sticks, "_RESERVE", 0)
    monkeypatch.setattr(sticks, "holds_past_cache", lambda _path, _data: False)
    with pytest.raises(StickError, match="gave back other bytes"):
        put_file(stick, "log.zip", b"x")
    assert {path.name for path in stick.folder.iterdir()} == {"cars", "file.hex"}


def test_a_stick_is_named_by_its_folder(stick: Stick) -> None:
    assert stick_at([stick], str(stick.folder)) is stick
    with pytest.raises(StickError, match="is not plugged in"):
        stick_at([stick], str(stick.folder / "cars"))


REAL_MOUNTS = """
import json, os, subprocess, sys
from pathlib import Path
from appliance.errors import StickError
from appliance.sticks import NotOnStick, find_sticks, place_of, put_file, put_folder, read_file
from tests.appliance.test_sticks import config

base = Path(sys.argv[1])
for name, options in (("good", "size=4m"), ("small", "size=256k"), ("readonly", "size=4m,ro"),
                      ("tight", "size=4m,nr_inodes=4")):
    (base / name).mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", options, "none", base / name], check=True)
(base / "good" / "below").mkdir()
subprocess.run(["mount", "-t", "tmpfs", "none", base / "good" / "below"], check=True)
(base / "good" / "below" / "file").write_bytes(b"of another filesystem")
found = {stick.name: stick for stick in find_sticks(config(base))}
said = {"read_only": [name for name, stick in found.items() if stick.read_only]}
for name in ("good", "small", "readonly", "tight"):
    try:
        said[name + " file"] = put_file(found[name], "log.zip", bytes(300_000))
    except StickError as error:
        said[name + " file"] = error.what
    try:
        said[name] = put_folder(found[name], "export", {"a": bytes(300_000), "b/c/d/e": b"x"})
    except StickError as error:
        said[name] = error.what + " " + error.next_step
    said[name + " holds"] = sorted(path.name for path in (base / name).iterdir())
try:
    read_file(place_of(list(found.values()), str(base / "good/below/file")), 100)
except NotOnStick as error:
    said["below"] = error.what
print(json.dumps(said))
"""


def test_real_mounts_full_read_only_and_one_below_another(tmp_path: Path) -> None:
    private = ["unshare", "-m"] if os.getuid() == 0 else ["unshare", "-rm"]
    if subprocess.run([*private, "true"], check=False, timeout=20).returncode != 0:
        pytest.skip("this machine allows no private mounts: 'unshare -m' failed")
    done = subprocess.run(
        [*private, sys.executable, "-c", REAL_MOUNTS, tmp_path],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert done.returncode == 0, done.stderr
    said = json.loads(done.stdout)
    assert said["read_only"] == ["readonly"]
    assert (said["good"], said["good holds"]) == (
        "export", ["below", "export", "log.zip"],
    )  # fmt: skip
    assert said["good file"] == said["tight file"] == "log.zip"
    assert "is full: 365536 bytes are needed" in said["small file"]
    assert "is read-only" in said["readonly file"]
    assert "is full: 365537 bytes are needed" in said["small"]
    assert said["small holds"] == []
    assert "is read-only. Release its write protection" in said["readonly"]
    assert "is full. Make room" in said["tight"]
    assert said["tight holds"] == ["log.zip"]
    assert "something else is mounted at 'below'" in said["below"]


def test_the_defaults_are_where_desktops_mount_sticks() -> None:
    assert msgspec.convert({}, SticksConfig).roots == ("/media", "/run/media")
