"""`Sheet`: a screen of a common form: title, what was said, rows or values, and one action.

The settings and what they open are sheets; each says with a few methods what stands there.
"""

from __future__ import annotations

from typing import Any

from kivy.properties import NumericProperty, StringProperty

from ui.screens.page import Page, Rows
from ui.widgets import kv, listing, values
from ui.widgets.swap import Swap  # noqa: F401 - named by the KV file

Pairs = list[tuple[str, str]]


class Sheet(Page):
    """Bound to any model. `view` names the part that is open, empty for the whole."""

    view = StringProperty()
    columns = NumericProperty(2)
    """Of the rows of the whole; those of a part stand below each other."""

    def title(self, state: Any, view: str) -> str:
        """What is asked for, or shown."""
        raise NotImplementedError

    def said(self, state: Any) -> tuple[str, str, bool]:
        """What the appliance said, what to do now, and whether it is still at it."""
        return state.what, state.next_step, state.busy

    def hint(self, state: Any, view: str) -> str:
        """A sentence above all; empty for none."""
        del state, view
        return ""

    def rows(self, state: Any, view: str) -> Rows:
        """What can be chosen."""
        del state, view
        return []

    def pairs(self, state: Any, view: str) -> Pairs:
        """What is read instead of rows; empty where there are rows."""
        del state, view
        return []

    def action(self, state: Any, view: str) -> str:
        """Words of the button at the lower edge; empty for none."""
        del state, view
        return ""

    def choose(self, key: str | int) -> None:
        """A row was touched."""

    def act(self) -> None:
        """The button was touched."""

    def back(self) -> None:
        """From a part to the whole, from there away."""
        if self.view:
            self.view = ""
        else:
            self.navigation.back()


kv.load(listing.__file__)
kv.load(values.__file__)
kv.load(__file__)
