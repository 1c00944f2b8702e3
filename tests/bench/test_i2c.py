"""The INA219 through the unmodified adafruit driver on a real I2C bus of the kernel."""

from __future__ import annotations

import time
from collections.abc import Iterator

import pytest

from hw import clock
from hw.sim.registers import POWER_ON_CONFIG, RegisterFile
from hw.voltage.ina219 import Ina219Sensor, SensorFault
from hw.voltage.sampler import Sample, Sampler
from tests.bench.conftest import SLOW_WINDOW, Bridge, record, until
from tests.bench.mcp2221 import SLOW_S
from tests.kit import Car


@pytest.fixture
def sampler(bridge: Bridge) -> Iterator[Sampler]:
    sampler = Sampler(lambda: Ina219Sensor(bridge.sensor), lambda _sample: None, 250)
    sampler.start()
    until(lambda: sampler.latest().volts is not None, "there is a voltage")
    yield sampler
    sampler.stop()


def test_the_driver_reads_what_the_battery_has(car: Car, bridge: Bridge) -> None:
    sensor = Ina219Sensor(bridge.sensor)
    try:
        for volts in (12.6, 14.4):
            car.do("battery", volts=volts)
            expected = car.do("battery", volts=volts)["volts"]
            assert sensor.read().volts == pytest.approx(expected, abs=0.004)
        assert sensor.configured()
    finally:
        sensor.close()


def test_a_sag_a_nak_and_a_lost_configuration_are_noticed(car: Car, sampler: Sampler) -> None:
    began = time.monotonic()
    before = len(sampler.history(0.0))
    time.sleep(2.0)
    rate = (len(sampler.history(0.0)) - before) / (time.monotonic() - began)
    record("voltage samples, bench VM", rate, "1/s")
    car.do("sag", volts=10.5, for_s=30.0)
    until(lambda: sampler.latest().volts == pytest.approx(10.5, abs=0.004), "the sag is seen")
    car.do("battery", volts=13.2)
    car.do("sensor", fault="nak")
    until(lambda: "does not answer" in sampler.latest().reason, "the missing acknowledge is seen")
    car.do("sensor", fault="none")
    until(lambda: sampler.latest().volts is not None, "the voltage is back")
    since = sampler.latest().at
    car.do("sensor", fault="reset")
    until(lambda: told(sampler, since, "lost its configuration"), "the brown-out is seen")
    until(lambda: sampler.latest().volts is not None, "the voltage is back")
    registers = RegisterFile(car.info["sensor"].partition("://")[2])
    assert registers.configuration != POWER_ON_CONFIG


def told(sampler: Sampler, since: float, reason: str) -> list[Sample]:
    return [sample for sample in sampler.history(since) if reason in sample.reason]


def test_a_slow_bus_is_no_voltage_of_this_moment(bridge: Bridge, sampler: Sampler) -> None:
    def age_s() -> float:
        return clock.now() - sampler.latest().at

    until(lambda: age_s() < SLOW_WINDOW.stale_s, "the voltage is of this moment")
    bridge.slow(True)
    until(lambda: age_s() > SLOW_WINDOW.stale_s, "the voltage is too old for a write")
    assert sampler.current().reason.startswith("the sensor has given no sample")
    most = 1 / (2 * SLOW_S)
    until(lambda: sampler.rate() <= most + 1, "the samples are few")
    bridge.slow(False)
    until(lambda: sampler.rate() > 3 * most, "the bus is as fast as before")
    until(lambda: age_s() < SLOW_WINDOW.stale_s, "the voltage is of this moment")


def test_a_device_that_vanishes_is_a_fault_and_works_again_when_it_is_back(
    car: Car, bridge: Bridge, sampler: Sampler
) -> None:
    bridge.unplug()
    until(lambda: "does not answer" in sampler.latest().reason, "the missing device is seen")
    sampler.stop()
    bridge.wait_until_gone()
    with pytest.raises(SensorFault, match="No such file"):
        Ina219Sensor(bridge.sensor)
    again = Bridge(car)
    sensor = Ina219Sensor(again.sensor)
    try:
        assert sensor.read().volts == pytest.approx(car.do("battery", volts=13.2)["volts"], abs=0.1)
    finally:
        sensor.close()
        again.unplug()
        again.wait_until_gone()
