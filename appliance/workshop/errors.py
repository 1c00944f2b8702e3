"""What the hub refuses, each with the HTTP status that tells a kit what to do about it."""

from __future__ import annotations

from typing import ClassVar

from hw.errors import FieldKitError


class HubError(FieldKitError):
    """A request was not done; nothing was written."""

    status: ClassVar[int] = 500


class Unsigned(HubError):
    """401: the hub does not know who asks. A kit pauses and deletes nothing."""

    code, status, exit_status = "not_signed", 401, 77


class Revoked(HubError):
    """403: the hub knows who asks and does not serve them. A kit pauses and deletes nothing."""

    code, status, exit_status = "revoked", 403, 77


class NotThere(HubError):
    """404."""

    code, status, exit_status = "not_there", 404, 64


class NotForThisRole(HubError):
    """403: somebody of the office asked for what another role does."""

    code, status, exit_status = "not_for_this_role", 403, 77

    def __init__(self, role: str) -> None:
        super().__init__(f"This needs the role '{role}'.", "Ask somebody who has it.")


class NotLetIn(HubError):
    """401: somebody did not show who they are. The same words whatever it was that did not fit."""

    code, status, exit_status = "not_let_in", 401, 77

    def __init__(self) -> None:
        super().__init__(
            "This does not fit.",
            "Check the name, the password or the word, and the clock of the phone with the code.",
        )


class WrongPassword(HubError):
    """400: somebody who is logged in gave another password than their own."""

    code, status, exit_status = "wrong_password", 400, 77

    def __init__(self) -> None:
        super().__init__(
            "The password until now is another one.", "Type the one that you log in with."
        )


class TooManyTries(HubError):
    """429: so many tries to log in failed that none is looked at for a while."""

    code, status, exit_status = "too_many_tries", 429, 77

    def __init__(self) -> None:
        super().__init__(
            "There were too many tries that did not fit.", "Wait a quarter of an hour, then retry."
        )


class Malformed(HubError):
    """400: this can never be taken. A kit puts the item aside and goes on with the rest."""

    code, status, exit_status = "malformed", 400, 65


class Conflict(HubError):
    """409: another content was taken before. A kit puts the item aside and goes on."""

    code, status, exit_status = "conflict", 409, 65


class TooLarge(HubError):
    """413: no kit makes anything of this size."""

    code, status, exit_status = "too_large", 413, 65


class BlobsMissing(HubError):
    """424: what belongs to the record is not there yet. A kit sends it and then comes again."""

    code, status, exit_status = "blobs_missing", 424, 69

    def __init__(self, missing: list[str]) -> None:
        super().__init__(
            f"{len(missing)} files of the record are not at the workshop yet.",
            "Send them first; the record can be sent then.",
        )
        self.missing = missing


class HubFull(HubError):
    """507: the hub has no room. Kits keep everything and come again."""

    code, status, exit_status = "hub_full", 507, 69

    def __init__(self) -> None:
        super().__init__(
            "The workshop's disk is full; nothing of this was kept.",
            "Make room on the workshop's machine; the kit keeps everything and comes again.",
        )


class HubUnavailable(HubError):
    """503: the hub's database or store does not answer. Kits come again."""

    code, status, exit_status = "hub_unavailable", 503, 69
