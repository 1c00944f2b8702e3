"""The real app in a real window, on the real appliance and the simulated car."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from tests.stack import ROOT, running_stack

LIMIT_S = 110


def test_a_technician_gets_from_the_locked_kit_to_a_job_and_back(tmp_path: Path) -> None:
    with running_stack() as stack:
        with stack.client() as client:
            client.lock()
        ran = subprocess.run(
            [
                sys.executable,
                "-m",
                "tests.ui.walk",
                str(stack.run / "appliance.sock"),
                str(tmp_path / "state"),
            ],
            cwd=ROOT,
            env=os.environ | {"SDL_VIDEODRIVER": "offscreen"},
            capture_output=True,
            text=True,
            timeout=LIMIT_S,
            check=False,
        )
    assert ran.returncode == 0, ran.stdout + ran.stderr
    assert ran.stdout.strip().endswith("walked")
