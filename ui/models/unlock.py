"""Unlocking the kit, and locking it by itself when nobody is there."""

from __future__ import annotations

import math
import re
from collections.abc import Callable

from msgspec import Struct

from appliance.client import FieldKitError, messages
from ui.i18n import _
from ui.models.shared import Asking, AskingState, Shared

IDLE_LOCK_S = 600.0
WARN_BEFORE_LOCK_S = 60
LOCK_AGAIN_S = 5.0
MAX_WAIT_S = 300
FREE_TRIES = 3
WRONG = ("passphrase", "too_many_tries")
"""Codes of the appliance for a passphrase that was wrong, or not even looked at."""


class TechnicianRow(Struct, frozen=True, kw_only=True):
    """Somebody who can unlock the kit."""

    name: str
    role: str


class UnlockState(AskingState, frozen=True, kw_only=True):
    """Attributes:
    technicians: all of them, by name.
    technician: who was chosen; empty for nobody.
    can_try: a passphrase would be looked at now.
    wait_s: seconds until then; counts down, 0 for none.
    wrong_tries: wrong passphrases in a row, on this screen.
    write_runs: a write runs while the kit is locked; it goes on.
    locks_in_s: the kit locks itself in so many seconds; None while that is far off.
    """

    technicians: tuple[TechnicianRow, ...] = ()
    technician: str = ""
    can_try: bool = False
    wait_s: int = 0
    wrong_tries: int = 0
    write_runs: bool = False
    locks_in_s: int | None = None


class WrongTries:
    """The pause after wrong passphrases, counted down. The appliance keeps it; this shows it.

    Args:
        now: seconds that never go back.
    """

    def __init__(self, now: Callable[[], float]) -> None:
        self._now, self._until = now, 0.0
        self.count = 0

    def wrong(self, error: FieldKitError) -> bool:
        """Take in an error; says whether it was about the passphrase."""
        if error.code not in WRONG:
            return False
        if error.code == "too_many_tries":
            # The only place where the appliance says how long: its sentence.
            told = re.search(r"\d+", error.next_step)
            self.wait(int(told[0]) if told else 1)
            return True
        self.count += 1
        if self.count >= FREE_TRIES:
            self.wait(min(2 ** (self.count - FREE_TRIES + 1), MAX_WAIT_S))
        return True

    def wait(self, wait_s: float) -> None:
        """So long from now nothing is tried; never shorter than what is known already."""
        self._until = max(self._until, self._now() + wait_s)

    def right(self) -> None:
        """It was right: nothing is left of the wrong ones."""
        self.count, self._until = 0, 0.0

    @property
    def left_s(self) -> int:
        """Whole seconds to wait, 0 for none."""
        return max(0, math.ceil(self._until - self._now()))


class UnlockModel(Asking[UnlockState]):
    """Opens and closes the kit.

    Args:
        shared: the screen's parts.
        idle_lock_s: the kit locks itself when nobody touched the screen for so long, never while
            a write runs.
    """

    def __init__(self, shared: Shared, idle_lock_s: float = IDLE_LOCK_S) -> None:
        super().__init__(UnlockState(), shared)
        self._idle_lock_s = idle_lock_s
        self._touched_at = shared.backend.now()
        self._tries: dict[str, WrongTries] = {}
        shared.backend.on_tick(self.tick)

    def open(self) -> None:
        """The screen is shown: fetch who can unlock."""
        self._ask(lambda client: client.technicians(), self._found, key="technicians")

    def choose(self, technician: str) -> None:
        """Somebody says who they are."""
        self._change(technician=technician, what="", next_step="")
        self.tick()

    def unlock(self, passphrase: str) -> None:
        """Try a passphrase. While there is a pause to wait for, nothing is tried."""
        name = self.state.technician
        if not self.state.can_try or not passphrase:
            return
        self._ask(
            lambda client: client.unlock(name, passphrase),
            lambda _okay: self._opened(),
            self._refused,
        )
        self.tick()

    def lock(self) -> None:
        """Close the kit; a write that runs goes on."""
        self._ask(lambda client: client.lock(), lambda _okay: self._locked())

    def touched(self) -> None:
        """Somebody touched the screen."""
        self._touched_at = self._shared.backend.now()
        self._change(locks_in_s=None)

    def tick(self) -> None:
        """Count down, and lock when nobody is there."""
        state, tries = self.state, self._tries_of(self.state.technician)
        running = self._shared.backend.state.running is not None
        self._change(
            wait_s=tries.left_s,
            wrong_tries=tries.count,
            can_try=bool(state.technician) and not state.busy and not tries.left_s,
            write_runs=running,
        )
        self._look_at_idling(running=running)

    def _look_at_idling(self, *, running: bool) -> None:
        seen = self._shared.backend.state
        if running or seen.status is None or seen.status.locked:
            self.touched()  # Nobody who only watches a write is taken for gone.
            return
        left_s = self._touched_at + self._idle_lock_s - self._shared.backend.now()
        if left_s <= 0:
            self.touched()
            # One try at once, not one with each beat; where it fails, the next one comes soon.
            self._touched_at -= max(0.0, self._idle_lock_s - LOCK_AGAIN_S)
            self.lock()
        elif left_s <= WARN_BEFORE_LOCK_S:
            self._change(locks_in_s=math.ceil(left_s))

    def _tries_of(self, technician: str) -> WrongTries:
        if technician not in self._tries:
            self._tries[technician] = WrongTries(self._shared.backend.now)
        return self._tries[technician]

    def _found(self, reply: messages.Technicians) -> None:
        rows = tuple(TechnicianRow(name=one.name, role=one.role) for one in reply.technicians)
        for one in reply.technicians:
            self._tries_of(one.name).wait(one.wait_s)
        known = any(row.name == self.state.technician for row in rows)
        only = rows[0].name if len(rows) == 1 else ""
        self._change(technicians=rows, technician=self.state.technician if known else only)
        self.tick()

    def _opened(self) -> None:
        self._tries_of(self.state.technician).right()
        self.touched()
        self.tick()

    def _refused(self, error: FieldKitError) -> None:
        self._tries_of(self.state.technician).wrong(error)
        self._tell(error)
        self.tick()

    def _locked(self) -> None:
        self._change(what=_("The kit is locked."), next_step="")
        self.open()
