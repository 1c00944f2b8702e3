"""Flash memory that takes time, and that a dip of the supply spoils."""

from __future__ import annotations

import random
import zlib

from hw.sim.fleet import Region

ERASED = 0xFF


class FlashError(Exception):
    """Writing to flash that is not erased, or outside of the region."""


class Flash:
    """One region with its content and its valid mark.

    The mark is lost with the first erase or write, and set when every sector touched since lies
    whole in a range whose check found the right CRC-32.
    """

    def __init__(self, region: Region, rng: random.Random) -> None:
        self.region = region
        self.data = bytearray(rng.randbytes(region.size))
        self.valid = True
        self._touched: set[int] = set()
        self._erased = bytearray(region.size)
        self._rng = rng

    def holds(self, address: int, length: int) -> bool:
        """Does the region hold this range?"""
        return self.region.address <= address and address + length <= self.region.end

    def read(self, address: int, length: int) -> bytes:
        """Bytes of a range that the region holds."""
        start = address - self.region.address
        return bytes(self.data[start : start + length])

    def sectors(self, address: int, length: int) -> range:
        """Start offsets of the sectors of a range; it must be made of whole sectors."""
        size = self.region.sector_size
        start = address - self.region.address
        if start % size or length % size or not length:
            raise FlashError
        return range(start, start + length, size)

    def erase_sector(self, offset: int) -> None:
        """Set one sector to 0xFF."""
        size = self.region.sector_size
        self._touch(offset, size)
        self.data[offset : offset + size] = bytes([ERASED]) * size
        self._erased[offset : offset + size] = b"\x01" * size

    def program(self, address: int, data: bytes) -> None:
        """Write erased bytes.

        Raises:
            FlashError: a byte was not erased since it was last written.
        """
        start = address - self.region.address
        end = start + len(data)
        if self._erased[start:end].count(1) != len(data):
            raise FlashError
        self._touch(start, len(data))
        self.data[start:end] = data
        self._erased[start:end] = bytes(len(data))

    def corrupt(self, offset: int) -> None:
        """What a dip of the supply leaves of the sector at `offset`."""
        size = self.region.sector_size
        start = offset - offset % size
        self._touch(start, size)
        self.data[start : start + size] = self._rng.randbytes(size)
        self._erased[start : start + size] = bytes(size)

    def check(self, address: int, length: int, crc32: int) -> bool:
        """Compare a range with its CRC-32; a match over all that was touched makes it valid."""
        right = zlib.crc32(self.read(address, length)) == crc32
        start = address - self.region.address
        if right:
            size = self.region.sector_size
            self._touched -= {
                sector for sector in self._touched if start <= sector <= start + length - size
            }
            self.valid = not self._touched
        return right

    def _touch(self, offset: int, length: int) -> None:
        size = self.region.sector_size
        self._touched |= set(range(offset - offset % size, offset + length, size))
        self.valid = False
