"""The executor: walks one permitted plan to its end, alone.

It sends what the cursor says, tells the journal before each request that changes the ECU, sits out
HELD, waits in CUT for the technician, and on every path out restores communication control (0x28)
and DTC setting (0x85) or says that it could not. It needs no client once started.

It repeats a request only where nothing was lost or doubled by that: a message that the gate stopped
before its last frame, a negative answer that says 'not now', a block with the same counter.
"""

from __future__ import annotations

import logging
import threading
from collections import deque
from collections.abc import Callable
from typing import Protocol

from hw import clock
from hw.cursor import RECOVER, Cursor, Pause, PlannedRequest
from hw.errors import AbortedError, FieldKitError
from hw.gate.errors import WriteCut, WriteHeld
from hw.gate.gate import Gate
from hw.gate.reads import is_read
from hw.journal import RunJournal
from hw.links.base import LinkError, NegativeResponse, NoAnswer
from hw.messages import EventBody, Outcome, Progress, StepDone, StepStarted

MAX_REPEATS = 3
CUT_WAIT_S = 600.0
PROGRESS_PERIOD_S = 0.1
RATE_WINDOW_S = 3.0
POLL_S = 0.5
ATTEND_S = 0.05
TESTER_PRESENT = b"\x3e\x00"
TESTER_PRESENT_SUPPRESSED = b"\x3e\x80"
# voltageTooHigh, voltageTooLow: the ECU did nothing and says 'not now' (ISO 14229-1 Annex A).
VOLTAGE_NRCS = (0x92, 0x93)

log = logging.getLogger("fieldkit.hw")


class ExecutorLink(Protocol):
    """What the executor needs of a link (`hw.links.base.Link`)."""

    max_request_bytes: int

    def request(self, payload: bytes, pending_limit_s: float | None = None) -> bytes:
        """Send and return the final positive answer."""

    def notify(self, payload: bytes) -> None:
        """Send a request whose answer is suppressed."""

    def attend(self, for_s: float) -> None:
        """Wait, and meanwhile answer what the medium itself asks."""

    def close(self) -> None:
        """Give the medium back."""


class Stopped(AbortedError):
    """The technician ended the write, or nobody resumed it."""

    code = "stopped"


class _ProgressMeter:
    """Rate and remaining time from what the ECU confirmed, not from a timer."""

    def __init__(self, total_bytes: int) -> None:
        self._total = total_bytes
        self._marks: deque[tuple[float, int]] = deque()
        self._told_at = 0.0

    def confirmed(self, request: PlannedRequest) -> Progress | None:
        now, done = clock.now(), request.done_bytes
        self._marks.append((now, done))
        while now - self._marks[0][0] > RATE_WINDOW_S and len(self._marks) > 2:
            self._marks.popleft()
        last = request.block == request.blocks
        if now - self._told_at < PROGRESS_PERIOD_S and not last:
            return None
        self._told_at = now
        (first_at, first), elapsed = self._marks[0], now - self._marks[0][0]
        rate = (done - first) / elapsed if first_at < now else 0.0
        return Progress(
            at=now,
            block=request.block,
            blocks=request.blocks,
            done_bytes=done,
            total_bytes=self._total,
            rate=rate,
            remaining_s=(self._total - done) / rate if rate > 0 else None,
        )


