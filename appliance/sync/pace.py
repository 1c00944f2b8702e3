"""A cap on what is sent: a hotspot that is paid by the megabyte has other uses, too."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass

from hw import clock

_LOOK_S = 0.25
"""Whoever waits looks so often whether it is to go on at all."""
_LEAST_BYTES = 4 << 10


@dataclass
class Pace:
    """What was sent is paid for by waiting before the next piece, so that the rate holds.

    Attributes:
        bytes_per_s: 0 for no cap.
    """

    bytes_per_s: int = 0
    _paid_until: float = 0.0

    def piece(self, most: int) -> int:
        """Bytes to send at once: what a second allows, so that the rate is even."""
        return min(most, max(self.bytes_per_s, _LEAST_BYTES)) if self.bytes_per_s else most

    def take(self, count: int, go_on: Callable[[], bool]) -> bool:
        """Wait until so many bytes may be sent.

        Args:
            count: of what is sent next; it is paid for before what comes after it.
            go_on: asked while it waits.

        Returns:
            False where it is not to go on.
        """
        if not self.bytes_per_s:
            return go_on()
        while go_on():
            left_s = self._paid_until - clock.now()
            if left_s <= 0:
                self._paid_until = clock.now() + count / self.bytes_per_s
                return True
            time.sleep(min(left_s, _LOOK_S))
        return False
