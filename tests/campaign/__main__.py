"""`python -m tests.campaign`: whole jobs with seeded faults, judged from the car.

Ends with status 1 if any run has a defect. `--only RUN` replays one run of a seed and prints it.
"""

from __future__ import annotations

import argparse
import gc
import os
import selectors
import shutil
import signal
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from importlib import import_module
from pathlib import Path

import msgspec

from appliance.client import Client
from appliance.decoding import look_at_every_type
from tests.campaign.baseline import TRIES, Tool, start_baseline
from tests.campaign.faults import Scenario, draw
from tests.campaign.judge import Verdict
from tests.campaign.runner import kept_logs, start_run
from tests.campaign.sandbox import make_images
from tests.campaign.table import show, show_beside
from tests.campaign.template import Places, make_template

RUN_LIMIT_S = 600.0
Start = Callable[[], tuple[int, int]]
"""Starts a run; gives its process and the pipe that its verdict comes out of."""
# What the processes import only once they run: imported here, it is imported once for all runs.
PRELOADED = (
    "hw.links.can",
    "hw.links.doip",
    "hw.links.socketcand",
    "adafruit_ina219",
    "anyio._backends._asyncio",
    "uvicorn.lifespan.off",
    "uvicorn.loops.auto",
    "uvicorn.protocols.http.auto",
    "uvicorn.protocols.websockets.auto",
    "encodings.idna",
    "encodings.utf_16_be",
)
JOBS_PER_CPU = 4


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the campaign; returns the exit status."""
    options = _parser().parse_args(arguments)
    scenarios = _scenarios(options)
    began = time.monotonic()
    verdicts: list[Verdict] = []
    with prepared() as places:
        starts = [partial(start_run, one, places) for one in scenarios]
        for verdict in campaign(starts, options.jobs):
            verdicts.append(verdict)
            _tell(verdict, len(verdicts), len(scenarios), places)
        seconds = time.monotonic() - began
        sys.stdout.write(show(options.seed, verdicts, seconds))
        baselines = {str(tool): _baseline(tool, scenarios, places, options) for tool in TRIES}
    sys.stdout.write(show_beside(verdicts, baselines))
    if options.json:
        document = {
            "seed": options.seed,
            "seconds": round(seconds, 1),
            "runs": verdicts,
            "baselines": baselines,
        }
        options.json.write_bytes(msgspec.json.encode(document))
    if len(scenarios) == 1:
        sys.stdout.write(msgspec.json.format(msgspec.json.encode(verdicts)).decode() + "\n")
    return 1 if any(verdict.defects for verdict in verdicts) else 0


def _scenarios(options: argparse.Namespace) -> list[Scenario]:
    if options.replay is not None:
        return [msgspec.json.decode(options.replay.read_bytes(), type=Scenario)]
    numbers = [options.only] if options.only is not None else range(options.runs)
    return possible([draw(options.seed, number) for number in numbers])


def possible(scenarios: Sequence[Scenario]) -> list[Scenario]:
    """What can be run here: a power cut needs loop devices, and so root. Says what is left out."""
    chosen = [one for one in scenarios if os.geteuid() == 0 or not one.power_cut]
    if missing := len(scenarios) - len(chosen):
        sys.stdout.write(f"{missing} runs with a power cut are left out: they need root.\n")
    return chosen


@contextmanager
def prepared() -> Iterator[Places]:
    """The kit that all runs begin with; logs of runs with a defect are kept behind its end."""
    # Sockets need short paths.
    root = Path(tempfile.mkdtemp(prefix="fkc", dir="/tmp"))
    places = Places(root)
    try:
        places.make()
        make_template(places)
        make_images(places)
        for name in PRELOADED:
            import_module(name)
        look_at_every_type()
        Client(places.run / "appliance.sock").close()
        gc.freeze()  # What all runs are forked from stays shared.
        yield places
    finally:
        gc.unfreeze()
        kept = places.root / "kept"
        if not kept.exists():
            shutil.rmtree(root)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m tests.campaign", description=__doc__)
    parser.add_argument("--runs", type=int, default=300)
    parser.add_argument("--seed", type=int, default=int.from_bytes(os.urandom(3), "big"))
    parser.add_argument("--jobs", type=int, default=JOBS_PER_CPU * (os.cpu_count() or 1))
    parser.add_argument("--json", type=Path, help="write every verdict to this file")
    parser.add_argument(
        "--baseline",
        type=int,
        default=0,
        metavar="N",
        help="also strike flashers without a gate with the faults of the first N flashes",
    )
    parser.add_argument("--replay", type=Path, metavar="FILE", help="replay a scenario from a file")
    parser.add_argument("--only", type=int, metavar="RUN", help="replay one run of the seed")
    return parser


def _baseline(
    tool: Tool, scenarios: Sequence[Scenario], places: Places, options: argparse.Namespace
) -> list[Verdict]:
    """The runs of a flash, without the kit: as many of them as were asked for."""
    chosen = [one for one in scenarios if one.operation == "flash"][: options.baseline]
    starts = [partial(start_baseline, tool, one, places) for one in chosen]
    return list(campaign(starts, options.jobs))


def campaign(starts: Sequence[Start], jobs: int) -> Iterator[Verdict]:
    """Start runs, `jobs` at a time; gives each verdict when it is known."""
    waiting = list(reversed(list(enumerate(starts))))
    running = selectors.DefaultSelector()
    texts: dict[int, bytes] = {}
    while waiting or texts:
        while waiting and len(texts) < jobs:
            number, start = waiting.pop()
            child, pipe = start()
            texts[pipe] = b""
            running.register(pipe, selectors.EVENT_READ, (number, child, time.monotonic()))
        for key, _ in running.select(1.0):
            pipe = key.fd
            if part := os.read(pipe, 65536):
                texts[pipe] += part
                continue
            running.unregister(pipe)
            os.close(pipe)
            number, child, _ = key.data
            os.waitpid(child, 0)
            yield _verdict(number, texts.pop(pipe))
        for key in list(running.get_map().values()):
            if time.monotonic() - key.data[2] > RUN_LIMIT_S:
                os.kill(key.data[1], signal.SIGKILL)


def _verdict(number: int, text: bytes) -> Verdict:
    if text:
        return msgspec.json.decode(text, type=Verdict)
    defects = {"campaign failed": "the run ended without a verdict; its own error is above"}
    return Verdict(run=number, outcome="defect", defects=defects)


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
