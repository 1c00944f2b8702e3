"""The gate's rig, on a clock that stands still."""

import pytest

from hw import clock
from tests.hw.gate.rig import Clock, Rig


@pytest.fixture
def rig(monkeypatch: pytest.MonkeyPatch) -> Rig:
    """A gate at boot time 1000 s."""
    time = Clock()
    monkeypatch.setattr(clock, "now", time)
    return Rig(time)
