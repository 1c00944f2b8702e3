"""The voltage window of a plan, for whoever shows a voltage beside it."""

from __future__ import annotations

from msgspec import Struct

from appliance.client import messages


class Window(Struct, frozen=True, kw_only=True):
    """Supply limits of one write, in volts at the vehicle battery and seconds.

    `start_min_v` to `start_max_v` for `settle_s` to begin; held below `hold_v`, goes on after
    `resume_after_s` above `resume_v`; cut below `cut_v` and above `over_v`.
    """

    start_min_v: float
    start_max_v: float
    settle_s: float
    hold_v: float
    cut_v: float
    resume_v: float
    resume_after_s: float
    over_v: float


def window_of(plan: messages.PlanView | None) -> Window | None:
    """The window of a plan; None without one."""
    if plan is None:
        return None
    limits = plan.window
    return Window(**{name: getattr(limits, name) for name in Window.__struct_fields__})


def in_start_window(volts: float | None, window: Window | None) -> bool | None:
    """Whether a write could begin at this voltage; None where that cannot be said."""
    if window is None or volts is None:
        return None
    return window.start_min_v <= volts <= window.start_max_v
