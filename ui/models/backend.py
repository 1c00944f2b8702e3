"""`Backend`: the appliance as the screen sees it. Nothing of it ever blocks the screen's thread.

Threads: one worker makes the calls, one after the other; one asks for the status; one follows a
job's events while a write runs; one gives the beat by which states age. All results are handed over
by `post`, which runs them on the screen's thread.
"""

from __future__ import annotations

import queue
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import partial
from typing import Any, Protocol, TypeVar

from msgspec import Struct

from appliance.client import (
    Client,
    FieldKitError,
    NotRunning,
    RunInfo,
    UnavailableError,
    messages,
)
from ui.i18n import _
from ui.models.base import ViewModel

POLL_S = 0.25
AT_REST = 2
"""While no write runs the status is asked for so many times less often."""
FRESH_S = 1.0
"""A status older than this is no status: its figures are missing."""
GONE_S = 3.0
"""Without any answer for so long, the appliance is gone, whatever its socket says."""
START_S = 20.0
"""So long an appliance may be on its way after the screen's own start, before it is gone."""
RETRY_S = 0.5
TICK_S = 0.1
CLOSE_LIMIT_S = 3.0

R = TypeVar("R")
Post = Callable[[Callable[[], None]], object]
"""Runs a callable on the screen's thread, soon, in the order of posting."""
Failed = Callable[[FieldKitError], None]


class Seen(Struct, frozen=True, kw_only=True):
    """What is known of the kit.

    Attributes:
        status: the last answer, None before the first one and while the appliance is gone.
        asked_at: when it was asked for, by the backend's clock.
        fresh: whether its figures may be shown: it is no older than `FRESH_S`.
        gone: the appliance does not answer; `what` and `next_step` say so.
        was_writing: when it was last heard of, a write was running.
    """

    status: messages.KitStatus | None = None
    asked_at: float = 0.0
    fresh: bool = False
    gone: bool = False
    what: str = ""
    next_step: str = ""
    was_writing: bool = False

    @property
    def running(self) -> RunInfo | None:
        """The write that is under way."""
        runs = self.status.runs if self.status is not None else []
        return next((run for run in runs if run.state == "running"), None)

    @property
    def unfinished(self) -> tuple[RunInfo, ...]:
        """Writes that have stopped and must be recovered."""
        runs = self.status.runs if self.status is not None else []
        return tuple(run for run in runs if run.state != "running")


class Asks(Protocol):
    """Makes a client; each thread that may have to be cut off gets its own."""

    def __call__(self) -> Client:
        """Make a client."""


@dataclass(frozen=True)
class _Call:
    action: Callable[[Client], Any]
    done: Callable[[Any], None]
    failed: Failed
    key: str
    number: int


def pause_after(status: messages.KitStatus) -> float:
    """Seconds until the status is asked for again: short while a write runs."""
    runs = any(run.state == "running" for run in status.runs)
    return POLL_S if runs else AT_REST * POLL_S


