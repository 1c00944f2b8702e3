"""UUIDv7 (RFC 9562, 5.7): keys that sort by the time at which they were made."""

from __future__ import annotations

import secrets
import threading
import time
import uuid

_lock = threading.Lock()
_last = 0


def uuid7() -> str:
    """A new UUIDv7; rises within a process, also when the clock is set back."""
    global _last  # noqa: PLW0603 - the last value is what makes it rise
    with _lock:
        # 48 bits of milliseconds and 12 of their fraction (RFC 9562, 6.2, method 3).
        now = time.time_ns() * 4096 // 1_000_000
        _last = max(_last + 1, now & ((1 << 60) - 1))
        value = _last
    milliseconds, fraction = value >> 12, value & 0xFFF
    number = milliseconds << 80 | 0x7 << 76 | fraction << 64 | 0b10 << 62 | secrets.randbits(62)
    return str(uuid.UUID(int=number))
