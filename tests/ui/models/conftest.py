"""Fixtures of the models' tests."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.ui.models.bench import Bench, Clock, Pump, make_kit
from tests.ui.models.fake import FakeAppliance, job_view
from ui.models import backend as backend_module


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """The status is asked for as fast as it comes; ages are counted by the test's own clock."""
    monkeypatch.setattr(backend_module, "POLL_S", 0.01)
    monkeypatch.setattr(backend_module, "RETRY_S", 0.01)


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def appliance(clock: Clock) -> FakeAppliance:
    it = FakeAppliance(clock)
    it.jobs = [job_view("j1", vin="WVWZZZ1JZ3W386752")]
    return it


@pytest.fixture
def bench(clock: Clock, appliance: FakeAppliance, tmp_path: Path) -> Iterator[Bench]:
    """Models of an unlocked kit, on the home screen."""
    pump = Pump()
    with make_kit(appliance.client, pump, tmp_path / "place.json", clock, idle_lock_s=30) as kit:
        it = Bench(kit, appliance, clock, pump)
        it.on("unlock" if appliance.locked else "home")
        yield it
