"""How exact a voltage sensor in good order is, to be held against a multimeter."""

from __future__ import annotations

from appliance.api.messages import Sensor
from hw.config import VoltageConfig

# Texas Instruments SBOS448 (INA219), electrical characteristics: the bus voltage is at most 1 % off
# over temperature. Its converter runs at 10 bit here (`hw.voltage.ina219`): one step is 16 mV.
_SENSOR_PART = 0.01
_STEP_V = 0.016
# Two resistors of 1 % each, at their worst: what they add grows with the part that they divide.
_DIVIDER_PART = 0.02
# A handheld multimeter of 3 1/2 digits: 0.5 % and two of its last digits, on the 20 V range.
_METER_PART = 0.005
_METER_V = 0.02


def sensor_of(config: VoltageConfig) -> Sensor:
    """The sensor that the configuration names."""
    divider = config.divider
    return Sensor(
        uri=config.sensor,
        divider=divider,
        rate_hz=config.rate_hz,
        simulated=config.sensor.startswith("ina219+sim:"),
        error_part=_SENSOR_PART + _DIVIDER_PART * (1 - 1 / divider),
        error_v=_STEP_V * divider,
        meter_part=_METER_PART,
        meter_v=_METER_V,
    )
