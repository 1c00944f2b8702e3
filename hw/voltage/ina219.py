"""The INA219 on the vehicle battery, through the unmodified adafruit driver.

Bus voltage only, continuous, 10 bit (148 us a conversion), 32 V range: the sensor must still see an
over-voltage that the 16 V range would clip. Register facts: Texas Instruments SBOS448, 8.6.
"""

from __future__ import annotations

import os
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from hw.errors import BadInputError, UnavailableError

if TYPE_CHECKING:
    from adafruit_ina219 import INA219

# Blinka else asks about missing packages on the terminal, where nobody is.
os.environ.setdefault("BLINKA_SKIP_DEPENDENCY_CHECK", "1")

SENSOR_MIN_V = 0.5
"""Below it the battery is not connected: the sensor's own supply comes from the kit."""
SENSOR_MAX_V = 26.0
_URI = re.compile(r"ina219://(?P<bus>/dev/i2c-(?P<number>\d+))/(?P<address>0x[0-9A-Fa-f]{2})")
_SIMULATED = "ina219+sim://"


class SensorFault(UnavailableError):
    """There is no valid voltage right now; `reason` says why, as part of a sentence."""

    code = "sensor"

    def __init__(self, reason: str) -> None:
        super().__init__(
            f"There is no vehicle voltage: {reason}.", "Check the sensor and its clamps."
        )
        self.reason = reason


@dataclass(frozen=True, slots=True)
class Reading:
    """One look at the sensor. `fresh`: a conversion was completed since the last look."""

    volts: float
    fresh: bool


class Ina219Sensor:
    """The sensor behind a URI.

    Args:
        uri: `ina219:///dev/i2c-1/0x40`, or `ina219+sim:///path` for the simulated car's registers.
        divider: battery volts per volt at the sensor.

    Raises:
        BadInputError: the URI is not one of these.
        SensorFault: the bus or the chip does not answer.
    """

    def __init__(self, uri: str, divider: float = 1.0) -> None:
        self._divider = divider
        self._chip = _open(uri)
        self.configure()

    def configure(self) -> None:
        """Write the configuration and see that it was taken.

        Raises:
            SensorFault: the chip does not answer or does not keep its configuration.
        """
        from adafruit_ina219 import ADCResolution, BusVoltageRange, Mode  # noqa: PLC0415 - slow

        try:
            self._chip.bus_voltage_range = BusVoltageRange.RANGE_32V
            self._chip.bus_adc_resolution = ADCResolution.ADCRES_10BIT_1S
            self._chip.mode = Mode.BVOLT_CONTINUOUS
        except OSError as error:
            raise SensorFault(_bus_error(error)) from error
        if not self.configured():
            raise SensorFault("the sensor does not keep its configuration")

    def configured(self) -> bool:
        """Is the configuration register as `configure` left it? A brown-out resets it.

        Raises:
            SensorFault: the chip does not answer.
        """
        from adafruit_ina219 import ADCResolution, BusVoltageRange, Mode  # noqa: PLC0415 - slow

        try:
            return bool(
                self._chip.bus_voltage_range == BusVoltageRange.RANGE_32V
                and self._chip.bus_adc_resolution == ADCResolution.ADCRES_10BIT_1S
                and self._chip.mode == Mode.BVOLT_CONTINUOUS
            )
        except OSError as error:
            raise SensorFault(_bus_error(error)) from error

    def read(self) -> Reading:
        """Read the bus voltage register once.

        Raises:
            SensorFault: no answer, overflow, or a voltage that the sensor cannot measure.
        """
        try:
            ready = bool(self._chip.conversion_ready)
            volts = self._chip.bus_voltage
            overflow = bool(self._chip.overflow)
            # Reading the power register clears conversion-ready (SBOS448, 8.6.3.2): the next look
            # then tells a frozen converter from a steady voltage.
            _ = self._chip.raw_power
        except OSError as error:
            raise SensorFault(_bus_error(error)) from error
        if overflow:
            raise SensorFault("the sensor reports an overflow")
        if not SENSOR_MIN_V < volts <= SENSOR_MAX_V:
            raise SensorFault(f"the sensor reads {volts:.2f} V, outside of what it can measure")
        return Reading(volts * self._divider, ready)


def _open(uri: str) -> INA219:
    from adafruit_ina219 import INA219  # noqa: PLC0415 - slow, and only hw's daemon needs it

    try:
        if uri.startswith(_SIMULATED):
            from hw.sim.registers import RegisterFileI2C  # noqa: PLC0415 - the demo only

            return INA219(RegisterFileI2C(uri.removeprefix(_SIMULATED)))
        if found := _URI.fullmatch(uri):
            from adafruit_extended_bus import ExtendedI2C  # noqa: PLC0415 - needs a real bus

            return INA219(ExtendedI2C(int(found["number"])), int(found["address"], 16))
    except (OSError, ValueError) as error:
        raise SensorFault(_bus_error(error)) from error
    raise BadInputError(
        f"The voltage sensor {uri!r} is not of a known form.",
        "Write ina219:///dev/i2c-1/0x40 in kit.toml, with the bus and address of your sensor.",
    )


def _bus_error(error: Exception) -> str:
    return f"the sensor does not answer ({error})"
