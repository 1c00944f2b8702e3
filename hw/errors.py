"""Errors of the field kit: each says what is wrong and what the person holding the kit does next.

Every error that can reach a person derives from `FieldKitError`. The CLI prints `what` and
`next_step` and exits with `exit_status` (sysexits.h); the API and the hw socket carry `code`,
`what` and `next_step` unchanged, so that all floors say the same sentence.
"""

from __future__ import annotations

from typing import ClassVar

import msgspec

UNDECODABLE = (msgspec.MsgspecError, UnicodeDecodeError, RecursionError)
"""What msgspec raises at damaged bytes: not only its own errors, but bytes that are no UTF-8 and
endless nesting too."""


class FieldKitError(Exception):
    """Root of all errors shown to a person.

    Args:
        what: one plain sentence that says what is wrong.
        next_step: one plain sentence that says what to do now.
    """

    code: ClassVar[str] = "internal"
    exit_status: ClassVar[int] = 70

    def __init__(self, what: str, next_step: str) -> None:
        super().__init__(f"{what} {next_step}")
        self.what = what
        self.next_step = next_step


class UsageError(FieldKitError):
    """The request itself makes no sense (a wrong word, a missing argument, an unknown name)."""

    code = "usage"
    exit_status = 64


class BadInputError(FieldKitError):
    """A file or value from outside is damaged, incomplete or of a kind that is not supported."""

    code = "bad_input"
    exit_status = 65


class UnavailableError(FieldKitError):
    """A link, sensor, medium or process that is needed does not answer."""

    code = "unavailable"
    exit_status = 69


class RefusedError(FieldKitError):
    """A gate refused; nothing was sent to the ECU.

    Args:
        gate: name of the gate (`VOLTAGE_CHECK`, `DUAL_BACKUP`, `CHECKSUM_MATCH`,
            `USER_ACKNOWLEDGMENT`, or `PERMIT` for the permit itself).
    """

    code = "refused"
    exit_status = 77

    def __init__(self, gate: str, what: str, next_step: str) -> None:
        super().__init__(what, next_step)
        self.gate = gate


class AbortedError(FieldKitError):
    """A write stopped after it began; the journal says where and a recovery plan can be made."""

    code = "aborted_recoverable"
    exit_status = 75
