"""`Pad`: a field to sign in with a finger, gloved or not.

Only one finger draws at a time, so that the heel of the hand does nothing. Points are in
thousandths of the pad's width, y downwards, so that they mean the same on every screen.
"""

from __future__ import annotations

import time
from collections.abc import Callable

from kivy.graphics import Color, Ellipse, Line
from kivy.input.motionevent import MotionEvent
from kivy.metrics import dp
from kivy.properties import BooleanProperty, ObjectProperty
from kivy.uix.widget import Widget

from ui.theme import NOW
from ui.widgets import kv

UNITS = 1000
LEAST_STEP = 4
"""A finger that moved less than so many units has not moved."""
MOST_STROKES = 200
Point = tuple[int, int, int]


class Pad(Widget):  # type: ignore[misc]  # Kivy brings no types
    """See the module. `strokes` is what was drawn, each a list of points; `drawn`: anything."""

    strokes = ObjectProperty([])
    drawn = BooleanProperty(False)

    def __init__(self, now: Callable[[], float] = time.monotonic, **options: object) -> None:
        super().__init__(**options)
        self._now = now
        self._began_at = 0.0
        self._drawing = False
        self.fbind("strokes", self._draw)
        self.fbind("pos", self._draw)
        # What was drawn at another size is somewhere else now.
        self.fbind("size", lambda *_size: self.clear())

    def clear(self) -> None:
        """Wipe it."""
        self.strokes = []

    def on_touch_down(self, touch: MotionEvent) -> bool:
        """A finger is put on it: a stroke begins, unless another finger draws."""
        if not self.collide_point(*touch.pos) or self.disabled:
            return bool(super().on_touch_down(touch))
        if not self._drawing and len(self.strokes) < MOST_STROKES:
            now = self._now()
            if not self.strokes:
                self._began_at = now
            touch.grab(self)
            self._drawing = True
            self.strokes = [*self.strokes, [self._point(touch, now)]]
        return True

    def on_touch_move(self, touch: MotionEvent) -> bool:
        """The finger goes on; beyond the edge it draws along the edge."""
        if touch.grab_current is not self:
            return bool(super().on_touch_move(touch))
        point, last = self._point(touch, self._now()), self.strokes[-1][-1]
        if max(abs(point[0] - last[0]), abs(point[1] - last[1])) >= LEAST_STEP:
            *rest, stroke = self.strokes
            self.strokes = [*rest, [*stroke, point]]
        return True

    def on_touch_up(self, touch: MotionEvent) -> bool:
        """The finger is lifted."""
        if touch.grab_current is not self:
            return bool(super().on_touch_up(touch))
        touch.ungrab(self)
        self._drawing = False
        return True

    def _point(self, touch: MotionEvent, now: float) -> Point:
        scale = UNITS / self.width
        x = min(max(touch.x - self.x, 0), self.width) * scale
        y = min(max(self.top - touch.y, 0), self.height) * scale
        return round(x), min(round(y), UNITS), round((now - self._began_at) * 1000)

    def _draw(self, *_args: object) -> None:
        self.drawn = bool(self.strokes)
        self.canvas.after.clear()
        scale, pen = self.width / UNITS, dp(2)
        with self.canvas.after:
            Color(rgba=NOW.ink)
            for stroke in self.strokes:
                places = [(self.x + x * scale, self.top - y * scale) for x, y, _at in stroke]
                if len(places) == 1:
                    x, y = places[0]
                    Ellipse(pos=(x - pen, y - pen), size=(2 * pen, 2 * pen))
                else:
                    flat = [value for place in places for value in place]
                    Line(points=flat, width=pen, cap="round", joint="round")


kv.load(__file__)
