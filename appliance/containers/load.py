"""Opens a software container of any supported format."""

from __future__ import annotations

import hashlib
import os
import stat
from pathlib import Path, PurePath

from appliance.containers.binary import beside, load_manifest, read_binary
from appliance.containers.errors import ContainerError
from appliance.containers.image import ContainerKind, Image
from appliance.containers.intel_hex import read_intel_hex
from appliance.containers.s_record import read_s_record
from appliance.containers.vbf import read_vbf
from hw.errors import BadInputError

SIZE_LIMIT = 64 * 1024 * 1024

_BY_SUFFIX: dict[str, ContainerKind] = {
    **dict.fromkeys((".hex", ".ihex", ".ihx", ".h86"), "intel-hex"),
    **dict.fromkeys((".srec", ".s19", ".s28", ".s37", ".mot", ".mhx", ".sx"), "s-record"),
    ".vbf": "vbf",
}
_GIVE_MANIFEST = (
    "Give an Intel HEX, S-record or VBF file, or put a manifest '<file>.toml' beside a raw binary."
)


def load_container(path: Path, manifest: Path | None = None) -> Image:
    """Read a container and check everything in it that can be checked.

    What a single format cannot detect is said in its module: `intel_hex`, `s_record`, `vbf`,
    `binary`.

    Args:
        path: an Intel HEX, S-record or VBF file, or a raw binary.
        manifest: the manifest of a raw binary; without it `<file>.toml` or `<file>.json` is
            looked for beside a file whose content is none of the other formats.

    Raises:
        BadInputError: the file cannot be read, or (`ContainerError`, with line and offset) it is
            damaged, incomplete or not supported. Nothing of it may be written.
    """
    content = _content(path)
    there = beside(path) is not None
    kind = "binary" if manifest else kind_of(path.name, content, manifest=there)
    sha256 = hashlib.sha256(content).hexdigest()
    match kind:
        case "intel-hex":
            segments, checks = read_intel_hex(path.name, content)
            return Image(kind, path.name, sha256, segments, checks, {})
        case "s-record":
            segments, checks, software = read_s_record(path.name, content)
            return Image(kind, path.name, sha256, segments, checks, software)
        case "vbf":
            segments, checks, software, erase = read_vbf(path.name, content)
            return Image(kind, path.name, sha256, segments, checks, software, erase)
    return _binary(path, manifest or beside(path), content, sha256)


def _binary(path: Path, manifest: Path | None, content: bytes, sha256: str) -> Image:
    if manifest is None:
        raise ContainerError(path.name, 0, "its format is not known", _GIVE_MANIFEST)
    known = load_manifest(manifest)
    segments, checks, software = read_binary(path.name, content, known)
    return Image("binary", path.name, sha256, segments, checks, software, known.erase)


def kind_by_name(name: str) -> ContainerKind | None:
    """The format that a file's suffix announces, None where it says nothing."""
    return _BY_SUFFIX.get(PurePath(name).suffix.lower())


def kind_of(name: str, content: bytes, *, manifest: bool) -> ContainerKind | None:
    """The format of a container, None for an unknown one.

    The suffix names the format; the content decides where the suffix says nothing.

    Args:
        name: the file's name.
        content: the file, or its beginning.
        manifest: whether a manifest lies beside it.
    """
    if known := kind_by_name(name):
        return known
    if manifest:
        return "binary"
    if content[:1] == b":":
        return "intel-hex"
    if content[:1] == b"S" and content[1:2].isdigit():
        return "s-record"
    return "vbf" if content.lstrip().startswith((b"vbf_version", b"//")) else None


def _content(path: Path) -> bytes:
    """Read the whole file, once: what is checked is what is later planned."""
    try:
        # O_NONBLOCK: opening a FIFO by mistake must not wait for a writer.
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
        with os.fdopen(descriptor, "rb") as file:
            if not stat.S_ISREG(os.fstat(descriptor).st_mode):
                raise BadInputError(f"{path} is not a file.", "Give the path of a container file.")
            content = file.read(SIZE_LIMIT + 1)
    except OSError as error:
        what = f"{path} cannot be read: {error.strerror}."
        raise BadInputError(what, "Check the path and the medium, then try again.") from error
    if not content:
        raise ContainerError(path.name, 0, "the file is empty")
    if len(content) > SIZE_LIMIT:
        raise ContainerError(path.name, SIZE_LIMIT, "the file is larger than 64 MiB")
    return content
