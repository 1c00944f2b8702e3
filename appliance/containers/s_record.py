"""Motorola S-records (M68000 Family Programmer's Reference Manual, appendix C).

A record's checksum covers its length, address and data, but not its type digit. One flipped bit
there turns a data record into a header, a count or a terminator; the order of the records gives
it away: one S0 first (or an S5/S6 count), data records of one width, an exact count where there is
one, and the terminator that belongs to that width last.

What the format cannot show: without an S5/S6 record, a whole record lost from the middle (it shows
as a gap between segments, which the plan compiler compares with the profile's regions); several
errors in one record whose sum is zero modulo 256.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field

import bincopy

from appliance.containers.assembly import Piece, assemble
from appliance.containers.errors import ContainerError
from appliance.containers.image import Segment
from appliance.containers.lines import Line, records

_SHAPE = re.compile(rb"S[0-9](?:[0-9A-Fa-f]{2}){3,256}")
_ADDRESS_BYTES = {"0": 2, "1": 2, "2": 3, "3": 4, "5": 2, "6": 3, "7": 4, "8": 3, "9": 2}
_TERMINATOR = {"1": "9", "2": "8", "3": "7"}


@dataclass(slots=True)
class _File:
    """What has been read so far."""

    name: str
    header: str | None = None
    width: str = ""
    counted: int | None = None
    ended: bool = False
    records: int = 0
    pieces: list[Piece] = field(default_factory=list)


def read_s_record(
    name: str, content: bytes
) -> tuple[tuple[Segment, ...], tuple[str, ...], dict[str, str]]:
    """Read an S-record file.

    Returns:
        The segments, the checks that were made in words, and the S0 header's text.

    Raises:
        ContainerError: any record is damaged or out of place, two records claim one address, the
            count is wrong, or the terminator is missing.
    """
    state = _File(name)
    for line in records(name, content, _SHAPE, "an S-record ('S', a digit, hexadecimal pairs)"):
        _take(state, line)
        state.records += 1
    if not state.ended:
        reason = "the file ends without its terminator record (S7, S8 or S9), so it was cut short"
        raise ContainerError(name, len(content), reason)
    if state.header is None and state.counted is None:
        reason = "it has neither a header (S0) nor a count (S5, S6), so lost data would not show"
        raise ContainerError(name, 0, reason, "Convert it with 'objcopy -I srec -O srec' first.")
    checks = [f"S-record checksums of {state.records} records"]
    if state.counted is not None:
        checks.append(f"S-record count of {state.counted} data records")
    software = {"header": state.header} if state.header else {}
    return assemble(name, state.pieces), tuple(checks), software


def _take(state: _File, line: Line) -> None:
    kind, address, data = _record(state.name, line)
    if reason := _misplaced(state, kind, address, data):
        raise ContainerError(state.name, line.offset, reason, line=line.number)
    if kind == "0":
        state.header = _header_text(data)
    elif kind in _TERMINATOR:
        state.width = kind
        state.pieces.append(Piece(address, data, line.offset, line.number))
    elif kind in "56":
        state.counted = address
    else:
        state.ended = True


def _record(name: str, line: Line) -> tuple[str, int, bytes]:
    kind = line.text[1]
    least = _ADDRESS_BYTES.get(kind)
    if least is None or len(line.text) < 6 + 2 * least:
        reason = "S4 is not a record type" if least is None else "the record is too short"
        raise ContainerError(name, line.offset, reason, line=line.number)
    try:
        _, address, _, data = bincopy.unpack_srec(line.text)
    except bincopy.Error as error:
        raise ContainerError(name, line.offset, str(error), line=line.number) from error
    return kind, address, bytes(data)


def _misplaced(state: _File, kind: str, address: int, data: bytes) -> str:
    """Say why this record cannot stand here; empty when it can."""
    if state.ended:
        return "there is more after the terminator record"
    if kind == "0":
        return _misplaced_header(state, address)
    if kind in _TERMINATOR:
        return _misplaced_data(state, kind, data)
    if data:
        return f"an S{kind} record holds no data"
    if kind in "56":
        return _misplaced_count(state, address)
    if kind == _TERMINATOR.get(state.width):
        return ""
    return f"S{kind} does not end a file of S{state.width or '?'} data"


def _misplaced_header(state: _File, address: int) -> str:
    if state.records:
        return "the header record (S0) is not the first"
    return "the header record (S0) must have address 0x0000" if address else ""


def _misplaced_data(state: _File, kind: str, data: bytes) -> str:
    if state.counted is not None:
        return "there is data after the count record"
    if not data:
        return "this data record holds no data"
    return "" if state.width in ("", kind) else f"S{state.width} and S{kind} data are mixed"


def _misplaced_count(state: _File, count: int) -> str:
    if state.counted is not None:
        return "there is a second count record"
    have = len(state.pieces)
    return "" if count == have else f"the count says {count} data records, here are {have}"


def _header_text(data: bytes) -> str:
    text = data.rstrip(b"\x00").decode("ascii", "replace")
    return "".join(letter if letter.isprintable() else "?" for letter in text)
