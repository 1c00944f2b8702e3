"""How long a classic CAN frame takes on the wire, bit stuffing included (ISO 11898-1:2015, 10.4).

Needed where frames are buffered between the kit and the bus: there the link itself must not run
ahead of the bus, or a held write would go on from the buffer.
"""

from __future__ import annotations

import time

from hw.clock import now

AHEAD_S = 0.001
"""How much of the bus' time may be buffered ahead: covers a late wake-up, and no more."""

_CRC_POLYNOMIAL = 0x4599
# CRC delimiter, acknowledge slot and delimiter, end of frame, intermission: never stuffed.
_UNSTUFFED_BITS = 1 + 2 + 7 + 3


def frame_bits(identifier: int, data: bytes, *, extended: bool) -> int:
    """Bits that a data frame occupies the bus for, from start of frame to intermission.

    Args:
        identifier: 11 or 29 bits.
        data: up to 8 bytes.
        extended: whether the identifier has 29 bits.
    """
    if extended:
        header = f"0{identifier >> 18:011b}11{identifier & 0x3FFFF:018b}000{len(data):04b}"
    else:
        header = f"0{identifier:011b}000{len(data):04b}"
    bits = header + "".join(map(_BYTE_BITS.__getitem__, data))
    bits += f"{_crc15(bits):015b}"
    return len(bits) + _stuff_bits(bits) + _UNSTUFFED_BITS


_BYTE_BITS = [f"{byte:08b}" for byte in range(256)]


def _crc_table() -> list[int]:
    """CRC-15 of every byte, so that a frame costs one step per byte."""
    table = []
    for byte in range(256):
        crc = byte << 7
        for _ in range(8):
            crc = (crc << 1) ^ _CRC_POLYNOMIAL if crc & 0x4000 else crc << 1
        table.append(crc & 0x7FFF)
    return table


_CRC_TABLE = _crc_table()


def _crc15(bits: str) -> int:
    # Leading zeros do not change a CRC that starts from zero, so the bits fill whole bytes.
    crc = 0
    for byte in int(bits, 2).to_bytes((len(bits) + 7) // 8, "big"):
        crc = ((crc << 8) ^ _CRC_TABLE[(crc >> 7) ^ byte]) & 0x7FFF
    return crc


def _stuff_bits(bits: str) -> int:
    """After five equal bits comes one opposite bit, which begins the next run."""
    stuffed = run = 0
    last = ""
    for bit in bits:
        run = run + 1 if bit == last else 1
        last = bit
        if run == 5:
            stuffed += 1
            last = "1" if bit == "0" else "0"
            run = 1
    return stuffed


class Pace:
    """Keeps what was handed over at most `AHEAD_S` ahead of a bus that carries nothing else.

    Args:
        bitrate: bit/s of the bus.
    """

    def __init__(self, bitrate: int) -> None:
        self._bit_s = 1 / bitrate
        self._bus_free_at = 0.0

    def wait(self, identifier: int, data: bytes, *, extended: bool) -> None:
        """Wait until the frame may be handed over, and count it as handed over."""
        ahead = self._bus_free_at - now() - AHEAD_S
        if ahead > 0:
            time.sleep(ahead)
        bits = frame_bits(identifier, data, extended=extended)
        self._bus_free_at = max(self._bus_free_at, now()) + bits * self._bit_s
