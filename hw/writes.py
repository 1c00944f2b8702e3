"""The write service: permit, run, resume and abort; the one owner of gate, journal and executor.

Threads: clients' requests come in on worker threads, one run has its executor thread, one recorder
thread turns gate changes and voltage into events. The sampler's thread only enqueues.
"""

from __future__ import annotations

import queue
import secrets
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from hw import clock
from hw.config import KitConfig
from hw.cursor import Cursor
from hw.errors import AbortedError, FieldKitError, RefusedError
from hw.evidence import (
    ArmButton,
    Case,
    EvidenceChecker,
    VoltageHistory,
    acknowledgment_digest,
    identity_to_read,
)
from hw.executor import Executor
from hw.gate.gate import Gate, GateChange
from hw.journal import Journal, RunHeader, RunJournal
from hw.links import open_link
from hw.messages import (
    TRACE_S,
    Acknowledgment,
    Event,
    EventBody,
    Evidence,
    GateChanged,
    GateReport,
    Outcome,
    RunInfo,
    Voltage,
    VoltageTrace,
    encode,
)
from hw.plan import IdentityValue, WritePlan, decode_plan, digest_of
from hw.seedkey import key_for

START_WITHIN_S = 120.0
"""A permit not used within this time expires."""
WRITE_BASE_S = 1800.0
SLOWEST_RATE = 1000.0
"""Bytes/s. A running permit expires after `WRITE_BASE_S` and the payload at this rate."""
VOLTAGE_PERIOD_S = 0.1
RUN_LOG_EVENTS = 64
RECORD_THEN_RECOVER = "Free space in the state folder or mend its medium, then recover the job."
REPLY_BYTES = 48000
"""What a reply carries; a packet takes `MAX_PACKET`."""


@dataclass
class Permit:
    """For one plan, one target, one use; expires."""

    number: str
    case: Case
    cursor: Cursor
    backup_manifest_sha256: str
    acknowledgment: str
    expires_at: float


@dataclass
class _Flush:
    """In the recorder's queue: tell what is still waiting, then set `done`."""

    flush: bool = True
    stop: bool = False
    done: threading.Event = field(default_factory=threading.Event)


@dataclass
class _Run:
    number: str
    permit: Permit
    journal: RunJournal
    executor: Executor
    opened_at: float
    thread: threading.Thread = field(init=False)


