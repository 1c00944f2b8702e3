"""Long lists: rows are made for what is visible only, however many there are."""

from __future__ import annotations

from typing import Any

from kivy.effects.scroll import ScrollEffect
from kivy.properties import NumericProperty, ObjectProperty
from kivy.uix.recycleview import RecycleView
from kivy.uix.recycleview.views import RecycleDataAdapter

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


class Rows(RecycleDataAdapter):  # type: ignore[misc]  # Kivy brings no types
    """Keeps rows that are out of use for its own list.

    Kivy's own pool is one for all lists: it would hold pages that were left, and give rows of
    another theme to a new one.
    """

    def __init__(self) -> None:
        super().__init__()
        self.views: dict[int, Any] = {}
        self._spare: list[Any] = []

    def invalidate(self) -> None:
        """The data changed: no row shows what it should."""
        self._spare += self.views.values()
        for rows in self.dirty_views.values():
            self._spare += rows.values()
        self.views = {}
        self.dirty_views.clear()

    def create_view(self, index: int, data_item: dict[str, object], viewclass: type) -> object:
        """A row for this place, made anew only where none is spare."""
        if not self._spare:
            return super().create_view(index, data_item, viewclass)
        spare = self._spare.pop()
        self.refresh_view_attrs(index, data_item, spare)
        return spare


class Listing(RecycleView):  # type: ignore[misc]  # as above
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
        super().__init__(effect_cls=ScrollEffect, view_adapter=Rows(), **options)
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
