"""The last words of the kit's processes: from the journal where there is one, and from files."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

UNITS = ("fieldkit-hw", "fieldkit-appliance", "fieldkit-ui")
JOURNAL_LINES = 20_000
JOURNAL_LIMIT_S = 20.0
MOST_BYTES = 2 * 1024 * 1024
"""Of one log: its end, which is where it failed."""


def read_logs(run: Path) -> Iterator[tuple[str, str]]:
    """Name and text of every log, those of the journal first.

    Args:
        run: folder of the sockets, where a supervisor keeps `NAME.log`.
    """
    journalctl = shutil.which("journalctl")
    for unit in UNITS if journalctl else ():
        if text := _journal(str(journalctl), unit):
            yield f"{unit}.journal", text
    for path in sorted(run.glob("*.log")):
        try:
            yield path.name, _end(path)
        except OSError as error:
            yield path.name, f"It cannot be read: {error.strerror}.\n"


def _journal(journalctl: str, unit: str) -> str:
    """What the journal has of a unit; empty where it has nothing or is not open to us."""
    try:
        ended = subprocess.run(
            [journalctl, "--no-pager", "--quiet", "--output=short-iso-precise",
             f"--lines={JOURNAL_LINES}", f"--unit={unit}"],
            capture_output=True,
            timeout=JOURNAL_LIMIT_S,
            check=False,
        )  # fmt: skip
    except (OSError, subprocess.TimeoutExpired) as error:
        return f"The journal cannot be read: {error}\n"
    return _text(ended.stdout[-MOST_BYTES:])


def _end(path: Path) -> str:
    with path.open("rb") as file:
        size = file.seek(0, 2)
        file.seek(max(0, size - MOST_BYTES))
        return _text(file.read(MOST_BYTES))


def _text(raw: bytes) -> str:
    return raw.decode("utf-8", "replace")
