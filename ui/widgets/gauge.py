"""The voltage gauge: where the battery stands between cut and over-voltage, and the start window.

Missing stays missing: without a value there is no pointer, and the number says so.
"""

from __future__ import annotations

from kivy.properties import BooleanProperty, NumericProperty, StringProperty
from kivy.uix.boxlayout import BoxLayout
from kivy.uix.widget import Widget

from ui.widgets import kv, text


class VoltScale(Widget):  # type: ignore[misc]  # Kivy brings no types
    """The drawn part: window, limits and pointer. A change moves instructions, it makes none."""

    volts = NumericProperty(None, allownone=True)
    low = NumericProperty(10.0)
    high = NumericProperty(16.0)
    """Ends of the scale."""
    window_low = NumericProperty(12.5)
    window_high = NumericProperty(14.8)
    hold = NumericProperty(12.0)
    cut = NumericProperty(11.0)
    over = NumericProperty(15.0)
    middle = NumericProperty(0.0)
    place = NumericProperty(0.0)
    """Changes with every move, so that what is drawn at a voltage follows."""

    def at(self, volts: float) -> float:
        """The x of a voltage, kept on the scale."""
        part = (volts - self.low) / (self.high - self.low)
        return float(self.x + min(max(part, 0.0), 1.0) * self.width)

    def drawn_at(self) -> float:
        """The pointer's x; far outside the window where there is no voltage."""
        return -10000.0 if self.volts is None else self.at(self.volts)


class Gauge(BoxLayout):  # type: ignore[misc]  # as above
    """The number in large type, the scale, and the sentence for a missing value."""

    volts = NumericProperty(None, allownone=True)
    shown = StringProperty()
    """The number with its unit, or the words for a missing one."""
    is_good = BooleanProperty(False)
    low = NumericProperty(10.0)
    high = NumericProperty(16.0)
    window_low = NumericProperty(12.5)
    window_high = NumericProperty(14.8)
    hold = NumericProperty(12.0)
    cut = NumericProperty(11.0)
    over = NumericProperty(15.0)


kv.load(text.__file__)
kv.load(__file__)
