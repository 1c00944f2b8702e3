"""The INA219 on the vehicle battery, through the unmodified adafruit driver.

Bus voltage only, continuous, 10 bit (148 us a conversion), 32 V range: the sensor must still see an
over-voltage that the 16 V range would clip. Register facts: Texas Instruments SBOS448, 8.6.
"""

from __future__ import annotations

import fcntl
import os
import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from hw.errors import BadInputError, UnavailableError

if TYPE_CHECKING:
    from adafruit_ina219 import INA219

# Blinka else asks about missing packages on the terminal, where nobody is.
os.environ.setdefault("BLINKA_SKIP_DEPENDENCY_CHECK", "1")

SENSOR_MIN_V = 0.5
"""Below it the battery is not connected: the sensor's own supply comes from the kit."""
SENSOR_MAX_V = 26.0

# Configuration register: 32 V range, gain /8, bus and shunt converters at 10 bit, bus continuous.
CONFIGURATION = 1 << 13 | 0b11 << 11 | 0b0001 << 7 | 0b0001 << 3 | 0b110
_BUS_STEP_V = 0.004
_CONVERSION_READY, _OVERFLOW = 0b10, 0b01

# linux/i2c-dev.h. The time-out counts in 10 ms. Without it a transfer on a bus that is held low
# blocks the sampler for a second or more.
_I2C_RETRIES, _I2C_TIMEOUT = 0x0701, 0x0702
_BUS_TIMEOUT_10MS = 2

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


class _Bus(Protocol):
    def deinit(self) -> None: ...


class Ina219Sensor:
    """The sensor behind a URI.

    Args:
        uri: `ina219:///dev/i2c-1/0x40`, or `ina219+sim:///path` for the simulated car's registers.
        divider: battery volts per volt at the sensor.

    Raises:
        BadInputError: the URI is not one of these.
        SensorFault: the bus or the chip does not answer, or does not keep its configuration.
    """

    def __init__(self, uri: str, divider: float = 1.0) -> None:
        open_bus, address = parse_sensor_uri(uri)
        from adafruit_ina219 import INA219  # noqa: PLC0415 - slow, and only hw's daemon needs it
        from adafruit_register.i2c_struct import UnaryStruct  # noqa: PLC0415 - as above

        # The driver's own properties read the register once for each field; a sample needs all
        # fields of one moment, in one transfer.
        self._configuration = UnaryStruct(0x00, ">H")
        self._bus_voltage = UnaryStruct(0x02, ">H")
        self._divider = divider
        try:
            self._bus = open_bus()
            try:
                self._chip: INA219 = INA219(self._bus, address)
                self.configure()
            except BaseException:
                self._bus.deinit()
                raise
        # Blinka says RuntimeError for a missing bus, the driver ValueError for a missing chip.
        except (OSError, ValueError, RuntimeError) as error:
            raise SensorFault(_bus_error(error)) from error

    def configure(self) -> None:
        """Write the configuration and see that it was taken.

        Raises:
            SensorFault: the chip does not answer or does not keep its configuration.
        """
        try:
            self._configuration.__set__(self._chip, CONFIGURATION)
        except OSError as error:
            raise SensorFault(_bus_error(error)) from error
        if not self.configured():
            raise SensorFault("the sensor does not keep its configuration")

    def configured(self) -> bool:
        """Is the configuration register as `configure` left it? A brown-out resets it.

        Raises:
            SensorFault: the chip does not answer.
        """
        try:
            return bool(self._configuration.__get__(self._chip) == CONFIGURATION)
        except OSError as error:
            raise SensorFault(_bus_error(error)) from error

    def read(self) -> Reading:
        """Read the bus voltage register once.

        Raises:
            SensorFault: no answer, overflow, or a voltage that the sensor cannot measure.
        """
        try:
            register: int = self._bus_voltage.__get__(self._chip)
            # Reading the power register clears conversion-ready (SBOS448, 8.6.3.2): the next look
            # then tells a frozen converter from a steady voltage.
            _ = self._chip.raw_power
        except OSError as error:
            raise SensorFault(_bus_error(error)) from error
        if register & _OVERFLOW:
            raise SensorFault("the sensor reports an overflow")
        volts = (register >> 3) * _BUS_STEP_V
        if not SENSOR_MIN_V < volts <= SENSOR_MAX_V:
            raise SensorFault(f"the sensor reads {volts:.2f} V, outside of what it can measure")
        return Reading(volts * self._divider, bool(register & _CONVERSION_READY))

    def close(self) -> None:
        """Give the bus back."""
        self._bus.deinit()


def parse_sensor_uri(uri: str) -> tuple[Callable[[], _Bus], int]:
    """What opens the I2C bus of a sensor's URI, and the sensor's address on it.

    Raises:
        BadInputError: the URI is not of a known form.
    """
    if uri.startswith(_SIMULATED + "/"):
        return lambda: _simulated_bus(uri.removeprefix(_SIMULATED)), 0x40
    if found := _URI.fullmatch(uri):
        return lambda: _real_bus(found["bus"], int(found["number"])), int(found["address"], 16)
    raise BadInputError(
        f"The voltage sensor {uri!r} is not of a known form.",
        "Write ina219:///dev/i2c-1/0x40 in kit.toml, with the bus and address of your sensor.",
    )


def _simulated_bus(path: str) -> _Bus:
    from hw.sim.registers import RegisterFileI2C  # noqa: PLC0415 - the simulated car only

    return RegisterFileI2C(path)


def _real_bus(path: str, number: int) -> _Bus:
    from adafruit_extended_bus import ExtendedI2C  # noqa: PLC0415 - needs a real bus

    descriptor = os.open(path, os.O_RDWR | os.O_CLOEXEC)
    try:
        # These belong to the adapter, not to the descriptor, so Blinka's own is bound by them too.
        fcntl.ioctl(descriptor, _I2C_TIMEOUT, _BUS_TIMEOUT_10MS)
        fcntl.ioctl(descriptor, _I2C_RETRIES, 0)
    finally:
        os.close(descriptor)
    # Linux sets the frequency in the device tree; a number here only makes Blinka warn.
    bus: _Bus = ExtendedI2C(number, None)
    return bus


def _bus_error(error: Exception) -> str:
    return f"the sensor does not answer ({error})"
