"""How secrets lie in the state folder: sealed boxes and key slots, as LUKS has them.

A random master key seals the kit's secrets, each in its own box that names its purpose. Each
technician has a slot file: their passphrase, through argon2id, opens it and gives the master key
and their own signing key. Changing a passphrase rewrites one slot and nothing else.

What this cannot promise: whoever opened one slot has the master key. A technician with root on the
kit could read the kit's secrets and name themselves owner; taking somebody out of the kit for good
means a new kit.
"""

from __future__ import annotations

import base64
import binascii
import secrets
import unicodedata
from pathlib import Path
from typing import Annotated, Literal, TypeVar

import msgspec
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import ChaCha20Poly1305
from cryptography.hazmat.primitives.kdf.argon2 import Argon2id
from msgspec import Meta, Struct

from hw.errors import UNDECODABLE, BadInputError

KEY_SIZE = 32
_SLOT = "fieldkit-slot/1"
MIN_PASSPHRASE = 10
Role = Literal["technician", "owner"]

Base64 = Annotated[str, Meta(pattern="^[A-Za-z0-9+/]+=*$")]
_Kind = TypeVar("_Kind", bound=Struct)


class KdfParameters(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """How the passphrase of one slot becomes a key.

    64 MiB, 3 passes, 1 lane is the second recommended option of RFC 9106 (section 4) with one lane
    instead of four: a Raspberry Pi runs it in about a second while `hw` keeps its core. The
    parameters are kept in the slot, so that later kits can raise them. The upper bounds keep a
    damaged file from taking all memory.
    """

    name: Literal["argon2id"] = "argon2id"
    memory_kib: Annotated[int, Meta(ge=8 * 1024, le=1024 * 1024)] = 64 * 1024
    passes: Annotated[int, Meta(ge=1, le=20)] = 3
    lanes: Annotated[int, Meta(ge=1, le=8)] = 1


KDF = KdfParameters()
"""What new slots are made with."""


class Box(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """A secret under ChaCha20-Poly1305."""

    nonce: Base64
    ciphertext: Base64


class Slot(
    Struct,
    frozen=True,
    forbid_unknown_fields=True,
    kw_only=True,
    tag_field="format",
    tag=_SLOT,
):
    """One technician's slot file. Name, role and parameters are bound to the box."""

    technician: str
    role: Role
    kdf: KdfParameters
    salt: Base64
    box: Box


class SealedSecrets(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """`keys/secrets.json`: the kit's own secrets by purpose, under the master key."""

    format: Literal["fieldkit-secrets/1"] = "fieldkit-secrets/1"
    secrets: dict[str, Box]


def normal_passphrase(passphrase: str) -> bytes:
    """The bytes of a passphrase, the same whichever keyboard composed its accents (Unicode NFC).

    Raises:
        BadInputError: it is shorter than 10 characters or not text.
    """
    normal = unicodedata.normalize("NFC", passphrase)
    try:
        raw = normal.encode()
    except UnicodeEncodeError as error:
        raise BadInputError(
            "The passphrase holds something that is not a character.", "Choose another one."
        ) from error
    if len(normal) < MIN_PASSPHRASE:
        raise BadInputError(
            f"The passphrase is shorter than {MIN_PASSPHRASE} characters.",
            "Choose a longer one; a few words in a row are good.",
        )
    return raw


def seal(key: bytes, secret: bytes, purpose: str) -> Box:
    """Encrypt a secret; it opens only with the same key and the same purpose."""
    nonce = secrets.token_bytes(12)
    ciphertext = ChaCha20Poly1305(key).encrypt(nonce, secret, purpose.encode())
    return Box(nonce=_text(nonce), ciphertext=_text(ciphertext))


def unseal(key: bytes, box: Box, purpose: str) -> bytes:
    """Decrypt a secret.

    Raises:
        InvalidTag: wrong key, wrong purpose or damaged.
    """
    try:
        nonce, ciphertext = base64.b64decode(box.nonce), base64.b64decode(box.ciphertext)
        return ChaCha20Poly1305(key).decrypt(nonce, ciphertext, purpose.encode())
    except (binascii.Error, ValueError) as error:
        raise InvalidTag from error


def make_slot(
    name: str, role: Role, passphrase: bytes, master_key: bytes, signing_seed: bytes
) -> Slot:
    """Wrap the master key and the technician's signing key under their passphrase."""
    salt, box = seal_under(passphrase, master_key + signing_seed, _SLOT, name, role)
    return Slot(technician=name, role=role, kdf=KDF, salt=salt, box=box)


def open_slot(slot: Slot, passphrase: bytes) -> tuple[bytes, bytes]:
    """Master key and signing seed, 32 bytes each.

    Raises:
        InvalidTag: wrong passphrase, or the slot was changed.
    """
    both = open_under(
        passphrase, (slot.kdf, slot.salt, slot.box), _SLOT, slot.technician, slot.role
    )
    return both[:KEY_SIZE], both[KEY_SIZE:]


def seal_under(
    passphrase: bytes, secret: bytes, kind: str, name: str, role: Role
) -> tuple[str, Box]:
    """Encrypt a technician's secret under their passphrase, with the parameters `KDF`.

    Args:
        kind, name, role: what the box is bound to, beside the parameters.

    Returns:
        The salt and the box.
    """
    salt = _text(secrets.token_bytes(16))
    key = _passphrase_key(passphrase, KDF, salt)
    return salt, seal(key, secret, _purpose(kind, name, role, KDF))


def open_under(
    passphrase: bytes, sealed: tuple[KdfParameters, str, Box], kind: str, name: str, role: Role
) -> bytes:
    """What `seal_under` sealed.

    Args:
        sealed: parameters, salt and box.

    Raises:
        InvalidTag: wrong passphrase, or something of it was changed.
    """
    kdf, salt, box = sealed
    try:
        key = _passphrase_key(passphrase, kdf, salt)
    except ValueError as error:
        raise InvalidTag from error
    return unseal(key, box, _purpose(kind, name, role, kdf))


def waste_a_try(passphrase: bytes) -> None:
    """Take as long as a real slot would, so that time does not tell which names exist."""
    _passphrase_key(passphrase, KDF, _text(bytes(16)))


def secret_purpose(name: str) -> str:
    """What the box of one of the kit's secrets is bound to."""
    return f"fieldkit-secret/1 {name}"


def read_keys_file(path: Path, kind: type[_Kind]) -> _Kind:
    """Read a slot or secrets file strictly.

    Raises:
        BadInputError: it is missing or damaged.
    """
    try:
        return msgspec.json.decode(path.read_bytes(), type=kind)
    except (OSError, *UNDECODABLE) as error:
        raise BadInputError(
            f"The key file {path} is missing or damaged.",
            "Restore it from the kit's own backup; without it the kit's secrets stay sealed.",
        ) from error


def _purpose(kind: str, name: str, role: Role, kdf: KdfParameters) -> str:
    numbers = f"{kdf.memory_kib} {kdf.passes} {kdf.lanes}"
    return f"{kind} {role} {kdf.name} {numbers} {name}"


def _passphrase_key(passphrase: bytes, kdf: KdfParameters, salt: str) -> bytes:
    return Argon2id(
        salt=base64.b64decode(salt),
        length=KEY_SIZE,
        iterations=kdf.passes,
        lanes=kdf.lanes,
        memory_cost=kdf.memory_kib,
    ).derive(passphrase)


def _text(raw: bytes) -> str:
    return base64.b64encode(raw).decode()
