"""What hw trusts: the kit's allowed signers, and who may say what.

`<state>/trust/allowed_signers` is in OpenSSH's own format, so that stock `ssh-keygen -Y verify`
decides the same from the same file.
"""

from __future__ import annotations

import hashlib
import tomllib
from pathlib import Path
from typing import TypeVar

import msgspec

from hw.errors import UNDECODABLE, BadInputError
from hw.plan import VoltageWindow
from hw.sshsig import AllowedSigners, SignatureError, verify
from hw.statements import NAMESPACE_PROFILE

S = TypeVar("S")


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


def read_profile_window(
    profile_file: Path, sha256: str, signers: AllowedSigners
) -> tuple[str, VoltageWindow]:
    """Name and voltage window of the signed profile that a plan was made from.

    Raises:
        SignatureError: the profile is not signed by the workshop.
        BadInputError: it is missing, is not the plan's, or has no complete `[voltage]` table.
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
        table = tomllib.loads(document.decode())
        return str(table["name"]), msgspec.convert(table["voltage"], VoltageWindow)
    except (KeyError, ValueError, msgspec.MsgspecError) as error:
        raise BadInputError(
            f"The profile {profile_file.name} has no complete voltage window: {error}.",
            "Use a profile that allows writing.",
        ) from error
