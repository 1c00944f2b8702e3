"""Where the kit keeps things and how it is wired: the only configuration `hw` reads.

`$FIELDKIT_STATE/kit.toml` is written by `fieldkit init` and edited by whoever builds the kit:

    [voltage]
    sensor = "ina219:///dev/i2c-1/0x40"   # or ina219+sim:///path/of/the/simulated/registers
    divider = 1.0                         # battery volts per volt at the sensor
    rate_hz = 1000                        # at least 250

    [outputs]
    write_enable = "gpio17"               # "none" where it is not fitted
    wiring = "write_enable"               # "standby" where it is the transceiver's standby pin
    arm_button = "none"
    lamp = "none"                         # lit while a write is under way
    buzzer = "none"                       # sounds while a write waits for someone

    [media]
    a = "/media/fieldkit-a"
    b = "/media/fieldkit-b"
    simulated = false                     # true: both may lie on one filesystem; shown everywhere

    [sticks]                              # USB sticks with files for the ECU, and for exports
    roots = ["/media", "/run/media"]      # what is mounted below these, but for the two media
    simulated = false                     # true: every folder below them stands for a stick

    [sync]                                # the way to the workshop
    quiet_s = 600                         # a job without news for so long is handed over
    kilobytes_per_s = 0                   # at most, of what is sent; 0 for no limit
    keep_days = 90                        # so long backups stay after the workshop signed for them

    [[links]]                             # links that can be chosen instead of typed; any number
    name = "CAN, engine"
    uri = "can://socketcan/can0?bitrate=500000&tx=0x7E0&rx=0x7E8"

    [agreements]                          # texts that a customer signs before a write of a class,
    programming = ["terms"]               # besides those that `hw.agreement.FLOOR` always demands
"""

from __future__ import annotations

import os
import tomllib
from pathlib import Path
from typing import Annotated, Literal

import msgspec
from msgspec import Meta, Struct

from hw.errors import UNDECODABLE, BadInputError
from hw.plan import RiskClass
from hw.statements import TextName


class VoltageConfig(Struct, frozen=True, forbid_unknown_fields=True):
    """The sensor on the vehicle battery."""

    sensor: str
    divider: Annotated[float, Meta(ge=1.0)] = 1.0
    rate_hz: Annotated[int, Meta(ge=250, le=4000)] = 1000


class OutputsConfig(Struct, frozen=True, forbid_unknown_fields=True):
    """The kit's pins: `gpio0` to `gpio27`, or `none` where one is not fitted."""

    write_enable: str = "none"
    wiring: Literal["write_enable", "standby"] = "write_enable"
    arm_button: str = "none"
    lamp: str = "none"
    buzzer: str = "none"


class MediaConfig(Struct, frozen=True, forbid_unknown_fields=True):
    """The two mount points that backups go to."""

    a: str
    b: str
    simulated: bool = False


class SticksConfig(Struct, frozen=True, forbid_unknown_fields=True):
    """Folders below which USB sticks are mounted; `hw` reads none of them."""

    roots: tuple[str, ...] = ("/media", "/run/media")
    simulated: bool = False


class SyncConfig(Struct, frozen=True, forbid_unknown_fields=True):
    """How records and backups go to the workshop; `hw` reads none of it."""

    quiet_s: Annotated[int, Meta(ge=0, le=86_400)] = 600
    kilobytes_per_s: Annotated[int, Meta(ge=0)] = 0
    keep_days: Annotated[int, Meta(ge=1, le=36_500)] = 90


class LinkConfig(Struct, frozen=True, forbid_unknown_fields=True):
    """A link under a name that a person chooses it by."""

    name: Annotated[str, Meta(min_length=1, max_length=100)]
    uri: Annotated[str, Meta(pattern="^[a-z0-9+]+://.")]


class KitConfig(Struct, frozen=True, forbid_unknown_fields=True):
    """The whole of `kit.toml`."""

    voltage: VoltageConfig
    media: MediaConfig
    outputs: OutputsConfig = OutputsConfig()
    sticks: SticksConfig = SticksConfig()
    sync: SyncConfig = SyncConfig()
    links: list[LinkConfig] = []
    agreements: dict[RiskClass, list[TextName]] = {}


def run_dir() -> Path:
    """Folder of the sockets: `$FIELDKIT_RUN`, else by user as the XDG rules say."""
    # Only where no login session made a runtime folder; it carries the user in its name.
    otherwise = Path(f"/tmp/fieldkit-{os.getuid()}")  # noqa: S108
    return _dir("FIELDKIT_RUN", "/run/fieldkit", "XDG_RUNTIME_DIR", otherwise)


def state_dir() -> Path:
    """Folder of all that must survive: `$FIELDKIT_STATE`, else by user as the XDG rules say."""
    home_state = Path.home() / ".local/state"
    return _dir("FIELDKIT_STATE", "/var/lib/fieldkit", "XDG_STATE_HOME", home_state)


def _dir(variable: str, service: str, xdg: str, otherwise: Path) -> Path:
    if value := os.environ.get(variable):
        return Path(value)
    if os.getuid() == 0:
        return Path(service)
    return Path(os.environ.get(xdg) or otherwise) / "fieldkit"


def load_config(state: Path) -> KitConfig:
    """Read `kit.toml`.

    Raises:
        BadInputError: the file is missing or one of its fields is wrong; the sentence names it.
    """
    path = state / "kit.toml"
    try:
        return msgspec.convert(tomllib.loads(path.read_text()), KitConfig)
    except FileNotFoundError as error:
        raise BadInputError(
            f"The kit has no configuration: {path} is missing.", "Run 'fieldkit init' first."
        ) from error
    except (tomllib.TOMLDecodeError, *UNDECODABLE) as error:
        raise BadInputError(
            f"The kit's configuration {path} is wrong: {error}.",
            "Correct that line and start again.",
        ) from error
