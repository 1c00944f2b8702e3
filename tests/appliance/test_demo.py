"""`fieldkit demo`: what it claims, and that it leaves nothing behind."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

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
    "ssh-keygen",
    "age",
)


def test_every_claim_of_the_demo_holds_and_nothing_is_left() -> None:
    ended = subprocess.run(
        [sys.executable, "-m", "appliance.cli", "demo", "--headless", "--seed", "7"],
        env={**os.environ, "FIELDKIT_RUN": "/nonexistent", "FIELDKIT_STATE": "/nonexistent"},
        capture_output=True,
        text=True,
        check=False,
        timeout=110,
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
