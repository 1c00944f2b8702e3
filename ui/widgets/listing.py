"""Long lists: rows are made for what is visible only, however many there are."""

from __future__ import annotations

from kivy.effects.scroll import ScrollEffect
from kivy.properties import NumericProperty, ObjectProperty
from kivy.uix.recycleview import RecycleView

from ui.widgets import kv, marks, row

BLANK = {
    "key": None,
    "tone": "plain",
    "mark": "",
    "title": "",
    "detail": "",
    "word": "",
    "arrow": marks.FORWARD,
}
"""What a row shows unless it says otherwise: rows are used again, with what they showed before."""


class Listing(RecycleView):  # type: ignore[misc]  # Kivy brings no types
    """Rows from `data`, mappings of `Row`'s properties; the chosen one's key goes to `choose`.

    Fires `on_near_end` when the last rows come into view, so that more can be fetched.
    """

    rows = ObjectProperty(())
    """Mappings without `choose`."""
    choose = ObjectProperty()
    columns = NumericProperty(1)

    __events__ = ("on_near_end",)

    def __init__(self, **options: object) -> None:
        # Bouncing at the ends would draw long after the finger is gone.
        super().__init__(effect_cls=ScrollEffect, **options)
        self.fbind("rows", self._fill)
        self.fbind("choose", self._fill)
        self.fbind("scroll_y", self._scrolled)

    def on_near_end(self) -> None:
        """For whoever fetches more."""

    def _fill(self, *_args: object) -> None:
        self.data = [{**BLANK, **one, "choose": self.choose} for one in self.rows]

    def _scrolled(self, *_args: object) -> None:
        if self.data and self.scroll_y < 0.1:
            self.dispatch("on_near_end")


kv.load(row.__file__)
kv.load(__file__)
