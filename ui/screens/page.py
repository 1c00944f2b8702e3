"""`Page`: what every screen has: a model, its state, and a way to the keyboard."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from kivy.properties import BooleanProperty, ObjectProperty, StringProperty
from kivy.uix.boxlayout import BoxLayout
from kivy.uix.scrollview import ScrollView

from ui.widgets import bar, button, kv, notice, row, text

Edit = Callable[..., None]
"""`Shell.edit`: opens the keyboard for one line."""
Rows = list[dict[str, object]]
"""Properties of the rows of a `Listing`."""


class Page(BoxLayout):  # type: ignore[misc]  # Kivy brings no types
    """One screen below the status bar. KV files read `root.state` and call `root.model`."""

    state = ObjectProperty(rebind=True)
    """Replaced as a whole; `rebind`, so that KV files see what lies in the new one."""
    model = ObjectProperty()
    edit = ObjectProperty()
    """`edit(label, value, done, page=..., secret=...)` opens the keyboard for one line."""

    navigation = ObjectProperty()
    can_go_back = BooleanProperty(False)

    def __init__(self, model: Any, navigation: Any, edit: Edit, **options: object) -> None:
        super().__init__(
            model=model,
            state=model.state,
            navigation=navigation,
            can_go_back=navigation.state.can_go_back,
            edit=edit,
            **options,
        )
        self._ends = [model.subscribe(self._changed), navigation.subscribe(self._moved)]

    def close(self) -> None:
        """The screen is left: nothing of it is told anything any more."""
        while self._ends:
            self._ends.pop()()

    def _changed(self, state: object) -> None:
        self.state = state

    def _moved(self, place: Any) -> None:
        self.can_go_back = place.can_go_back


class Said(BoxLayout):  # type: ignore[misc]  # as above
    """What the appliance said to the last question, or that it is still at it; else no height."""

    what = StringProperty()
    next_step = StringProperty()
    busy = BooleanProperty(False)


class Behind(BoxLayout):  # type: ignore[misc]  # as above
    """A warning that the job's record is behind what was done; no height while it is not."""

    what = StringProperty()
    next_step = StringProperty()


class Body(BoxLayout):  # type: ignore[misc]  # as above
    """What is between the status bar and the bar at the bottom."""


class Reading(ScrollView):  # type: ignore[misc]  # as above
    """Content that may be longer than the screen."""


for part in (text, button, row, notice, bar):
    kv.load(str(part.__file__))
kv.load(__file__)
