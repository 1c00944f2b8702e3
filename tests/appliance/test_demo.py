"""`fieldkit demo`: what it claims, and that it leaves nothing behind."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.appliance.test_supervisor import alive, eventually

START_LIMIT_S = 60.0
LIMIT_S = 220.0
CLAIMS = (
    "identity",
    "dual backup",
    "dry run",
    "gates",
    "permit",
    "sag",
    "outcome",
    "memory",
    "record",
    "report",
    "workshop",
    "ssh-keygen",
    "age",
)


@pytest.mark.timeout(LIMIT_S + 20)
def test_every_claim_of_the_demo_holds_and_nothing_is_left() -> None:
    ended = subprocess.run(
        [sys.executable, "-m", "appliance.cli", "demo", "--headless", "--seed", "7"],
        env={**os.environ, "FIELDKIT_RUN": "/nonexistent", "FIELDKIT_STATE": "/nonexistent"},
        capture_output=True,
        text=True,
        check=False,
        timeout=LIMIT_S,
    )
    assert ended.returncode == 0, ended.stdout + ended.stderr
    assert ended.stderr == ""
    assert "\x1b" not in ended.stdout
    told = [
        line.split(": ", 1)[0] for line in ended.stdout.splitlines() if line.startswith("   ok  ")
    ]
    assert [line.removeprefix("   ok  ") for line in told] == list(CLAIMS)
    assert "gate: OPEN -> HELD -> OPEN -> CLOSED" in ended.stdout
    assert ended.stdout.splitlines()[-1].startswith("Every claim held.")
    (folder,) = set(re.findall(r"[\w./-]+/fieldkit-demo-\w+", ended.stdout))
    assert not Path(folder).exists()


def test_the_window_ends_with_a_demo_that_is_killed() -> None:
    with subprocess.Popen(
        [sys.executable, "-m", "appliance.cli", "demo"],
        env={**os.environ, "SDL_VIDEODRIVER": "offscreen"},
        stdout=subprocess.DEVNULL,
    ) as demo:
        window = eventually(lambda: window_of(demo.pid), START_LIMIT_S)
        (run,) = re.findall(rb"FIELDKIT_RUN=([^\0]+)", Path(f"/proc/{window}/environ").read_bytes())
        demo.kill()
    eventually(lambda: not alive(window))
    # Nobody else removes what a killed demo leaves, and its other processes end just now.
    folder = Path(os.fsdecode(run)).parent
    eventually(lambda: is_removed(folder))


def window_of(demo: int) -> int:
    """Process number of the demo's screen, 0 while there is none."""
    for child in Path(f"/proc/{demo}/task/{demo}/children").read_text().split():
        if b"\0-m\0ui\0" in Path(f"/proc/{child}/cmdline").read_bytes():
            return int(child)
    return 0


def is_removed(folder: Path) -> bool:
    shutil.rmtree(folder, ignore_errors=True)
    return not folder.exists()
