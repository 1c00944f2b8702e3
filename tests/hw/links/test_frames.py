from __future__ import annotations

import re

from hypothesis import given
from hypothesis import strategies as st

from hw.links.frames import frame_bits

FRAME = st.booleans().flatmap(
    lambda extended: st.tuples(
        st.integers(0, 0x1FFFFFFF if extended else 0x7FF), st.binary(max_size=8), st.just(extended)
    )
)


def slow_bits(identifier: int, data: bytes, *, extended: bool) -> int:
    """The same by the book: shift register, then stuffing by text replacement."""
    if extended:
        bits = f"0{identifier >> 18:011b}11{identifier & 0x3FFFF:018b}000{len(data):04b}"
    else:
        bits = f"0{identifier:011b}000{len(data):04b}"
    bits += "".join(f"{byte:08b}" for byte in data)
    crc = 0
    for bit in bits:
        top = crc >> 14 ^ int(bit)
        crc = (crc << 1 & 0x7FFF) ^ (0x4599 if top else 0)
    bits += f"{crc:015b}"
    stuffed = ""
    for bit in bits:
        stuffed += bit
        if re.search(r"(00000|11111)$", stuffed):
            stuffed += "1" if bit == "0" else "0"
    return len(stuffed) + 13


@given(FRAME)
def test_length_is_that_of_the_shift_register_and_within_the_standards_bounds(
    frame: tuple[int, bytes, bool],
) -> None:
    identifier, data, extended = frame
    bits = frame_bits(identifier, data, extended=extended)
    assert bits == slow_bits(identifier, data, extended=extended)
    shortest = (67 if extended else 47) + 8 * len(data)
    assert shortest <= bits <= shortest + (shortest - 13 - 1) // 4
