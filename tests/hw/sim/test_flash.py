"""Flash: erased before it is written, good only after a check over all that was touched."""

from __future__ import annotations

import random
import zlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hw.sim.flash import Flash, FlashError
from hw.sim.fleet import Region

REGION = Region("small", 0x1000, 0x400, 0x100, programmable=True)


def _flash(seed: int = 1) -> Flash:
    return Flash(REGION, random.Random(seed))


def _crc(flash: Flash, address: int, length: int) -> int:
    return zlib.crc32(flash.read(address, length))


def test_the_first_content_is_valid_and_comes_from_the_seed() -> None:
    assert _flash(1).valid
    assert _flash(1).data == _flash(1).data != _flash(2).data


def test_what_is_not_erased_cannot_be_written() -> None:
    flash = _flash()
    before = bytes(flash.data)
    with pytest.raises(FlashError):
        flash.program(0x1000, b"new")
    assert flash.data == before
    flash.erase_sector(0)
    flash.program(0x1000, b"new")
    with pytest.raises(FlashError):
        flash.program(0x1002, b"!")
    assert flash.read(0x1000, 5) == b"new\xff\xff"


def test_erasing_touches_one_sector() -> None:
    flash = _flash()
    before = bytes(flash.data)
    flash.erase_sector(0x100)
    assert flash.data == before[:0x100] + b"\xff" * 0x100 + before[0x200:]


def test_only_whole_sectors_are_sectors() -> None:
    flash = _flash()
    assert list(flash.sectors(0x1100, 0x200)) == [0x100, 0x200]
    for address, length in ((0x1001, 0x100), (0x1000, 0x80), (0x1000, 0)):
        with pytest.raises(FlashError):
            flash.sectors(address, length)


def test_corruption_leaves_noise_that_must_be_erased_again() -> None:
    flash = _flash()
    flash.erase_sector(0x100)
    flash.corrupt(0x01A0)
    assert not flash.valid
    assert flash.read(0x1100, 0x100) != b"\xff" * 0x100
    assert flash.read(0x1000, 0x100) == _flash().read(0x1000, 0x100)
    with pytest.raises(FlashError):
        flash.program(0x1100, b"x")


def test_a_wrong_checksum_leaves_it_invalid() -> None:
    flash = _flash()
    flash.erase_sector(0)
    assert not flash.check(0x1000, 0x100, _crc(flash, 0x1000, 0x100) ^ 1)
    assert not flash.valid
    assert flash.check(0x1000, 0x100, _crc(flash, 0x1000, 0x100))
    assert flash.valid


@given(
    erased=st.sets(st.integers(0, 3), min_size=1),
    start=st.integers(0, 0x3FF),
    data=st.data(),
)
def test_the_mark_is_set_by_a_right_check_over_everything_touched_and_by_no_other(
    erased: set[int], start: int, data: st.DataObject
) -> None:
    length = data.draw(st.integers(1, 0x400 - start))
    flash = _flash()
    for sector in erased:
        flash.erase_sector(sector * 0x100)
    assert flash.check(0x1000 + start, length, _crc(flash, 0x1000 + start, length))
    covered = start <= min(erased) * 0x100 and (max(erased) + 1) * 0x100 <= start + length
    assert flash.valid == covered
