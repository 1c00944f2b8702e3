"""`Lines`: paragraphs from a sequence of texts, each a widget of its own.

One text of everything would become one picture, taller than a small graphics chip can hold.
"""

from __future__ import annotations

from collections.abc import Iterable

from kivy.properties import ObjectProperty
from kivy.uix.gridlayout import GridLayout

from ui.widgets import kv, text


class Lines(GridLayout):  # type: ignore[misc]  # Kivy brings no types
    """Shows `lines`; an empty one is left out."""

    lines = ObjectProperty(())

    def on_lines(self, _self: object, lines: Iterable[str]) -> None:
        """Build the paragraphs."""
        self.clear_widgets()
        for line in filter(None, lines):
            self.add_widget(text.Text(text=line))


kv.load(__file__)
