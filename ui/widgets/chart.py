"""The chart of the voltage over time: one polyline, its limits and two numbers.

Gaps stay gaps: where no sample came, no line is drawn. However long the trace, it becomes at most
`COLUMNS` pairs of lowest and highest value, so that no sag is lost and drawing stays cheap.
"""

from __future__ import annotations

from collections.abc import Sequence

from kivy.graphics import Color, Line, Mesh
from kivy.properties import ListProperty, NumericProperty
from kivy.uix.widget import Widget

from ui.theme import NOW
from ui.widgets import kv, text

COLUMNS = 240
Sample = tuple[float, float | None]
"""Seconds and volts."""
Band = tuple[float, float, float]
"""Position from 0 to 1, lowest and highest volts."""


def bands(samples: Sequence[Sample], columns: int = COLUMNS) -> list[list[Band]]:
    """The trace as stretches without a gap, each sample in the column that its time falls into."""
    if not samples:
        return []
    first, last = samples[0][0], samples[-1][0]
    span = (last - first) or 1.0
    stretches: list[list[Band]] = [[]]
    column = -1
    for at, volts in samples:
        part = (at - first) / span
        here = int(part * (columns - 1))
        if volts is None:
            if stretches[-1]:
                stretches.append([])
            column = -1
        elif here == column:
            where, low, high = stretches[-1][-1]
            stretches[-1][-1] = where, min(low, volts), max(high, volts)
        else:
            stretches[-1].append((here / (columns - 1), volts, volts))
            column = here
    return [stretch for stretch in stretches if stretch]


class Chart(Widget):  # type: ignore[misc]  # Kivy brings no types
    """See the module."""

    samples = ListProperty()
    low = NumericProperty(10.5)
    high = NumericProperty(15.0)
    trace_x = NumericProperty(0.0)
    """Where the trace begins; left of it stand the limits' numbers."""
    hold = NumericProperty(12.0)
    cut = NumericProperty(11.0)

    def __init__(self, **options: object) -> None:
        super().__init__(**options)
        for name in ("samples", "pos", "size", "trace_x", "low", "high", "hold", "cut"):
            self.fbind(name, self._draw)

    def _draw(self, *_args: object) -> None:
        # Not its own canvas: the numbers are drawn in that.
        self.canvas.before.clear()
        with self.canvas.before:
            Color(rgba=NOW.line)
            Line(rectangle=(self.trace_x, self.y, self.right - self.trace_x, self.height), width=1)
            Color(rgba=NOW.warn)
            self._limit(self.hold, dash=8)
            Color(rgba=NOW.bad)
            self._limit(self.cut, dash=0)
            Color(rgba=NOW.ink)
            for stretch in bands(self.samples):
                self._trace(stretch)

    def _limit(self, volts: float, dash: int) -> None:
        y = self._y(volts)
        Line(points=(self.trace_x, y, self.right, y), width=1, dash_length=dash, dash_offset=dash)

    def _trace(self, stretch: list[Band]) -> None:
        """One strip between lowest and highest, never thinner than two dots."""
        vertices: list[float] = []
        for part, low, high in stretch:
            x = self.trace_x + part * (self.right - self.trace_x)
            vertices += (x, self._y(low) - 1, 0, 0, x, self._y(high) + 1, 0, 0)
        Mesh(vertices=vertices, indices=range(len(vertices) // 4), mode="triangle_strip")

    def y_of(self, volts: float, bottom: float, height: float) -> float:
        """The y of a voltage, kept inside the chart."""
        part = (volts - self.low) / (self.high - self.low)
        return float(bottom + min(max(part, 0.0), 1.0) * height)

    def _y(self, volts: float) -> float:
        return self.y_of(volts, self.y, self.height)


kv.load(text.__file__)
kv.load(__file__)
