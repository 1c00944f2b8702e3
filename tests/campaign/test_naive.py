"""The baseline flashes a car in good health and bricks one whose supply sags."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.campaign.naive import connect, flash
from tests.kit import Car

SIZE = 0x4000


@pytest.fixture
def car(short_tmp: Path) -> Iterator[Car]:
    car = Car(short_tmp / "car", "--program-us-per-kib", "5000")
    yield car
    car.close()


@pytest.mark.parametrize("kind", ["can", "doip"])
def test_without_a_sag_the_baseline_flashes_the_car(car: Car, kind: str) -> None:
    data = os.urandom(SIZE)
    with connect(car.link(kind)) as connection:
        flash(connection, 0x8000, data)
    assert car.memory(0x8000, SIZE) == data
    assert not car.do("state", ecu="engine")["bricked"]


def test_a_sag_in_the_middle_bricks_the_car_of_the_baseline(car: Car) -> None:
    data = os.urandom(SIZE)
    car.do(
        "when", ecu="engine", service=0x36, count=3, then={"do": "sag", "volts": 11.5, "for_s": 1}
    )
    car.do(
        "when", ecu="engine", service=0x36, count=4, then={"do": "sag", "volts": 8.5, "for_s": 2}
    )
    with contextlib.suppress(Exception), connect(car.link("can")) as connection:
        flash(connection, 0x8000, data)
    assert car.do("state", ecu="engine")["bricked"]
    assert car.memory(0x8000, SIZE) != data
