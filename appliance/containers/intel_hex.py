"""Intel HEX (Intel, Hexadecimal Object File Format Specification, revision A, 1988).

Every record carries a checksum over all of its bytes, so that any one flipped bit is found. What
the format cannot show: a whole record lost from the middle (there is no count; it shows as a gap
between segments, which the plan compiler compares with the profile's regions), and several
errors in one record whose sum is zero modulo 256.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

import bincopy

from appliance.containers.assembly import Piece, assemble
from appliance.containers.errors import ContainerError
from appliance.containers.image import Segment
from appliance.containers.lines import Line, records

_SHAPE = re.compile(rb":(?:[0-9A-Fa-f]{2}){5,260}")
_FIXED_LENGTH = {
    bincopy.IHEX_END_OF_FILE: 0,
    bincopy.IHEX_EXTENDED_SEGMENT_ADDRESS: 2,
    bincopy.IHEX_START_SEGMENT_ADDRESS: 4,
    bincopy.IHEX_EXTENDED_LINEAR_ADDRESS: 2,
    bincopy.IHEX_START_LINEAR_ADDRESS: 4,
}
_SHIFT = {bincopy.IHEX_EXTENDED_SEGMENT_ADDRESS: 4, bincopy.IHEX_EXTENDED_LINEAR_ADDRESS: 16}


@dataclass(slots=True)
class _Base:
    """What the extended address records have set so far."""

    address: int = 0
    kind: int | None = None


def read_intel_hex(name: str, content: bytes) -> tuple[tuple[Segment, ...], tuple[str, ...]]:
    """Read an Intel HEX file.

    Returns:
        The segments, and the checks that were made, in words.

    Raises:
        ContainerError: any record is damaged or out of place, two records claim one address, or
            the end-of-file record is missing or not the last.
    """
    pieces: list[Piece] = []
    base = _Base()
    ended = False
    count = 0
    for line in records(name, content, _SHAPE, "an Intel HEX record (':' and hexadecimal pairs)"):
        if ended:
            raise ContainerError(
                name, line.offset, "there is more after the end-of-file record", line=line.number
            )
        kind, address, data = _record(name, line)
        count += 1
        if kind == bincopy.IHEX_DATA:
            pieces.append(_piece(name, line, base.address, address, data))
        elif kind in _SHIFT:
            _move(name, line, base, kind, data)
        ended = kind == bincopy.IHEX_END_OF_FILE
    if not ended:
        raise ContainerError(
            name, len(content), "the file ends without its end-of-file record, so it was cut short"
        )
    return assemble(name, pieces), (f"Intel HEX record checksums of {count} records",)


def _record(name: str, line: Line) -> tuple[int, int, bytes]:
    try:
        kind, address, _, data = bincopy.unpack_ihex(line.text)
    except bincopy.Error as error:
        raise ContainerError(name, line.offset, str(error), line=line.number) from error
    expected = _FIXED_LENGTH.get(kind)
    if kind != bincopy.IHEX_DATA and expected is None:
        reason = f"record type 0x{kind:02X} does not exist"
    elif expected is not None and (len(data) != expected or address != 0):
        reason = f"a record of type 0x{kind:02X} must hold {expected} bytes at address 0x0000"
    elif expected is None and not data:
        reason = "this data record holds no data"
    else:
        return kind, address, bytes(data)
    raise ContainerError(name, line.offset, reason, line=line.number)


def _piece(name: str, line: Line, base: int, address: int, data: bytes) -> Piece:
    if address + len(data) > 0x10000:
        reason = "this record runs over the end of its 64 KiB page"
        raise ContainerError(name, line.offset, reason, line=line.number)
    return Piece(base + address, data, line.offset, line.number)


def _move(name: str, line: Line, base: _Base, kind: int, data: bytes) -> None:
    if base.kind not in (None, kind):
        reason = "segment (02) and linear (04) address records are mixed"
        raise ContainerError(name, line.offset, reason, line=line.number)
    base.kind = kind
    base.address = int.from_bytes(data, "big") << _SHIFT[kind]
