"""What is inside the encrypted files: plain tar archives that stock tools open.

    coding/      coding.json      the snapshot of coding and identification DIDs
                 identity.json    the identification values: [{"did": 61840, "value": "5746…"}]
    image/       regions.json     [{"name": "eeprom", "file": "eeprom.bin", "size": 4096}]
                 NAME.bin         the bytes of each region
    known_good/  known-good.bin   the file that stands in where the ECU refuses to be read

Each folder has a SHA256SUMS for `sha256sum -c`: hashes of the plaintext are in here and nowhere
else. Archives are made the same way every time (no times, no owners, fixed order).
"""

from __future__ import annotations

import hashlib
import io
import re
import tarfile
from collections.abc import Mapping, Sequence
from typing import Literal

import msgspec
from msgspec import Struct

from hw.errors import UNDECODABLE, BadInputError
from hw.plan import IdentityValue

Kind = Literal["coding", "image", "known_good"]
CODING = "coding.json"
IDENTITY = "identity.json"
REGIONS = "regions.json"
KNOWN_GOOD = "known-good.bin"
SUMS = "SHA256SUMS"
_REGION_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")


class ContentsError(BadInputError):
    """The decrypted content of a backup is not what its own list says."""

    code = "backup_contents"


class Region(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """One memory region in `regions.json`."""

    name: str
    file: str
    size: int


def pack_coding(coding: bytes, identity: Sequence[IdentityValue]) -> bytes:
    """The archive of a coding snapshot.

    Raises:
        BadInputError: `coding` is not JSON.
    """
    try:
        msgspec.json.decode(coding)
    except UNDECODABLE as error:
        raise BadInputError(
            f"The coding snapshot is not JSON: {error}.", "Read the ECU's coding again."
        ) from error
    return _pack("coding", {CODING: coding, IDENTITY: msgspec.json.encode(list(identity))})


def pack_image(images: Mapping[str, bytes]) -> bytes:
    """The archive of memory images, by region name.

    Raises:
        BadInputError: a region's name cannot be a file's name.
    """
    for name in images:
        if not _REGION_NAME.fullmatch(name):
            raise BadInputError(
                f"The memory region '{name}' cannot be stored under that name.",
                "Give the region a name of letters, digits, dots, dashes and underscores.",
            )
    regions = [
        Region(name=name, file=f"{name}.bin", size=len(data))
        for name, data in sorted(images.items())
    ]
    files = {REGIONS: msgspec.json.encode(regions)}
    files |= {region.file: images[region.name] for region in regions}
    return _pack("image", files)


def pack_known_good(data: bytes) -> bytes:
    """The archive of a known-good file."""
    return _pack("known_good", {KNOWN_GOOD: data})


def unpack(kind: Kind, archive: bytes) -> dict[str, bytes]:
    """The files of an archive by name, SHA256SUMS included, each compared with its line there.

    Raises:
        ContentsError: the archive is damaged, or holds more, less or other than its list says.
    """
    files = _read_tar(kind, archive)
    listed = {name: data for name, data in files.items() if name != SUMS}
    if files.get(SUMS) != _sums(listed):
        raise _damaged(kind)
    return files


def regions_of(files: Mapping[str, bytes]) -> dict[str, bytes]:
    """The memory images of an unpacked `image` archive, by region name.

    Raises:
        ContentsError: `regions.json` and the files do not fit together.
    """
    try:
        regions = msgspec.json.decode(files[REGIONS], type=list[Region])
        images = {region.name: files[region.file] for region in regions}
    except (KeyError, *UNDECODABLE) as error:
        raise _damaged("image") from error
    if any(len(images[region.name]) != region.size for region in regions):
        raise _damaged("image")
    return images


def identity_of(files: Mapping[str, bytes]) -> list[IdentityValue]:
    """The identification values of an unpacked `coding` archive.

    Raises:
        ContentsError: they are missing or damaged.
    """
    try:
        return msgspec.json.decode(files[IDENTITY], type=list[IdentityValue])
    except (KeyError, *UNDECODABLE) as error:
        raise _damaged("coding") from error


def _pack(kind: Kind, files: Mapping[str, bytes]) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w", format=tarfile.USTAR_FORMAT) as archive:
        for name, data in [*files.items(), (SUMS, _sums(files))]:
            entry = tarfile.TarInfo(f"{kind}/{name}")
            entry.size, entry.mode = len(data), 0o600
            archive.addfile(entry, io.BytesIO(data))
    return buffer.getvalue()


def _read_tar(kind: Kind, archive: bytes) -> dict[str, bytes]:
    files: dict[str, bytes] = {}
    try:
        with tarfile.open(fileobj=io.BytesIO(archive), mode="r:") as reader:
            for entry in reader:
                folder, _, name = entry.name.partition("/")
                content = reader.extractfile(entry) if entry.isreg() else None
                plain = _REGION_NAME.fullmatch(name.removesuffix(".bin"))
                if content is None or folder != kind or not plain or name in files:
                    raise _damaged(kind)
                files[name] = content.read()
    except (tarfile.TarError, EOFError) as error:
        raise _damaged(kind) from error
    return files


def _sums(files: Mapping[str, bytes]) -> bytes:
    lines = (f"{hashlib.sha256(data).hexdigest()}  {name}\n" for name, data in files.items())
    return "".join(lines).encode()


def _damaged(kind: str) -> ContentsError:
    return ContentsError(
        f"The {kind} archive of the backup does not hold what its own list says.",
        "Open the copy on the other medium.",
    )
