"""Errors of the service that the API answers with a status of their own."""

from __future__ import annotations

from hw.errors import FieldKitError, UsageError


class Locked(FieldKitError):
    """The kit is locked: jobs, backups and keys are encrypted until a technician unlocks it."""

    code = "locked"
    exit_status = 77

    def __init__(self) -> None:
        super().__init__("The kit is locked.", "Unlock it: 'fieldkit unlock TECHNICIAN'.")


class NotThere(UsageError):
    """There is no job, backup or plan of that name on this kit."""

    code = "not_there"
