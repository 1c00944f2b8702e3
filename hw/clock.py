"""The clock that decisions use: CLOCK_BOOTTIME, which no one can set and which counts sleep.

Wall time is for people only; it is recorded beside the boot id and never compared.
"""

from __future__ import annotations

import time
from functools import cache
from pathlib import Path


def now() -> float:
    """Seconds since boot, including suspend (CLOCK_BOOTTIME)."""
    return time.clock_gettime(time.CLOCK_BOOTTIME)


@cache
def boot_id() -> str:
    """The kernel's random id of this boot: times of two boots are never compared."""
    return Path("/proc/sys/kernel/random/boot_id").read_text().strip()
