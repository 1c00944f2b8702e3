"""A bench for models: a kit of them, the queue that stands for the screen's thread, and a clock."""

from __future__ import annotations

import queue
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import date
from pathlib import Path
from typing import Any, TypeVar

from appliance.client import Client
from tests.ui.models.fake import FakeAppliance
from ui.models.kit import Kit

LIMIT_S = 60.0
STEP_S = 0.2
T = TypeVar("T")


@dataclass
class Clock:
    """Seconds that pass when a test says so."""

    at: float = 1000.0

    def __call__(self) -> float:
        return self.at


@dataclass
class Pump:
    """The screen's thread: runs what was posted, when the test says so."""

    posted: queue.SimpleQueue[Callable[[], None]] = field(default_factory=queue.SimpleQueue)

    def post(self, deliver: Callable[[], None]) -> None:
        self.posted.put(deliver)

    def until(self, condition: Callable[[], T], what: str = "") -> T:
        """Run what is posted until something holds."""
        ends_at = time.monotonic() + LIMIT_S
        while not (holds := condition()):
            left_s = ends_at - time.monotonic()
            assert left_s > 0, f"it never came to that: {what}"
            try:
                self.posted.get(timeout=left_s)()
            except queue.Empty:
                continue
        return holds


@dataclass
class Bench:
    """The models, an appliance to answer them, and time."""

    kit: Kit
    appliance: FakeAppliance
    clock: Clock
    pump: Pump

    def until(self, condition: Callable[[], T], what: str = "") -> T:
        return self.pump.until(condition, what)

    def on(self, screen: str) -> None:
        """Wait for a screen."""
        self.until(
            lambda: self.kit.navigation.state.screen == screen,
            f"{screen} instead of {self.kit.navigation.state.screen}",
        )

    def heard(self) -> None:
        """Wait for a status that was asked for after this moment."""
        self.clock.at += 0.001
        at = self.clock.at
        seen = self.kit.backend

        def new() -> bool:
            status = seen.state.status
            return status is not None and status.hw is not None and status.hw.at >= at

        self.until(new, "a new status")

    def passes(self, seconds: float) -> None:
        """Let time pass, with a status and a beat in every part of it."""
        ends_at = self.clock.at + seconds
        while self.clock.at < ends_at:
            self.clock.at = min(self.clock.at + STEP_S, ends_at)
            self.heard()
            self.kit.backend.tick()

    def silent(self, seconds: float) -> None:
        """Let time pass in which the appliance is not heard."""
        ends_at = self.clock.at + seconds
        while self.clock.at < ends_at:
            self.clock.at = min(self.clock.at + STEP_S, ends_at)
            self.kit.backend.tick()


def make_kit(
    make_client: Callable[[], Client], pump: Pump, place: Path, clock: Clock, **more: Any
) -> Kit:
    return Kit(make_client, pump.post, place, clock, today=lambda: date(2026, 3, 1), **more)
