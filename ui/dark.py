"""The dark screen: no light, a black cover, and the touch that ends it goes nowhere else."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from kivy.graphics import Color, Rectangle
from kivy.input.motionevent import MotionEvent
from kivy.uix.widget import Widget

from ui.backlight import Backlight
from ui.models.rest import RestModel, RestState


class Cover(Widget):  # type: ignore[misc]  # Kivy brings no types
    """Black, as large as the window."""

    def __init__(self) -> None:
        super().__init__()
        with self.canvas:
            Color(0, 0, 0, 1)
            self._black = Rectangle()
        self.bind(pos=self._fill, size=self._fill)

    def _fill(self, *_args: object) -> None:
        self._black.pos, self._black.size = self.pos, self.size


class Dark:
    """Stands between the fingers and the window; `close` it.

    Args:
        window: Kivy's.
        model: says when it is dark.
        backlight: the panel's.
        touched: told of every touch, the swallowed ones included: somebody is there.
    """

    def __init__(
        self, window: Any, model: RestModel, backlight: Backlight, touched: Callable[[], None]
    ) -> None:
        self._window, self._model, self._backlight = window, model, backlight
        self._touched, self._cover = touched, Cover()
        self._swallowed: set[int] = set()
        self._handlers = {
            "on_touch_down": self._down,
            "on_touch_move": self._move,
            "on_touch_up": self._up,
        }
        window.bind(**self._handlers)
        backlight.wake()  # Whoever was here before may have been ended in the dark.
        self._end = model.subscribe(self._changed)

    def close(self) -> None:
        """Leave the window as it was, and light."""
        self._end()
        self._changed(RestState())
        self._window.unbind(**self._handlers)

    def _changed(self, state: RestState) -> None:
        if state.dark == (self._cover.parent is not None):
            return
        if state.dark:
            self._window.add_widget(self._cover)
            self._backlight.darken()
        else:
            self._window.remove_widget(self._cover)
            self._backlight.wake()

    def _down(self, _window: object, touch: MotionEvent) -> bool:
        self._touched()
        # A second finger beside the one that wakes it is swallowed, too.
        if self._model.touched() or self._swallowed:
            self._swallowed.add(touch.uid)
            return True
        return False

    def _move(self, _window: object, touch: MotionEvent) -> bool:
        return touch.uid in self._swallowed

    def _up(self, _window: object, touch: MotionEvent) -> bool:
        if touch.uid in self._swallowed:
            self._swallowed.remove(touch.uid)
            return True
        return False
