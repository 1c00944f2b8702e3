"""Technicians whom the workshop gives to its kits.

The workshop makes a technician's signing key and an age identity of theirs, and seals both under
their passphrase as a slot does; what kits are told is that box and the public halves. A kit that is
unlocked encrypts its master key to the identity's recipient and keeps that beside the box. So the
passphrase opens the box, what is in the box opens the master key, and neither the workshop's feed
nor another kit's slot opens this kit.
"""

from __future__ import annotations

import base64
from collections.abc import Sequence
from typing import TypeAlias

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from msgspec import Struct

from appliance.age import decrypt, encrypt, new_identity, parse_identity, parse_recipient
from appliance.identity.kit import checked_name
from appliance.identity.seal import (
    KDF,
    KEY_SIZE,
    Base64,
    Box,
    KdfParameters,
    Role,
    Slot,
    normal_passphrase,
    open_under,
    seal_under,
)
from hw.errors import BadInputError
from hw.sshsig import parse_public_line, public_line

_ISSUED = "fieldkit-technician/1"


class IssuedTechnician(
    Struct,
    frozen=True,
    forbid_unknown_fields=True,
    kw_only=True,
    tag_field="state",
    tag="issued",
):
    """A technician as kits are told of them.

    Attributes:
        before: keys that the workshop gave to this name before; a kit may not have heard since.
        key: their public signing key, as OpenSSH writes it.
        recipient: age recipient of their identity.
        kdf, salt: how their passphrase becomes the box's key.
        box: signing seed (32 bytes) and age identity; bound to name, role and `kdf`.
    """

    name: str
    role: Role
    key: str
    before: list[str] = []
    recipient: str
    kdf: KdfParameters
    salt: Base64
    box: Box


class RemovedTechnician(
    Struct,
    frozen=True,
    forbid_unknown_fields=True,
    kw_only=True,
    tag_field="state",
    tag="removed",
):
    """A technician of the workshop who is one no more; `keys` are all that it gave to this name."""

    name: str
    keys: list[str]


class IssuedSlot(
    Struct,
    frozen=True,
    forbid_unknown_fields=True,
    kw_only=True,
    tag_field="format",
    tag="fieldkit-issued-slot/1",
):
    """The slot file of such a technician; `master_key` is an age file for their recipient."""

    issued: IssuedTechnician
    master_key: Base64

    @property
    def technician(self) -> str:
        """Their name."""
        return self.issued.name

    @property
    def role(self) -> Role:
        """Their role."""
        return self.issued.role


AnySlot: TypeAlias = Slot | IssuedSlot
"""A technician's slot file, whoever made them."""


def issue_technician(
    name: str, role: Role, passphrase: str, before: Sequence[str] = ()
) -> IssuedTechnician:
    """Make a technician's keys. Their passphrase is kept nowhere.

    Args:
        before: keys of this name until now.

    Raises:
        BadInputError: name or passphrase is unusable.
    """
    known, key = checked_name(name), Ed25519PrivateKey.generate()
    identity, recipient = new_identity()
    secret = key.private_bytes_raw() + identity.encode()
    salt, box = seal_under(normal_passphrase(passphrase), secret, _ISSUED, known, role)
    return IssuedTechnician(
        name=known,
        role=role,
        key=public_line(key),
        before=list(before),
        recipient=recipient,
        kdf=KDF,
        salt=salt,
        box=box,
    )


def issued_slot(issued: IssuedTechnician, master_key: bytes) -> IssuedSlot:
    """What a kit keeps, so that this technician can open it.

    Raises:
        BadInputError: nobody can have that name, or a key is none.
    """
    if checked_name(issued.name) != issued.name:
        raise BadInputError(
            "The technician's name is not in its normal form.", "Have the workshop add them again."
        )
    parse_public_line(issued.key)
    wrapped = encrypt(master_key, [parse_recipient(issued.recipient, "technician's")])
    return IssuedSlot(issued=issued, master_key=base64.b64encode(wrapped).decode())


def open_issued(slot: IssuedSlot, passphrase: bytes) -> tuple[bytes, bytes]:
    """Master key and signing seed, 32 bytes each.

    Raises:
        InvalidTag: wrong passphrase, or the box was changed.
        BadInputError: the master key that is kept beside the box is damaged.
    """
    one = slot.issued
    both = open_under(passphrase, (one.kdf, one.salt, one.box), _ISSUED, one.name, one.role)
    try:
        identity, wrapped = parse_identity(both[KEY_SIZE:].decode()), slot.master_key
        master_key = decrypt(base64.b64decode(wrapped), identity)
    except ValueError as error:
        raise InvalidTag from error
    return master_key, both[:KEY_SIZE]
