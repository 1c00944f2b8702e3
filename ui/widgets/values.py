"""`Values`: labels and their values, one under the other, for reading."""

from __future__ import annotations

from collections.abc import Iterable

from kivy.properties import ObjectProperty
from kivy.uix.boxlayout import BoxLayout
from kivy.uix.gridlayout import GridLayout

from ui.widgets import kv, text


class Value(BoxLayout):  # type: ignore[misc]  # Kivy brings no types
    """One label and its value; both wrap."""

    def __init__(self, label: str, value: str) -> None:
        super().__init__()
        self.show(label, value)

    def show(self, label: str, value: str) -> None:
        """Show another pair."""
        self.ids.label.text = label
        self.ids.value.text = value


class Values(GridLayout):  # type: ignore[misc]  # as above
    """Pairs of label and value."""

    pairs = ObjectProperty(())

    def on_pairs(self, _self: object, pairs: Iterable[tuple[str, str]]) -> None:
        """Build the lines; where only figures change, those that are there show them."""
        wanted = list(pairs)
        if len(wanted) == len(self.children):
            for line, pair in zip(reversed(self.children), wanted, strict=True):
                line.show(*pair)
            return
        self.clear_widgets()
        for label, value in wanted:
            self.add_widget(Value(label, value))


kv.load(text.__file__)
kv.load(__file__)
