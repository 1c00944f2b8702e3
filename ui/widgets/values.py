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
        self.ids.label.text = label
        self.ids.value.text = value


class Values(GridLayout):  # type: ignore[misc]  # as above
    """Pairs of label and value."""

    pairs = ObjectProperty(())

    def on_pairs(self, _self: object, pairs: Iterable[tuple[str, str]]) -> None:
        """Build the lines; these lists are short and change seldom."""
        self.clear_widgets()
        for label, value in pairs:
            self.add_widget(Value(label, value))


kv.load(text.__file__)
kv.load(__file__)
