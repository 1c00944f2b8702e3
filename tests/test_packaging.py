"""The locks, the units and the make targets: what a fresh machine gets."""

import re
import shutil
import subprocess
import sys
import tomllib
import zipfile
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parent.parent
LOCKS = ("requirements.lock", "requirements-build.lock", "requirements-pi.lock")
BENCH_LOCK = "requirements-bench.lock"
"""Of an environment of its own, so that its versions are its own too."""
UNITS = ("fieldkit-hw.service", "fieldkit-appliance.service", "fieldkit-ui.service")


def locked(text: str) -> dict[str, str]:
    """Each requirement of a lock, by name, with its continuation lines."""
    blocks = re.findall(r"^(?=[^#\s])(?:.*\\\n)*.*$", text, flags=re.MULTILINE)
    return {re.split(r"[ =<>~;\\]", block, maxsplit=1)[0]: block for block in blocks}


def loose(text: str) -> list[str]:
    """Requirements that are not pinned to one version or carry no hash."""
    pinned = re.compile(r"[a-z0-9-]+==[^ \\]+.*\\\n(    --hash=sha256:[0-9a-f]{64}( \\\n)?)+")
    return [name for name, block in locked(text).items() if not pinned.fullmatch(block)]


def project() -> dict[str, Any]:
    return tomllib.loads((ROOT / "pyproject.toml").read_text())


def names(requirements: list[str]) -> set[str]:
    return {re.split(r"[ =<>~;\[]", line, maxsplit=1)[0] for line in requirements}


@pytest.mark.parametrize("lock", [*LOCKS, BENCH_LOCK])
def test_a_lock_pins_and_hashes_everything_and_names_no_index(lock: str) -> None:
    text = (ROOT / lock).read_text()
    assert locked(text)
    assert loose(text) == []
    assert "://" not in text
    assert "--index-url" not in text
    assert "--find-links" not in text


@pytest.mark.parametrize(
    "line",
    [
        "msgspec\n",
        "msgspec==0.22.0\n",
        "msgspec>=0.22.0 \\\n    --hash=sha256:" + "0" * 64 + "\n",
        "msgspec==0.22.0 \\\n    --hash=md5:" + "0" * 32 + "\n",
    ],
)
def test_a_loose_requirement_is_found(line: str) -> None:
    good = "peewee==4.5.3 \\\n    --hash=sha256:" + "a" * 64 + "\n"
    assert loose(good) == []
    assert loose(good + line) == ["msgspec"]


def test_the_gpio_library_is_the_real_one_and_not_its_empty_namesake() -> None:
    assert locked((ROOT / "requirements-pi.lock").read_text())["lgpio"].startswith(
        "lgpio==0.2.2.0 "
    )


def test_the_locks_hold_every_dependency_of_every_group() -> None:
    frame = project()
    groups = frame["project"]["optional-dependencies"]
    main, build, pi = (set(locked((ROOT / lock).read_text())) for lock in LOCKS)
    everyday = [*frame["project"]["dependencies"]]
    for group in set(groups) - {"pi", "bench"}:
        everyday += groups[group]
    assert names(everyday) <= main
    assert names(frame["dependency-groups"]["build"]) <= build
    assert names(groups["pi"]) <= pi
    assert names(groups["bench"]) <= set(locked((ROOT / BENCH_LOCK).read_text()))


def test_one_version_of_a_package_in_all_locks() -> None:
    versions: dict[str, set[str]] = {}
    for lock in LOCKS:
        for name, block in locked((ROOT / lock).read_text()).items():
            versions.setdefault(name, set()).add(block.split()[0])
    assert {name: found for name, found in versions.items() if len(found) > 1} == {}


@pytest.fixture
def units(tmp_path: Path) -> list[Path]:
    """Copy the units, started from a folder that exists here."""
    found = []
    for name in UNITS:
        text = (ROOT / "systemd" / name).read_text()
        for program in re.findall(r"^ExecStart=(\S+)", text, flags=re.MULTILINE):
            stand_in = tmp_path / Path(program).name
            shutil.copy("/bin/true", stand_in)
            text = text.replace(program, str(stand_in))
        found.append(tmp_path / name)
        found[-1].write_text(text)
    return found


def systemd_analyze(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        ["systemd-analyze", *arguments], capture_output=True, text=True, check=False, timeout=60
    )


def complaints(units: list[Path]) -> list[str]:
    """What systemd says about the units; it tells of unknown keys, but ends with 0 all the same."""
    said = systemd_analyze("verify", "--man=no", *units).stderr.splitlines()
    return [line for line in said if any(unit.name in line for unit in units)]


def test_systemd_understands_the_units(units: list[Path]) -> None:
    assert complaints(units) == []


def test_a_misspelt_key_in_a_unit_is_found(units: list[Path]) -> None:
    units[0].write_text(units[0].read_text().replace("WatchdogSec", "WatchdogSek"))
    assert any("WatchdogSek" in line for line in complaints(units))


