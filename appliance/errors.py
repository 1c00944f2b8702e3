"""Errors of the appliance that more than one of its parts raises."""

from __future__ import annotations

from hw.errors import FieldKitError, UnavailableError


class NotPermittedError(FieldKitError):
    """This person, or this kit, may not do what was asked. Nothing was done."""

    code = "not_permitted"
    exit_status = 77


class PassphraseError(FieldKitError):
    """Name and passphrase do not fit together; which of them is wrong is never said."""

    code = "passphrase"
    exit_status = 77


class TooManyTriesError(PassphraseError):
    """Wrong passphrases came too fast.

    Args:
        wait_s: seconds until the next try is looked at.
    """

    code = "too_many_tries"

    def __init__(self, wait_s: int) -> None:
        super().__init__(
            "There were too many wrong tries, so this one was not looked at.",
            f"Wait {wait_s} s, then enter name and passphrase again.",
        )
        self.wait_s = wait_s


class MediumError(UnavailableError):
    """A backup medium is missing, full, read-only, failing, or the same as the other one.

    Args:
        medium: `A` or `B`.
    """

    code = "medium"

    def __init__(self, medium: str, what: str, next_step: str) -> None:
        super().__init__(what, next_step)
        self.medium = medium


class StickError(UnavailableError):
    """A USB stick is missing, full, read-only or failing."""

    code = "stick"
