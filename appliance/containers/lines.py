"""The lines of a text container: strict about every byte that is not a hexadecimal digit."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

from appliance.containers.errors import ContainerError


@dataclass(frozen=True, slots=True)
class Line:
    """One record as text, with its place in the file."""

    number: int
    offset: int
    text: str


def records(name: str, content: bytes, shape: re.Pattern[bytes], wording: str) -> Iterator[Line]:
    """Yield the records of a text container, one to a line.

    Lines end in LF or CR LF; empty lines are allowed at the end of the file only. Hexadecimal
    letters must be of one case throughout: no writer mixes them, and a flipped case bit is the
    one damage that a record's checksum cannot see.

    Args:
        shape: what a whole record looks like, without the line end.
        wording: what a record is called and how it begins, for the error.

    Raises:
        ContainerError: a line is not a record.
    """
    offset = 0
    ended_at = 0
    case = b""
    for number, raw in enumerate(content.split(b"\n"), start=1):
        text = raw.removesuffix(b"\r")
        if not text:
            ended_at = ended_at or number
        elif ended_at:
            raise ContainerError(name, offset, "there is an empty line before it", line=number)
        elif not shape.fullmatch(text):
            reason = f"this is not {wording}: {_shown(text)}"
            raise ContainerError(name, offset, reason, line=number)
        else:
            case = _one_case(name, case, Line(number, offset, text.decode("ascii")))
            yield Line(number, offset, text.decode("ascii"))
        offset += len(raw) + 1


def _one_case(name: str, case: bytes, line: Line) -> bytes:
    body = line.text[1:]
    upper, lower = re.search("[A-F]", body), re.search("[a-f]", body)
    here = b"upper" if upper else b"lower" if lower else case
    if (upper and lower) or (case and here != case):
        reason = "upper and lower case hexadecimal letters are mixed"
        raise ContainerError(name, line.offset, reason, line=line.number)
    return here


def _shown(text: bytes) -> str:
    sample = repr(text[:24])[1:]
    return sample + (" ..." if len(text) > 24 else "")
