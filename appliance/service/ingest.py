"""Brings what hw tells of its runs onto the jobs' records, each event once and in order.

hw numbers the events of a run from 1 and keeps them in its journal. Events that arrive in order are
taken as they come; after a gap (the appliance was down, locked or slow) the missing ones are read
from hw's journal. So an event is never lost and never recorded twice, whoever was killed when.
"""

from __future__ import annotations

import logging
import queue
import threading
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import Protocol

from appliance.records import JobNotThere
from hw import clock
from hw.client import HwClient
from hw.errors import FieldKitError
from hw.messages import Event, EventBody, Outcome, RunInfo

log = logging.getLogger("fieldkit.ingest")

BATCH = 200
"""At most so many events go to the record in one transaction."""
GATHER_S = 0.05
"""So long it waits for more events after a first: with a transaction for each the card would be
flushed for each."""
Numbered = tuple[int, EventBody]


class RunRecord(Protocol):
    """Where events go: the job's chain of an opened kit."""

    def last_seq(self, run: str) -> int:
        """Number of the last event of this run that is recorded, 0 for none."""

    def append_events(
        self, info: RunInfo, simulated: Sequence[str], events: Sequence[Numbered]
    ) -> None:
        """Record events of a run, each once; `simulated` names what is not real in it."""

    def has_outcome(self, run: str) -> bool:
        """Is the end of this run recorded?"""


