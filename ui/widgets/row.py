"""Rows: something that can be chosen, something that is only read, and a field that opens the
keyboard.
"""

from __future__ import annotations

from kivy.properties import ColorProperty, ObjectProperty, OptionProperty, StringProperty
from kivy.uix.behaviors import ButtonBehavior
from kivy.uix.boxlayout import BoxLayout

from ui.widgets import kv, marks, text

TONES = ("plain", "good", "warn", "bad")


class Fact(BoxLayout):  # type: ignore[misc]  # Kivy brings no types
    """A row that is only read: a mark, a title, a line below it and a word at its end."""

    tone = OptionProperty("plain", options=TONES)
    """Colour of the mark and the word; both say the same without it."""
    mark = StringProperty()
    title = StringProperty()
    detail = StringProperty()
    word = StringProperty()
    tint = ColorProperty("#000000")


class Row(ButtonBehavior, Fact):  # type: ignore[misc]  # as above
    """A row that can be chosen: it has a border and an arrow, and calls `choose(key)`."""

    key = ObjectProperty()
    choose = ObjectProperty()
    arrow = StringProperty(marks.FORWARD)

    def on_release(self) -> None:
        """Tell who made this row that it was chosen."""
        if self.choose is not None:
            self.choose(self.key)


class Field(Row):
    """A row whose title is what is asked for and whose detail is the answer so far."""

    def __init__(self, **options: object) -> None:
        # Room for a VIN in half the screen's width.
        super().__init__(arrow="", **options)


kv.load(text.__file__)
kv.load(__file__)
