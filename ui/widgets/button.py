"""Buttons: a plain one in three ranks, and one that must be held until its bar is full."""

from __future__ import annotations

from kivy.animation import Animation
from kivy.input.motionevent import MotionEvent
from kivy.properties import BooleanProperty, NumericProperty, OptionProperty, StringProperty
from kivy.uix.behaviors import ButtonBehavior
from kivy.uix.label import Label

from ui.widgets import kv


class Action(ButtonBehavior, Label):  # type: ignore[misc]  # Kivy brings no types
    """A button. The rank shows in form, too: only a primary or dangerous one is filled."""

    rank = OptionProperty("secondary", options=("primary", "secondary", "danger"))
    mark = StringProperty()
    """A symbol before the words."""
    words = StringProperty()


class HoldAction(Action):
    """A button for what cannot be taken back: it acts once it was held for `hold_s`.

    Letting go or slipping off empties the bar. Fires `on_held` once for each full hold.
    """

    hold_s = NumericProperty(2.0)
    """Seconds."""
    progress = NumericProperty(0.0)
    """How full the bar is, 0 to 1."""
    is_held = BooleanProperty(False)
    words_held = StringProperty()
    """What it says while it is held."""

    __events__ = ("on_held",)

    def on_press(self) -> None:
        """Start to fill; only ever while a finger is on the button."""
        self._stop()
        self.is_held = True
        filling = Animation(progress=1.0, duration=self.hold_s)
        filling.bind(on_complete=self._full)
        filling.start(self)

    def on_touch_move(self, touch: MotionEvent) -> bool:
        """A finger that slipped off does not go on confirming."""
        if touch.grab_current is self and self.is_held and not self.collide_point(*touch.pos):
            self._stop()
        return bool(super().on_touch_move(touch))

    def on_touch_up(self, touch: MotionEvent) -> bool:
        """Empty the bar; what was not held to its end has not happened."""
        if touch.grab_current is self:
            self._stop()
        return bool(super().on_touch_up(touch))

    def on_held(self) -> None:
        """For KV files."""

    def _full(self, *_: object) -> None:
        if self.is_held:
            self._stop()
            self.dispatch("on_held")

    def _stop(self) -> None:
        Animation.cancel_all(self, "progress")
        self.is_held = False
        self.progress = 0.0


kv.load(__file__)
