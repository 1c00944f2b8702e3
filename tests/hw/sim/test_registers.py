"""The register model behaves as the chip to the unmodified driver."""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from hw import clock
from hw.sim.registers import POWER_ON_CONFIG, RegisterFile, RegisterFileI2C

os.environ.setdefault("BLINKA_SKIP_DEPENDENCY_CHECK", "1")
from adafruit_ina219 import INA219, ADCResolution, Mode


@pytest.fixture
def car_side(tmp_path: Path) -> Iterator[RegisterFile]:
    registers = RegisterFile(tmp_path / "registers", create=True)
    registers.volts = 12.6
    yield registers
    registers.close()


@pytest.fixture
def bus(car_side: RegisterFile, tmp_path: Path) -> Iterator[RegisterFileI2C]:
    bus = RegisterFileI2C(tmp_path / "registers")
    yield bus
    bus.deinit()


@pytest.fixture
def at(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """The time, to be moved by hand."""
    time = [1000.0]
    monkeypatch.setattr(clock, "now", lambda: time[0])
    return time


def _continuous(bus: RegisterFileI2C, resolution: int = ADCResolution.ADCRES_10BIT_1S) -> Any:
    sensor = INA219(bus)
    sensor.bus_adc_resolution = resolution
    sensor.mode = Mode.BVOLT_CONTINUOUS
    return sensor


def test_the_unmodified_driver_reads_the_battery(
    bus: RegisterFileI2C, car_side: RegisterFile
) -> None:
    sensor = _continuous(bus)
    assert sensor.bus_voltage == pytest.approx(12.6, abs=0.016)
    car_side.volts = 11.4
    assert sensor.bus_voltage == pytest.approx(11.4, abs=0.016)
    assert not sensor.overflow


def test_the_configuration_is_the_datasheets_after_power_on(bus: RegisterFileI2C) -> None:
    answer = bytearray(2)
    bus.writeto_then_readfrom(0x40, b"\x00", answer)
    assert int.from_bytes(answer, "big") == POWER_ON_CONFIG == 0x399F


@pytest.mark.parametrize(
    ("resolution", "conversion_s"),
    [
        (ADCResolution.ADCRES_9BIT_1S, 84e-6),
        (ADCResolution.ADCRES_10BIT_1S, 148e-6),
        (ADCResolution.ADCRES_11BIT_1S, 276e-6),
        (ADCResolution.ADCRES_12BIT_1S, 532e-6),
        (ADCResolution.ADCRES_12BIT_2S, 1064e-6),
        (ADCResolution.ADCRES_12BIT_128S, 68.1e-3),
    ],
)
def test_conversion_ready_waits_for_the_conversion(
    bus: RegisterFileI2C, at: list[float], resolution: int, conversion_s: float
) -> None:
    sensor = _continuous(bus, resolution)
    assert not sensor.conversion_ready
    at[0] += conversion_s * 0.99
    assert not sensor.conversion_ready
    at[0] += conversion_s * 0.02
    assert sensor.conversion_ready


def test_conversion_ready_is_cleared_by_the_power_register_and_by_nothing_else(
    bus: RegisterFileI2C, at: list[float]
) -> None:
    sensor = _continuous(bus)
    at[0] += 1
    assert sensor.bus_voltage > 12
    assert sensor.conversion_ready
    assert sensor.raw_power == 0
    assert not sensor.conversion_ready
    at[0] += 0.001
    assert sensor.conversion_ready


def test_nothing_is_converted_in_power_down(bus: RegisterFileI2C, at: list[float]) -> None:
    sensor = _continuous(bus)
    sensor.mode = Mode.POWERDOWN
    at[0] += 10
    assert not sensor.conversion_ready


def test_a_chip_that_does_not_acknowledge_is_an_error_of_the_bus(
    bus: RegisterFileI2C, car_side: RegisterFile
) -> None:
    sensor = _continuous(bus)
    car_side.set_fault("nak")
    with pytest.raises(OSError, match=os.strerror(errno.EREMOTEIO)):
        _ = sensor.bus_voltage
    assert bus.scan() == []
    with pytest.raises(ValueError, match="No I2C device"):
        INA219(bus)
    car_side.set_fault("none")
    assert bus.scan() == [0x40]
    assert sensor.bus_voltage > 12


def test_only_its_own_address_acknowledges(bus: RegisterFileI2C) -> None:
    with pytest.raises(OSError, match=os.strerror(errno.EREMOTEIO)):
        bus.writeto(0x41, b"\x00")


def test_a_frozen_chip_shows_the_old_value_and_no_new_conversion(
    bus: RegisterFileI2C, car_side: RegisterFile, at: list[float]
) -> None:
    sensor = _continuous(bus)
    car_side.set_fault("frozen")
    car_side.volts = 9.0
    for _ in range(3):
        at[0] += 1
        assert sensor.bus_voltage == pytest.approx(12.6, abs=0.016)
        assert not sensor.conversion_ready
    car_side.set_fault("none")
    assert sensor.bus_voltage == pytest.approx(9.0, abs=0.016)
    assert sensor.conversion_ready


def test_overflow_is_flagged(bus: RegisterFileI2C, car_side: RegisterFile) -> None:
    sensor = _continuous(bus)
    car_side.set_fault("overflow")
    assert sensor.overflow


def test_an_offset_lies_to_the_sensor_and_leaves_the_truth(
    bus: RegisterFileI2C, car_side: RegisterFile
) -> None:
    sensor = _continuous(bus)
    car_side.set_fault("offset", 1.5)
    assert sensor.bus_voltage == pytest.approx(14.1, abs=0.016)
    assert car_side.volts == 12.6


def test_a_brown_out_of_the_chip_loses_its_configuration_once(
    bus: RegisterFileI2C, car_side: RegisterFile
) -> None:
    sensor = _continuous(bus)
    car_side.set_fault("reset")
    assert sensor.mode == Mode.SANDBVOLT_CONTINUOUS
    assert car_side.configuration == POWER_ON_CONFIG
    sensor.mode = Mode.BVOLT_CONTINUOUS
    assert sensor.mode == Mode.BVOLT_CONTINUOUS


def test_the_reset_bit_restores_the_configuration(
    bus: RegisterFileI2C, car_side: RegisterFile
) -> None:
    _continuous(bus).reset = True
    assert car_side.configuration == POWER_ON_CONFIG


def test_a_restarted_kit_finds_the_chip_as_it_left_it(
    bus: RegisterFileI2C, car_side: RegisterFile, tmp_path: Path
) -> None:
    _continuous(bus)
    left = car_side.configuration
    assert left != POWER_ON_CONFIG
    again = RegisterFileI2C(tmp_path / "registers")
    answer = bytearray(2)
    again.writeto_then_readfrom(0x40, b"\x00", answer)
    again.deinit()
    assert int.from_bytes(answer, "big") == left


def test_the_bus_can_be_taken_once(bus: RegisterFileI2C) -> None:
    assert bus.try_lock()
    assert not bus.try_lock()
    bus.unlock()
    assert bus.try_lock()
    bus.unlock()
