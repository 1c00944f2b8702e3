"""The on-screen keyboard and the editor above it: one line of text, typed with gloves.

The editor fills everything below the status bar. It holds a text only while it is open.
"""

from __future__ import annotations

from kivy.properties import (
    BooleanProperty,
    NumericProperty,
    ObjectProperty,
    OptionProperty,
    StringProperty,
)
from kivy.uix.behaviors import ButtonBehavior
from kivy.uix.boxlayout import BoxLayout
from kivy.uix.label import Label

from ui.i18n import _, n_
from ui.widgets import kv, layouts, marks

FACES = {
    layouts.ERASE: marks.ERASE,
    layouts.SHIFT: marks.SHIFT,
    layouts.SPACE: marks.SPACE,
    layouts.DONE: n_("OK"),
}
HIDDEN = "●"


class Key(ButtonBehavior, Label):  # type: ignore[misc]  # Kivy brings no types
    """One key. The whole cell takes the touch; what is drawn leaves a gap to its neighbours."""

    key = StringProperty()
    is_lit = BooleanProperty(False)
    """Filled: the key that ends typing, or shift while it is on."""


class Keyboard(BoxLayout):  # type: ignore[misc]  # as above
    """Keys of one page of `layouts.PAGES`; fires `on_key` with what was pressed."""

    page = OptionProperty("letters", options=tuple(layouts.PAGES))
    is_upper = BooleanProperty(False)

    __events__ = ("on_key",)

    def __init__(self, **options: object) -> None:
        super().__init__(**options)
        self.fbind("page", self._build)
        self._build()

    def on_key(self, key: str) -> None:
        """For whoever holds the text."""

    def _build(self, *_args: object) -> None:
        self.clear_widgets()
        for row in layouts.PAGES[self.page]:
            line = BoxLayout()
            for key in row:
                width = layouts.cells(self.page, key)
                line.add_widget(
                    Key(
                        key=key,
                        text=self._face(key),
                        size_hint_x=width,
                        is_lit=key == layouts.DONE,
                        on_press=self._pressed,
                    )
                )
            self.add_widget(line)

    def _face(self, key: str) -> str:
        page = key.removeprefix("page:")
        if page != key:
            return layouts.PAGE_NAMES[page]
        return _(FACES[key]) if key in FACES else self._typed(key)

    def _typed(self, key: str) -> str:
        # The capital of ß is two letters in Python and none that a name has.
        return key.upper() if self.is_upper and key != "ß" else key

    def _pressed(self, button: Key) -> None:
        key = button.key
        page = key.removeprefix("page:")
        if page != key:
            self.page = page
        elif key == layouts.SHIFT:
            self._shift(not self.is_upper)
        else:
            self.dispatch("on_key", key if key in layouts.NAMED else self._typed(key))
            if self.is_upper and key not in layouts.NAMED and not self.page.startswith("vin"):
                self._shift(False)

    def _shift(self, is_upper: bool) -> None:
        self.is_upper = is_upper
        for line in self.children:
            for button in line.children:
                button.text = self._face(button.key)
                button.is_lit = button.key == layouts.DONE or (
                    button.key == layouts.SHIFT and is_upper
                )


class Editor(BoxLayout):  # type: ignore[misc]  # as above
    """A line of text and the keyboard for it; `done(text)` is called once, by the key OK."""

    label = StringProperty()
    value = StringProperty()
    is_secret = BooleanProperty(False)
    """A passphrase: only its length is shown."""
    page = StringProperty("letters")
    longest = NumericProperty(200)
    done = ObjectProperty()

    def shown(self, value: str) -> str:
        """What stands in the line: the end of the text, where typing goes on."""
        return (HIDDEN * len(value) if self.is_secret else value) + "│"

    def on_kv_post(self, base_widget: object) -> None:
        """Names and sentences begin with a capital."""
        del base_widget
        if not (self.is_secret or self.value) and self.page == "letters":
            self.ids.keyboard._shift(True)

    def press(self, key: str) -> None:
        """Take one key of the keyboard."""
        if key == layouts.DONE:
            value, self.value = self.value, ""
            self.done(value)
        elif key == layouts.ERASE:
            self.value = self.value[:-1]
        elif len(self.value) < self.longest:
            self.value += " " if key == layouts.SPACE else key


kv.load(__file__)
