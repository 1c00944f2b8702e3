"""`python -m tests.campaign`: whole jobs with seeded faults, judged from the car.

Ends with status 1 if any run has a defect. `--only RUN` replays one run of a seed and prints it.
"""

from __future__ import annotations

import argparse
import gc
import os
import selectors
import signal
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from importlib import import_module
from pathlib import Path

import msgspec

from tests.campaign.faults import Scenario, draw
from tests.campaign.judge import Verdict
from tests.campaign.runner import kept_logs, start_run
from tests.campaign.sandbox import make_images
from tests.campaign.table import show
from tests.campaign.template import Places, make_template

RUN_LIMIT_S = 600.0
# What the appliance imports only once it runs: imported here, it is imported once for all runs.
PRELOADED = (
    "anyio._backends._asyncio",
    "uvicorn.lifespan.off",
    "uvicorn.loops.auto",
    "uvicorn.protocols.http.auto",
    "uvicorn.protocols.websockets.auto",
)
JOBS_PER_CPU = 5


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the campaign; returns the exit status."""
    options = _parser().parse_args(arguments)
    seed = options.seed
    numbers = [options.only] if options.only is not None else range(options.runs)
    root = Path(tempfile.mkdtemp(prefix="fkc", dir="/tmp"))
    places = Places(root)
    places.make()
    make_template(places)
    make_images(places)
    for name in PRELOADED:
        import_module(name)
    gc.freeze()  # What all runs are forked from stays shared.
    began = time.monotonic()
    verdicts: list[Verdict] = []
    for verdict in campaign([draw(seed, number) for number in numbers], places, options.jobs):
        verdicts.append(verdict)
        _tell(verdict, len(verdicts), len(numbers), places)
    seconds = time.monotonic() - began
    sys.stdout.write(show(seed, verdicts, seconds))
    if options.json:
        document = {"seed": seed, "seconds": round(seconds, 1), "runs": verdicts}
        options.json.write_bytes(msgspec.json.encode(document))
    if options.only is not None:
        sys.stdout.write(msgspec.json.format(msgspec.json.encode(verdicts)).decode() + "\n")
    return 1 if any(verdict.defects for verdict in verdicts) else 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m tests.campaign", description=__doc__)
    parser.add_argument("--runs", type=int, default=300)
    parser.add_argument("--seed", type=int, default=int.from_bytes(os.urandom(3), "big"))
    parser.add_argument("--jobs", type=int, default=JOBS_PER_CPU * (os.cpu_count() or 1))
    parser.add_argument("--json", type=Path, help="write every verdict to this file")
    parser.add_argument("--only", type=int, metavar="RUN", help="replay one run of the seed")
    return parser


def campaign(scenarios: Sequence[Scenario], places: Places, jobs: int) -> Iterator[Verdict]:
    """Run scenarios, `jobs` at a time; gives each verdict when it is known."""
    waiting = list(reversed(scenarios))
    running = selectors.DefaultSelector()
    texts: dict[int, bytes] = {}
    while waiting or texts:
        while waiting and len(texts) < jobs:
            scenario = waiting.pop()
            child, pipe = start_run(scenario, places)
            texts[pipe] = b""
            running.register(pipe, selectors.EVENT_READ, (scenario, child, time.monotonic()))
        for key, _ in running.select(1.0):
            pipe = key.fd
            if part := os.read(pipe, 65536):
                texts[pipe] += part
                continue
            running.unregister(pipe)
            os.close(pipe)
            scenario, child, _ = key.data
            os.waitpid(child, 0)
            yield _verdict(scenario, texts.pop(pipe))
        for key in list(running.get_map().values()):
            if time.monotonic() - key.data[2] > RUN_LIMIT_S:
                os.kill(key.data[1], signal.SIGKILL)


def _verdict(scenario: Scenario, text: bytes) -> Verdict:
    if text:
        return msgspec.json.decode(text, type=Verdict)
    names = [fault.name for fault in scenario.faults]
    defects = {"campaign failed": "the run ended without a verdict; its own error is above"}
    return Verdict(run=scenario.run, outcome="defect", defects=defects, faults=names)


def _tell(verdict: Verdict, done: int, total: int, places: Places) -> None:
    for kind, what in verdict.defects.items():
        sys.stdout.write(
            f"run {verdict.run}: {kind}: {what} [{', '.join(verdict.faults)}] "
            f"{kept_logs(places, verdict.run)}\n"
        )
    if done % 500 == 0 and done < total:
        sys.stdout.write(f"{done} of {total} runs\n")
    sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main())