class WriteService:
    """See the module.

    Args:
        gate, sampler, outputs, config: the kit.
        state: the kit's state folder; hw writes only below `<state>/hw`.
        publish: takes each event for the clients; must only enqueue.
    """

    def __init__(
        self,
        gate: Gate,
        sampler: VoltageHistory,
        outputs: ArmButton,
        config: KitConfig,
        state: Path,
        publish: Callable[[Event], None],
    ) -> None:
        self._gate = gate
        self._sampler = sampler
        self._config = config
        self._publish = publish
        self._journal = Journal(state / "hw" / "journal")
        self._checker = EvidenceChecker(state, config, sampler, outputs, self._journal)
        self._lock = threading.RLock()
        self._permit: Permit | None = None
        self._run: _Run | None = None
        # The run that the recorder writes to: from the gate's opening to just before the outcome.
        self._recorded: _Run | None = None
        self._recording = threading.RLock()
        self._used: set[str] = set()
        self._changes: queue.SimpleQueue[GateChange | _Flush] = queue.SimpleQueue()
        gate.on_change = self._changes.put
        self._recorder = threading.Thread(target=self._record, name="recorder", daemon=True)
        self._recorder.start()

    # Asked by clients -------------------------------------------------------------------------

    @property
    def active_run(self) -> str:
        """Number of the run under way, "" for none."""
        run = self._run
        return run.number if run is not None else ""

    def arm(self, document: bytes, payload: bytes, evidence: Evidence, dry: bool) -> GateReport:
        """Check the four gates; unless `dry`, all passed makes a permit and arms the gate.

        Raises:
            BadInputError: the plan cannot be decoded.
            RefusedError: a write is running.
        """
        with self._lock:
            self._refuse_while_running()
            plan = decode_plan(document)
            digest = digest_of(document)
            case = Case(plan, digest, payload, evidence, self._read_identity(plan))
            results = self._checker.check(case)
            report = GateReport(
                id=0, plan_digest=digest, results=results, permit="", expires_in_s=0.0
            )
            if dry or not all(result.passed for result in results):
                return report
            facts = {result.gate: result.facts for result in results}
            permit = Permit(
                number=f"{self._journal.next_number():08d}-{secrets.token_hex(16)}",
                case=case,
                cursor=Cursor(plan, payload, key_for),
                backup_manifest_sha256=facts["DUAL_BACKUP"]["manifest_sha256"],
                acknowledgment=facts["USER_ACKNOWLEDGMENT"]["digest"],
                expires_at=clock.now() + START_WITHIN_S,
            )
            self._check_unused(permit.acknowledgment)
            self._gate.close("Another plan is being armed.")
            self._gate.arm(permit.cursor, plan.window, permit.expires_at)
            self._permit = permit
            return GateReport(
                id=0,
                plan_digest=digest,
                results=results,
                permit=permit.number,
                expires_in_s=START_WITHIN_S,
            )

    def start(self, permit: str) -> None:
        """Use a permit: from here on the write needs no client.

        Raises:
            RefusedError: the permit is unknown, used or expired, or the voltage left its window.
        """
        with self._lock:
            self._refuse_while_running()
            held = self._permit
            if held is None or not secrets.compare_digest(held.number.encode(), permit.encode()):
                raise _no_permit("The permit is unknown, void or was used before.")
            self._permit = None
            try:
                if clock.now() > held.expires_at:
                    raise _no_permit("The permit has expired.")
                window = held.case.plan.window
                self._checker.check_voltage(
                    window.start_min_v, window.start_max_v, window.settle_s, window.stale_s
                )
                with self._recording:
                    opened_at = clock.now()
                    self._gate.open(_write_expiry(held.case.plan), resume=False)
                    self._used.add(held.acknowledgment)
                    self._run = self._recorded = self._begin(held, opened_at)
                self._run.thread.start()
            except BaseException:
                self._gate.close("The write did not start.")
                self._forget_run()
                raise

    def resume(self, acknowledgment: Acknowledgment) -> None:
        """Resume the run under way after CUT.

        Raises:
            RefusedError: nothing is cut, the voltage is not back, or the acknowledgment is not
                a new one for this plan.
            UnavailableError: the journal cannot be written; the write stays cut.
        """
        with self._lock:
            run = self._run
            if run is None or self._gate.state != "CUT":
                raise _no_permit("No write is cut, so there is nothing to resume.")
            case = run.permit.case
            facts = self._checker.check_acknowledgment(case.plan, case.digest, acknowledgment)
            self._check_unused(acknowledgment_digest(acknowledgment))
            window = case.plan.window
            self._checker.wait_for_voltage(
                window.resume_v, window.over_v, window.resume_after_s, window.stale_s
            )
            self._used.add(facts["digest"])
            run.journal.resumed(facts["digest"])
            self._gate.open(_write_expiry(case.plan), resume=True)

    def abort(self) -> None:
        """End the run under way at the next safe point; without one, drop the permit."""
        with self._lock:
            if self._run is not None:
                self._run.executor.stop()
            elif self._permit is not None:
                self._permit = None
                self._gate.close("The permit was given back.")

    def journal(self) -> list[RunInfo]:
        """Runs, unfinished ones first, each group newest first; as many as fit a packet."""
        chosen: list[RunInfo] = []
        size = 0
        for info in self._journal.runs(self.active_run):
            size += len(encode(info))
            if size > REPLY_BYTES:
                break
            chosen.append(info)
        return chosen

    def run_log(self, run: str, after: int) -> list[tuple[int, EventBody]]:
        """Events of a run with a sequence number above `after`; as many as fit a packet."""
        records = self._journal.read(run)
        events = [entry for entry in records.events if entry.seq > after] if records else []
        chosen: list[tuple[int, EventBody]] = []
        size = 0
        for entry in events[:RUN_LOG_EVENTS]:
            size += 256 + 20 * _samples_in(entry.body)
            if chosen and size > REPLY_BYTES:
                break
            chosen.append((entry.seq, entry.body))
        return chosen

    def close(self) -> None:
        """Stop a run at its next safe point, wait for it, close the gate."""
        self.abort()
        run = self._run
        if run is not None:
            run.thread.join(timeout=30)
        self._gate.close("The kit stops.")
        self._changes.put(_Flush(stop=True))
        self._recorder.join(timeout=5)

    # A run ------------------------------------------------------------------------------------

    def _begin(self, permit: Permit, opened_at: float) -> _Run:
        plan, number = permit.case.plan, permit.number
        journal = self._journal.begin(
            RunHeader(
                run=number,
                job=plan.job,
                plan_digest=permit.case.digest,
                recovers=plan.recovers,
                backup_manifest_sha256=permit.backup_manifest_sha256,
                acknowledgment=permit.acknowledgment,
                profile=plan.profile,
                ecu=plan.target.ecu,
                total_bytes=plan.payload_size,
                boot_id=clock.boot_id(),
            )
        )
        executor = Executor(
            self._gate,
            permit.cursor,
            lambda: open_link(plan.target.link, self._gate, plan.timing),
            journal,
            lambda body: self._emit(journal, number, body),
            keep_alive_in_cut=self._config.outputs.wiring != "standby",
        )
        run = _Run(number, permit, journal, executor, opened_at)
        run.thread = threading.Thread(
            target=self._execute, args=(run,), name="executor", daemon=False
        )
        return run

    def _execute(self, run: _Run) -> None:
        outcome = run.executor.run()
        try:
            self._gate.close(outcome.what)
        finally:
            # Also where the line could not be driven; that error follows.
            event = self._log_outcome(run, outcome)
            with self._lock:
                self._forget_run()
            # Last, because who hears of it may arm the next plan at once.
            self._publish(event)

    def _log_outcome(self, run: _Run, outcome: Outcome) -> Event:
        # The gate's last changes are logged before the outcome, which is the last event of a run.
        flush = _Flush()
        self._changes.put(flush)
        flush.done.wait(timeout=5)
        with self._recording:
            self._recorded = None
        try:
            seq = run.journal.log(outcome, durable=True)
        except FieldKitError as error:
            # Without a durable outcome the run stays unfinished, which is what a client is told.
            return Event(run=run.number, seq=0, body=_unrecorded(outcome, error))
        return Event(run=run.number, seq=seq, body=outcome)

    def _forget_run(self) -> None:
        with self._recording:
            run, self._run, self._recorded = self._run, None, None
        if run is not None:
            run.journal.close()

    def _emit(self, journal: RunJournal, run: str, body: EventBody) -> None:
        with self._recording:  # Two threads tell: clients hear it in the order of the numbers.
            seq = journal.log(body)
            self._publish(Event(run=run, seq=seq, body=body))

    # Recorder ---------------------------------------------------------------------------------

    def _record(self) -> None:
        changed_at: list[float] = []
        voltage_at = 0.0
        while True:
            item = self._next_change()
            now = clock.now()
            if isinstance(item, GateChange):
                self._tell(_gate_changed(item, self._trace(item.at - TRACE_S, item.at)))
                changed_at.append(item.at)
            while changed_at and (_is_flush(item) or now - changed_at[0] >= TRACE_S):
                at = changed_at.pop(0)
                self._tell(VoltageTrace(at=at, samples=self._trace(at, at + TRACE_S)))
            self._gate.poll()
            self._drop_void_permit()
            if now - voltage_at >= VOLTAGE_PERIOD_S and self._run is not None:
                voltage_at = now
                self._tell(self._voltage(now))
            if isinstance(item, _Flush):
                item.done.set()
                if item.stop:
                    return

    def _drop_void_permit(self) -> None:
        """A permit whose gate was cut before it was used is void: there is nothing to resume."""
        if not self._lock.acquire(blocking=False):
            return  # Who holds the lock is arming or starting; there is a next time.
        try:
            if self._permit is not None and self._gate.state == "CUT":
                self._permit = None
                self._gate.close(f"The permit is void. {self._gate.reason}")
        finally:
            self._lock.release()

    def _next_change(self) -> GateChange | _Flush:
        try:
            return self._changes.get(timeout=VOLTAGE_PERIOD_S / 2)
        except queue.Empty:
            return _Flush(flush=False)

    def _tell(self, body: EventBody) -> None:
        # Held while the record is written, so that none comes after the outcome.
        with self._recording:
            run = self._recorded
            if run is None or body.at < run.opened_at:
                self._publish(Event(run="", seq=0, body=body))
                return
            try:
                self._emit(run.journal, run.number, body)
            except FieldKitError as error:
                # A journal that failed once takes nothing more, so nothing could resume this run:
                # the gate cuts and the executor ends it, whoever waits for a technician.
                self._gate.cut(error.what)
                run.executor.stop(AbortedError(error.what, RECORD_THEN_RECOVER))
                self._publish(Event(run=run.number, seq=0, body=body))

    def _voltage(self, now: float) -> Voltage:
        samples = self._sampler.history(now - VOLTAGE_PERIOD_S)
        if not samples:
            return Voltage(at=now, volts=None, reason="no sample")
        return Voltage(at=now, volts=samples[-1].volts, reason=samples[-1].reason)

    def _trace(self, since: float, until: float) -> list[tuple[float, float | None]]:
        return [
            (sample.at, sample.volts)
            for sample in self._sampler.history(since)
            if sample.at <= until
        ]

    # Helpers ----------------------------------------------------------------------------------

    def _read_identity(self, plan: WritePlan) -> list[IdentityValue] | FieldKitError:
        """The identification values of the ECU on the cable, now."""
        try:
            with open_link(plan.target.link, self._gate, plan.timing) as link:
                return [
                    IdentityValue(
                        did=item.did,
                        value=link.request(b"\x22" + item.did.to_bytes(2, "big"))[3:].hex(),
                    )
                    for item in identity_to_read(plan)
                ]
        except FieldKitError as error:
            return error

    def _refuse_while_running(self) -> None:
        if self._run is not None:
            raise _no_permit("A write is running.")

    def _check_unused(self, acknowledgment: str) -> None:
        if acknowledgment in self._used:
            raise RefusedError(
                "USER_ACKNOWLEDGMENT",
                "The acknowledgment was used before.",
                "Read the risk text and acknowledge it again.",
            )


