"""What the touchscreen costs and how soon it answers, as a process beside the rest of a kit.

Drawn by SDL's `offscreen` driver and Mesa's llvmpipe: the processor does what a graphics chip does
on a Pi, and llvmpipe with its compiler (LLVM) is in the screen's memory. First frame, touches and
the cost for a flash are those of the program's own `main` with a watch on its window
(`screen_probe`); memory and load at rest are of `fieldkit-ui` as it is.

Kivy takes a touch in once a frame, after drawing, and shows it with the next: at 30 frames a second
that is 33 to 67 ms before anything is drawn.
"""

from __future__ import annotations

import contextlib
import json
import os
import re
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

from tests.benchmark.figures import Figure, compared, figure
from tests.benchmark.rig import percentile
from tests.benchmark.screen_kit import ScreenKit, running_screen_kit

BARE = "Kivy window with one label"
HOW = "offscreen, llvmpipe"
JOBS = 10_000
REST_S, SETTLES_S = 10.0, 4.0
TICKS_PER_S = os.sysconf("SC_CLK_TCK")
PROBE = [sys.executable, "-m", "tests.benchmark.screen_probe"]
BUTTON = "End the write"


def measure(runs: int) -> list[Figure]:
    """So many starts, and so many pairs of flashes."""
    with (
        tempfile.TemporaryDirectory(prefix="fkb") as name,
        running_screen_kit(Path(name)) as kit,
    ):
        rows = [*_first_frame(kit, runs), *_at_rest(kit), *_while_flashing(kit, runs)]
    return [*rows, *_list()]