class Executor:
    """One run of one plan. `run` is called once, on the thread that then talks to the car.

    Args:
        gate: OPEN, armed with `cursor`.
        cursor: at the plan's first request.
        connect: opens the link to the target, through the gate.
        journal: the run's journal, its header durable.
        emit: takes each event of the run.
        keep_alive_in_cut: False where a cut also silences the transceiver (standby wiring).
    """

    def __init__(
        self,
        gate: Gate,
        cursor: Cursor,
        connect: Callable[[], ExecutorLink],
        journal: RunJournal,
        emit: Callable[[EventBody], None],
        *,
        keep_alive_in_cut: bool,
    ) -> None:
        self._gate = gate
        self._cursor = cursor
        self._connect = connect
        self._journal = journal
        self._emit = emit
        self._keep_alive_in_cut = keep_alive_in_cut
        self._meter = _ProgressMeter(cursor.plan.payload_size)
        self._stop = threading.Event()
        self._stopped_by: FieldKitError = Stopped("The write was ended by the technician.", RECOVER)
        self._link: ExecutorLink | None = None
        self._step = -1
        self._done_bytes = 0
        self._wrote = False  # Has a request been handed over that may change the ECU?
        self._kept_alive_at = clock.now()

    def stop(self, why: FieldKitError | None = None) -> None:
        """End the run at the next safe point (`aborted_recoverable`, before a write `refused`).

        Args:
            why: what the outcome says; without it that the technician ended the write.
        """
        if why is not None:
            self._stopped_by = why
        self._stop.set()

    def run(self) -> Outcome:
        """Walk the plan. Never raises: the outcome says what happened."""
        failure = _attempt(self._walk)
        # Whatever keeps these from being restored is named by what is then not restored.
        _attempt(lambda: self._restore(failed=failure is not None))
        if (closing := _attempt(self._close_link)) is not None:
            log.error("%s", closing)  # The ECU is as it is; the outcome does not depend on it.
        not_restored = self._cursor.to_restore
        if failure is None and not_restored:
            failure = AbortedError(
                f"The data is written, but {' and '.join(not_restored)} could not be restored.",
                "Switch the ignition off and on; the ECU then restores them by itself.",
            )
        return self._outcome(failure, not_restored)

    def _outcome(self, failure: FieldKitError | None, not_restored: list[str]) -> Outcome:
        if failure is None:
            return Outcome(
                at=clock.now(),
                outcome="verified",
                code="verified",
                what="The ECU holds what was planned, and every check of it passed.",
                next_step="",
                step=max(self._step, 0),
            )
        nothing_sent = "Nothing was sent to the ECU; mend the cause and run the job again."
        return Outcome(
            at=clock.now(),
            outcome="aborted_recoverable" if self._wrote else "refused",
            code=failure.code,
            what=failure.what,
            next_step=failure.next_step if self._wrote else nothing_sent,
            step=max(self._step, 0),
            not_restored=not_restored,
        )

    # The walk ---------------------------------------------------------------------------------

    def _walk(self) -> None:
        self._open_link()
        while (move := self._cursor.move) is not None:
            self._check_stop()
            self._begin_step(move.step)
            if isinstance(move, Pause):
                self._pause(move)
                self._cursor.advance(b"")
            else:
                self._exchange(move)
        self._end_step()

    def _exchange(self, request: PlannedRequest) -> None:
        if not is_read(request.payload, planned=True):
            service = request.payload[0]
            self._journal.about(self._step, service, request.block, self._done_bytes)
            self._wrote = True
        answer = self._send(request)
        self._gate.confirmed(request.payload)
        if request.block:
            self._done_bytes = request.done_bytes
            if (progress := self._meter.confirmed(request)) is not None:
                self._emit(progress)
        self._cursor.advance(answer)

    def _send(self, request: PlannedRequest) -> bytes:
        repeats = 0
        while True:
            try:
                return self._open_link().request(request.payload, request.pending_limit_s)
            except (WriteHeld, WriteCut):
                # The ECU has not got the whole message and never will: sending it again is safe.
                self._sit_out()
                continue
            except NoAnswer:
                if not request.repeatable or repeats >= MAX_REPEATS:
                    raise
            except NegativeResponse as error:
                if error.nrc not in VOLTAGE_NRCS or repeats >= MAX_REPEATS:
                    raise
                self._wait(POLL_S)
            repeats += 1

    def _begin_step(self, index: int) -> None:
        if index == self._step:
            return
        self._end_step()
        self._step = index
        steps = self._cursor.plan.steps
        name = str(steps[index].__struct_config__.tag)
        self._emit(StepStarted(at=clock.now(), index=index, total=len(steps), step=name))

    def _end_step(self) -> None:
        if self._step >= 0:
            self._emit(StepDone(at=clock.now(), index=self._step))

    # Waiting ----------------------------------------------------------------------------------

    def _sit_out(self) -> None:
        """Return when the gate is OPEN; the ECU's session is kept alive meanwhile."""
        cut_at: float | None = None
        while (state := self._gate.state) != "OPEN":
            self._check_stop()
            if state not in ("HELD", "CUT"):
                raise Stopped("The gate was closed while the write was waiting.", RECOVER)
            if state != "CUT":
                cut_at = None
            elif cut_at is None:
                cut_at = clock.now()
            elif clock.now() - cut_at > CUT_WAIT_S:
                raise Stopped(
                    f"The write was cut and not resumed within {CUT_WAIT_S / 60:.0f} minutes.",
                    RECOVER,
                )
            if state == "HELD" or self._keep_alive_in_cut:
                self._keep_alive()
                # Not a sleep: what the medium itself asks (DoIP alive check) is answered meanwhile.
                self._open_link().attend(ATTEND_S)
            else:
                self._gate.wait_while(state, POLL_S)

    def _keep_alive(self) -> None:
        if clock.now() - self._kept_alive_at >= self._cursor.plan.timing.s3_s / 2.5:
            self._kept_alive_at = clock.now()
            self._open_link().notify(TESTER_PRESENT_SUPPRESSED)

    def _pause(self, pause: Pause) -> None:
        """Wait for an ECU that starts anew; a medium that closed with it is opened again."""
        self._wait(pause.min_s)
        until = clock.now() + pause.max_s - pause.min_s
        while True:
            self._check_stop()
            try:
                self._open_link().request(TESTER_PRESENT)
            except NegativeResponse:
                return  # It answers: that is what was waited for.
            except NoAnswer:
                failure = "it is silent"
            except LinkError as error:
                self._close_link()
                failure = f"its link is closed ({error.what})"
            else:
                return
            if clock.now() > until:
                raise AbortedError(
                    f"The ECU did not come back within {pause.max_s:g} s: {failure}.",
                    "Switch the ignition off and on, then recover the job.",
                )
            self._wait(POLL_S / 5)

    def _wait(self, seconds: float) -> None:
        if self._stop.wait(seconds):
            self._check_stop()

    def _check_stop(self) -> None:
        if self._stop.is_set():
            raise self._stopped_by

    # Ways out ---------------------------------------------------------------------------------

    def _restore(self, *, failed: bool) -> None:
        """Undo 0x28 and 0x85 as far as the gate lets; a sag is sat out here too.

        What could not be undone stays in the cursor's `to_restore`. A write that failed does not
        wait for a technician to resume it, only for the voltage.
        """
        if not self._cursor.to_restore or self._link is None:
            return
        if failed and self._gate.state == "CUT":
            return
        self._cursor.restore()
        while isinstance(move := self._cursor.move, PlannedRequest):
            try:
                answer = self._send(move)
            except FieldKitError:
                self._cursor.skip()
            else:
                self._cursor.advance(answer)

    def _open_link(self) -> ExecutorLink:
        if self._link is None:
            self._link = self._connect()
            self._cursor.max_request_bytes = self._link.max_request_bytes
        return self._link

    def _close_link(self) -> None:
        if self._link is not None:
            self._link.close()
            self._link = None


def _attempt(action: Callable[[], None]) -> FieldKitError | None:
    """What kept an action from its end; a defect of the kit is told like everything else."""
    try:
        action()
    except FieldKitError as error:
        return error
    except Exception as error:  # A defect must end in the outcome, not nowhere.
        log.exception("a defect ended a write")
        return AbortedError(f"The kit failed: {error!r}.", RECOVER)
    return None
