"""The public half of the kit's identity: who may sign for what, and who can open backups."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from appliance.age import Recipient, parse_recipient
from hw.errors import BadInputError
from hw.sshsig import public_line
from hw.statements import (
    NAMESPACE_ACKNOWLEDGMENT,
    NAMESPACE_AGREEMENT,
    NAMESPACE_BACKUP,
    NAMESPACE_CHECKS,
    NAMESPACE_PROFILE,
    NAMESPACE_RECORD,
)

KIT = "kit"
WORKSHOP = "workshop"
RECOVERY = "recovery"
_HOLDERS = (KIT, WORKSHOP, RECOVERY)
_NAMESPACES = {
    KIT: f"{NAMESPACE_BACKUP},{NAMESPACE_CHECKS},{NAMESPACE_RECORD}",
    WORKSHOP: NAMESPACE_PROFILE,
}
_TECHNICIAN_NAMESPACES = f"{NAMESPACE_ACKNOWLEDGMENT},{NAMESPACE_AGREEMENT}"


@dataclass(frozen=True)
class Recipients:
    """The three age recipients of every backup, as `age1…` lines."""

    kit: str
    workshop: str
    recovery: str

    @classmethod
    def load(cls, state: Path) -> Recipients:
        """Read `trust/recipients`: `age -R` reads it too; a comment above each line says whose.

        Raises:
            BadInputError: not exactly the three recipients, each under its comment.
        """
        path = state / "trust" / "recipients"
        try:
            lines = path.read_text(encoding="utf-8").split()
        except (OSError, UnicodeDecodeError) as error:
            raise _bad_recipients(path, f"it cannot be read: {error}") from error
        labels = [item for holder in _HOLDERS for item in ("#", holder)]
        if len(lines) != 9 or [*lines[0:2], *lines[3:5], *lines[6:8]] != labels:
            raise _bad_recipients(path, "it must hold kit, workshop and recovery, each labelled")
        return cls(lines[2], lines[5], lines[8]).checked()

    def checked(self) -> Recipients:
        """These recipients, if each is an age X25519 recipient and no two are the same.

        Raises:
            BadInputError: one is not, or the same stands twice, which would be one key less.
        """
        self.parsed()
        if len({self.kit, self.workshop, self.recovery}) != 3:
            raise BadInputError(
                "Two of the three backup recipients are the same key.",
                "Make a separate age identity for the workshop and for the offline recovery.",
            )
        return self

    def parsed(self) -> list[Recipient]:
        """The recipients as age takes them."""
        pairs = zip(_HOLDERS, (self.kit, self.workshop, self.recovery), strict=True)
        return [parse_recipient(line, holder) for holder, line in pairs]

    def text(self) -> str:
        """The content of `trust/recipients`."""
        pairs = zip(_HOLDERS, (self.kit, self.workshop, self.recovery), strict=True)
        return "".join(f"# {holder}\n{line}\n" for holder, line in pairs)


def signer_line(principal: str, key: Ed25519PublicKey) -> str:
    """One line of an allowed_signers file: the principal may sign for its own namespaces only.

    Args:
        principal: `kit`, `workshop` or `technician:NAME`.
        key: the public key.
    """
    namespaces = _NAMESPACES.get(principal, _TECHNICIAN_NAMESPACES)
    return f'{principal} namespaces="{namespaces}" {public_line(key)}\n'


def older_technician_line(name: str, key: Ed25519PublicKey) -> str:
    """A technician's line as kits wrote it before customers signed agreements on them."""
    return (
        f'{technician_principal(name)} namespaces="{NAMESPACE_ACKNOWLEDGMENT}" {public_line(key)}\n'
    )


def technician_principal(name: str) -> str:
    """Under which name a technician stands among the allowed signers."""
    return f"technician:{name}"


def _bad_recipients(path: Path, why: str) -> BadInputError:
    return BadInputError(
        f"The list of backup recipients {path} is unusable: {why}.",
        "Correct it; without it no backup can be made.",
    )
