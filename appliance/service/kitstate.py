"""What the screen always shows of the kit itself: media, clock, supply. Looked at once a second.

Status is asked for several times a second; a stick and the firmware need not be asked as often.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from appliance.api import messages as m
from appliance.backups.media import Medium, check_medium, media_of
from appliance.errors import MediumError
from appliance.identity.wallclock import moment
from appliance.service.doctor import MIN_FREE_BYTES
from hw import clock
from hw.config import KitConfig, load_config
from hw.errors import BadInputError

MAX_AGE_S = 1.0
_SYS = Path("/sys")
_THROTTLED = "devices/platform/soc/soc:firmware/get_throttled"
# Bits of the firmware's get_throttled: under-voltage now, and since the kit was switched on.
_LOW_NOW = 1 << 0
_WAS_LOW = 1 << 16


@dataclass(frozen=True)
class Seen:
    """The kit itself, as it was seen at `at` (seconds of `hw.clock.now`)."""

    at: float
    config: KitConfig | None
    media: list[m.MediumView]
    clock: m.Clock
    supply: m.Supply


class KitState:
    """Looks at the kit at most once a second, whoever asks. Thread-safe.

    Args:
        state: the kit's state folder.
        sys: where sysfs is mounted.
    """

    def __init__(self, state: Path, sys: Path = _SYS) -> None:
        self._state = state
        self._sys = sys
        self._lock = threading.Lock()
        self._seen: Seen | None = None

    def now(self) -> Seen:
        """The kit, seen less than `MAX_AGE_S` ago."""
        with self._lock:
            if self._seen is None or clock.now() - self._seen.at >= MAX_AGE_S:
                self._seen = self._look()
            return self._seen

    def _look(self) -> Seen:
        at = moment()
        try:
            config = load_config(self._state)
        except BadInputError:
            config = None  # `doctor` tells what is wrong with it.
        return Seen(
            at=clock.now(),
            config=config,
            media=medium_views(config) if config is not None else [],
            clock=m.Clock(quality=at.wall_quality, wall=at.wall),
            supply=read_supply(self._sys),
        )


def medium_views(config: KitConfig) -> list[m.MediumView]:
    """Both backup media, as they are now."""
    return [_medium_view(medium, config) for medium in media_of(config.media)]


def _medium_view(medium: Medium, config: KitConfig) -> m.MediumView:
    name: Literal["a", "b"] = "a" if medium.name == "A" else "b"
    state: Literal["present", "missing", "read_only", "full"] = "present"
    free: int | None = None
    what = next_step = ""
    try:
        check_medium(medium, config.media)
        space = os.statvfs(medium.root)
    except MediumError as error:
        state, what, next_step = "missing", error.what, error.next_step
    except OSError as error:
        state = "missing"
        what = f"{medium} does not answer: {error.strerror}."
        next_step = f"Insert medium {medium.name} again, or another one."
    else:
        free = space.f_bavail * space.f_frsize
        if space.f_flag & os.ST_RDONLY or not os.access(medium.root, os.W_OK):
            state, what = "read_only", f"{medium} cannot be written."
            next_step = f"Release the write protection of medium {medium.name}."
        elif free < MIN_FREE_BYTES:
            state, what = "full", f"{medium} has {free // 2**20} MiB free."
            next_step = f"Make room on medium {medium.name} or insert an empty one."
    return m.MediumView(
        name=name,
        folder=str(medium.root),
        state=state,
        free_bytes=free,
        simulated=config.media.simulated,
        what=what,
        next_step=next_step,
    )


def read_supply(sys: Path = _SYS) -> m.Supply:
    """The kit's own supply, from the Raspberry Pi's firmware; elsewhere nobody knows.

    Args:
        sys: where sysfs is mounted.
    """
    word = _number(sys / _THROTTLED, 16)
    if word is not None:
        low, was_low = bool(word & _LOW_NOW), bool(word & (_LOW_NOW | _WAS_LOW))
        return m.Supply(state="low" if low else "ok", was_low=was_low)
    alarms = [_number(path, 10) for path in _voltage_alarms(sys)]
    known = [alarm for alarm in alarms if alarm is not None]
    if not known:
        return m.Supply(state="unknown")
    return m.Supply(state="low" if any(known) else "ok")


def _voltage_alarms(sys: Path) -> Iterator[Path]:
    for name in sorted((sys / "class/hwmon").glob("hwmon*/name")):
        if _text(name) == "rpi_volt":
            yield name.with_name("in0_lcrit_alarm")


def _number(path: Path, base: int) -> int | None:
    text = _text(path)
    try:
        return int(text, base) if text else None
    except ValueError:
        return None


def _text(path: Path) -> str:
    """A file of sysfs; empty where it is not there, or the firmware does not answer."""
    try:
        return path.read_text(encoding="ascii", errors="replace").strip()
    except OSError:
        return ""
