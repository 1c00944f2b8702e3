"""age encryption (age-encryption.org/v1, X25519) with errors that a person understands."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeAlias

import pyrage

from hw.errors import BadInputError

# pyrage brings no types; these are the two classes that the kit handles.
Identity: TypeAlias = pyrage.x25519.Identity
Recipient: TypeAlias = pyrage.x25519.Recipient


class DecryptionError(BadInputError):
    """An age file is damaged or not made for this identity."""

    code = "decryption"


def new_identity() -> tuple[str, str]:
    """Make an age identity: the secret line `AGE-SECRET-KEY-1…` and its recipient `age1…`."""
    identity = pyrage.x25519.Identity.generate()
    return str(identity), str(identity.to_public())


def parse_identity(line: str) -> Identity:
    """Read an `AGE-SECRET-KEY-1…` line.

    Raises:
        BadInputError: it is not one.
    """
    try:
        return pyrage.x25519.Identity.from_str(line.strip())
    except pyrage.IdentityError as error:
        raise BadInputError(
            "The age identity is damaged or of another kind than X25519.",
            "Use the file that 'age-keygen' made.",
        ) from error


def parse_recipient(line: str, whose: str) -> Recipient:
    """Read an `age1…` line; `whose` names it in the error.

    Raises:
        BadInputError: it is not an X25519 recipient.
    """
    try:
        return pyrage.x25519.Recipient.from_str(line.strip())
    except pyrage.RecipientError as error:
        raise BadInputError(
            f"The {whose} recipient '{line.strip()}' is not an age X25519 recipient.",
            "Give the line 'age1…' that 'age-keygen' printed.",
        ) from error


def encrypt(plaintext: bytes, recipients: Sequence[Recipient]) -> bytes:
    """Encrypt so that each of the recipients alone can decrypt."""
    ciphertext: bytes = pyrage.encrypt(plaintext, list(recipients))
    return ciphertext


def decrypt(ciphertext: bytes, identity: Identity) -> bytes:
    """Decrypt a whole age file in memory.

    age authenticates 64 KiB at a time and the end of the file last. Nothing is handed out here
    before all of it was authenticated, so a truncated file never yields its first half.

    Raises:
        DecryptionError: damaged, truncated, or not made for `identity`.
    """
    try:
        plaintext: bytes = pyrage.decrypt(ciphertext, [identity])
    except pyrage.DecryptError as error:
        raise DecryptionError(
            f"The encrypted file cannot be opened: {error}.",
            "Open the copy on the other medium, or use another of the three age identities.",
        ) from error
    return plaintext
