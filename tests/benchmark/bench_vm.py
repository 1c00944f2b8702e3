"""Flash over SocketCAN: measured in the bench VM (`make bench-vm`), taken over from what it left.

Only a result that is younger than the checked out commit counts; an older one tells of other code.
"""

from __future__ import annotations

import json
import subprocess
from pathlib import Path
from typing import Any

from tests.benchmark.figures import BUILD, Figure, figure

RESULTS = BUILD / "bench-vm" / "results.json"
NAME = "flash over SocketCAN, bench VM"
UNIT = "KiB/s"
GOAL = 15.0
"""In seconds of the VM's clock, which counts instructions: steady, but not those of a machine."""


def measure(_times: int) -> list[Figure]:
    """What the VM measured; without it a row that says so and meets no goal."""
    rates = [line["value"] for line in _lines(RESULTS) if line["name"] == NAME]
    if rates:
        return [figure(NAME, rates, UNIT, "higher", GOAL)]
    return [Figure(f"{NAME} (not run: make bench-vm)", None, UNIT, "higher", GOAL)]


def _lines(path: Path) -> list[dict[str, Any]]:
    if not path.is_file() or path.stat().st_mtime < _commit_time():
        return []
    return [json.loads(line) for line in path.read_text().splitlines() if line.strip()]


def _commit_time() -> float:
    """When the checked out commit was made; without git nothing is known, so nothing is older."""
    command = ["git", "log", "-1", "--format=%ct"]
    told = subprocess.run(command, capture_output=True, text=True, check=False)
    return float(told.stdout) if told.returncode == 0 else 0.0
