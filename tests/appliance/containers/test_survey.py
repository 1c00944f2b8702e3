"""A container that is refused still tells which checksums hold, and never more than is there."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from appliance.containers import ContainerKind, load_container
from appliance.containers.binary import parse_manifest
from appliance.containers.survey import manifest_of, survey
from hw.errors import BadInputError

TWO_BLOCKS = Path(__file__).parents[2] / "data/two-blocks.vbf"
HEX = b":0400000001020304F2\n:0400040005060708DE\n:00000001FF\n"
SREC = b"S00600004844521B\nS107000001020304EE\nS5030001FB\nS9030000FC\n"


def flags(content: bytes, kind: ContainerKind) -> list[bool]:
    return [one.good for one in survey("x", content, kind, None).checksums]


def test_a_sound_vbf_is_told_with_the_same_checks_as_the_reader_makes() -> None:
    found = survey("x", TWO_BLOCKS.read_bytes(), "vbf", None)
    image = load_container(TWO_BLOCKS)
    assert [one.name.upper() for one in found.checksums] == [one.upper() for one in image.checks]
    assert all(one.good and not one.found for one in found.checksums)
    assert found.software == image.software
    assert found.blocks == [(one.address, len(one.data)) for one in image.segments]


def test_only_the_damaged_block_of_a_vbf_is_bad() -> None:
    content = bytearray(TWO_BLOCKS.read_bytes())
    content[-3] ^= 1  # the last data byte: behind it is the CRC-16
    found = survey("x", bytes(content), "vbf", None)
    assert [one.good for one in found.checksums] == [False, True, False]
    assert "given is 0x" in found.checksums[2].found
    assert "sw_part_number" in found.software


def test_a_vbf_that_was_cut_short_tells_what_there_is() -> None:
    content = TWO_BLOCKS.read_bytes()
    found = survey("x", content[:-4], "vbf", None)
    assert [one.good for one in found.checksums] == [False, True]
    assert survey("x", content[:40], "vbf", None).checksums == []


def test_bad_records_of_text_formats_are_counted_with_the_first_ones_line() -> None:
    assert flags(HEX, "intel-hex") == [True]
    bad = survey("x", HEX.replace(b"0708DE", b"0709DE"), "intel-hex", None).checksums
    assert [one.good for one in bad] == [False]
    assert bad[0].found == "1 do not hold, the first in line 2."
    assert flags(SREC, "s-record") == [True, True]
    assert flags(SREC.replace(b"0304EE", b"0305EE"), "s-record") == [False, True]
    missing = b"\n".join(line for line in SREC.split(b"\n") if not line.startswith(b"S1"))
    assert flags(missing, "s-record") == [True, False]


def test_a_raw_binary_is_held_against_its_manifest() -> None:
    content = b"calibration"
    manifest = {
        "address": 0x8000,
        "size": len(content),
        "sha256": hashlib.sha256(content).hexdigest(),
        "sw_part_number": "FKIT-1",
    }
    known = manifest_of(json.dumps(manifest).encode())
    assert known is not None
    assert [one.good for one in survey("x", content, "binary", known).checksums] == [True, True]
    found = survey("x", content + b"!", "binary", known)
    assert [one.good for one in found.checksums] == [False, False]
    assert found.software == {"sw_part_number": "FKIT-1"}
    assert manifest_of(b"\xff") is None
    assert manifest_of(None) is None
    with pytest.raises(BadInputError, match="larger than 64 KiB"):
        parse_manifest("x.toml", b"#" * 70_000)


@given(st.binary(max_size=300), st.sampled_from(["vbf", "intel-hex", "s-record", None]))
def test_no_bytes_make_a_survey_fail(content: bytes, kind: ContainerKind | None) -> None:
    survey("x", content, kind, None)


@given(st.integers(0, len(TWO_BLOCKS.read_bytes()) - 1), st.integers(1, 255))
def test_no_damage_of_a_vbf_makes_a_survey_fail(at: int, change: int) -> None:
    content = bytearray(TWO_BLOCKS.read_bytes())
    content[at] ^= change
    survey("x", bytes(content), "vbf", None)
