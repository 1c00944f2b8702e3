"""`Way`: which screen is shown, those that are the screen's own (menu, settings, help) included.

The kit's navigation comes first. The screen's own ones stand over the home screen only, and
whatever the kit demands takes them away.
"""

from __future__ import annotations

from collections.abc import Callable

from msgspec import Struct

from ui.models.base import ViewModel
from ui.models.navigation import NavigationModel, NavigationState

OWN = frozenset(
    {
        "menu",
        "settings",
        "technicians",
        "media",
        "sensor",
        "links",
        "network",
        "workshop",
        "help",
        "about",
    }
)


class WayState(Struct, frozen=True, kw_only=True):
    """What is shown, and whether there is a way back."""

    screen: str = "gone"
    can_go_back: bool = False


class Way(ViewModel[WayState]):
    """Leads through all screens.

    Args:
        navigation: the kit's own.
        lock: locks the kit.
    """

    def __init__(self, navigation: NavigationModel, lock: Callable[[], None]) -> None:
        super().__init__(WayState())
        self._navigation, self._lock = navigation, lock
        self._own: tuple[str, ...] = ()
        navigation.subscribe(self._look)

    def menu(self) -> None:
        """Open the menu."""
        self.open("menu")

    def open(self, screen: str) -> None:
        """Open one of the screen's own, or one of the kit's."""
        if screen in OWN:
            self._own = (*self._own, screen)
            self._look(self._navigation.state)
        else:
            self._own = ()
            self._navigation.go(screen)  # type: ignore[arg-type]  # the menu's own names

    def back(self) -> None:
        """One step back."""
        if self._own:
            self._own = self._own[:-1]
            self._look(self._navigation.state)
        else:
            self._navigation.back()

    def lock(self) -> None:
        """Close the kit."""
        self._own = ()
        self._lock()

    def _look(self, state: NavigationState) -> None:
        if state.screen != "home":
            self._own = ()
        if self._own:
            self._change(screen=self._own[-1], can_go_back=True)
        else:
            self._change(screen=state.screen, can_go_back=state.can_go_back)
