"""A raw binary with a manifest that says where it goes and what it must be.

The manifest is TOML or JSON, named `<file>.toml` or `<file>.json` unless another is given:

    address = 0x8000            # where the first byte goes
    size = 49152                # bytes
    sha256 = "..."              # of the binary, lower-case hex
    sw_part_number = "..."      # optional, as are sw_version and ecu_address
    erase = [[0x8000, 0xC000]]  # optional: (address, length) ranges

The SHA-256 finds any damage of the binary. The manifest has no checksum of its own: a flipped bit
in an address or a part number is only found by comparing with the profile and the car, which the
plan compiler does.
"""

from __future__ import annotations

import hashlib
import json
import tomllib
from pathlib import Path
from typing import Annotated

import msgspec
from msgspec import Meta, Struct

from appliance.containers.assembly import Piece, assemble
from appliance.containers.errors import ContainerError
from appliance.containers.image import Segment
from hw.errors import BadInputError
from hw.plan import Address, Sha256

MANIFEST_SUFFIXES = (".toml", ".json")
MANIFEST_LIMIT = 64 * 1024
_CORRECT = "Correct the manifest, or get it again together with its file."
_Text = Annotated[str, Meta(min_length=1, max_length=200)]
_Length = Annotated[int, Meta(gt=0, le=0x1_0000_0000)]


class Manifest(Struct, frozen=True, forbid_unknown_fields=True):
    """The manifest of a raw binary; see the module's text."""

    address: Address
    size: _Length
    sha256: Sha256
    sw_part_number: _Text | None = None
    sw_version: _Text | None = None
    ecu_address: _Text | None = None
    erase: tuple[tuple[Address, _Length], ...] = ()


def beside(path: Path) -> Path | None:
    """Find the manifest that lies beside a binary: `<file>.toml` or `<file>.json`."""
    candidates = (path.with_name(path.name + suffix) for suffix in MANIFEST_SUFFIXES)
    return next((candidate for candidate in candidates if candidate.is_file()), None)


def load_manifest(path: Path) -> Manifest:
    """Read a manifest strictly.

    Raises:
        BadInputError: it is missing, not TOML or JSON, or a field is wrong; the sentence names it.
    """
    try:
        with path.open("rb") as file:
            raw = file.read(MANIFEST_LIMIT + 1)
    except OSError as error:
        what = f"The manifest {path.name} cannot be read: {error.strerror}."
        raise BadInputError(what, "Give the manifest's path and try again.") from error
    return parse_manifest(path.name, raw)


def parse_manifest(name: str, raw: bytes) -> Manifest:
    """A manifest from its bytes; what begins with `{` is JSON, else it is TOML.

    Raises:
        BadInputError: it is neither, or a field is wrong; the sentence names it.
    """
    try:
        if len(raw) > MANIFEST_LIMIT:
            raise ValueError("it is larger than 64 KiB")
        text = raw.decode("utf-8")
        known = json.loads(text) if text.lstrip().startswith("{") else tomllib.loads(text)
        return msgspec.convert(known, Manifest)
    except (ValueError, RecursionError, msgspec.ValidationError) as error:
        raise BadInputError(f"The manifest {name} is wrong: {error}.", _CORRECT) from error


def read_binary(
    name: str, content: bytes, manifest: Manifest
) -> tuple[tuple[Segment, ...], tuple[str, ...], dict[str, str]]:
    """Check a raw binary against its manifest.

    Returns:
        The one segment, the check that was made in words, and what the manifest says of it.

    Raises:
        ContainerError: size or SHA-256 differ, or it does not fit the address space.
    """
    if len(content) != manifest.size:
        reason = f"the file has {len(content)} bytes, its manifest says {manifest.size}"
        raise ContainerError(name, min(len(content), manifest.size), reason)
    if hashlib.sha256(content).hexdigest() != manifest.sha256:
        raise ContainerError(name, 0, "its SHA-256 is not the one in the manifest")
    software = {
        "sw_part_number": manifest.sw_part_number,
        "sw_version": manifest.sw_version,
        "version": manifest.sw_version,
        "ecu_address": manifest.ecu_address,
    }
    segments = assemble(name, [Piece(manifest.address, content, 0)])
    given = {key: value for key, value in software.items() if value is not None}
    return segments, ("SHA-256 of the file, from its manifest",), given
