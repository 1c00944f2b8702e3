"""A USB scanner: a keyboard that types a code and ends it with Enter."""

from __future__ import annotations

from collections.abc import Callable

from kivy.core.window import Window

ENTERS = frozenset({13, 271})  # Enter, and that of the number pad
MOST = 400


class Scanner:
    """Hears what is typed on a real keyboard until it is closed.

    Letters and digits count, and no others: which marks come depends on the keyboard's layout.

    Args:
        typing: called with what has come so far.
        done: called with all of it, at Enter.
    """

    def __init__(self, typing: Callable[[str], None], done: Callable[[str], None]) -> None:
        self._typing, self._done = typing, done
        self._typed = ""
        Window.bind(on_key_down=self._key)

    def close(self) -> None:
        """Hear nothing any more."""
        Window.unbind(on_key_down=self._key)

    def _key(self, _window: object, key: int, *_more: object) -> None:
        if key in ENTERS:
            typed, self._typed = self._typed, ""
            if typed:
                self._done(typed)
        elif key < 128 and chr(key).isalnum():
            self._typed = (self._typed + chr(key).upper())[-MOST:]
            self._typing(self._typed)