class Backend(ViewModel[Seen]):
    """See the module. `close` it, or use it as a context manager.

    Args:
        client_factory: makes a client of the appliance.
        post: runs a callable on the screen's thread.
        now: seconds that never go back.
    """

    def __init__(
        self, client_factory: Asks, post: Post, now: Callable[[], float] = time.monotonic
    ) -> None:
        super().__init__(Seen())
        self._make_client, self._post, self.now = client_factory, post, now
        self._client = client_factory()
        self._calls: queue.SimpleQueue[_Call | None] = queue.SimpleQueue()
        self._numbers: dict[str, int] = {}
        self._closing = threading.Event()
        self._heard_at = now()
        self._was_heard = False
        self._tick_waits = threading.Event()
        self._tickers: list[Callable[[], None]] = []
        self._follower: _Follower | None = None
        self._threads = [
            threading.Thread(target=partial(self._guard, loop), name=f"ui-{name}", daemon=True)
            for name, loop in (("calls", self._work), ("status", self._poll), ("beat", self._beat))
        ]

    def __enter__(self) -> Backend:
        self.start()
        return self

    def __exit__(self, *_error: object) -> None:
        self.close()

    def start(self) -> None:
        """Begin to ask."""
        self._heard_at = self.now()
        for thread in self._threads:
            thread.start()

    def close(self) -> None:
        """End all threads; nothing is delivered any more.

        A call that waits for the car is cut off; what the appliance does with it goes on there.
        """
        self._closing.set()
        self._calls.put(None)
        self.unfollow()
        self._client.close()
        until = time.monotonic() + CLOSE_LIMIT_S
        for thread in self._threads:
            if thread.is_alive():
                thread.join(max(0.0, until - time.monotonic()))

    # Calls ------------------------------------------------------------------------------------

    def call(
        self,
        action: Callable[[Client], R],
        done: Callable[[R], None],
        failed: Failed,
        key: str = "",
    ) -> None:
        """Ask the appliance something, behind everything that was asked before.

        Args:
            action: makes the request; runs on the worker's thread and must touch nothing else.
            done, failed: get the reply or the error, on the screen's thread.
            key: with one, only the newest call of this key counts; older ones are not made any
                more, and what they bring is dropped.
        """
        number = self._next(key) if key else 0
        self._calls.put(_Call(action, done, failed, key, number))

    def forget(self, key: str) -> None:
        """Nobody waits any more for what calls of this key bring."""
        self._next(key)

    def _next(self, key: str) -> int:
        self._numbers[key] = self._numbers.get(key, 0) + 1
        return self._numbers[key]

    def _wanted(self, call: _Call) -> bool:
        return not call.key or self._numbers[call.key] == call.number

    def _work(self) -> None:
        while (call := self._calls.get()) is not None:
            if not self._wanted(call):
                continue
            try:
                reply = call.action(self._client)
            except FieldKitError as error:
                self._hand_over(partial(self._deliver, call, call.failed, _told(error)))
            else:
                self._hand_over(partial(self._deliver, call, call.done, reply))

    def _deliver(self, call: _Call, to: Callable[[Any], None], what: object) -> None:
        if self._wanted(call):
            to(what)

    # The status -------------------------------------------------------------------------------

    def _poll(self) -> None:
        pause_s = 0.0
        while not self._closing.wait(pause_s):
            asked_at = self.now()
            try:
                status = self._client.status()
            except FieldKitError as error:
                pause_s = RETRY_S
                self._hand_over(partial(self._lost, _told(error)))
            else:
                pause_s = pause_after(status)
                self._hand_over(partial(self._heard, asked_at, status))

    def _heard(self, asked_at: float, status: messages.KitStatus) -> None:
        # Its age counts from the question: whatever the answer took on its way, it is no younger.
        self._heard_at, self._was_heard = asked_at, True
        self._change(
            status=status,
            asked_at=asked_at,
            fresh=self.now() - asked_at <= FRESH_S,
            gone=False,
            what="",
            next_step="",
            was_writing=any(run.state == "running" for run in status.runs),
        )

    def _lost(self, error: FieldKitError) -> None:
        # Until it was first heard, `_heard_at` is when the screen began to ask.
        if self._was_heard or self.now() - self._heard_at > START_S:
            self._change(
                status=None, fresh=False, gone=True, what=error.what, next_step=error.next_step
            )

    # The beat ---------------------------------------------------------------------------------

    def on_tick(self, callback: Callable[[], None]) -> None:
        """Be called ten times a second, as long as the backend lives."""
        self._tickers.append(callback)

    def tick(self) -> None:
        """Let what is shown age. Called by the backend's own beat."""
        self._tick_waits.clear()
        age_s = self.now() - self._heard_at
        if age_s > FRESH_S:
            self._change(fresh=False)
        if age_s > GONE_S and not self.state.gone:
            self._lost(_silent())
        for callback in self._tickers:
            callback()

    def _beat(self) -> None:
        while not self._closing.wait(TICK_S):
            # A screen that is busy gets one beat, not a heap of them.
            if not self._tick_waits.is_set():
                self._tick_waits.set()
                self._hand_over(self.tick)

    # Events -----------------------------------------------------------------------------------

    def follow(
        self,
        job: str,
        after: int,
        events: Callable[[list[messages.JobEvent]], None],
        lost: Failed,
    ) -> None:
        """Follow a job's events until `unfollow`; one job at a time.

        When the stream breaks, `lost` is told why, and it is taken up again behind the last event.
        """
        self.unfollow()
        follower = _Follower(self._make_client(), job, after)
        self._follower = follower

        def take() -> None:
            if self._follower is follower and (found := follower.taken()):
                events(found)

        def broke(error: FieldKitError) -> None:
            if self._follower is follower:
                lost(_told(error))

        def run() -> None:
            follower.run(
                lambda: self._hand_over(take), lambda e: self._hand_over(partial(broke, e))
            )

        thread = threading.Thread(
            target=partial(self._guard, run, follower.stopped), name="ui-events", daemon=True
        )
        self._threads = [one for one in self._threads if one.is_alive()] + [thread]
        thread.start()

    def unfollow(self) -> None:
        """Stop following."""
        follower, self._follower = self._follower, None
        if follower is not None:
            follower.stop()

    # Threads ----------------------------------------------------------------------------------

    def _hand_over(self, deliver: Callable[[], None]) -> None:
        def on_screen() -> None:
            if not self._closing.is_set():
                deliver()

        if not self._closing.is_set():
            self._post(on_screen)

    def _guard(self, loop: Callable[[], None], ended: threading.Event | None = None) -> None:
        """Run a thread's loop; a defect in it comes out on the screen's thread, not nowhere."""
        try:
            loop()
        except BaseException as error:
            if self._closing.is_set() or (ended is not None and ended.is_set()):
                return  # A client that is closed under a request may answer with anything.
            self._hand_over(partial(_raise, error))
            raise


