"""Errors that only the service raises."""

from __future__ import annotations

from hw.errors import FieldKitError, UnavailableError


class Locked(FieldKitError):
    """The kit is locked: jobs, backups and keys are encrypted until a technician unlocks it."""

    code = "locked"
    exit_status = 77

    def __init__(self) -> None:
        super().__init__("The kit is locked.", "Unlock it.")


class EcuRefused(UnavailableError):
    """The ECU gave a negative response to a read; it cannot be had from this ECU, in this way."""

    code = "negative_response"
