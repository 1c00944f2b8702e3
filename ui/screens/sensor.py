"""Voltage sensor: what it reads, and whether a multimeter says the same."""

from __future__ import annotations

from ui.i18n import _
from ui.models.sensor import SensorState
from ui.screens.sheet import Pairs, Sheet
from ui.widgets import marks


def volts(value: float | None) -> str:
    """A voltage, or a dash."""
    return marks.NONE if value is None else f"{value:.2f} V"


class SensorPage(Sheet):
    """Bound to `SensorModel`."""

    def title(self, state: SensorState, view: str) -> str:
        """What this is."""
        del state, view
        return _("Voltage sensor")

    def hint(self, state: SensorState, view: str) -> str:
        """What the comparison says; before it, how to compare."""
        del view
        if state.what:
            return ""
        return {
            "": _("Measure at the sensor's clamps with a multimeter, then type what it shows."),
            "agrees": f"{marks.DONE} " + _("Both agree: the sensor may be trusted."),
            "differs": f"{marks.FAILED} "
            + _(
                "They differ too much: do not trust the sensor. "
                "Clean and fasten its clamps and compare again; then check its divider."
            ),
            "unsteady": f"{marks.WARNING} "
            + _(
                "The voltage moved meanwhile. Switch off the engine "
                "and what draws current, wait, and compare again."
            ),
            "no_voltage": f"{marks.FAILED} " + _("The sensor gives no voltage: do not trust it."),
        }[state.verdict]

    def pairs(self, state: SensorState, view: str) -> Pairs:
        """What was compared, what it reads, and what it is."""
        del view
        return self._compared(state) + self._read(state) + self._is(state)

    def action(self, state: SensorState, view: str) -> str:
        """Type what the multimeter shows."""
        del view
        return _("Compare") if state.known is not None else ""

    def act(self) -> None:
        """Open the keyboard for it."""
        self.edit(_("Multimeter, volts"), "", self.model.compare, page="numbers", longest=6)

    def close(self) -> None:
        """The screen is left."""
        super().close()
        self.model.leave()

    def _compared(self, state: SensorState) -> Pairs:
        known = state.known
        if known is None or state.tolerance_v is None:
            return []
        reason = _(
            "Sensor: {part} % over temperature and a step of {step} mV. Multimeter: {meter} % and "
            "{digits} mV."
        ).format(
            part=f"{known.error_part * 100:.1f}",
            step=f"{known.error_v * 1000:.0f}",
            meter=f"{known.meter_part * 100:.1f}",
            digits=f"{known.meter_v * 1000:.0f}",
        )
        return [
            (_("Multimeter"), volts(state.meter_v)),
            (_("Kit, meanwhile"), volts(state.mean_v)),
            (_("Difference"), volts(state.difference_v)),
            (_("It may be"), volts(state.tolerance_v)),
            (_("Why so much"), reason),
            ("", _("The gate decides by its own samples; this changes nothing.")),
        ]

    def _read(self, state: SensorState) -> Pairs:
        rate, age = state.sample_rate, state.age_s
        spread = "" if state.low_v is None else f"{volts(state.low_v)} … {volts(state.high_v)}"
        return [
            (
                _("Now"),
                volts(state.volts) if state.volts is not None else state.reason or marks.NONE,
            ),
            (_("Last 10 s"), spread or marks.NONE),
            (_("Samples"), marks.NONE if rate is None else f"{rate:.0f} / s"),
            (_("Age"), marks.NONE if age is None else f"{age:.1f} s"),
        ]

    def _is(self, state: SensorState) -> Pairs:
        known = state.known
        if known is None:
            return []
        return [
            (_("Measures"), _("the bus voltage; its shunt is not used")),
            (_("Sensor"), known.uri),
            (_("Divider"), f"{known.divider:g}"),
            (_("Wanted"), f"{known.rate_hz} / s"),
            (_("Simulated"), _("yes") if known.simulated else _("no")),
        ]