@pytest.mark.parametrize(
    ("unit", "exposure"), [(UNITS[0], "20"), (UNITS[1], "15"), (UNITS[2], "15")]
)
def test_a_unit_may_touch_little_more_than_it_needs(
    units: list[Path], unit: str, exposure: str
) -> None:
    path = next(path for path in units if path.name == unit)
    rated = systemd_analyze("security", "--offline=true", f"--threshold={exposure}", path)
    assert rated.returncode == 0, rated.stdout


def test_the_appliance_may_reach_the_workshop_and_no_car() -> None:
    """Cars on Ethernet have link-local addresses (ISO 13400-2)."""
    unit = (ROOT / "systemd" / UNITS[1]).read_text()
    assert {"AF_INET", "AF_INET6"} <= set(value(unit, "RestrictAddressFamilies").split())
    assert "PrivateNetwork" not in unit
    assert value(unit, "IPAddressDeny") == "link-local"


def test_the_screen_is_kept_from_the_socket_of_hw_and_from_the_state() -> None:
    """The appliance finds it all the same."""
    hw, _appliance, ui = ((ROOT / "systemd" / name).read_text() for name in UNITS)
    socket = Path(value(hw, "ExecStart").partition(" --socket ")[2])
    rules = (ROOT / "systemd/fieldkit.tmpfiles").read_text()
    link = re.search(r"^L\+ (/run/fieldkit/hw.sock) - - - - (\S+)$", rules, re.MULTILINE)
    assert link is not None
    assert Path(link[1]).parent / link[2] == socket
    assert f"d {socket.parent} " in rules
    assert value(ui, "InaccessiblePaths").split() == [str(socket.parent), "/var/lib/fieldkit"]


def test_the_screen_gives_way_to_hw(units: list[Path]) -> None:
    ui = next(path for path in units if path.name == UNITS[2]).read_text()
    hw = next(path for path in units if path.name == UNITS[0]).read_text()
    assert int(value(ui, "OOMScoreAdjust")) > 0 > int(value(hw, "OOMScoreAdjust"))
    assert int(value(ui, "Nice")) > 0
    assert int(value(ui, "CPUWeight")) < 100
    assert value(ui, "Restart") == "always"


def value(unit: str, key: str) -> str:
    found = re.search(rf"^{key}=(.+)$", unit, re.MULTILINE)
    assert found is not None
    return found[1]


def test_units_and_scripts_name_programs_that_the_project_installs() -> None:
    scripts = set(project()["project"]["scripts"])
    assert scripts == {"fieldkit", "fieldkit-appliance", "fieldkit-hw", "fieldkit-ui"}
    for name in UNITS:
        program = re.search(
            r"^ExecStart=(\S+)", (ROOT / "systemd" / name).read_text(), re.MULTILINE
        )
        assert program is not None
        assert Path(program[1]).name in scripts


def test_make_prepares_a_machine_whose_user_may_not_install_by_saying_the_line(
    tmp_path: Path,
) -> None:
    """The script sees a PATH without sudo and an `id` of a common user."""
    for tool in ("bash", "apt-get"):
        (tmp_path / tool).symlink_to(shutil.which(tool) or f"/usr/bin/{tool}")
    (tmp_path / "id").write_text("#!/bin/bash\necho 1000\n")
    (tmp_path / "id").chmod(0o755)
    ended = subprocess.run(
        ["/bin/bash", ROOT / ".ci/debian-packages", "bash=bash", "no-age=age", "no-nm=binutils"],
        env={"PATH": str(tmp_path)},
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert ended.returncode == 69
    assert "sudo apt-get update && sudo apt-get install -y age binutils" in ended.stderr


def test_an_installed_kit_has_every_file_of_the_packages(tmp_path: Path) -> None:
    """Built from a copy, because a build leaves its workings behind."""
    source = tmp_path / "source"
    source.mkdir()
    for name in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, source)
    for name in ("appliance", "hw", "ui"):
        shutil.copytree(ROOT / name, source / name, ignore=shutil.ignore_patterns("__pycache__"))
    before = {
        path.relative_to(source).as_posix()
        for folder in ("appliance", "hw", "ui")
        for path in (source / folder).rglob("*")
        if path.is_file() and path.parent.name != "screenshots"
    }
    pip = [sys.executable, "-m", "pip", "--quiet", "--disable-pip-version-check"]
    build = ["wheel", "--no-deps", "--no-build-isolation", "--wheel-dir", str(tmp_path)]
    subprocess.run([*pip, *build, str(source)], check=True, timeout=100)
    (wheel,) = tmp_path.glob("*.whl")
    with zipfile.ZipFile(wheel) as held:
        assert before - set(held.namelist()) == set()
        assert not [name for name in held.namelist() if "screenshots" in name]
