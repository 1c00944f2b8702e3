"""A kit with an owner and a technician, made once and copied for each test that changes it."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from appliance.age import new_identity
from appliance.identity import init_kit

OWNER = ("maria", "owner", "correct horse battery")
TECHNICIAN = ("jürgen", "technician", "noch ein langer Satz")


@pytest.fixture(scope="session")
def pristine_kit(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("kit")
    init_kit(
        folder / "state",
        technicians=[OWNER, TECHNICIAN],
        workshop_recipient=new_identity()[1],
        recovery_recipient=new_identity()[1],
        config={
            "voltage": {"sensor": "ina219:///dev/i2c-1/0x40"},
            "media": {"a": str(folder / "a"), "b": str(folder / "b"), "simulated": True},
        },
    )
    return folder / "state"


@pytest.fixture
def state(pristine_kit: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(pristine_kit, tmp_path / "state"))
