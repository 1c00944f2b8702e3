"""Events of hw on their way to the record: what is told while they cannot be written."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Sequence
from types import SimpleNamespace
from typing import Any

import pytest

from appliance.service.ingest import Ingest, Numbered
from hw.client import HwClient
from hw.errors import UnavailableError
from hw.messages import Event, Outcome, RunInfo, Voltage

LIMIT_S = 20.0
OUTCOME = Outcome(at=1.0, outcome="verified", code="", what="Done.", next_step="", step=9)
RUN = RunInfo(
    run="00000001-ab",
    job="019f0000-0000-7000-8000-000000000001",
    plan_digest="0" * 64,
    backup_manifest_sha256="0" * 64,
    profile="sim",
    ecu="engine",
    state="verified",
    step=9,
    done_bytes=1,
    total_bytes=1,
    what="",
)


class Hw:
    """The surface of hw's client that is asked: no run in its journal."""

    def journal(self) -> list[RunInfo]:
        return []


class Record:
    """A record whose disk is full until it is told otherwise."""

    def last_seq(self, run: str) -> int:
        return 0

    def append_events(
        self, info: RunInfo, simulated: Sequence[str], events: Sequence[Numbered]
    ) -> None:
        raise AssertionError("there is no run")

    def has_outcome(self, run: str) -> bool:
        return False


class Wait:
    """Counts how often hw was asked, and can be waited for."""

    def __init__(self) -> None:
        self.full = True
        self.asked = threading.Semaphore(0)

    def connect(self) -> HwClient:
        self.asked.release()
        if self.full:
            raise UnavailableError("The disk is full.", "Free space.")
        # What is asked of it is no more than this.
        return Hw()  # type: ignore[return-value]

    def again(self, ingest: Ingest) -> None:
        """Let an event come, and wait until it was worked on: the next one begins after it."""
        for _ in range(2):
            ingest.take(Event(run="", seq=0, body=Voltage(at=1.0, volts=12.9, reason="")))
            assert self.asked.acquire(timeout=LIMIT_S)


def test_why_the_record_lags_is_told_once_and_for_as_long_as_it_is_so(
    caplog: pytest.LogCaptureFixture,
) -> None:
    wait = Wait()
    ingest = Ingest(wait.connect)
    ingest.start()
    try:
        with caplog.at_level(logging.WARNING):
            ingest.open(Record())
            wait.again(ingest)
            wait.again(ingest)
        assert ingest.problem is not None
        assert ingest.problem.what == "The disk is full."
        assert len(caplog.records) == 1
        wait.full = False
        ingest.wake()
        until = time.monotonic() + LIMIT_S
        while ingest.problem is not None:
            assert time.monotonic() < until
            time.sleep(0.01)
    finally:
        ingest.close()


def test_a_locked_kit_has_no_record_that_could_lag() -> None:
    wait = Wait()
    ingest = Ingest(wait.connect)
    ingest.start()
    try:
        ingest.open(Record())
        wait.again(ingest)
        ingest.shut()
        assert ingest.problem is None
    finally:
        ingest.close()


class Ended:
    """hw with one run that has ended, and whose events it has not told yet."""

    def __init__(self) -> None:
        self.reads = 0

    def status(self) -> Any:
        return SimpleNamespace(simulated=[])

    def journal(self) -> list[RunInfo]:
        return [RUN]

    def run_log(self, run: str, after: int) -> list[Numbered]:
        assert run == RUN.run
        self.reads += 1
        return [(1, OUTCOME)] if after == 0 else []


class Kept:
    """A record that keeps what it is given."""

    def __init__(self) -> None:
        self.events: list[Numbered] = []

    def last_seq(self, run: str) -> int:
        return max((seq for seq, _ in self.events), default=0)

    def append_events(
        self, info: RunInfo, simulated: Sequence[str], events: Sequence[Numbered]
    ) -> None:
        self.events += events

    def has_outcome(self, run: str) -> bool:
        return bool(self.events)


def test_a_record_that_is_settled_knows_of_the_end_that_hw_has_not_told_yet() -> None:
    """Regression: seed 6001, run 151: a quick write was over, its record still said 'ready'."""
    hw, record, there = Ended(), Kept(), False

    def connect() -> HwClient:
        if not there:
            raise UnavailableError("hw is not there.", "Start it.")
        return hw  # type: ignore[return-value]  # as above

    ingest = Ingest(connect)
    ingest.start()
    try:
        ingest.open(record)
        ingest.settle(LIMIT_S)
        assert record.events == []
        there = True
        ingest.settle(LIMIT_S)
        assert record.events == [(1, OUTCOME)]
        reads = hw.reads
        ingest.settle(LIMIT_S)
        assert hw.reads == reads, "a run that is whole is not read again"
    finally:
        ingest.close()
