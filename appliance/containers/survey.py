"""What can be said of a container that cannot be used: which of its checksums hold, which do not.

`load_container` stops at the first thing that is wrong. This reads on, so that a person sees how
much of the file is damaged; nothing that it finds is ever planned.
"""

from __future__ import annotations

import hashlib
import re
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

from appliance.containers.binary import Manifest, parse_manifest
from appliance.containers.errors import ContainerError
from appliance.containers.image import ContainerKind
from appliance.containers.vbf import blocks_of, software_of
from appliance.containers.vbf_header import number, parse_header
from hw.errors import BadInputError

_IHEX = re.compile(rb":(?:[0-9A-Fa-f]{2}){5,260}")
_SREC = re.compile(rb"S[0-9](?:[0-9A-Fa-f]{2}){3,256}")


@dataclass(frozen=True)
class Checksum:
    """A checksum that the container carries; `found` says what is wrong where it does not hold."""

    name: str
    good: bool
    found: str = ""


@dataclass
class Survey:
    """What could be read: `(address, size)` of blocks, the container's own words, checksums."""

    blocks: list[tuple[int, int]] = field(default_factory=list)
    software: dict[str, str] = field(default_factory=dict)
    checksums: list[Checksum] = field(default_factory=list)


def survey(
    name: str, content: bytes, kind: ContainerKind | None, manifest: Manifest | None
) -> Survey:
    """Read a container as far as it can be read; damage is an answer and no error.

    Args:
        name: the file's name.
        content: the file.
        kind: its format, as `load.kind_of` says.
        manifest: of a raw binary, where it could be read.
    """
    match kind:
        case "vbf":
            return _vbf(name, content)
        case "intel-hex":
            return Survey(checksums=[_records(content, "Intel HEX", _IHEX, _ihex_holds)])
        case "s-record":
            return _s_record(content)
        case "binary" if manifest is not None:
            return _binary(content, manifest)
    return Survey()


def manifest_of(raw: bytes | None) -> Manifest | None:
    """The manifest of a raw binary, None where there is none or it is wrong."""
    if raw is None:
        return None
    try:
        return parse_manifest("manifest", raw)
    except BadInputError:
        return None  # `load_container` tells what is wrong with it.


def _vbf(name: str, content: bytes) -> Survey:
    found = Survey()
    try:
        header = parse_header(name, content)
        found.software = software_of(header)
        body = content[header.end :]
        crc, given = zlib.crc32(body), number(header.fields.get("file_checksum"))
        wrong = "" if crc == given else f"The file's CRC-32 is 0x{crc:08X}."
        shown = f" 0x{given:08X}" if given is not None else ""
        found.checksums.append(Checksum(f"VBF file checksum, CRC-32{shown}", not wrong, wrong))
        for block in blocks_of(name, body, header.end):
            found.blocks.append((block.address, len(block.data)))
            wrong = (
                ""
                if block.good
                else f"Its data has 0x{block.crc:04X}, given is 0x{block.given:04X}."
            )
            title = f"VBF block at 0x{block.address:08X}, CRC-16 over its data"
            found.checksums.append(Checksum(title, block.good, wrong))
    except ContainerError:
        # The file ends or makes no sense here; why is told by `load_container`, which stopped here
        # or before.
        return found
    return found


def _s_record(content: bytes) -> Survey:
    found = Survey(checksums=[_records(content, "S-record", _SREC, _srec_holds)])
    lines = [line for _, line in _lines(content)]
    data = sum(line[:2] in (b"S1", b"S2", b"S3") for line in lines)
    for line in lines:
        if line[:2] in (b"S5", b"S6") and _SREC.fullmatch(line):
            counted = int(line[4:-2] or b"0", 16)
            wrong = "" if counted == data else f"Here are {data} data records."
            name = f"S-record count of {counted} data records"
            found.checksums.append(Checksum(name, not wrong, wrong))
    return found


def _records(
    content: bytes, title: str, shape: re.Pattern[bytes], holds: Callable[[bytes], bool]
) -> Checksum:
    lines = list(_lines(content))
    bad = [place for place, line in lines if not (shape.fullmatch(line) and holds(line))]
    count = len(lines)
    name = f"{title} record checksums of {count} records"
    if not bad:
        return Checksum(name, good=True)
    return Checksum(name, good=False, found=f"{len(bad)} do not hold, the first in line {bad[0]}.")


def _lines(content: bytes) -> Iterator[tuple[int, bytes]]:
    for place, raw in enumerate(content.split(b"\n"), start=1):
        if line := raw.removesuffix(b"\r"):
            yield place, line


def _ihex_holds(line: bytes) -> bool:
    record = bytes.fromhex(line[1:].decode("ascii"))
    return sum(record) & 0xFF == 0 and len(record) == record[0] + 5


def _srec_holds(line: bytes) -> bool:
    record = bytes.fromhex(line[2:].decode("ascii"))
    return sum(record) & 0xFF == 0xFF and len(record) == record[0] + 1


def _binary(content: bytes, manifest: Manifest) -> Survey:
    sha256 = hashlib.sha256(content).hexdigest()
    wrong = "" if sha256 == manifest.sha256 else f"The file's SHA-256 is {sha256}."
    size = (
        ""
        if len(content) == manifest.size
        else f"The file has {len(content)} bytes, its manifest says {manifest.size}."
    )
    given = {
        "sw_part_number": manifest.sw_part_number,
        "version": manifest.sw_version,
        "ecu_address": manifest.ecu_address,
    }
    return Survey(
        blocks=[(manifest.address, len(content))],
        software={key: value for key, value in given.items() if value is not None},
        checksums=[
            Checksum("SHA-256 of the file, from its manifest", not wrong, wrong),
            Checksum("Size of the file, from its manifest", not size, size),
        ],
    )