class Ingest:
    """One thread that moves events from hw to the record.

    Args:
        connect: gives the connection to hw, or raises.

    Attributes:
        problem: why events of hw are not on the record yet, None where they are.
    """

    def __init__(self, connect: Callable[[], HwClient]) -> None:
        self._connect = connect
        self._queue: queue.SimpleQueue[Event | threading.Event | None] = queue.SimpleQueue()
        self._lock = threading.Lock()
        self._record: RunRecord | None = None
        self._known: dict[str, RunInfo] = {}
        self._asked: HwClient | None = None
        self._simulated: Sequence[str] = ()
        self._whole: set[str] = set()
        """Runs that are on the record to their end: nothing more comes of them."""
        self._catch_up = False
        self.problem: FieldKitError | None = None
        self._stop = False
        self._thread = threading.Thread(target=self._work, name="ingest", daemon=True)

    def start(self) -> None:
        """Begin."""
        self._thread.start()

    def close(self) -> None:
        """Stop; what was not taken is read from hw's journal at the next start."""
        self._stop = True
        self._queue.put(None)
        self._thread.join(timeout=5)

    def take(self, event: Event) -> None:
        """An event from hw; only enqueues."""
        self._queue.put(event)

    def wake(self) -> None:
        """Events may have been missed: look at every run in hw's journal."""
        self._catch_up = True
        self._queue.put(None)

    def settle(self, limit_s: float) -> None:
        """Wait until everything that hw did before now is on the record, or cannot be put there.

        Whoever saw at hw that a write has begun or ended is not to read a record that does not
        know of it yet; hw's events may still be on their way.
        """
        settled = threading.Event()
        with suppress(
            FieldKitError
        ):  # Without hw there is nothing new, and that is told elsewhere.
            self._connect()
            self._catch_up = True
        self._queue.put(settled)
        settled.wait(limit_s)

    def open(self, record: RunRecord) -> None:
        """The kit was unlocked: events go to this record, beginning with all that were missed."""
        with self._lock:
            self._record, self._whole = record, set()
        self.wake()

    def shut(self) -> None:
        """The kit is being locked: the record is not touched any more after this returns."""
        with self._lock:
            self._record, self.problem = None, None

    # The thread -------------------------------------------------------------------------------

    def _work(self) -> None:
        while not self._stop:
            items = self._next_batch()
            with self._lock:
                self._work_on([item for item in items if isinstance(item, Event) and item.run])
            for item in items:
                if isinstance(item, threading.Event):
                    item.set()

    def _work_on(self, events: Sequence[Event]) -> None:
        if self._record is None:
            return
        try:
            self._bring(self._record, events)
        except FieldKitError as error:
            # hw or the disk failed: the events stay in hw's journal and are read again after the
            # next connection, unlock or event.
            self._catch_up = True
            self._tell(error)
        else:
            self.problem = None

    def _tell(self, error: FieldKitError) -> None:
        """Once for each reason: it is tried again ten times a second."""
        if self.problem is None or self.problem.what != error.what:
            log.warning("Events of hw were not recorded yet: %s", error)
        self.problem = error

    def _next_batch(self) -> list[Event | threading.Event | None]:
        """What comes within a moment; nobody who waits for the record waits for that, too."""
        items = [self._queue.get()]
        until = time.monotonic() + GATHER_S
        while isinstance(items[-1], Event) and len(items) < BATCH:
            try:
                items.append(self._queue.get(timeout=max(until - time.monotonic(), 0.0)))
            except queue.Empty:
                break
        return items

    def _bring(self, record: RunRecord, events: Sequence[Event]) -> None:
        if self._catch_up:
            self._catch_up = False
            for info in self._runs():
                if info.run not in self._whole and self._take_up(record, info):
                    self._whole.add(info.run)
        for run in dict.fromkeys(event.run for event in events):
            if (known := self._info(run)) is not None:
                self._bring_run(record, known, [event for event in events if event.run == run])

    def _take_up(self, record: RunRecord, info: RunInfo) -> bool:
        """Bring what is missing of a run; True where nothing more can come of it."""
        if not self._pull(record, info):
            return True
        self._end_interrupted(record, info)
        return info.state != "running" and record.has_outcome(info.run)

    def _bring_run(self, record: RunRecord, info: RunInfo, events: Sequence[Event]) -> None:
        # hw tells an outcome that it could not write down with the number 0: it comes only once.
        if lost := [(event.seq, event.body) for event in events if event.seq == 0]:
            self._put(record, info, lost)
        last = record.last_seq(info.run)
        fresh = [(event.seq, event.body) for event in events if event.seq > last]
        expected = list(range(last + 1, last + 1 + len(fresh)))
        if [seq for seq, _ in fresh] != expected:
            self._pull(record, info)
        elif fresh:
            self._put(record, info, fresh)

    def _pull(self, record: RunRecord, info: RunInfo) -> bool:
        """Read what is missing from hw's journal; False where it is not this kit's."""
        hw, last = self._connect(), record.last_seq(info.run)
        while batch := hw.run_log(info.run, last):
            if not self._put(record, info, batch):
                return False
            last = batch[-1][0]
        return True

    def _put(self, record: RunRecord, info: RunInfo, events: Sequence[Numbered]) -> bool:
        """False where the run's job is not on this kit: hw may have served another database."""
        try:
            record.append_events(info, self._what_is_simulated(), events)
        except JobNotThere:
            log.info("Run %s belongs to job %s, which is not on this kit.", info.run, info.job)
            return False
        return True

    def _what_is_simulated(self) -> Sequence[str]:
        """What is not real in hw's car; it stays so for as long as the hw process lives."""
        hw = self._connect()
        if hw is not self._asked:
            self._asked, self._simulated = hw, hw.status().simulated
        return self._simulated

    def _end_interrupted(self, record: RunRecord, info: RunInfo) -> None:
        """A run that ended with hw itself has no outcome in the journal; the record gets one."""
        if info.state not in ("interrupted", "damaged") or record.has_outcome(info.run):
            return
        outcome = Outcome(
            at=clock.now(),
            outcome="aborted_recoverable",
            code=info.state,
            what=info.what or "The hardware process stopped in the middle of the write.",
            next_step="Recover the job.",
            step=max(info.step, 0),
        )
        self._put(record, info, [(0, outcome)])

    def _info(self, run: str) -> RunInfo | None:
        if run not in self._known:
            self._runs()
        return self._known.get(run)

    def _runs(self) -> list[RunInfo]:
        runs = self._connect().journal()
        self._known.update((info.run, info) for info in runs)
        return runs
