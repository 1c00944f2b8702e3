"""Long lists: rows are made for what is visible only, however many there are.

Kivy's RecycleView looks at every entry whenever one is added: with ten thousand that is seconds of
a Raspberry Pi's time. Here all rows are equally tall, so that only those in sight are looked at.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from math import ceil
from typing import Generic, TypeVar

from kivy.clock import Clock
from kivy.effects.scroll import ScrollEffect
from kivy.metrics import dp
from kivy.properties import NumericProperty, ObjectProperty
from kivy.uix.scrollview import ScrollView
from kivy.uix.widget import Widget

from ui.theme import GAP, TOUCH
from ui.widgets import kv, marks
from ui.widgets.row import Row

BAR = 24
"""Room for the scroll bar, in dp."""
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

T = TypeVar("T")


class Each(Generic[T]):
    """What a function makes of each of some things, made when it is looked at."""

    def __init__(self, make: Callable[[T], Mapping[str, object]], things: Sequence[T]) -> None:
        self._make, self._things = make, things

    def __len__(self) -> int:
        return len(self._things)

    def __getitem__(self, at: int) -> Mapping[str, object]:
        return self._make(self._things[at])


class Listing(ScrollView):  # type: ignore[misc]  # Kivy brings no types
    """Rows from mappings of `Row`'s properties; the chosen one's key goes to `choose`.

    Fires `on_near_end` when the last rows come into view, so that more can be fetched.
    """

    rows = ObjectProperty(())
    """Mappings without `choose`; only their number and those in sight are looked at."""
    choose = ObjectProperty()
    columns = NumericProperty(1)
    scroll_y: float
    """Kivy's: 1 at the top, 0 at the end."""

    __events__ = ("on_near_end",)

    def __init__(self, **options: object) -> None:
        # Bouncing at the ends would draw long after the finger is gone.
        super().__init__(effect_cls=ScrollEffect, **options)
        self._shown: dict[int, Row] = {}
        self._spare: list[Row] = []
        self._content = Widget(size_hint_y=None, height=0)
        self.add_widget(self._content)
        self._arrange = Clock.create_trigger(self._show, -1)
        self.fbind("rows", self._fill)
        self.fbind("choose", self._fill)
        for name in ("scroll_y", "size", "columns"):
            self.fbind(name, self._arrange)
        self._content.fbind("width", self._arrange)
        self.fbind("scroll_y", self._scrolled)
        self._fill()

    def on_near_end(self) -> None:
        """For whoever fetches more."""

    def _scrolled(self, *_args: object) -> None:
        if self.rows and self.scroll_y < 0.1:
            self.dispatch("on_near_end")

    def _fill(self, *_args: object) -> None:
        for at in [at for at in self._shown if at >= len(self.rows)]:
            self._put_away(at)
        for at, row in self._shown.items():
            self._tell(row, self.rows[at])
        self._arrange()

    def _tell(self, row: Row, entry: Mapping[str, object]) -> None:
        for name, value in {**BLANK, **entry}.items():
            setattr(row, name, value)
        row.choose = self.choose

    def _show(self, _dt: float) -> None:
        """Put the rows in sight to their places."""
        step = dp(TOUCH + GAP)
        above = self._grow(ceil(len(self.rows) / self.columns) * step - dp(GAP))
        first = int(above // step) * self.columns
        last = min(ceil((above + self.height) / step) * self.columns, len(self.rows))
        for at in [at for at in self._shown if not first <= at < last]:
            self._put_away(at)
        room = self._content.width - (dp(BAR) if self._content.height > self.height + 1 else 0)
        wide = (room + dp(GAP)) / self.columns
        for at in range(first, last):
            row = self._shown.get(at) or self._take(at)
            line, column = divmod(at, self.columns)
            row.size = wide - dp(GAP), dp(TOUCH)
            row.pos = column * wide, self._content.height - line * step - dp(TOUCH)

    def _grow(self, height: float) -> float:
        """Make the content so tall; gives how much of it is above what is in sight.

        That much stays above, so that the list does not jump when more is fetched.
        """
        hidden = max(self._content.height - self.height, 0)
        above: float = hidden * (1 - min(max(self.scroll_y, 0), 1))
        if height != self._content.height:
            self._content.height = max(height, 0)
            hidden = max(self._content.height - self.height, 0)
            above = min(above, hidden)
            self.scroll_y = 1 - above / hidden if hidden else 1
        return above

    def _take(self, at: int) -> Row:
        row = self._spare.pop() if self._spare else Row(size_hint=(None, None))
        self._tell(row, self.rows[at])
        self._shown[at] = row
        self._content.add_widget(row)
        return row

    def _put_away(self, at: int) -> None:
        row = self._shown.pop(at)
        self._content.remove_widget(row)
        self._spare.append(row)


kv.load(__file__)