class Screen:
    """A process that draws, without a panel; ended when the context is left."""

    def __init__(self, *command: str) -> None:
        self._folder = tempfile.TemporaryDirectory(prefix="fkb")
        self.started_at = time.monotonic()
        self.process = subprocess.Popen(
            command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env={
                **os.environ,
                "SDL_VIDEODRIVER": "offscreen",
                "FIELDKIT_UI_STATE": self._folder.name,
            },
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.process.kill()
        self.process.communicate()
        self._folder.cleanup()

    def told(self) -> dict[str, Any]:
        """What it says next."""
        if self.process.stdout is None or not (line := self.process.stdout.readline()):
            raise RuntimeError(f"the screen ended with {self.process.wait()}")
        told: dict[str, Any] = json.loads(line)
        return told

    def first_frame_s(self) -> float:
        """Seconds from its start until it had drawn what the appliance answered."""
        return float(self.told()["first"]) - self.started_at

    def touch_ms(self, words: str) -> float | None:
        """Touch a button; None where it is not there."""
        if self.process.stdin is None:
            raise RuntimeError("the screen has no pipe")
        self.process.stdin.write(f"touch {words}\n")
        self.process.stdin.flush()
        took: float | None = self.told()["took"]
        return took

    def processor_s(self) -> float:
        """Time that all its threads had a processor."""
        text = Path(f"/proc/{self.process.pid}/stat").read_text().rpartition(")")[2].split()
        return (int(text[11]) + int(text[12])) / TICKS_PER_S

    def rss_mb(self) -> float:
        """Memory that it has, all that it shares with others included."""
        text = Path(f"/proc/{self.process.pid}/status").read_text()
        found = re.search(r"^VmRSS:\s+(\d+) kB", text, re.MULTILINE)
        if found is None:
            raise RuntimeError("the kernel does not tell the memory of the screen")
        return int(found[1]) / 1024


def _screen(kit: ScreenKit) -> Screen:
    return Screen(str(Path(sys.executable).with_name("fieldkit-ui")), "--socket", str(kit.socket))


def _watched(kit: ScreenKit) -> Screen:
    return Screen(*PROBE, "app", str(kit.socket))


def _first_frame(kit: ScreenKit, runs: int) -> list[Figure]:
    """From the start of the program to the frame with the appliance's answer, beside a bare one."""
    ours, bare = [], []
    for _ in range(runs):
        with _watched(kit) as screen:
            ours.append(screen.first_frame_s())
        with Screen(*PROBE, "bare") as screen:
            bare.append(screen.first_frame_s())
    name = f"fieldkit-ui, first frame after its start, {runs} starts, {HOW}"
    return [compared(name, ours, "s", "lower", BARE, bare, goal=1.5)]


def _at_rest(kit: ScreenKit) -> list[Figure]:
    """Load and memory while nobody touches it: locked, then on the list of jobs."""
    loads: dict[str, tuple[float, float]] = {}
    with _screen(kit) as screen, Screen(*PROBE, "bare") as bare:
        time.sleep(SETTLES_S)
        loads["Unlock"] = _load(screen, bare)
        kit.unlock()
        time.sleep(SETTLES_S)
        loads["Home"] = _load(screen, bare)
        sizes = screen.rss_mb(), bare.rss_mb()
    rows = [
        compared(
            f"fieldkit-ui at rest on {where}, of one core over {REST_S:g} s, {HOW}",
            *([ours], "%", "lower", BARE, [theirs]),
            goal=2.0,
        )
        for where, (ours, theirs) in loads.items()
    ]
    name = f"fieldkit-ui, memory (RSS, with Mesa's llvmpipe and LLVM), {HOW}"
    return [*rows, compared(name, [sizes[0]], "MB", "lower", BARE, [sizes[1]], goal=160.0)]


def _load(*screens: Screen) -> tuple[float, float]:
    before = [screen.processor_s() for screen in screens]
    time.sleep(REST_S)
    ours, theirs = (
        (screen.processor_s() - had) / REST_S * 100
        for screen, had in zip(screens, before, strict=True)
    )
    return ours, theirs


def _while_flashing(kit: ScreenKit, pairs: int) -> list[Figure]:
    """Flashes with the screen following them and with it stopped, in turn; touches in between.

    Touches fall into the reading back, so that no finger is in the rates.
    """
    kit.prepare()
    followed, alone, touches = [], [], []
    with _watched(kit) as screen:
        screen.first_frame_s()
        for _ in range(pairs):
            with _stopped(screen):
                alone.append(kit.finish_flash(kit.start_flash(), lambda: None))
            fingers = Fingers(screen)
            followed.append(kit.finish_flash(kit.start_flash(), fingers.start))
            touches += fingers.stop()
    cost = [ours / theirs for ours, theirs in zip(followed, alone, strict=True)]
    name = f"CAN 64 KiB at 500 kbit/s, fieldkit-ui on the write's screen, {pairs} pairs, {HOW}"
    touched = f"touch to its frame while a flash runs, {len(touches)} touches, p95, {HOW}"
    return [
        compared(name, followed, "kB/s", "higher", "the same, fieldkit-ui stopped", alone,
                 goal_ratio=0.98),
        compared(f"{name}, median of the pairs", cost, "x", "higher", "stopped", [1.0], goal=0.98),
        figure(touched, [percentile(touches, 95)], "ms", "lower", 100.0),
    ]  # fmt: skip


@contextlib.contextmanager
def _stopped(screen: Screen) -> Iterator[None]:
    """It keeps its memory and connections, and gets no processor."""
    screen.process.send_signal(signal.SIGSTOP)
    try:
        yield
    finally:
        screen.process.send_signal(signal.SIGCONT)


@dataclass
class Fingers:
    """Touches the button of the write's screen again and again."""

    screen: Screen

    def __post_init__(self) -> None:
        self._took: list[float] = []
        self._ends = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)

    def start(self) -> None:
        """Begin."""
        self._thread.start()

    def stop(self) -> list[float]:
        """End; gives the milliseconds of each touch."""
        self._ends.set()
        self._thread.join()
        return self._took

    def _run(self) -> None:
        while not self._ends.is_set():
            took = self.screen.touch_ms(BUTTON)
            if took is not None:
                self._took.append(took)


def _list() -> list[Figure]:
    """A list that holds all of very many jobs at once, further ones arriving as it is scrolled."""
    with Screen(*PROBE, "list", str(JOBS)) as screen:
        told = screen.told()
    opened, frames = told["opened"], told["frames"]
    name = f"list of {JOBS} jobs"
    return [
        figure(f"{name} opens, {len(opened)} openings, {HOW}", opened, "ms", "lower", 200.0),
        figure(f"{name}, longest of {len(frames)} frames of scrolling (median of 3 passes), {HOW}",
               [max(frames)], "ms", "lower", 100.0),
    ]  # fmt: skip
