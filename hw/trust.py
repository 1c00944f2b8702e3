"""What hw trusts: the kit's allowed signers, and who may say what.

`<state>/trust/allowed_signers` is in OpenSSH's own format, so that stock `ssh-keygen -Y verify`
decides the same from the same file.
"""

from __future__ import annotations

import hashlib
import tomllib
from pathlib import Path
from typing import Annotated, Literal, TypeVar

import msgspec
from msgspec import Meta, Struct

from hw.errors import UNDECODABLE, BadInputError
from hw.plan import Address, VoltageWindow, Word
from hw.sshsig import AllowedSigners, SignatureError, verify
from hw.statements import NAMESPACE_PROFILE

S = TypeVar("S")


class Sensitive(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """A part of an ECU that is of a risk class of its own, whatever a plan calls itself.

    It is one of: a DID that is written (`did`), a routine (`rid`), or `size` bytes of memory from
    `address` on.
    """

    risk: Literal["immobiliser", "dtc_modification"]
    did: Word | None = None
    rid: Word | None = None
    address: Address | None = None
    size: Annotated[int, Meta(ge=0)] = 0

    @property
    def end(self) -> int:
        """The first address behind the memory; 0 where it is no memory."""
        return (self.address or 0) + self.size

    def __post_init__(self) -> None:
        named = [one for one in (self.did, self.rid, self.address) if one is not None]
        if len(named) != 1 or (self.address is None) is not (self.size == 0):
            raise ValueError("a sensitive part is one of: did, rid, address with size")


class Identification(Struct, frozen=True, kw_only=True):
    """One `[[identification]]` of a profile, as far as `hw` looks at it."""

    did: Word
    role: str = ""


class SignedProfile(Struct, frozen=True, kw_only=True):
    """What `hw` reads in a profile; the rest of it is the appliance's."""

    name: str
    voltage: VoltageWindow
    identification: list[Identification] = []
    sensitive: list[Sensitive] = []


def load_signers(state: Path) -> AllowedSigners:
    """Read the kit's allowed signers.

    Raises:
        FieldKitError: the file is missing or has a line that is not understood.
    """
    return AllowedSigners.load(state / "trust" / "allowed_signers")


def read_statement(
    document: bytes, signature: bytes, kind: type[S], namespace: str, signers: AllowedSigners
) -> tuple[S, str]:
    """Verify and decode a signed statement; returns it and the principal who signed it.

    Raises:
        SignatureError: the signature does not hold.
        BadInputError: the statement is not of this kind or version.
    """
    principal = verify(document, signature, namespace, signers)
    try:
        return msgspec.json.decode(document, type=kind), principal
    except UNDECODABLE as error:
        raise BadInputError(
            f"The signed {kind.__name__} cannot be read: {error}.", "Make it again on this kit."
        ) from error


def read_profile(profile_file: Path, sha256: str, signers: AllowedSigners) -> SignedProfile:
    """What `hw` itself reads in the signed profile that a plan was made from.

    Raises:
        SignatureError: the profile is not signed by the workshop.
        BadInputError: it is missing, is not the plan's, or what `hw` reads in it is incomplete.
    """
    try:
        document = profile_file.read_bytes()
        signature = Path(f"{profile_file}.sig").read_bytes()
    except (OSError, ValueError) as error:
        raise BadInputError(
            f"The signed profile cannot be read: {error}.",
            "Install the profile with its signature again.",
        ) from error
    if hashlib.sha256(document).hexdigest() != sha256:
        raise BadInputError(
            "The profile is not the one that the plan was made from.", "Make the plan again."
        )
    if verify(document, signature, NAMESPACE_PROFILE, signers) != "workshop":
        raise SignatureError(
            "The profile is not signed by the workshop.", "Get the profile from the workshop."
        )
    try:
        return msgspec.convert(tomllib.loads(document.decode()), SignedProfile)
    except (ValueError, msgspec.MsgspecError) as error:
        raise BadInputError(
            f"The profile {profile_file.name} cannot be used for writing: {error}.",
            "Use a profile that allows writing.",
        ) from error
