"""What is always shown of the kit itself: media, supply and clock, never better than they are."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from appliance.cli.setup import simulated_config
from appliance.service import kitstate
from appliance.service.kitstate import KitState, medium_views, read_supply
from hw import clock
from hw.config import KitConfig, MediaConfig, VoltageConfig

ROOT = Path(__file__).parents[3]
THROTTLED = "devices/platform/soc/soc:firmware/get_throttled"


def kit_config(folder: Path, *, simulated: bool = True) -> KitConfig:
    return KitConfig(
        voltage=VoltageConfig(sensor="ina219:///dev/i2c-1/0x40"),
        media=MediaConfig(str(folder / "a"), str(folder / "b"), simulated),
    )


def sysfs(folder: Path, **files: str) -> Path:
    for name, text in files.items():
        path = folder / {"throttled": THROTTLED}.get(name, name)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return folder


@pytest.mark.parametrize(
    ("word", "state", "was_low"),
    [
        ("0\n", "ok", False),
        ("50005\n", "low", True),
        ("1\n", "low", True),
        ("50000\n", "ok", True),
        ("20002\n", "ok", False),  # the processor was slowed down for another reason
    ],
)
def test_the_firmwares_word_is_the_supply(
    tmp_path: Path, word: str, state: str, was_low: bool
) -> None:
    supply = read_supply(sysfs(tmp_path, throttled=word))
    assert (supply.state, supply.was_low) == (state, was_low)


@pytest.mark.parametrize(("alarm", "state"), [("0\n", "ok"), ("1\n", "low"), ("x", "unknown")])
def test_where_only_the_kernels_sensor_is_there_it_is_asked(
    tmp_path: Path, alarm: str, state: str
) -> None:
    for name, told in (("hwmon0", "cpu_thermal"), ("hwmon1", "rpi_volt")):
        folder = tmp_path / "class/hwmon" / name
        folder.mkdir(parents=True)
        (folder / "name").write_text(f"{told}\n")
        (folder / "in0_lcrit_alarm").write_text(alarm if told == "rpi_volt" else "1\n")
    assert read_supply(tmp_path).state == state


def test_nobody_knows_the_supply_where_nothing_tells_it(tmp_path: Path) -> None:
    supply = read_supply(tmp_path)
    assert (supply.state, supply.was_low) == ("unknown", None)
    assert read_supply(sysfs(tmp_path, throttled="nonsense")).state == "unknown"


def test_media_are_present_missing_or_full(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "a").mkdir()
    monkeypatch.setattr(kitstate, "MIN_FREE_BYTES", 1)
    present, missing = medium_views(kit_config(tmp_path))
    assert (present.name, present.state, present.what) == ("a", "present", "")
    assert present.free_bytes is not None
    assert present.free_bytes > 0
    assert (missing.name, missing.state, missing.free_bytes) == ("b", "missing", None)
    assert missing.next_step.startswith("Insert medium B")
    assert present.simulated
    monkeypatch.setattr(kitstate, "MIN_FREE_BYTES", 1 << 62)
    assert medium_views(kit_config(tmp_path))[0].state == "full"


def test_a_folder_on_the_card_is_no_medium_of_a_real_kit(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    first, _ = medium_views(kit_config(tmp_path, simulated=False))
    assert (first.state, first.simulated) == ("missing", False)
    assert "is not mounted" in first.what


READ_ONLY = """
import subprocess, sys
from pathlib import Path
from appliance.service.kitstate import medium_views
from tests.appliance.service.test_kitstate import kit_config
base = Path(sys.argv[1])
for name in "ab":
    (base / name).mkdir()
subprocess.run(["mount", "-t", "tmpfs", "-o", "ro", "none", base / "a"], check=True)
subprocess.run(["mount", "-t", "tmpfs", "-o", "size=1m", "none", base / "b"], check=True)
print([view.state for view in medium_views(kit_config(base, simulated=False))])
"""


def test_a_write_protected_medium_and_a_small_one(tmp_path: Path) -> None:
    private = ["unshare", "-m"] if os.getuid() == 0 else ["unshare", "-rm"]
    if subprocess.run([*private, "true"], check=False, timeout=20).returncode != 0:
        pytest.skip("this machine allows no private mounts: 'unshare -m' failed")
    done = subprocess.run(
        [*private, sys.executable, "-c", READ_ONLY, tmp_path],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert done.stdout == "['read_only', 'full']\n", done.stderr


def test_the_kit_is_looked_at_once_a_second(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = [100.0]
    monkeypatch.setattr(clock, "now", lambda: now[0])
    sys_folder = sysfs(tmp_path / "sys", throttled="0")
    kit = KitState(tmp_path, sys_folder)
    first = kit.now()
    assert (first.supply.state, first.media, first.config) == ("ok", [], None)
    sysfs(sys_folder, throttled="1")
    now[0] += 0.9
    assert kit.now() is first
    now[0] += 0.2
    assert kit.now().supply.state == "low"
    assert kit.now().clock.quality in ("synchronised", "unsynchronised")


def test_a_simulated_kit_has_folders_for_its_sticks(tmp_path: Path) -> None:
    tables = simulated_config(tmp_path, tmp_path / "sim")
    assert tables["sticks"] == {"roots": [str(tmp_path / "sticks")], "simulated": True}
