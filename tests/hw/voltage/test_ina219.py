"""The sensor: the unmodified driver on the registers of the simulated car."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from hw import clock
from hw.errors import BadInputError
from hw.sim.registers import Fault, RegisterFile
from hw.voltage.ina219 import CONFIGURATION, Ina219Sensor, SensorFault, parse_sensor_uri

CONVERSION_S = 148e-6


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "registers"


@pytest.fixture
def chip(path: Path) -> Iterator[RegisterFile]:
    registers = RegisterFile(path, create=True)
    registers.volts = 12.6
    yield registers
    registers.close()


@pytest.fixture
def sensor(chip: RegisterFile, path: Path) -> Iterator[Ina219Sensor]:
    sensor = Ina219Sensor(f"ina219+sim://{path}")
    yield sensor
    sensor.close()


def convert() -> None:
    """Give the converter the time of two conversions (the chip's clock is the real one)."""
    until = clock.now() + 2 * CONVERSION_S
    while clock.now() < until:
        time.sleep(0)


def test_bus_voltage_only_continuous_10_bit_32_volts(
    chip: RegisterFile, sensor: Ina219Sensor
) -> None:
    configuration = chip.configuration
    assert configuration == CONFIGURATION
    assert configuration >> 13 & 1 == 1, "32 V range"
    assert configuration >> 7 & 0b1111 == 0b0001, "10 bit"
    assert configuration & 0b111 == 0b110, "bus voltage, continuous"


@pytest.mark.parametrize("volts", [0.6, 9.0, 12.612, 15.2, 16.4, 25.9])
def test_it_measures_what_the_battery_has(
    chip: RegisterFile, sensor: Ina219Sensor, volts: float
) -> None:
    chip.volts = volts
    convert()
    reading = sensor.read()
    assert reading.fresh
    assert reading.volts == pytest.approx(volts, abs=0.004)


def test_a_divider_counts(chip: RegisterFile, path: Path) -> None:
    chip.volts = 12.0
    sensor = Ina219Sensor(f"ina219+sim://{path}", divider=2.0)
    convert()
    assert sensor.read().volts == pytest.approx(24.0, abs=0.008)
    sensor.close()


@pytest.mark.parametrize("volts", [0.0, 0.4, 26.2, 32.0])
def test_what_no_connected_battery_has_is_a_fault(
    chip: RegisterFile, sensor: Ina219Sensor, volts: float
) -> None:
    chip.volts = volts
    with pytest.raises(SensorFault, match="outside of what it can measure"):
        sensor.read()


@pytest.mark.parametrize(
    ("fault", "reason"), [("nak", "does not answer"), ("overflow", "reports an overflow")]
)
def test_each_fault_says_what_it_is(
    chip: RegisterFile, sensor: Ina219Sensor, fault: Fault, reason: str
) -> None:
    chip.set_fault(fault)
    with pytest.raises(SensorFault, match=reason) as caught:
        sensor.read()
    assert reason in caught.value.reason


def test_a_frozen_converter_gives_nothing_fresh(chip: RegisterFile, sensor: Ina219Sensor) -> None:
    convert()
    chip.set_fault("frozen")
    convert()
    assert not sensor.read().fresh


def test_a_conversion_is_fresh_only_once(chip: RegisterFile, sensor: Ina219Sensor) -> None:
    # The chip measures for 68 ms (12 bit, 128 samples): a second look within that finds nothing.
    convert()
    assert sensor.read().fresh
    slow = CONFIGURATION & ~(0b1111 << 7) | 0b1111 << 7
    chip.transfer(b"\x00" + slow.to_bytes(2, "big"), 0)
    assert not sensor.read().fresh


def test_a_brown_out_is_seen_and_mended(chip: RegisterFile, sensor: Ina219Sensor) -> None:
    assert sensor.configured()
    chip.set_fault("reset")
    assert not sensor.configured()
    sensor.configure()
    assert chip.configuration == CONFIGURATION


@pytest.mark.parametrize(
    "uri",
    [
        "ina219://",
        "ina219:///dev/i2c-1",
        "ina219:///dev/i2c-x/0x40",
        "ina219:///dev/i2c-1/64",
        "ina219+sim://relative",
        "ads1115:///dev/i2c-1/0x48",
        "",
    ],
)
def test_a_wrong_uri_is_bad_input(uri: str) -> None:
    with pytest.raises(BadInputError) as caught:
        parse_sensor_uri(uri)
    assert "kit.toml" in caught.value.next_step


@pytest.mark.parametrize("uri", ["ina219:///dev/i2c-99/0x40", "ina219+sim:///nowhere/registers"])
def test_a_missing_bus_is_a_fault(uri: str) -> None:
    with pytest.raises(SensorFault, match="does not answer"):
        Ina219Sensor(uri)


def test_a_sensor_that_cannot_be_opened_leaves_nothing_open(chip: RegisterFile, path: Path) -> None:
    chip.set_fault("nak")
    before = _mappings(path)
    for _ in range(5):
        with pytest.raises(SensorFault):
            Ina219Sensor(f"ina219+sim://{path}")
    assert _mappings(path) == before


def _mappings(path: Path) -> int:
    return Path("/proc/self/maps").read_text().count(str(path))


def test_loading_the_driver_asks_nothing_and_prints_nothing(
    chip: RegisterFile, path: Path, tmp_path: Path
) -> None:
    program = (
        "import sys; from hw.voltage.ina219 import Ina219Sensor;"
        f"Ina219Sensor('ina219+sim://{path}').close(); import adafruit_extended_bus"
    )
    done = subprocess.run(
        [sys.executable, "-W", "error::RuntimeWarning", "-c", program],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        env={**os.environ, "PYTHONPATH": str(Path.cwd())},
        cwd=tmp_path,
        timeout=60,
        check=True,
    )
    assert (done.stdout, done.stderr) == (b"", b"")
    assert [entry.name for entry in tmp_path.iterdir()] == [path.name]
