"""`fieldkit doctor`: everything that a write needs, looked at now, each with a next step."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from pathlib import Path

from appliance.api.messages import Check
from appliance.identity.wallclock import wall_quality
from hw.config import KitConfig, MediaConfig, load_config
from hw.errors import BadInputError, FieldKitError
from hw.messages import Status

MIN_FREE_BYTES = 512 * 1024 * 1024
MIN_SAMPLE_RATE = 250.0
"""Samples/s below which the gate could not see a sag in time."""
_TOOLS = {
    "age": "opens backups without this software",
    "ssh-keygen": "checks signatures without this software",
}


def examine(state: Path, hw: Status | FieldKitError, *, locked: bool) -> list[Check]:
    """All checks, in the order in which a person would fix them.

    Args:
        state: the kit's state folder.
        hw: hw's status, or why it cannot be had.
        locked: whether a technician must still unlock the kit.
    """
    try:
        config: KitConfig | BadInputError = load_config(state)
    except BadInputError as error:
        config = error
    return [
        *_configuration(config),
        *_hardware(hw),
        *(_media(config.media) if isinstance(config, KitConfig) else ()),
        *_storage(state),
        *_profiles(state),
        *_tools(),
        _clock(),
        _lock(locked=locked),
    ]


def _configuration(config: KitConfig | BadInputError) -> Iterator[Check]:
    if isinstance(config, BadInputError):
        yield Check(name="configuration", ok=False, what=config.what, next_step=config.next_step)
        return
    yield Check(name="configuration", ok=True, what="kit.toml is read.")
    if config.outputs.write_enable == "none":
        yield Check(
            name="write-enable line",
            ok=None,
            what="Not fitted: a cut stops the frames, but does not switch the transceiver off.",
            next_step="Name its pin in kit.toml if it is fitted.",
        )


def _hardware(hw: Status | FieldKitError) -> Iterator[Check]:
    if isinstance(hw, FieldKitError):
        yield Check(name="hw", ok=False, what=hw.what, next_step=hw.next_step)
        return
    simulated = f" Simulated: {', '.join(hw.simulated)}." if hw.simulated else ""
    yield Check(name="hw", ok=True, what=f"It answers; gate {hw.gate}.{simulated}")
    if hw.volts is None:
        yield Check(
            name="voltage sensor",
            ok=False,
            what=f"No valid sample: {hw.voltage_reason or 'no reason given'}.",
            next_step="Check the sensor's wiring and its clamps on the battery.",
        )
        return
    fast = hw.sample_rate >= MIN_SAMPLE_RATE
    yield Check(
        name="voltage sensor",
        ok=fast,
        what=f"{hw.volts:.2f} V at {hw.sample_rate:.0f} samples/s.",
        next_step=""
        if fast
        else f"At least {MIN_SAMPLE_RATE:.0f} are needed: set the I2C bus faster.",
    )


def _media(media: MediaConfig) -> Iterator[Check]:
    devices: list[int] = []
    for name, folder in (("medium A", Path(media.a)), ("medium B", Path(media.b))):
        if not folder.is_dir() or not os.access(folder, os.W_OK):
            there = "cannot be written" if folder.is_dir() else "is not there"
            step = f"Insert and mount {name} so that it can be written."
            yield Check(name=name, ok=False, what=f"{folder} {there}.", next_step=step)
            continue
        devices.append(folder.stat().st_dev)
        free = shutil.disk_usage(folder).free
        roomy = free >= MIN_FREE_BYTES
        step = "" if roomy else "Make room on it."
        yield Check(
            name=name, ok=roomy, what=f"{folder}, {free // 2**20} MiB free.", next_step=step
        )
    if media.simulated:
        yield Check(
            name="two media", ok=True, what="SIMULATED: both copies may lie on one filesystem."
        )
    elif len(devices) == 2:
        apart = devices[0] != devices[1]
        yield Check(
            name="two media",
            ok=apart,
            what="They are two filesystems." if apart else "Both are the same filesystem.",
            next_step="" if apart else "Insert two media and correct kit.toml.",
        )


def _storage(state: Path) -> Iterator[Check]:
    try:
        free = shutil.disk_usage(state).free
    except OSError as error:
        what = f"The state folder {state} cannot be read: {error.strerror}."
        yield Check(name="storage", ok=False, what=what, next_step="Run 'fieldkit init'.")
        return
    roomy = free >= MIN_FREE_BYTES
    step = "" if roomy else "Retire old records or use a larger card."
    yield Check(name="storage", ok=roomy, what=f"{free // 2**20} MiB free.", next_step=step)


def _profiles(state: Path) -> Iterator[Check]:
    found = sorted(path.stem for path in (state / "profiles").glob("*.toml"))
    yield Check(
        name="profiles",
        ok=bool(found),
        what=", ".join(found) or "There is none.",
        next_step="" if found else "Get profiles from the workshop.",
    )


def _tools() -> Iterator[Check]:
    for tool, purpose in _TOOLS.items():
        there = shutil.which(tool) is not None
        yield Check(
            name=tool,
            ok=True if there else None,
            what=f"{'Installed' if there else 'Not installed'}; {purpose}.",
            next_step="" if there else "It is not needed for a write.",
        )


def _clock() -> Check:
    synchronised = wall_quality() == "synchronised"
    return Check(
        name="clock",
        ok=True if synchronised else None,
        what="Synchronised." if synchronised else "Not synchronised; records say so.",
        next_step="" if synchronised else "No decision depends on it.",
    )


def _lock(*, locked: bool) -> Check:
    return Check(
        name="technician",
        ok=None if locked else True,
        what="The kit is locked." if locked else "The kit is unlocked.",
        next_step="Unlock it." if locked else "",
    )
