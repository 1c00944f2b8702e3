"""Labels: text that wraps and is as tall as it needs, and lines of one height.

`Text` wraps (`Hint` takes no room while it is empty), `Caption` stays on one line and must fit,
`Tag` is as wide as its text, `Datum` is a line of foreign data (a name, a file) that may be
shortened with an ellipsis.
"""

from __future__ import annotations

from kivy.uix.label import Label

from ui.widgets import kv


class Text(Label):  # type: ignore[misc]  # Kivy brings no types
    """A paragraph, as tall as its text."""


class Title(Text):
    """What this screen is for."""


class Caption(Label):  # type: ignore[misc]  # as above
    """One line of a fixed height; its text must fit."""


class Tag(Label):  # type: ignore[misc]  # as above
    """One line, as wide as its text."""


class Hint(Text):
    """A paragraph with room below it, and none at all while it is empty."""


class Datum(Caption):
    """One line of foreign data; shortened where it does not fit."""


kv.load(__file__)
