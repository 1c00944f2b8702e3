"""`python -m tests.benchmark`: measure every part, print the table, write `build/bench.json`.

Each part runs in a process group of its own that is ended as a whole when the part ends, fails,
takes too long or is interrupted: no simulated car outlives its measurement.
"""

from __future__ import annotations

import argparse
import contextlib
import ctypes
import json
import logging
import os
import signal
import subprocess
import sys
import tempfile
import time
from dataclasses import asdict
from pathlib import Path

from rich.console import Console

from tests.benchmark.cut import HISTOGRAMS
from tests.benchmark.figures import BUILD, RESULT, Figure, load, save, table, verdict
from tests.benchmark.parts import PARTS

PART_LIMIT_S = 600.0
END_LIMIT_S = 10.0
WIDTH = 150
_PR_SET_PDEATHSIG = 1


def main() -> int:
    """Returns 1 where a part could not be measured."""
    options = _options()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    if options.into is not None:
        return _measure(options.only[0], options.into, quick=options.quick)
    HISTOGRAMS.unlink(missing_ok=True)
    figures: list[Figure] = []
    failed = []
    for part in options.only or PARTS:
        began = time.monotonic()
        measured = _in_its_own_process(part, quick=options.quick)
        print(f"{part}: {time.monotonic() - began:.0f} s", file=sys.stderr, flush=True)
        figures += measured or []
        failed += [] if measured is not None else [part]
        save(figures, RESULT)  # What was measured stays, also when the rest is interrupted.
    Console(width=WIDTH).print(table(figures))
    print(verdict(figures))
    for part in failed:
        print(f"NOT MEASURED, it failed: {part}")
    return 1 if failed else 0


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.benchmark", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="fewer runs and trials: about 2 min")
    parser.add_argument("--only", action="append", choices=PARTS, metavar="PART", default=[])
    parser.add_argument("--into", type=Path, help=argparse.SUPPRESS)
    return parser.parse_args()


def _measure(part: str, into: Path, *, quick: bool) -> int:
    """In the part's own process: measure, and hand the figures back in a file."""
    # A parent that was killed cannot end this group; the kernel tells, and all is closed in order.
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)
    logging.disable(logging.ERROR)  # The stock stack logs each error that it raises as well.
    chosen = PARTS[part]
    try:
        rows = chosen.measure(chosen.quick_times if quick else chosen.times)
    except SystemExit:
        # What was being started at this moment is known to nobody who could close it.
        os.killpg(0, signal.SIGKILL)
        raise
    into.write_text(json.dumps([asdict(row) for row in rows]))
    return 0


def _in_its_own_process(part: str, *, quick: bool) -> list[Figure] | None:
    BUILD.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="bench", dir=BUILD) as folder:
        into = Path(folder) / "figures.json"
        command = [sys.executable, "-m", "tests.benchmark", "--only", part, "--into", str(into)]
        process = subprocess.Popen(command + ["--quick"] * quick, start_new_session=True)
        try:
            process.wait(PART_LIMIT_S)
        except subprocess.TimeoutExpired:
            print(f"{part} took longer than {PART_LIMIT_S:.0f} s", file=sys.stderr)
        finally:
            _end_group(process)
        return load(into) if into.is_file() else None


def _end_group(process: subprocess.Popen[bytes]) -> None:
    """Ask the part to close what it started, then end whatever is left of its group."""
    if process.poll() is None:
        process.terminate()
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(END_LIMIT_S)
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()


if __name__ == "__main__":
    try:
        sys.exit(main())
    except KeyboardInterrupt:
        sys.exit(130)
