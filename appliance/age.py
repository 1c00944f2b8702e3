"""age encryption (age-encryption.org/v1, X25519) with errors that a person understands."""

from __future__ import annotations

import io
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
    ciphertext = io.BytesIO()
    # In pieces: pyrage.encrypt holds a second copy of the result.
    pyrage.encrypt_io(io.BytesIO(plaintext), ciphertext, list(recipients))
    return ciphertext.getvalue()


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
        raise _cannot_be_opened(error) from error
    return plaintext


def decrypts_to(ciphertext: bytes, identity: Identity, plaintext: bytes) -> bool:
    """Decrypt a whole age file piece by piece: is it exactly `plaintext`?

    Holds no second copy of it, and other threads run meanwhile.

    Raises:
        DecryptionError: damaged, truncated, or not made for `identity`.
    """
    comparison = _Comparison(plaintext)
    try:
        pyrage.decrypt_io(io.BytesIO(ciphertext), comparison, [identity])
    except (pyrage.DecryptError, OSError) as error:
        raise _cannot_be_opened(error) from error
    return comparison.equal


class _Comparison:
    """A file to write to that only compares."""

    def __init__(self, wanted: bytes) -> None:
        self._wanted = wanted
        self._done = 0
        self._differs = False

    def write(self, piece: bytes) -> int:
        self._differs |= not self._wanted.startswith(piece, self._done)
        self._done += len(piece)
        return len(piece)

    def flush(self) -> None:
        """There is nothing to write out."""

    @property
    def equal(self) -> bool:
        return not self._differs and self._done == len(self._wanted)


def _cannot_be_opened(error: Exception) -> DecryptionError:
    return DecryptionError(
        f"The encrypted file cannot be opened: {error}.",
        "Open the copy on the other medium, or use another of the three age identities.",
    )
