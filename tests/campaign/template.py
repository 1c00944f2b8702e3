"""The kit of a campaign, made once and copied for every run.

It is a kit by `init_kit`, with profiles whose windows and memory are small, so that a run is a
matter of seconds: time is compressed by data, not by a switch in the product. Passphrases go
through the weakest permitted argon2id; the slot files carry the parameters.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from appliance.age import new_identity
from appliance.identity import init_kit, seal, sign_profile, unlock
from appliance.profiles.loader import parse_profile

TECHNICIAN = "maria"
PASSPHRASE = "correct horse battery staple"
PROFILE = "sim-engine"
ECU = "engine"
MEMORY_LIMIT = 2048
BLOCK_BYTES = 256
SAMPLE_HZ = 250
CALIBRATION, APPLICATION = 0x8000, 0x80_0000
# What the window's times are made of in the shipped profile, and here.
QUICK = {
    "settle_s": "0.2",
    "resume_after_s": "0.15",
    "p2_s": "0.5",
    "p2_star_s": "2.0",
    "pending_limit_s": "20.0",
    "busy_limit_s": "1.0",
}
DEMANDS = 'container_demands = "sw_part_number"'


@dataclass(frozen=True)
class Places:
    """Folders of a kit. In a run each is a filesystem of its own, at the same path for every run.

    Attributes:
        root: everything lies below it.
    """

    root: Path

    @property
    def state(self) -> Path:
        """The kit's state folder."""
        return self.root / "state"

    @property
    def run(self) -> Path:
        """Sockets and logs of the processes."""
        return self.root / "run"

    @property
    def car(self) -> Path:
        """The simulated car's folder."""
        return self.root / "car"

    @property
    def media(self) -> tuple[Path, Path]:
        """The two backup media."""
        return self.root / "a", self.root / "b"

    @property
    def template(self) -> Path:
        """The state folder as it was made."""
        return self.root / "template"

    def make(self) -> None:
        """Make the empty folders that filesystems are mounted on."""
        for folder in (self.state, self.run, self.car, *self.media):
            folder.mkdir(parents=True, exist_ok=True)


def make_template(places: Places) -> None:
    """Make the kit that every run begins with, in `places.template`."""
    seal.KDF = seal.KdfParameters(memory_kib=8 * 1024, passes=1)
    first, second = places.media
    config: dict[str, Any] = {
        "voltage": {
            "sensor": f"ina219+sim://{places.car / 'ina219.registers'}",
            "rate_hz": SAMPLE_HZ,
        },
        "media": {"a": str(first), "b": str(second)},
    }
    init_kit(
        places.template,
        technicians=[(TECHNICIAN, "owner", PASSPHRASE)],
        workshop_recipient=new_identity()[1],
        recovery_recipient=new_identity()[1],
        config=config,
    )
    owner = unlock(places.template, TECHNICIAN, PASSPHRASE)
    path = places.template / "profiles" / f"{PROFILE}.toml"
    text = quick_profile(path.read_text())
    parse_profile(text.encode(), path)
    path.write_text(text)
    sign_profile(owner, path)


def quick_profile(
    text: str, times: Mapping[str, str] = QUICK, memory_limit: int = MEMORY_LIMIT
) -> str:
    """The shipped profile with short times, small memory and small blocks."""
    for key, value in times.items():
        text, found = re.subn(rf"^{key} = .*$", f"{key} = {value}", text, flags=re.MULTILINE)
        if not found:
            raise ValueError(f"the profile has no {key}")
    # A file says which software it replaces, so that one for another variant can be told.
    text = text.replace('name = "software_number"', f'name = "software_number"\n{DEMANDS}')
    text = re.sub(
        r"^max_block_length = 0$", f"max_block_length = {BLOCK_BYTES}", text, flags=re.MULTILINE
    )

    def smaller(match: re.Match[str]) -> str:
        limit = memory_limit if match[1] == "size" else memory_limit // 8
        return f"{match[1]} = 0x{min(int(match[2].replace('_', ''), 16), limit):X}"

    return re.sub(r"^(size|sector_size) = (0x[0-9A-Fa-f_]+)$", smaller, text, flags=re.MULTILINE)
