"""The bar at the bottom edge: at most three buttons, of which only those that apply are there."""

from __future__ import annotations

from kivy.properties import BooleanProperty
from kivy.uix.boxlayout import BoxLayout
from kivy.uix.widget import Widget

from ui.widgets import button, kv


class Choice(button.Action):
    """A button of the bar; where `applies` is false it is not in the tree at all."""

    applies = BooleanProperty(True)


class HoldChoice(button.HoldAction):
    """The same, to be held."""

    applies = BooleanProperty(True)


class Bar(BoxLayout):  # type: ignore[misc]  # Kivy brings no types
    """Holds `Choice`s in the order of the KV file."""

    def __init__(self, **options: object) -> None:
        self._choices: list[Widget] = []
        self._rest = Widget(size_hint_x=2)
        super().__init__(**options)

    def add_widget(self, widget: Widget, *args: object, **options: object) -> None:
        """Take a choice; it is shown while it applies."""
        del args, options
        self._choices.append(widget)
        widget.fbind("applies", self._arrange)
        self._arrange()

    def _arrange(self, *_args: object) -> None:
        wanted = [one for one in self._choices if one.applies]
        if wanted == [one for one in self.children[::-1] if one is not self._rest]:
            return
        self.clear_widgets()
        for one in wanted:
            super().add_widget(one)
        if len(wanted) == 1 and wanted[0].rank == "secondary":
            # A lone way back stays where it always is, and no larger.
            super().add_widget(self._rest)


kv.load(button.__file__)
kv.load(__file__)
