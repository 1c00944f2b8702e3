"""Where a file's blocks go: which region, which sectors are erased, what stays empty.

Erasing takes whole sectors. Bytes of an erased sector that the file does not hold are not kept:
they read as the region's erased value afterwards. The compiler states these gaps in the plan's
risk text and in the dry run, and counts them into every check of the range.
"""

from __future__ import annotations

import hashlib
import itertools
import zlib
from collections.abc import Iterable
from dataclasses import dataclass

from appliance.containers.image import Segment
from appliance.plans.compiled import PlanError
from appliance.profiles.schema import MemoryWrite, Profile, Region

_CHOOSE = "Choose a file for this ECU, or a profile that describes these addresses."


@dataclass(frozen=True)
class EraseRange:
    """One run of whole sectors of one region, and the blocks that are written into it.

    `content` is what the range holds afterwards, None where a block is compressed or encrypted, so
    that only the ECU knows. `gaps` are the `(address, length)` runs that stay erased.
    """

    region: Region
    address: int
    length: int
    segments: tuple[Segment, ...]
    gaps: tuple[tuple[int, int], ...]
    content: bytes | None

    @property
    def end(self) -> int:
        """First address after the range."""
        return self.address + self.length

    @property
    def crc32(self) -> int | None:
        """CRC-32 (ISO-HDLC, as zlib) of the content, None where that is not known."""
        return None if self.content is None else zlib.crc32(self.content)

    @property
    def sha256(self) -> str | None:
        """SHA-256 of the content, None where that is not known."""
        return None if self.content is None else hashlib.sha256(self.content).hexdigest()


def lay_out(
    profile: Profile, segments: Iterable[Segment], wanted: tuple[tuple[int, int], ...] = ()
) -> list[EraseRange]:
    """Find the ranges to erase and hold every block against the profile's regions.

    Args:
        profile: of the ECU.
        segments: the file's blocks, rising and never overlapping.
        wanted: `(address, length)` ranges that the file itself wants erased; without any, the
            sectors that the blocks touch.

    Raises:
        PlanError: a block or range lies outside the regions, crosses a region's end, is in a region
            that is not written, has a data format the ECU does not take, or is not erased.
    """
    ordered = sorted(segments, key=lambda segment: segment.address)
    _refuse_overlaps(ordered)
    touched: dict[str, list[tuple[int, int]]] = {}
    for segment in ordered:
        region, write = _writable(profile, segment.address, segment.uncompressed_size)
        _check_format(segment, region, write)
        spans = touched.setdefault(region.name, [])
        spans.append(_whole_sectors(region, write, segment.address, segment.end))
    if wanted:
        touched = _wanted_ranges(profile, wanted)
    ranges = []
    for region in profile.memory:
        for start, end in _joined(touched.get(region.name, [])):
            ranges.append(_filled(region, start, end, ordered))
    _check_all_erased(ordered, ranges)
    return sorted(ranges, key=lambda one: one.address)


def _refuse_overlaps(ordered: list[Segment]) -> None:
    for before, after in itertools.pairwise(ordered):
        if after.address < before.end:
            raise PlanError(
                f"Two blocks of the file claim address 0x{after.address:08X}.", "Use a sound file."
            )


def _writable(profile: Profile, address: int, size: int) -> tuple[Region, MemoryWrite]:
    region = next((one for one in profile.memory if one.address <= address < one.end), None)
    if region is None:
        raise PlanError(
            f"The profile {profile.name} has no memory region at 0x{address:08X}.", _CHOOSE
        )
    if address + size > region.end:
        raise PlanError(
            f"The block at 0x{address:08X} runs past the end of the region {region.name!r} at "
            f"0x{region.end:08X}.",
            _CHOOSE,
        )
    if region.write is None:
        raise PlanError(
            f"The block at 0x{address:08X} lies in the region {region.name!r}, which is never "
            "written.",
            _CHOOSE,
        )
    return region, region.write


def _check_format(segment: Segment, region: Region, write: MemoryWrite) -> None:
    where = f"The block at 0x{segment.address:08X}"
    if segment.data_format not in write.data_formats:
        raise PlanError(
            f"{where} has data format 0x{segment.data_format:02X}, which the region "
            f"{region.name!r} does not take.",
            "Choose a file without compression or encryption, or with one that the ECU knows.",
        )
    if not segment.data or segment.uncompressed_size < 1:
        raise PlanError(f"{where} is empty.", "Use a sound file.")
    if segment.data_format == 0 and segment.uncompressed_size != len(segment.data):
        raise PlanError(f"{where} has two sizes.", "Use a sound file.")


def _whole_sectors(region: Region, write: MemoryWrite, start: int, end: int) -> tuple[int, int]:
    size = write.sector_size
    first = (start - region.address) // size
    behind = -(-(end - region.address) // size)
    return region.address + first * size, region.address + behind * size


def _wanted_ranges(
    profile: Profile, wanted: tuple[tuple[int, int], ...]
) -> dict[str, list[tuple[int, int]]]:
    touched: dict[str, list[tuple[int, int]]] = {}
    for address, length in wanted:
        region, write = _writable(profile, address, length)
        span = (address, address + length)
        if length < 1 or _whole_sectors(region, write, *span) != span:
            raise PlanError(
                f"The file wants 0x{address:08X} to 0x{address + length:08X} erased, which is not "
                f"made of whole sectors of 0x{write.sector_size:X} bytes.",
                _CHOOSE,
            )
        touched.setdefault(region.name, []).append(span)
    return touched


def _joined(spans: list[tuple[int, int]]) -> list[tuple[int, int]]:
    joined: list[tuple[int, int]] = []
    for start, end in sorted(spans):
        if joined and start <= joined[-1][1]:
            joined[-1] = (joined[-1][0], max(end, joined[-1][1]))
        else:
            joined.append((start, end))
    return joined


def _filled(region: Region, start: int, end: int, ordered: list[Segment]) -> EraseRange:
    inside = tuple(one for one in ordered if start <= one.address and one.end <= end)
    erased = bytes([region.write.erased_value if region.write else 0xFF])
    content: bytearray | None = bytearray(erased * (end - start))
    gaps, position = [], start
    for segment in inside:
        if segment.address > position:
            gaps.append((position, segment.address - position))
        position = segment.end
        if segment.data_format:
            content = None
        elif content is not None:
            content[segment.address - start : segment.end - start] = segment.data
    if position < end:
        gaps.append((position, end - position))
    known = None if content is None else bytes(content)
    return EraseRange(region, start, end - start, inside, tuple(gaps), known)


def _check_all_erased(ordered: list[Segment], ranges: list[EraseRange]) -> None:
    covered = {segment.address for one in ranges for segment in one.segments}
    for segment in ordered:
        if segment.address not in covered:
            raise PlanError(
                f"The block at 0x{segment.address:08X} lies outside the ranges that the file wants "
                "erased, so it cannot be written.",
                "Use a sound file.",
            )
