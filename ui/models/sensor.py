"""The voltage sensor: what it reads just now, and how that compares with a multimeter.

It decides nothing: the gate looks at the sensor's own samples, whatever was compared here.
"""

from __future__ import annotations

import re
from collections import deque
from typing import Literal

from appliance.client import messages
from ui.i18n import _
from ui.models.backend import Seen
from ui.models.shared import Asking, AskingState, Shared

LOOK_BACK_S = 10.0
"""Reading the multimeter and typing its number takes about so long."""
STEADY_V = 0.1
"""A voltage that moved more than this meanwhile says nothing about the sensor."""
HIGHEST_V = 60.0

Verdict = Literal["", "agrees", "differs", "unsteady", "no_voltage"]


class SensorState(AskingState, frozen=True, kw_only=True):
    """Figures of this moment; None where one is missing.

    Attributes:
        known: which sensor it is; None until the appliance told.
        volts: at the battery; `reason` says why there is none.
        sample_rate: samples per second over the last second.
        age_s: since the kit was asked for this sample.
        low_v, high_v: over the last seconds.
        meter_v: what a multimeter shows, as it was typed.
        mean_v, difference_v, tolerance_v: what that was held against, and how far off it may be.
        verdict: what came of it; empty until something was compared.
    """

    known: messages.Sensor | None = None
    volts: float | None = None
    reason: str = ""
    sample_rate: float | None = None
    age_s: float | None = None
    low_v: float | None = None
    high_v: float | None = None
    meter_v: float | None = None
    mean_v: float | None = None
    difference_v: float | None = None
    tolerance_v: float | None = None
    verdict: Verdict = ""


class SensorModel(Asking[SensorState]):
    """Follows the sensor while its screen is shown."""

    def __init__(self, shared: Shared) -> None:
        super().__init__(SensorState(), shared)
        self._seen: deque[tuple[float, float]] = deque()
        self._open = False
        shared.backend.subscribe(self._look)

    def open(self) -> None:
        """The screen is shown: begin anew."""
        self._open = True
        self._seen.clear()
        self._forget_comparison()
        self._look(self._shared.backend.state)
        self._ask(lambda client: client.sensor(), lambda known: self._change(known=known))

    def leave(self) -> None:
        """The screen is left."""
        self._open = False

    def compare(self, text: str) -> None:
        """Hold what a multimeter shows against what the kit read meanwhile."""
        self._forget_comparison()
        meter_v = _number(text)
        if meter_v is None:
            if text.strip():
                self._change(
                    what=_("{text} is no voltage.").format(text=text),
                    next_step=_("Type what the multimeter shows, such as 12.6."),
                )
            return
        known, readings = self.state.known, [volts for _at, volts in self._seen]
        if known is None:
            return
        self._change(meter_v=meter_v)
        if self.state.volts is None or not readings:
            self._change(verdict="no_voltage")
        elif max(readings) - min(readings) > STEADY_V:
            self._change(verdict="unsteady")
        else:
            self._judge(known, sum(readings) / len(readings), meter_v)

    def _judge(self, known: messages.Sensor, mean_v: float, meter_v: float) -> None:
        tolerance_v = (
            known.error_part * mean_v + known.error_v + known.meter_part * meter_v + known.meter_v
        )
        difference_v = abs(mean_v - meter_v)
        self._change(
            mean_v=mean_v,
            difference_v=difference_v,
            tolerance_v=tolerance_v,
            verdict="agrees" if difference_v <= tolerance_v else "differs",
        )

    def _forget_comparison(self) -> None:
        self._change(
            what="",
            next_step="",
            meter_v=None,
            mean_v=None,
            difference_v=None,
            tolerance_v=None,
            verdict="",
        )

    def _look(self, seen: Seen) -> None:
        if not self._open:
            return
        hw = seen.status.hw if seen.status is not None and seen.fresh else None
        now = self._shared.backend.now()
        if hw is None:
            self._seen.clear()
            reason = _("The kit does not answer.")
            self._change(
                volts=None, reason=reason, sample_rate=None, age_s=None, low_v=None, high_v=None
            )
            return
        if hw.volts is None:
            self._seen.clear()
        elif not self._seen or self._seen[-1][0] != seen.asked_at:
            self._seen.append((seen.asked_at, hw.volts))
        while self._seen and now - self._seen[0][0] > LOOK_BACK_S:
            self._seen.popleft()
        readings = [volts for _at, volts in self._seen]
        self._change(
            volts=hw.volts,
            reason=hw.voltage_reason,
            sample_rate=hw.sample_rate,
            age_s=round(max(0.0, now - seen.asked_at), 1),
            low_v=min(readings, default=None),
            high_v=max(readings, default=None),
        )


def _number(text: str) -> float | None:
    """A voltage as people type it, with a dot or a comma; None for anything else."""
    if re.fullmatch(r"\d{1,2}([.,]\d{1,3})?", text.strip()) is None:
        return None
    volts = float(text.strip().replace(",", "."))
    return volts if 0 < volts <= HIGHEST_V else None
