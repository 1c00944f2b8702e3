"""`Swap`: holds several contents and shows the one that is asked for; the others are not there."""

from __future__ import annotations

from kivy.properties import StringProperty
from kivy.uix.boxlayout import BoxLayout
from kivy.uix.widget import Widget


class Swap(BoxLayout):  # type: ignore[misc]  # Kivy brings no types
    """Children carry a `name` in the KV file; `shown` names one."""

    shown = StringProperty()

    def __init__(self, **options: object) -> None:
        self._contents: list[Widget] = []
        super().__init__(**options)
        self.fbind("shown", self._swap)

    def add_widget(self, widget: Widget, *args: object, **options: object) -> None:
        """Keep a content. Its name is set by the KV file only after it was added."""
        del args, options
        self._contents.append(widget)

    def on_kv_post(self, base_widget: Widget) -> None:
        """All names are known now."""
        del base_widget
        self._swap()

    def _swap(self, *_args: object) -> None:
        wanted = [one for one in self._contents if one.name == self.shown]
        if wanted != self.children:
            self.clear_widgets()
            for one in wanted:
                super().add_widget(one)
