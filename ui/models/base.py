"""`ViewModel`: an immutable state, and who is told when it changes."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Generic, TypeVar

from msgspec import Struct, structs

S = TypeVar("S", bound=Struct)


class ViewModel(Generic[S]):
    """Something that a screen shows. Used on the screen's thread only.

    Args:
        first: the state to begin with; a frozen struct of plain values.
    """

    def __init__(self, first: S) -> None:
        self._state = first
        self._subscribers: list[Callable[[S], None]] = []

    @property
    def state(self) -> S:
        """Everything there is to show, in this moment."""
        return self._state

    def subscribe(self, callback: Callable[[S], None]) -> Callable[[], None]:
        """Be told each new state, and the present one at once.

        Returns:
            A function that ends it; it may be called more than once.
        """
        self._subscribers.append(callback)
        callback(self._state)

        def unsubscribe() -> None:
            if callback in self._subscribers:
                self._subscribers.remove(callback)

        return unsubscribe

    def _change(self, **fields: Any) -> None:
        """Replace fields of the state; subscribers hear of it only if it differs."""
        changed = structs.replace(self._state, **fields)
        if changed == self._state:
            return
        self._state = changed
        for callback in tuple(self._subscribers):
            # Whoever changes the state while being told leaves nobody with an older one.
            callback(self._state)
