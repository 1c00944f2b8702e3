"""The real app in a real window, on the real appliance and the simulated car."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from PIL import Image

from tests.stack import PASSPHRASE, ROOT, Stack, running_stack

LIMIT_S = 280


def walk(stack: Stack, state: Path, way: str) -> None:
    socket = str(stack.run / "appliance.sock")
    ran = subprocess.run(
        [sys.executable, "-m", "tests.ui.walk", socket, str(state), way],
        cwd=ROOT,
        env=os.environ | {"SDL_VIDEODRIVER": "offscreen"},
        capture_output=True,
        text=True,
        timeout=LIMIT_S,
        check=False,
    )
    assert ran.returncode == 0, ran.stdout + ran.stderr
    assert ran.stdout.strip().endswith("walked")


def test_a_technician_gets_from_the_locked_kit_to_a_job_and_back(tmp_path: Path) -> None:
    with running_stack() as stack:
        with stack.client() as client:
            client.lock()
        walk(stack, tmp_path / "state", "walk")


def test_the_settings_of_the_kit_are_reached_by_touch_alone(tmp_path: Path) -> None:
    with running_stack() as stack:
        walk(stack, tmp_path / "state", "settings")
        with stack.client() as client:
            assert "Lea" in {one.name for one in client.technicians().technicians}
            client.unlock("Lea", PASSPHRASE)
    kept = json.loads((tmp_path / "state" / "settings.json").read_bytes())
    assert kept["link"].startswith("doip://")


def test_a_report_is_read_and_diagnostics_are_saved(tmp_path: Path) -> None:
    with running_stack() as stack:
        with stack.client() as client:
            # A kit's first report loads fonts: on a busy machine it would seem gone for a moment.
            client.job_report(client.job_new("Fleet Ltd", "Golf").job)
        walk(stack, tmp_path / "state", "papers")
        assert list((stack.state / "sticks").rglob("fieldkit-diagnostics-*.zip"))


def turned(*words: str) -> dict[str, object]:
    ran = subprocess.run(
        [sys.executable, "-m", "tests.ui.turned", *words],
        cwd=ROOT,
        env=os.environ | {"SDL_VIDEODRIVER": "offscreen"},
        capture_output=True,
        text=True,
        timeout=100,
        check=False,
    )
    assert ran.returncode == 0, ran.stderr
    found: dict[str, object] = json.loads(ran.stdout)
    return found


@pytest.mark.parametrize(
    ("panel", "kept", "shown"),
    [("800x480", 180, 180), ("480x800", 0, 90), ("480x800", 270, 270), ("800x480", 90, 0)],
)
def test_on_a_turned_panel_touches_go_where_they_are_seen(
    tmp_path: Path, panel: str, kept: int, shown: int
) -> None:
    found = turned(panel, str(kept), str(tmp_path))
    assert found == {"size": [800, 480], "rotation": shown, "opened": "language"}


def test_the_touch_that_wakes_the_screen_touches_nothing(tmp_path: Path) -> None:
    found = turned("800x480", "0", str(tmp_path), "dark")
    assert found["dark"]
    assert Image.open(tmp_path / "dark.png").getextrema() == ((0, 0), (0, 0), (0, 0))
    assert not found["opened by the touch that wakes it"]
    assert not found["dark after it"]
    assert found["opened"] == "language"


@pytest.mark.timeout(300)
def test_an_ecu_is_backed_up_and_programmed_by_touch_alone(tmp_path: Path) -> None:
    with running_stack() as stack:
        with stack.client() as client:
            client.job_new("Ada", "Polo")
        walk(stack, tmp_path / "state", "write")
        log = stack.control(do="log", after=0)["entries"]
        with stack.client() as client:
            (job,) = client.job_list().jobs
    assert job.state == "verified"
    # The car itself: one download, once, and none of it before the button was held.
    assert [entry["request"][:2] for entry in log].count("34") == 1
