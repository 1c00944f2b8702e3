"""Write: how far it is, the voltage, and HELD and CUT over the whole screen. No way back."""

from __future__ import annotations

from kivy.properties import NumericProperty, OptionProperty, StringProperty
from kivy.uix.boxlayout import BoxLayout
from kivy.uix.widget import Widget

from ui.i18n import _
from ui.models.write import WriteState
from ui.screens.page import Page
from ui.widgets import chart, kv, marks, notice, statusbar
from ui.widgets.swap import Swap  # noqa: F401 - named by the KV file

CHART = chart.Chart
"""Named by the KV file."""


class Progress(Widget):  # type: ignore[misc]  # Kivy brings no types
    """A bar that is as full as what the ECU confirmed."""

    part = NumericProperty(0.0)


class Takeover(BoxLayout):  # type: ignore[misc]  # as above
    """HELD or CUT: the shape, the word, the voltage, why, and what to do now."""

    kind = OptionProperty("held", options=("held", "cut"))
    volts = StringProperty()
    reason = StringProperty()
    next_step = StringProperty()


def minutes(seconds: float) -> str:
    """A duration as minutes and seconds."""
    whole = max(0, round(seconds))
    return f"{whole // 60}:{whole % 60:02d}"


class WritePage(Page):
    """Bound to `WriteModel`."""

    def view(self, state: WriteState) -> str:
        """What is shown."""
        return "takeover" if state.takeover else "progress"

    def kind(self, state: WriteState) -> str:
        """Which takeover; a write that is open has none and shows none."""
        return state.takeover or "held"

    def percent(self, state: WriteState) -> str:
        """The confirmed part of all bytes."""
        return f"{int(state.part * 100)} %" if state.total_bytes else marks.NONE

    def step(self, state: WriteState) -> str:
        """Which step of the plan."""
        if not state.steps:
            return _("Please wait…")
        return _("Step {step} of {steps}: {name}").format(
            step=state.step, steps=state.steps, name=state.step_name
        )

    def figures(self, state: WriteState) -> str:
        """Blocks, speed and time left, as far as they are known."""
        parts = []
        if state.blocks:
            parts.append(
                _("Block {block} of {blocks}").format(block=state.block, blocks=state.blocks)
            )
        if state.rate is not None:
            parts.append(f"{state.rate / 1000:.1f} kB/s")
        if state.remaining_s is not None:
            parts.append(_("{time} left").format(time=minutes(state.remaining_s)))
        return " · ".join(parts)

    def trouble(self, state: WriteState) -> str:
        """Why nothing new is shown; the write needs no screen."""
        if not state.lost:
            return ""
        return _("No news of the write; it goes on by itself.") + f"\n{state.lost}"

    def volts(self, state: WriteState) -> str:
        """The voltage, or that there is none."""
        return statusbar.volts(state.volts)


kv.load(notice.__file__)
kv.load(__file__)
