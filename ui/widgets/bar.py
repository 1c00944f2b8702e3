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

    def _wanted(self) -> list[Widget]:
        shown = [one for one in self._choices if one.applies]
        # A lone way back stays where it always is, and no larger.
        alone = len(shown) == 1 and shown[0].rank == "secondary"
        return [*shown, self._rest] if alone else shown

    def _arrange(self, *_args: object) -> None:
        # What stays is not touched: a held button that leaves the tree counts as let go.
        for one in [one for one in self.children if one not in self._wanted()]:
            self.remove_widget(one)
        for place, one in enumerate(self._wanted()):
            if one.parent is None:
                super().add_widget(one, len(self.children) - place)


kv.load(button.__file__)
kv.load(__file__)