@dataclass
class _Follower:
    """The stream of one job, taken up again whenever it breaks."""

    client: Client
    job: str
    after: int
    stopped: threading.Event = field(default_factory=threading.Event)
    _found: queue.SimpleQueue[messages.JobEvent] = field(default_factory=queue.SimpleQueue)
    _told: threading.Event = field(default_factory=threading.Event)

    def run(self, tell: Callable[[], None], broke: Failed) -> None:
        """Read until stopped. `tell` says that there is something to take."""
        while not self.stopped.is_set():
            try:
                for event in self.client.events(self.job, self.after, follow=True):
                    if self.stopped.is_set():
                        return
                    self.after = event.seq
                    self._found.put(event)
                    # One message for all that come before it is read: a whole write can be
                    # replayed in one go.
                    if not self._told.is_set():
                        self._told.set()
                        tell()
            except FieldKitError as error:
                if not self.stopped.is_set():
                    broke(error)
            self.stopped.wait(RETRY_S)

    def taken(self) -> list[messages.JobEvent]:
        """What has come since it was last asked."""
        self._told.clear()
        return list(self._drain())

    def _drain(self) -> Iterator[messages.JobEvent]:
        while True:
            try:
                yield self._found.get_nowait()
            except queue.Empty:
                return

    def stop(self) -> None:
        """End the stream."""
        self.stopped.set()
        self.client.close()


def _silent() -> UnavailableError:
    return UnavailableError(
        _("The appliance does not answer."),
        _("Wait a moment. If it stays like this, switch the kit off and on again."),
    )


def _told(error: FieldKitError) -> FieldKitError:
    """An error as the kit told it; that nothing answers at all is told by nobody else.

    The client's own sentence for that is for a command line.
    """
    return _silent() if isinstance(error, NotRunning) else error


def _raise(error: BaseException) -> None:
    raise error
