"""The gates before a write: each waiting, working, passed or refused, with reason and step."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Literal

from msgspec import Struct

from appliance.client import FieldKitError, GateResult, messages
from ui.i18n import _
from ui.models import words
from ui.models.picking import Picking, PickingState
from ui.models.shared import Shared
from ui.models.window import Window, in_start_window, window_of

RowState = Literal["waiting", "working", "passed", "refused"]
ACKNOWLEDGMENT = "USER_ACKNOWLEDGMENT"


class GateRow(Struct, frozen=True, kw_only=True):
    """One gate. `reason` and `next_step` are the gate's own sentences."""

    gate: str
    title: str
    state: RowState
    reason: str = ""
    next_step: str = ""
    facts: tuple[tuple[str, str], ...] = ()


class GatesState(PickingState, frozen=True, kw_only=True):
    """Attributes:
    rows: the gates of this plan, in order.
    volts: now, None where there is none; `volts_reason` says why.
    window: limits of the plan in hand.
    in_window: a write could begin at this voltage; None where that cannot be said.
    can_go_on: every gate but the acknowledgment has passed, so that it can be given.
    can_agree: the customer's agreement is missing, or not good.
    can_back_up: the backup is what is missing, and it can be made from here.
    wants_file: it was refused because the ECU gives no memory: a known-good file must stand in,
        which is chosen from a stick.
    """

    rows: tuple[GateRow, ...] = ()
    volts: float | None = None
    volts_reason: str = ""
    window: Window | None = None
    in_window: bool | None = None
    can_go_on: bool = False
    can_agree: bool = False
    can_back_up: bool = False
    wants_file: bool = False


class GatesModel(Picking[GatesState]):
    """Asks the gates. No permit is made here, and nothing but reads is sent.

    Args:
        shared: the screen's parts.
        agree: leads to what the customer must sign.
    """

    def __init__(self, shared: Shared, agree: Callable[[], None]) -> None:
        super().__init__(GatesState(rows=tuple(map(_waiting, words.GATES))), shared)
        self._plan = ""
        self._agree = agree
        shared.backend.subscribe(lambda _seen: self._look())

    def open(self) -> None:
        """The screen is shown: ask, unless this plan's refusal has just been told."""
        desk = self._shared.desk.state
        self._change(window=window_of(self._shared.desk.plan))
        self._look()
        if desk.plan != self._plan or not any(row.state == "refused" for row in self.state.rows):
            self.check()

    def check(self) -> None:
        """Ask all gates."""
        plan, job = self._shared.desk.plan, self._shared.desk.state.job
        if plan is None:
            return
        self._plan = plan.digest
        self._change(
            # The acknowledgment is the technician's: it waits while the others work.
            rows=tuple(
                _waiting(gate) if gate == ACKNOWLEDGMENT else _row(gate, "working")
                for gate in self._gates()
            ),
            can_go_on=False,
            can_agree=False,
            can_back_up=False,
            wants_file=False,
        )
        self._ask(lambda client: client.check(job, plan.file), self._checked, self._failed)

    def refused(self, results: Sequence[GateResult]) -> None:
        """The gates refused the write itself; nothing was sent."""
        plan = self._shared.desk.plan
        self._plan = plan.digest if plan is not None else ""
        self._take(results, acknowledged=True)

    def back_up(self, known_good: str = "") -> None:
        """Make the backup that is missing, then ask again.

        Args:
            known_good: path on a stick of the file that stands in where the ECU refuses memory
                readout; empty for none.
        """
        desk = self._shared.desk.state
        request = messages.BackupMake(
            link=desk.link,
            profile=desk.profile,
            job=desk.job,
            known_good_path=known_good,
        )
        self._change(
            rows=tuple(
                _row(row.gate, "working") if row.gate == "DUAL_BACKUP" else row
                for row in self.state.rows
            ),
            can_back_up=False,
            wants_file=False,
        )
        self._ask(lambda client: client.backup_make(request), self._backed_up, self._not_backed_up)

    def agree(self) -> None:
        """Back to what the customer must sign."""
        if self.state.can_agree:
            self._agree()

    def go_on(self) -> None:
        """On to the acknowledgment."""
        if self.state.can_go_on:
            self._shared.navigation.go("acknowledge")

    def _look(self) -> None:
        seen = self._shared.backend.state
        hw = seen.status.hw if seen.fresh and seen.status is not None else None
        volts = hw.volts if hw is not None else None
        self._change(
            volts=volts,
            volts_reason=hw.voltage_reason if hw is not None else _("The kit does not answer."),
            in_window=in_start_window(volts, self.state.window),
        )

    def _checked(self, view: messages.GateView) -> None:
        self._take(view.results, acknowledged=False)

    def _take(self, results: Sequence[GateResult], *, acknowledged: bool) -> None:
        told: dict[str, GateResult] = {result.gate: result for result in results}
        rows = tuple(
            _told(result)
            if (result := told.get(gate)) is not None and (acknowledged or gate != ACKNOWLEDGMENT)
            else _waiting(gate)
            for gate in dict.fromkeys((*self._gates(), *told))
        )
        refused = {row.gate for row in rows if row.state == "refused"}
        asked = all(gate in told for gate in self._gates())
        desk = self._shared.desk.state
        self._change(
            rows=rows,
            can_go_on=asked and not refused - {ACKNOWLEDGMENT},
            can_agree=words.AGREEMENT in refused,
            can_back_up="DUAL_BACKUP" in refused and bool(desk.profile) and not desk.recovers,
        )

    def _backed_up(self, made: messages.BackupView) -> None:
        self._shared.desk.add_backup(made.backup)
        self.check()

    def _not_backed_up(self, error: FieldKitError) -> None:
        self._failed(error)
        self._change(wants_file=getattr(error, "gate", "") == "DUAL_BACKUP")

    def _failed(self, error: FieldKitError) -> None:
        """No gate spoke, so none has passed; where the error names one, its row says it."""
        named = getattr(error, "gate", "")
        self._change(
            rows=tuple(
                _row(gate, "refused", error.what, error.next_step)
                if gate == named
                else _waiting(gate)
                for gate in self._gates()
            ),
            can_go_on=False,
            can_agree=False,
            can_back_up=bool(self._shared.desk.state.profile) and named == "DUAL_BACKUP",
        )
        self._tell(error)

    def _gates(self) -> tuple[str, ...]:
        """The gates of the plan in hand, the technician's own word last."""
        plan = self._shared.desk.plan
        more = (words.AGREEMENT,) if plan and plan.agreements else ()
        return (*(gate for gate in words.GATES if gate != ACKNOWLEDGMENT), *more, ACKNOWLEDGMENT)


def _row(gate: str, state: RowState, reason: str = "", next_step: str = "") -> GateRow:
    return GateRow(
        gate=gate, title=words.gate_title(gate), state=state, reason=reason, next_step=next_step
    )


def _waiting(gate: str) -> GateRow:
    return _row(gate, "waiting")


def _told(result: GateResult) -> GateRow:
    return GateRow(
        gate=result.gate,
        title=words.gate_title(result.gate),
        state="passed" if result.passed else "refused",
        reason=result.reason,
        next_step=result.next_step,
        facts=tuple(result.facts.items()),
    )
