"""VBF: an independent writer's file loads, and no damage that can be seen gets through."""

from __future__ import annotations

import binascii
import zlib
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from appliance.containers import ContainerError, Image, load_container

TWO_BLOCKS = Path(__file__).parents[2] / "data/two-blocks.vbf"
HEADER = """vbf_version = 2.4;
header {{
	// Description
	description = {{"first line", "second; line}}"}};
	sw_part_number = "FKIT-1";
	sw_version = "AA";
	// Type
	sw_part_type = DATA;
	network = CAN_HS;
	// ECU address
	ecu_address = 0x7e0;
	frame_format = CAN_STANDARD;
	// Erase block
	erase = {{{{0x8000, 0x20}}, {{0x8020, 0x10}}}};
	sw_signature = 0x00AB;
	// file checksum
	file_checksum = 0x{checksum:08x};
}}"""


def block(address: int, data: bytes) -> bytes:
    """Written here by the book, not by the reader's code."""
    crc = binascii.crc_hqx(data, 0xFFFF)
    return address.to_bytes(4, "big") + len(data).to_bytes(4, "big") + data + crc.to_bytes(2, "big")


def vbf(*blocks: bytes, header: str = HEADER) -> bytes:
    body = b"".join(blocks)
    return header.format(checksum=zlib.crc32(body)).encode("latin-1") + body


SMALL = vbf(block(0x8000, bytes(range(24))), block(0x8018, bytes(24)))


def loaded(folder: Path, content: bytes) -> Image:
    path = folder / "file.vbf"
    path.write_bytes(content)
    return load_container(path)


def refused(folder: Path, content: bytes) -> ContainerError:
    with pytest.raises(ContainerError) as caught:
        loaded(folder, content)
    return caught.value


def test_the_file_of_an_independent_writer_loads() -> None:
    image = load_container(TWO_BLOCKS)
    assert image.kind == "vbf"
    assert [(one.address, len(one.data)) for one in image.segments] == [
        (0x8000, 24576),
        (0x10000, 5000),
    ]
    assert image.erase == ((0x8000, 0x6000), (0x10000, 0x2000))
    assert image.software["sw_part_number"] == "FKIT-14C204-AA"
    assert image.software["sw_part_type"] == "EXE"
    assert int(image.software["ecu_address"], 0) == 0x7E0
    assert len(image.checks) == 3
    assert "0x73943A46" in image.checks[0]


def test_every_header_field_is_told_as_text(tmp_path: Path) -> None:
    image = loaded(tmp_path, SMALL)
    assert image.software["description"] == "first line second; line}"
    assert image.software["version"] == image.software["sw_version"] == "AA"
    assert image.software["sw_signature"] == "0x00AB"
    assert [one.data for one in image.segments] == [bytes(range(24)) + bytes(24)]


