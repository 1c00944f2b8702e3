"""Flash over SocketCAN: measured in the bench VM (`make bench-vm`), taken over from what it left.

Only a result that is younger than the checked out commit counts; an older one tells of other code.
"""

from __future__ import annotations

import json
import subprocess
from pathlib import Path
from typing import Any

from tests.benchmark.figures import BUILD, Figure, rounded

RESULTS = BUILD / "bench-vm" / "results.json"
NAME = "flash over SocketCAN in the bench VM"
UNIT = "kB/s"
GOAL_KB_S = 1.0
"""The VM emulates its processor, some 18 times slower than here: it has to work, not to race."""


def measure(_times: int) -> list[Figure]:
    """What the VM measured; without it a row that says so and meets no goal."""
    rows = [_figure(line) for line in _lines(RESULTS) if "socketcan" in line["name"].lower()]
    return rows or [Figure(f"{NAME} (not run: make bench-vm)", None, UNIT, "higher", GOAL_KB_S)]


def _lines(path: Path) -> list[dict[str, Any]]:
    if not path.is_file() or path.stat().st_mtime < _commit_time():
        return []
    return [json.loads(line) for line in path.read_text().splitlines() if line.strip()]


def _figure(line: dict[str, Any]) -> Figure:
    row = Figure(f"{NAME}: {line['name']}", rounded(line["value"]), line["unit"], "higher", 0.0)
    row.goal = float(line.get("goal") or GOAL_KB_S)
    if line.get("peer_value"):
        row.peer, row.peer_value = line.get("peer", ""), rounded(line["peer_value"])
        row.ratio = rounded(line["value"] / line["peer_value"])
    return row


def _commit_time() -> float:
    """When the checked out commit was made; without git nothing is known, so nothing is older."""
    command = ["git", "log", "-1", "--format=%ct"]
    told = subprocess.run(command, capture_output=True, text=True, check=False)
    return float(told.stdout) if told.returncode == 0 else 0.0
