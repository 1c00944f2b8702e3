"""Turns pieces read from a container into sorted segments, refusing overlaps."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from appliance.containers.errors import ContainerError
from appliance.containers.image import Segment

ADDRESS_SPACE = 0x1_0000_0000


@dataclass(frozen=True, slots=True)
class Piece:
    """Bytes for one address, and where in the file they were found."""

    address: int
    data: bytes
    offset: int
    line: int = 0

    @property
    def end(self) -> int:
        """First address after the piece."""
        return self.address + len(self.data)


def assemble(name: str, pieces: Iterable[Piece]) -> tuple[Segment, ...]:
    """Join adjacent pieces into segments, in order of address.

    Raises:
        ContainerError: there is no data, two pieces claim the same address, or one ends beyond
            the 32-bit address space.
    """
    ordered = sorted(pieces, key=lambda piece: piece.address)
    if not ordered:
        raise ContainerError(name, 0, "it holds no data")
    runs: list[tuple[int, list[bytes]]] = []
    previous: Piece | None = None
    for piece in ordered:
        _check_place(name, previous, piece)
        if previous is not None and piece.address == previous.end:
            runs[-1][1].append(piece.data)
        else:
            runs.append((piece.address, [piece.data]))
        previous = piece
    joined = ((address, b"".join(parts)) for address, parts in runs)
    return tuple(Segment(address, data, len(data)) for address, data in joined)


def _check_place(name: str, previous: Piece | None, piece: Piece) -> None:
    if piece.end > ADDRESS_SPACE:
        reason = f"the data at 0x{piece.address:08X} ends beyond the 32-bit address space"
        raise ContainerError(name, piece.offset, reason, line=piece.line)
    if previous is None or piece.address >= previous.end:
        return
    first, second = sorted((previous, piece), key=lambda one: one.offset)
    where = f"line {first.line}" if first.line else f"offset 0x{first.offset:X}"
    reason = f"address 0x{piece.address:08X} was already given at {where}"
    raise ContainerError(name, second.offset, reason, line=second.line)
