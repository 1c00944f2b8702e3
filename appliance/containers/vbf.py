"""VBF, the Versatile Binary Format of Volvo and Ford: a text header, then binary blocks.

After the header's closing brace come blocks of address (4 bytes, big-endian), length (4), data and
CRC-16/CCITT-FALSE over the uncompressed data (2); the header's `file_checksum` is the CRC-32 over
everything after the header. So one flipped bit anywhere in the blocks is always found.

Nothing but its grammar protects the header. A flipped bit there is refused where it breaks a word,
a name, a bracket, a number's form, the version, the part type, the checksum, or an erase range so
that it no longer covers its block. It cannot be seen inside a comment or a description, in the
letters of a part number, version or other free word, in the digits of an address or signature,
or where it makes an erase range larger. So the plan compiler takes no address from the header on
trust: it compares ECU address, part number and regions with the profile and the car. The
signatures in a header need the maker's key and are carried, not verified.
"""

from __future__ import annotations

import binascii
import zlib
from collections.abc import Iterator
from dataclasses import dataclass

from appliance.containers.assembly import ADDRESS_SPACE, Piece, assemble
from appliance.containers.errors import ContainerError
from appliance.containers.image import Segment
from appliance.containers.vbf_header import Header, Value, number, parse_header

_VERSIONS = frozenset({"2.0", "2.1", "2.2", "2.3", "2.4", "2.5", "2.6", "3.0", "3.1"})
_PART_TYPES = frozenset({"EXE", "DATA", "SBL", "GBL", "CARCFG", "SIGCFG", "CUSTOM", "TEST"})
_REQUIRED = ("sw_part_number", "sw_part_type", "ecu_address", "file_checksum")
_BLOCK_HEAD = 8
_CRC = 2
_ASK_FOR_PLAIN = "Ask for the file without compression and encryption (data format 0x00)."

Ranges = tuple[tuple[int, int], ...]


def read_vbf(
    name: str, content: bytes
) -> tuple[tuple[Segment, ...], tuple[str, ...], dict[str, str], Ranges]:
    """Read a VBF file.

    Returns:
        Segments; checks that were made, in words; the header's fields as text; erase ranges.

    Raises:
        ContainerError: the header or a block is damaged, the data format is one that cannot be
            undone to check the CRC, blocks overlap, or a block lies outside the erase ranges.
    """
    header = parse_header(name, content)
    _check_header(name, header)
    body = content[header.end :]
    file_checksum = zlib.crc32(body)
    pieces = _blocks(name, body, header.end)
    if file_checksum != number(header.fields["file_checksum"]):
        reason = f"the file's CRC-32 is 0x{file_checksum:08X}, the header says another"
        raise ContainerError(name, header.end, reason)
    erase = _ranges(name, header, "erase")
    if erase:
        for piece in pieces:
            _check_erased(name, piece, erase)
    checks = (
        f"VBF file checksum, CRC-32 0x{file_checksum:08X}",
        *(f"VBF block at 0x{piece.address:08X}, CRC-16 over its data" for piece in pieces),
    )
    return assemble(name, pieces), checks, software_of(header), erase


def _check_header(name: str, header: Header) -> None:
    if header.version not in _VERSIONS:
        raise ContainerError(name, 0, f"VBF version {header.version} is not known")
    for field in _REQUIRED:
        if field not in header.fields:
            raise ContainerError(name, 0, f"the header does not give '{field}'")
    part_type = header.fields["sw_part_type"]
    if part_type not in _PART_TYPES:
        raise ContainerError(name, 0, f"'{_text(part_type)}' is not a software part type")
    addresses = header.fields["ecu_address"]
    for address in addresses if isinstance(addresses, tuple) else (addresses,):
        if number(address) is None:
            raise ContainerError(name, 0, f"the ECU address '{_text(address)}' is not a number")
    data_format = header.fields.get("data_format_identifier", "0x00")
    if number(data_format) != 0:
        shown = _text(data_format)
        reason = f"the data format {shown} is compressed or encrypted, so no CRC can be checked"
        raise ContainerError(name, 0, reason, _ASK_FOR_PLAIN)


def _blocks(name: str, body: bytes, start: int) -> list[Piece]:
    pieces: list[Piece] = []
    for block in blocks_of(name, body, start):
        if not block.good:
            reason = (
                f"the block at 0x{block.address:08X} has CRC-16 0x{block.crc:04X}, "
                f"given is 0x{block.given:04X}"
            )
            raise ContainerError(name, block.end, reason)
        pieces.append(Piece(block.address, block.data, block.offset))
    return pieces


@dataclass(frozen=True, slots=True)
class VbfBlock:
    """A block as it lies in the file: its data, the CRC-16 of that, and the one that is given."""

    address: int
    data: bytes
    offset: int
    end: int
    crc: int
    given: int

    @property
    def good(self) -> bool:
        """Does the CRC hold?"""
        return self.crc == self.given


def blocks_of(name: str, body: bytes, start: int) -> Iterator[VbfBlock]:
    """The blocks behind a header, with right and wrong CRCs alike.

    Args:
        name: the file's name.
        body: everything after the header.
        start: where that begins in the file.

    Raises:
        ContainerError: a block is empty or runs over the end of the file.
    """
    at, count = 0, 0
    while at < len(body):
        count += 1
        head = body[at : at + _BLOCK_HEAD]
        address, length = int.from_bytes(head[:4], "big"), int.from_bytes(head[4:], "big")
        first = at + _BLOCK_HEAD
        end = first + length
        if len(head) < _BLOCK_HEAD or end + _CRC > len(body):
            reason = f"block {count} runs over the end of the file"
            raise ContainerError(name, start + at, reason)
        data = body[first:end]
        if not data:
            raise ContainerError(name, start + at, f"block {count} holds no data")
        given = int.from_bytes(body[end : end + _CRC], "big")
        crc = binascii.crc_hqx(data, 0xFFFF)
        yield VbfBlock(address, data, start + at, start + end, crc, given)
        at = end + _CRC


def _ranges(name: str, header: Header, field: str) -> Ranges:
    listed = header.fields.get(field, ())
    return tuple(
        _range(name, field, item) for item in (listed if isinstance(listed, tuple) else (listed,))
    )


def _range(name: str, field: str, item: Value) -> tuple[int, int]:
    pair = [number(part) for part in item] if isinstance(item, tuple) else []
    match pair:
        case [int(address), int(length)] if length > 0 and address + length <= ADDRESS_SPACE:
            return address, length
    reason = f"'{field}' is not a list of {{address, length}}: {_text(item)}"
    raise ContainerError(name, 0, reason)


def _check_erased(name: str, piece: Piece, erase: Ranges) -> None:
    """Flash that is not erased cannot be written: each block lies in the joined erase ranges."""
    at = piece.address
    for address, length in sorted(erase):
        if address <= at < address + length:
            at = address + length
    if at < piece.end:
        reason = f"the block at 0x{piece.address:08X} lies outside the header's erase ranges"
        raise ContainerError(name, piece.offset, reason)


def software_of(header: Header) -> dict[str, str]:
    """The header's fields as text."""
    fields = {"vbf_version": header.version}
    fields |= {key: _text(value, key) for key, value in header.fields.items() if key != "erase"}
    if "sw_version" in fields:
        fields["version"] = fields["sw_version"]
    return fields


def _text(value: Value, field: str = "") -> str:
    if isinstance(value, str):
        return value
    separator = " " if field == "description" else ", "
    return separator.join(_text(item) for item in value)
