"""An opened kit with its three age identities, two simulated media and one small backup."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from appliance.age import new_identity
from appliance.backups import BackupRef, make_backup
from appliance.identity import Unlocked, init_kit, unlock
from hw.config import MediaConfig
from hw.plan import IdentityValue
from hw.sshsig import AllowedSigners

VIN = b"WFKZZZ8K9FA000001"
OWNER, PASSPHRASE = "maria", "correct horse battery"
CODING = b'{"0x0600": "0131000a", "0xF190": "' + VIN + b'"}'
EEPROM = VIN + b"immobiliser secret" + bytes(range(256))
CALIBRATION = b"calibration payload " * 50


@dataclass(frozen=True)
class Kit:
    """A kit whose secrets are known to the test."""

    unlocked: Unlocked
    workshop_identity: str = field(repr=False)
    recovery_identity: str = field(repr=False)

    @property
    def signers(self) -> AllowedSigners:
        return AllowedSigners.load(self.unlocked.state / "trust" / "allowed_signers")


@pytest.fixture(scope="session")
def kit(tmp_path_factory: pytest.TempPathFactory) -> Kit:
    folder = tmp_path_factory.mktemp("kit")
    (workshop, workshop_recipient), (recovery, recovery_recipient) = new_identity(), new_identity()
    init_kit(
        folder / "state",
        technicians=[(OWNER, "owner", PASSPHRASE)],
        workshop_recipient=workshop_recipient,
        recovery_recipient=recovery_recipient,
        config={
            "voltage": {"sensor": "ina219:///dev/i2c-1/0x40"},
            "media": {"a": str(folder / "a"), "b": str(folder / "b"), "simulated": True},
        },
    )
    return Kit(unlock(folder / "state", OWNER, PASSPHRASE), workshop, recovery)


@pytest.fixture
def media(tmp_path: Path) -> MediaConfig:
    for name in ("medium-a", "medium-b"):
        (tmp_path / name).mkdir()
    return MediaConfig(str(tmp_path / "medium-a"), str(tmp_path / "medium-b"), simulated=True)


@pytest.fixture
def make(kit: Kit, media: MediaConfig) -> Callable[..., BackupRef]:
    def make_one(**changed: Any) -> BackupRef:
        arguments: dict[str, Any] = {
            "job": "job-1",
            "ecu": "engine",
            "profile": "sim-engine",
            "identity": [IdentityValue(did=0xF190, value=VIN.hex())],
            "coding": CODING,
            "images": {"eeprom": EEPROM, "calibration": CALIBRATION},
        }
        return make_backup(kit.unlocked, media, **(arguments | changed))

    return make_one


@pytest.fixture
def backup(make: Callable[..., BackupRef]) -> BackupRef:
    return make()
