"""The write: what its events tell, block by block. Nothing here moves by a timer.

There is no way back while it runs. HELD and CUT take the screen over and say what to do.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Literal

from appliance.client import FieldKitError, messages
from ui.i18n import _
from ui.models import words
from ui.models.backend import Seen
from ui.models.shared import Asking, AskingState, Shared
from ui.models.status import record_problem

_TAKEOVER = {"HELD": "held", "CUT": "cut"}
TRACE_POINTS = 600
"""Of the voltage: a minute at ten a second."""


class WriteState(AskingState, frozen=True, kw_only=True):
    """Attributes:
    job, run: which write it is; `run` is empty while there is none.
    title: of its plan.
    running: it is under way.
    followed: its events arrive; while they do not, `lost` says why and its figures are missing.
    gate: `CLOSED`, `ARMED`, `OPEN`, `HELD`, `CUT`, or empty; `gate_word` is how it is shown.
    takeover: `held` or `cut` while that stands over everything, else empty.
    reason, gate_next_step: why the gate is there, and what to do now.
    volts: None where there is none; `volts_reason` says why.
    trace: (seconds since the write began, volts or None), the last minute.
    step, steps, step_name: which step of the plan.
    block, blocks, done_bytes, total_bytes: what the ECU confirmed; part: of all, 0 to 1.
    rate: bytes per second; None while that is not known.
    remaining_s: time left; None while that is not known.
    can_resume, can_abort: what may be asked for now.
    outcome: how it ended; empty before that.
    record_what, record_next_step: why the record is behind; empty while it is not.
    """

    job: str = ""
    run: str = ""
    title: str = ""
    running: bool = False
    followed: bool = False
    lost: str = ""
    gate: str = ""
    gate_word: str = ""
    takeover: Literal["", "held", "cut"] = ""
    reason: str = ""
    gate_next_step: str = ""
    volts: float | None = None
    volts_reason: str = ""
    trace: tuple[tuple[float, float | None], ...] = ()
    step: int = 0
    steps: int = 0
    step_name: str = ""
    block: int = 0
    blocks: int = 0
    done_bytes: int = 0
    total_bytes: int = 0
    part: float = 0.0
    rate: float | None = None
    remaining_s: float | None = None
    can_resume: bool = False
    can_abort: bool = False
    outcome: str = ""
    record_what: str = ""
    record_next_step: str = ""


class WriteModel(Asking[WriteState]):
    """Follows the write that is under way, whoever started it.

    Args:
        shared: the screen's parts.
        ended: called with the job once the outcome is known.
    """

    def __init__(self, shared: Shared, ended: Callable[[str], None]) -> None:
        super().__init__(WriteState(), shared)
        self._ended = ended
        self._began_at: float | None = None
        self._acted_at = 0.0
        shared.backend.subscribe(self._look)

    def started(self, started: messages.Started) -> None:
        """A write was started, or goes on after a cut."""
        if started.run != self.state.run:
            self._begin(started.job, started.run, started.after)
        # What was heard before this is over: a cut that has just been resumed is none any more.
        self._acted_at = self._shared.backend.now()
        self._look(self._shared.backend.state)
        # The write's screen comes with the status that shows it running: until then nobody knows
        # whether it still runs.
        self._shared.navigation.note(resumes=False)

    def resume(self) -> None:
        """After a cut: on to a new acknowledgment of the same plan."""
        job = self.state.job
        if self.state.can_resume:
            self._ask(lambda client: client.running_plan(job), self._acknowledge_again)

    def ask_abort(self) -> None:
        """Ask whether the write is to be ended."""
        if self.state.can_abort:
            self._shared.messages.ask(
                _("End this write?"),
                _("It ends at the next safe point. The ECU must then be recovered."),
                _("End the write"),
                self.abort,
            )

    def abort(self) -> None:
        """End the write at its next safe point."""
        job = self.state.job
        if self.state.can_abort:
            self._ask(lambda client: client.abort(job), lambda _okay: None)

    def _acknowledge_again(self, plan: messages.PlanView) -> None:
        self._shared.desk.take_plan(plan, resumes=True)
        self._shared.navigation.go("acknowledge", job=plan.job, recovers=False, resumes=True)

    # What the status tells --------------------------------------------------------------------

    def _look(self, seen: Seen) -> None:
        running, status = seen.running, seen.status
        if (
            running is not None
            and running.run != self.state.run
            and status is not None
            and not status.locked
        ):
            # Also a write that a command or an earlier screen started.
            self._begin(running.job, running.run, 0)
        mine = running is not None and running.run == self.state.run
        hw = status.hw if status is not None and seen.fresh else None
        # Voltage and gate come from here alone: events may be older than they look, when a stream
        # that broke is read again.
        told = hw is not None and mine and seen.asked_at >= self._acted_at
        gate = hw.gate if hw is not None and told else ""
        over = bool(self.state.outcome)
        self._change(
            running=mine,
            gate=gate,
            gate_word=words.gate_state(gate),
            takeover="" if over else _TAKEOVER.get(gate, ""),
            reason=hw.gate_reason if hw is not None and told else "",
            gate_next_step=hw.gate_next_step if hw is not None and told else "",
            volts=hw.volts if hw is not None else None,
            volts_reason=hw.voltage_reason if hw is not None else _("The kit does not answer."),
            can_resume=gate == "CUT" and not over,
            can_abort=mine and seen.fresh and not over,
            **record_problem(status),
        )
        if gate != "OPEN":
            self._change(rate=None, remaining_s=None)

    def _begin(self, job: str, run: str, after: int) -> None:
        empty = WriteState()
        self._change(
            **{name: getattr(empty, name) for name in WriteState.__struct_fields__}
            | {"job": job, "run": run, "running": True}
        )
        plan = self._shared.desk.plan
        if plan is not None and plan.job == job:
            self._change(title=plan.title)
        self._began_at = None
        self._shared.backend.follow(job, after, self._take, self._lost)

    # What the events tell ---------------------------------------------------------------------

    def _lost(self, error: FieldKitError) -> None:
        self._change(followed=False, lost=error.what, rate=None, remaining_s=None)

    def _take(self, events: list[messages.JobEvent]) -> None:
        fields: dict[str, Any] = {"followed": True, "lost": ""}
        trace = list(self.state.trace)
        end: messages.JobEvent | None = None
        for event in events:
            if event.run != self.state.run:
                continue
            if event.kind == "voltage":
                trace.append(self._point(event.body))
            if event.kind == "outcome":
                end = event
            fields |= _told(event)
        fields["trace"] = tuple(trace[-TRACE_POINTS:])
        self._change(**fields)
        if end is not None:
            self._finish()

    def _point(self, body: dict[str, Any]) -> tuple[float, float | None]:
        if self._began_at is None:
            self._began_at = body["at"]
        return round(body["at"] - self._began_at, 3), body["volts"]

    def _finish(self) -> None:
        self._shared.backend.unfollow()
        self._change(takeover="", can_resume=False, can_abort=False, rate=None, remaining_s=None)
        self._shared.messages.clear()
        self._ended(self.state.job)


def _told(event: messages.JobEvent) -> dict[str, Any]:
    """Fields that one event changes."""
    body = event.body
    match event.kind:
        case "step_started":
            return {
                "step": body["index"] + 1,
                "steps": body["total"],
                "step_name": words.step(body["step"]),
            }
        case "progress":
            return _told_progress(body)
        case "outcome":
            return {"outcome": body["outcome"]}
    return {}


def _told_progress(body: dict[str, Any]) -> dict[str, Any]:
    done, total = body["done_bytes"], body["total_bytes"]
    return {
        "block": body["block"],
        "blocks": body["blocks"],
        "done_bytes": done,
        "total_bytes": total,
        "part": done / total if total else 0.0,
        "rate": body["rate"] or None,
        "remaining_s": body["remaining_s"],
    }
