"""The acknowledgment: the exact risk text, the passphrase, and a button that must be held."""

from __future__ import annotations

from collections.abc import Callable

from appliance.client import FieldKitError, messages
from ui.models.gates import GatesModel
from ui.models.shared import Asking, AskingState, Shared
from ui.models.unlock import WrongTries

HOLD_S = 3.0
LONGEST_BEAT_S = 0.3
"""A beat counts no longer than this: while the screen stands still nobody knows of the finger."""


class AcknowledgeState(AskingState, frozen=True, kw_only=True):
    """Attributes:
    title: of the plan.
    risk_text: exactly what is signed.
    resumes: it is for a write that was cut.
    recovers: it is for a recovery.
    has_passphrase: one was entered; it is never shown and kept no longer than needed.
    can_hold: the button works.
    holding: it is being held.
    held_s, part: how long, and as a part of what is needed, 0 to 1.
    wait_s: seconds until another passphrase is looked at.
    """

    title: str = ""
    risk_text: str = ""
    resumes: bool = False
    recovers: bool = False
    has_passphrase: bool = False
    can_hold: bool = False
    holding: bool = False
    held_s: float = 0.0
    part: float = 0.0
    wait_s: int = 0


class AcknowledgeModel(Asking[AcknowledgeState]):
    """Takes the acknowledgment and starts, or resumes, the write.

    Args:
        shared: the screen's parts.
        gates: is told when the gates refuse the write itself.
        started: called when the write was started, and when it goes on.
    """

    def __init__(
        self,
        shared: Shared,
        gates: GatesModel,
        started: Callable[[messages.Started], None],
    ) -> None:
        super().__init__(AcknowledgeState(), shared)
        self._gates, self._started = gates, started
        self._tries = WrongTries(shared.backend.now)
        self._passphrase = ""
        self._beat_at = 0.0
        shared.backend.on_tick(self.tick)
        shared.navigation.subscribe(lambda state: self._moved(state.screen))

    def open(self) -> None:
        """The screen is shown: the plan in hand."""
        plan, desk = self._shared.desk.plan, self._shared.desk.state
        self._passphrase = ""
        self._change(
            title=plan.title if plan is not None else "",
            risk_text=plan.risk_text if plan is not None else "",
            resumes=desk.resumes,
            recovers=desk.recovers,
            what="",
            next_step="",
        )
        self._let_go()

    def enter(self, passphrase: str) -> None:
        """Somebody typed their passphrase."""
        self._passphrase = passphrase
        self._let_go()

    def press(self) -> None:
        """A finger is on the button."""
        if self.state.can_hold and not self.state.holding:
            self._beat_at = self._shared.backend.now()
            self._change(holding=True, held_s=0.0, part=0.0, what="", next_step="")

    def release(self) -> None:
        """The finger is off the button: what was not held to the end is nothing."""
        self._let_go()

    def tick(self) -> None:
        """Count on while the button is held."""
        if self.state.holding:
            now = self._shared.backend.now()
            held_s = self.state.held_s + min(now - self._beat_at, LONGEST_BEAT_S)
            self._beat_at = now
            self._change(held_s=min(held_s, HOLD_S), part=min(held_s / HOLD_S, 1.0))
            if held_s >= HOLD_S:
                self._acknowledge()
        if self.state.wait_s != self._tries.left_s:
            self._look()

    def _let_go(self) -> None:
        self._change(holding=False, held_s=0.0, part=0.0)
        self._look()

    def _look(self) -> None:
        wait_s = self._tries.left_s
        plan = self._shared.desk.plan
        self._change(
            has_passphrase=bool(self._passphrase),
            wait_s=wait_s,
            can_hold=bool(self._passphrase)
            and plan is not None
            and not wait_s
            and not self.state.busy,
        )

    def _moved(self, screen: str) -> None:
        """Whatever else is shown: nothing is held any more, and no passphrase is kept."""
        if screen != "acknowledge" and (self._passphrase or self.state.holding):
            self._passphrase = ""
            self._let_go()

    def _acknowledge(self) -> None:
        plan, desk = self._shared.desk.plan, self._shared.desk.state
        passphrase, self._passphrase = self._passphrase, ""
        self._let_go()
        if plan is None or plan.job != desk.job:
            return
        digest = plan.risk_digest
        if desk.resumes:
            self._ask(
                lambda client: client.resume(desk.job, digest, passphrase),
                self._answered,
                self._refused,
            )
        else:
            self._ask(
                lambda client: client.run(desk.job, plan.file, digest, passphrase),
                self._answered,
                self._refused,
            )

    def _answered(self, started: messages.Started) -> None:
        self._tries.right()
        self._look()
        if started.run:
            self._started(started)
            return
        self._gates.refused(started.gates)
        self._shared.navigation.go("gates")

    def _refused(self, error: FieldKitError) -> None:
        self._tries.wrong(error)
        self._tell(error)
        self._look()
