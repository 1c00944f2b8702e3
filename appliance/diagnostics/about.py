"""About this kit: its name, and the versions of everything that it is made of."""

from __future__ import annotations

import hashlib
import platform
import re
import shutil
from importlib import metadata
from pathlib import Path

from appliance.api import messages as m
from appliance.identity.trust import KIT
from hw.errors import BadInputError
from hw.sshsig import AllowedSigners

PROGRAM = "fieldkit"
UNKNOWN = "unknown"
ID_LETTERS = 12


def about(state: Path) -> m.About:
    """What this kit is.

    Args:
        state: the kit's state folder.
    """
    try:
        space = shutil.disk_usage(state)
        size, free = space.total, space.free
    except OSError:
        size = free = 0  # `doctor` says that the folder cannot be read.
    return m.About(
        kit=kit_id(state),
        version=_version(PROGRAM),
        python=platform.python_version(),
        kernel=f"{platform.system()} {platform.release()} {platform.machine()}",
        system=_system(),
        libraries=[m.Version(name=name, version=_version(name)) for name in _libraries()],
        size_bytes=size,
        free_bytes=free,
    )


def kit_id(state: Path) -> str:
    """A kit's own name: the first letters of the SHA-256 of its public key.

    A kit that was never set up, or whose list of signers is damaged, is `unknown`.
    """
    try:
        signers = AllowedSigners.load(state / "trust" / "allowed_signers").signers
    except BadInputError:
        return UNKNOWN
    keys = [signer.key for signer in signers if KIT in signer.principals]
    return hashlib.sha256(keys[0]).hexdigest()[:ID_LETTERS] if keys else UNKNOWN


def _libraries() -> list[str]:
    """What the kit itself asks for, those of development and of the benchmark left out."""
    try:
        wanted = metadata.requires(PROGRAM) or []
    except metadata.PackageNotFoundError:
        return []
    names = {
        re.split(r"[^A-Za-z0-9._-]", line, maxsplit=1)[0]
        for line in wanted
        if not re.search(r"extra == ['\"](dev|bench)['\"]", line)
    }
    return sorted(names, key=str.lower)


def _version(name: str) -> str:
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return ""


def _system() -> str:
    try:
        return platform.freedesktop_os_release().get("PRETTY_NAME", UNKNOWN)
    except OSError:
        return UNKNOWN