def test_one_flipped_bit_anywhere_is_refused_or_changes_no_byte_that_is_written(
    tmp_path: Path,
) -> None:
    """Exhaustive. After the header every bit is found; in it, what the module says is not."""
    whole = loaded(tmp_path, SMALL)
    end = SMALL.rindex(b"}", 0, len(SMALL) - 68) + 1
    for bit in range(len(SMALL) * 8):
        changed = bytearray(SMALL)
        changed[bit // 8] ^= 1 << bit % 8
        try:
            image = loaded(tmp_path, bytes(changed))
        except ContainerError:
            continue
        assert bit // 8 < end, f"bit {bit} behind the header went through"
        assert image.segments == whole.segments
        assert image.erase == whole.erase or _larger(image, whole)
        assert image.software.keys() == whole.software.keys()


def _larger(image: Image, whole: Image) -> bool:
    return sum(length for _, length in image.erase) >= 48 and len(image.erase) == len(whole.erase)


def test_every_flipped_bit_in_the_independent_file_s_header_keeps_the_data(tmp_path: Path) -> None:
    content = TWO_BLOCKS.read_bytes()
    end = content.index(b"\n}") + 2
    whole = load_container(TWO_BLOCKS)
    for bit in range(end * 8):
        changed = bytearray(content)
        changed[bit // 8] ^= 1 << bit % 8
        try:
            image = loaded(tmp_path, bytes(changed))
        except ContainerError:
            continue
        assert image.segments == whole.segments
        assert image.software.keys() == whole.software.keys()


@settings(
    max_examples=80, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None
)
@given(at=st.integers(600, TWO_BLOCKS.stat().st_size - 1), bit=st.integers(0, 7))
def test_any_flipped_bit_in_a_block_is_refused(tmp_path: Path, at: int, bit: int) -> None:
    changed = bytearray(TWO_BLOCKS.read_bytes())
    changed[at] ^= 1 << bit
    refused(tmp_path, bytes(changed))


def test_a_truncated_file_is_refused_wherever_it_ends(tmp_path: Path) -> None:
    for size in range(len(SMALL)):
        refused(tmp_path, SMALL[:size])
    refused(tmp_path, SMALL + b"\x00")


def test_a_wrong_block_crc_is_refused_with_its_place(tmp_path: Path) -> None:
    bad = bytearray(block(0x8000, bytes(range(24))))
    bad[-1] ^= 1
    content = vbf(bytes(bad))
    error = refused(tmp_path, content)
    assert error.offset == len(content) - 2
    assert "CRC-16" in error.what


@pytest.mark.parametrize("data_format", ["0x10", "0x01", "0xFF", "17", '"0x10"', "none"])
def test_a_data_format_whose_crc_cannot_be_checked_is_refused(
    tmp_path: Path, data_format: str
) -> None:
    header = HEADER.replace("network", f"data_format_identifier = {data_format};\n\tnetwork")
    error = refused(tmp_path, vbf(block(0x8000, b"abc"), header=header))
    assert "compressed or encrypted" in error.what


def test_the_plain_data_format_may_be_named(tmp_path: Path) -> None:
    header = HEADER.replace("network", "data_format_identifier = 0x00;\n\tnetwork")
    assert loaded(tmp_path, vbf(block(0x8000, b"abc"), header=header)).segments[0].data == b"abc"


HEADER_DAMAGE = {
    "unknown field": ("sw_version", "sw_versiom", "not known"),
    "field twice": ('sw_version = "AA";', 'sw_part_number = "B";', "twice"),
    "missing field": ("ecu_address = 0x7e0;", "", "does not give 'ecu_address'"),
    "hidden by a comment": ("// Type\n", "// Type ", "hides"),
    "list item hidden by a comment": ("{{0x8000, 0x20}},", "// {{0x8000, 0x20}},\n", "hides"),
    "unknown version": ("2.4", "9.9", "version 9.9"),
    "unknown part type": ("DATA", "DATB", "part type"),
    "address is no number": ("0x7e0", "0x7g0", "not a number"),
    "erase is no range": ("{{0x8000, 0x20}}", "{{0x8000}}", "erase"),
    "empty erase range": ("{{0x8000, 0x20}}", "{{0x8000, 0x0}}", "erase"),
    "block outside the erase ranges": ("0x8000, 0x20", "0x8000, 0x18", "outside"),
    "control character": ("AA", "A\x01", "control"),
    "letters of another script in a word": ("CAN_HS", "CAN_\xd8S", "0xD8"),
}


@pytest.mark.parametrize("damage", HEADER_DAMAGE)
def test_a_damaged_header_is_refused(tmp_path: Path, damage: str) -> None:
    old, new, words = HEADER_DAMAGE[damage]
    assert old in HEADER
    header = HEADER.replace(old, new, 1)
    error = refused(tmp_path, vbf(block(0x8000, bytes(0x20)), header=header))
    assert words in error.what


def test_overlapping_blocks_are_refused(tmp_path: Path) -> None:
    error = refused(tmp_path, vbf(block(0x8000, b"abcd"), block(0x8002, b"ef")))
    assert "already given" in error.what


def test_a_header_that_never_ends_is_refused(tmp_path: Path) -> None:
    content = b"vbf_version = 2.4;\nheader {\n" + b" " * 300_000
    assert "inside the header" in refused(tmp_path, content).what


@settings(
    max_examples=200, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None
)
@given(st.binary(max_size=300))
def test_garbage_is_refused_and_never_breaks_the_reader(tmp_path: Path, garbage: bytes) -> None:
    refused(tmp_path, garbage)
    refused(tmp_path, SMALL[:60] + garbage)
