"""What the workshop tells its kits: changes, each signed, so that a kit trusts them by themselves.

A change says what there is to know of one subject (an order, a profile, a text) from now on, under
a version of its own; the numbers of all changes rise. Whoever carries a change, and in which order
they come, does not matter: a kit checks the signature and never goes back to a lower version.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import Annotated, Any, Literal

import msgspec
import rfc8785
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from msgspec import Meta, Struct

from hw.errors import UNDECODABLE, BadInputError
from hw.sshsig import AllowedSigners, SignatureError, sign, verify

NAMESPACE_CHANGE = "fieldkit-change"
EVERY_KIT = ""
_Name = Annotated[str, Meta(min_length=1, max_length=200)]


class ChangeDamaged(BadInputError):
    """A change is not what the workshop signed, or nothing that this kit can use."""

    code = "change_damaged"

    def __init__(self, reason: str) -> None:
        super().__init__(
            f"What came from the workshop cannot be used: {reason}.",
            "Bring kit and workshop to the same version, and ask the workshop to send it again.",
        )


class _Strict(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    pass


class Change(_Strict, frozen=True):
    """See the module.

    Attributes:
        number: its place among all changes of the workshop, from 1.
        kit: whom it is for, `EVERY_KIT` for all.
        kind: what kind of thing it is about; one of `BODIES`, or of a newer program.
        subject: which thing of that kind.
        version: of the subject, from 1.
        body: plain fields of the kind's type.
    """

    format: Literal["fieldkit-change/1"]
    number: Annotated[int, Meta(ge=1)]
    kit: str
    kind: _Name
    subject: _Name
    version: Annotated[int, Meta(ge=1)]
    body: dict[str, Any]


class ProfileIssued(_Strict, frozen=True):
    """A profile: its TOML text, and the SSHSIG over it that every profile carries."""

    name: str
    document: str
    signature: str


class TextIssued(_Strict, frozen=True):
    """A text that people agree to, in one language; `version` is that of all its languages."""

    name: Annotated[str, Meta(pattern="^[a-z][a-z_]{0,39}$")]
    language: Annotated[str, Meta(pattern="^[a-z]{2}$")]
    version: Annotated[int, Meta(ge=1, le=999_999)]
    text: Annotated[str, Meta(min_length=1, max_length=100_000)]


class Revocation(_Strict, frozen=True):
    """A technician or a profile, by name, that kits do not trust any more."""

    what: Literal["technician", "profile"]
    name: str


class Numbered(_Strict, frozen=True):
    """A change on its way: `number` says where to go on, whatever the document turns out to be."""

    number: int
    document: str
    signature: str


class Changes(_Strict, frozen=True):
    """What a kit gets for `GET /v1/changes`; `last` is the number of the workshop's last change."""

    changes: list[Numbered]
    more: bool
    last: int


@dataclass(frozen=True)
class OpenedChange:
    """A change whose signature holds, with the hash of its document."""

    change: Change
    sha256: str


def seal_change(change: Change, key: Ed25519PrivateKey) -> Numbered:
    """Sign a change."""
    document = rfc8785.dumps(msgspec.to_builtins(change))
    signature = sign(document, key, NAMESPACE_CHANGE)
    return Numbered(number=change.number, document=document.decode(), signature=signature.decode())


def open_change(numbered: Numbered, kit: str, signers: AllowedSigners) -> OpenedChange:
    """Decode a change and check who signed it, and for whom.

    Args:
        numbered: as it came.
        kit: the id of this kit.
        signers: the workshop's key, for `NAMESPACE_CHANGE`.

    Raises:
        ChangeDamaged: it is none of this workshop, or none for this kit.
    """
    document = numbered.document.encode()
    try:
        verify(document, numbered.signature.encode(), NAMESPACE_CHANGE, signers)
        change = msgspec.json.decode(document, type=Change)
    except SignatureError as error:
        raise ChangeDamaged(error.what.rstrip(".")) from error
    except UNDECODABLE as error:
        raise ChangeDamaged(f"it cannot be read: {error}") from error
    if change.number != numbered.number:
        raise ChangeDamaged(f"it came as number {numbered.number} and is number {change.number}")
    if change.kit not in (EVERY_KIT, kit):
        raise ChangeDamaged("it is for another kit")
    return OpenedChange(change, hashlib.sha256(document).hexdigest())
