"""What a link to an ECU offers, and the two questions that every link asks the gate.

A link carries diagnostic messages between the kit and one ECU. `Link.request` holds what all
links share (ISO 14229-2): matching of answers, 0x78 response pending, 0x21 busy. A transport below
it (`CanLink`, `DoipLink`) moves one message and nothing else.

Concurrency: one request at a time; a link belongs to the thread that called `request`. A lock
turns a second caller away with `LinkBusy` rather than interleave two conversations.
"""

from __future__ import annotations

import abc
import threading
import time
from collections.abc import Callable
from typing import Protocol

from hw.errors import UnavailableError
from hw.plan import Timing

FrameCheck = Callable[[], None]
"""Called before every frame of a write; raises `WriteHeld` or `WriteCut` when it must not go out."""


class LinkGate(Protocol):
    """The gate as a link sees it. A link cannot be made without one."""

    def admit(self, payload: bytes) -> FrameCheck | None:
        """Message check: may this request be sent now?

        Returns:
            None for a read; for a write the check to be called before each of its frames.

        Raises:
            hw.gate.NotPlanned: a write that is not the plan's next one.
            hw.gate.WriteHeld, hw.gate.WriteCut: a planned write while the gate is not OPEN.
        """


class LinkError(UnavailableError):
    """The link or the ECU behind it does not answer as the protocol demands."""

    code = "link"


class NoAnswer(LinkError):
    """No answer within the time the timing allows; whether the ECU acted is unknown."""

    code = "no_answer"


class LinkLost(LinkError):
    """The medium itself is gone (bus-off, connection closed, device unplugged)."""

    code = "link_lost"


class LinkBusy(LinkError):
    """Another conversation holds this link."""

    code = "link_busy"


class NegativeResponse(LinkError):
    """The ECU answered 0x7F; `service` and `nrc` say to what and why (ISO 14229-1 Annex A)."""

    code = "negative_response"

    def __init__(self, service: int, nrc: int, what: str, next_step: str) -> None:
        super().__init__(what, next_step)
        self.service = service
        self.nrc = nrc
