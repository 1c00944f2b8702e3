"""What a container holds once it is read and every checksum in it has been compared."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

ContainerKind = Literal["intel-hex", "s-record", "binary", "vbf"]


@dataclass(frozen=True, slots=True)
class Segment:
    """One run of bytes for one address.

    Attributes:
        address: where the first byte goes in the ECU's memory.
        data: the bytes to transfer, as the container holds them.
        data_format: dataFormatIdentifier for RequestDownload (ISO 14229-1:2020, 14.2): high
            nibble compression, low nibble encryption, 0x00 for neither.
        uncompressed_size: bytes in the ECU's memory after decompression.
    """

    address: int
    data: bytes = field(repr=False)
    uncompressed_size: int
    data_format: int = 0x00

    @property
    def end(self) -> int:
        """First address after the segment in the ECU's memory."""
        return self.address + self.uncompressed_size


@dataclass(frozen=True, slots=True)
class Image:
    """A container, read and checked.

    Attributes:
        kind: the container's format.
        name: file name without folder.
        sha256: SHA-256 of the whole file as it lay on the disk, lower-case hex.
        segments: in rising order of address, never overlapping, at least one.
        checks: each checksum that the container carried and that was computed and compared, in
            words; empty where the format carries none.
        software: what the container says of itself, as text: `sw_part_number`, `version`,
            `ecu_address`, ... Only keys that the container gives.
        erase: `(address, length)` ranges that the container wants erased; empty where it names
            none.
    """

    kind: ContainerKind
    name: str
    sha256: str
    segments: tuple[Segment, ...]
    checks: tuple[str, ...]
    software: dict[str, str]
    erase: tuple[tuple[int, int], ...] = ()

    @property
    def size(self) -> int:
        """Bytes to transfer, all segments together."""
        return sum(len(segment.data) for segment in self.segments)
