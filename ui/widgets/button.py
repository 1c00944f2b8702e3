"""Buttons: a plain one in three ranks, and one that must be held until its bar is full."""

from __future__ import annotations

from kivy.input.motionevent import MotionEvent
from kivy.properties import (
    BooleanProperty,
    ColorProperty,
    NumericProperty,
    OptionProperty,
    StringProperty,
)
from kivy.uix.behaviors import ButtonBehavior
from kivy.uix.label import Label

from ui.widgets import kv


class Action(ButtonBehavior, Label):  # type: ignore[misc]  # Kivy brings no types
    """A button. The rank shows in form, too: only a primary or dangerous one is filled."""

    rank = OptionProperty("secondary", options=("primary", "secondary", "danger"))
    mark = StringProperty()
    """A symbol before the words."""
    words = StringProperty()
    fill = ColorProperty("#000000")
    shade = ColorProperty("#FFFFFF")
    edge = ColorProperty("#000000")
    turns = BooleanProperty(True)
    """Its two colours change places under a finger."""


class HoldAction(Action):
    """A button for what cannot be taken back. It must be held; the model counts, this only shows.

    Fires `on_hold` when a finger is put on it and `on_let_go` once when it is lifted or slips off.
    """

    progress = NumericProperty(0.0)
    """How full the bar is, 0 to 1."""
    is_held = BooleanProperty(False)

    __events__ = ("on_hold", "on_let_go")

    def on_press(self) -> None:
        """A finger is on it."""
        self.is_held = True
        self.dispatch("on_hold")

    def on_touch_move(self, touch: MotionEvent) -> bool:
        """A finger that slipped off does not go on confirming."""
        if touch.grab_current is self and not self.collide_point(*touch.pos):
            self._let_go()
        return bool(super().on_touch_move(touch))

    def on_touch_up(self, touch: MotionEvent) -> bool:
        """The finger is lifted."""
        if touch.grab_current is self:
            self._let_go()
        return bool(super().on_touch_up(touch))

    def on_parent(self, _self: object, parent: object) -> None:
        """A button that was taken away is not held any more."""
        if parent is None:
            self._let_go()

    def on_hold(self) -> None:
        """For KV files."""

    def on_let_go(self) -> None:
        """For KV files."""

    def _let_go(self) -> None:
        if self.is_held:
            self.is_held = False
            self.dispatch("on_let_go")


kv.load(__file__)
