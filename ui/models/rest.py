"""The screen goes dark when nobody is there, and the touch that wakes it does nothing else."""

from __future__ import annotations

from collections.abc import Callable

from msgspec import Struct

from ui.models.base import ViewModel
from ui.models.shared import Shared
from ui.models.words import Screen

NEVER_ON: frozenset[Screen] = frozenset({"agree", "gates", "acknowledge", "write"})
"""Screens that somebody watches without touching them."""


class RestState(Struct, frozen=True, kw_only=True):
    """`dark`: nothing is to be seen."""

    dark: bool = False


class RestModel(ViewModel[RestState]):
    """Counts how long nobody touched the screen. It is never dark while a write runs, or may run.

    Args:
        shared: the screen's parts.
        after_s: so long without a touch; 0 for never. Asked anew with each beat.
    """

    def __init__(self, shared: Shared, after_s: Callable[[], float]) -> None:
        super().__init__(RestState())
        self._shared, self._after_s = shared, after_s
        self._touched_at = shared.backend.now()
        shared.backend.on_tick(self.tick)
        shared.backend.subscribe(lambda _seen: self._wake_if_watched())
        shared.navigation.subscribe(lambda _state: self._wake_if_watched())

    def touched(self) -> bool:
        """Somebody touched the screen. Says whether that woke it: then it means nothing else."""
        woke = self.state.dark
        self._touched_at = self._shared.backend.now()
        self._change(dark=False)
        return woke

    def tick(self) -> None:
        """Go dark when it is time."""
        if self._watched():
            self.touched()  # Its time counts from the end of what was watched.
            return
        after_s = self._after_s()
        idle_s = self._shared.backend.now() - self._touched_at
        if after_s and idle_s >= after_s:
            self._change(dark=True)

    def _wake_if_watched(self) -> None:
        if self.state.dark and self._watched():
            self.touched()

    def _watched(self) -> bool:
        seen = self._shared.backend.state
        return (
            seen.running is not None
            or seen.was_writing
            or self._shared.navigation.state.screen in NEVER_ON
        )
