"""The moment that goes into a signed document: boot time for decisions, wall time for people."""

from __future__ import annotations

import ctypes
from datetime import UTC, datetime
from functools import cache
from pathlib import Path
from typing import Literal

from hw import clock
from hw.statements import Moment

_TIMESYNCD_MARK = Path("/run/systemd/timesync/synchronized")
_TIME_ERROR = 5
_TIMEX_SIZE = 512  # struct timex is 208 bytes on 64 bit; `modes` = 0 asks without setting


def moment() -> Moment:
    """Now, with the quality of the wall time: a kit without network does not know the hour."""
    return Moment(
        boot_id=clock.boot_id(),
        boottime=clock.now(),
        wall=datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z"),
        wall_quality=wall_quality(),
    )


def wall_s() -> float:
    """The kit's clock, in seconds since 1970: anything from 1970 on, see `wall_quality`."""
    return datetime.now(UTC).timestamp()


def rfc3339(seconds: int) -> str:
    """A wall time in seconds since 1970 as RFC 3339, empty for 0, which stands for never."""
    text = datetime.fromtimestamp(seconds, UTC).isoformat().replace("+00:00", "Z")
    return text if seconds else ""


def wall_quality() -> Literal["synchronised", "unsynchronised"]:
    """Whether something keeps the clock right: systemd-timesyncd's mark, else the kernel's word."""
    if _TIMESYNCD_MARK.exists() or _kernel_says_synchronised():
        return "synchronised"
    return "unsynchronised"


def _kernel_says_synchronised() -> bool:
    state: int = _libc().adjtimex(ctypes.create_string_buffer(_TIMEX_SIZE))
    return 0 <= state < _TIME_ERROR


@cache
def _libc() -> ctypes.CDLL:
    return ctypes.CDLL(None, use_errno=True)