def _samples_in(body: EventBody) -> int:
    if isinstance(body, VoltageTrace):
        return len(body.samples)
    return len(body.trace) if isinstance(body, GateChanged) else 0


def _is_flush(item: GateChange | _Flush) -> bool:
    return isinstance(item, _Flush) and item.flush


def _write_expiry(plan: WritePlan) -> float:
    return clock.now() + WRITE_BASE_S + plan.payload_size / SLOWEST_RATE


def _no_permit(what: str) -> RefusedError:
    return RefusedError("PERMIT", what, "Check the gates again to get a new permit.")


def _gate_changed(change: GateChange, trace: list[tuple[float, float | None]]) -> GateChanged:
    return GateChanged(
        at=change.at,
        state=change.state,
        reason=change.reason,
        next_step=change.next_step,
        volts=change.volts,
        trace=trace,
    )


def _unrecorded(outcome: Outcome, error: FieldKitError) -> Outcome:
    if outcome.what == error.what:
        return outcome  # That is what ended the run, and what keeps its outcome from the journal.
    return Outcome(
        at=outcome.at,
        outcome="aborted_recoverable",
        code=error.code,
        what=f"{outcome.what} But it could not be recorded: {error.what}",
        next_step=error.next_step,
        step=outcome.step,
        not_restored=outcome.not_restored,
    )
