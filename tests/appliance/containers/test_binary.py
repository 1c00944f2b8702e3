"""Raw binaries: only with a manifest, and only as the manifest says."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

import pytest

from appliance.containers import ContainerError, load_container
from hw.errors import BadInputError

DATA = bytes(range(256)) * 4
GOOD = {"address": 0x8000, "size": len(DATA), "sha256": hashlib.sha256(DATA).hexdigest()}


def write(folder: Path, manifest: dict[str, object] | str, suffix: str = ".json") -> Path:
    path = folder / "image.bin"
    path.write_bytes(DATA)
    text = manifest if isinstance(manifest, str) else json.dumps(manifest)
    (folder / f"image.bin{suffix}").write_text(text)
    return path


def test_a_manifest_beside_the_file_is_found(tmp_path: Path) -> None:
    image = load_container(write(tmp_path, {**GOOD, "sw_part_number": "FKIT-1", "sw_version": "2"}))
    assert image.kind == "binary"
    assert [(one.address, one.data) for one in image.segments] == [(0x8000, DATA)]
    assert image.software == {"sw_part_number": "FKIT-1", "sw_version": "2", "version": "2"}
    assert "SHA-256" in image.checks[0]


def test_a_toml_manifest_with_erase_ranges_is_read(tmp_path: Path) -> None:
    text = (
        f'address = 0x8000\nsize = 1024\nsha256 = "{GOOD["sha256"]}"\nerase = [[0x8000, 0x2000]]\n'
    )
    assert load_container(write(tmp_path, text, ".toml")).erase == ((0x8000, 0x2000),)


def test_a_named_manifest_makes_any_file_a_binary(tmp_path: Path) -> None:
    write(tmp_path, GOOD)
    path = tmp_path / "looks-like.hex"
    path.write_bytes(DATA)
    assert load_container(path, tmp_path / "image.bin.json").kind == "binary"


def test_every_flipped_bit_and_every_lost_byte_of_the_binary_is_refused(tmp_path: Path) -> None:
    path = write(tmp_path, GOOD)
    for bit in range(0, len(DATA) * 8, 37):
        changed = bytearray(DATA)
        changed[bit // 8] ^= 1 << bit % 8
        path.write_bytes(changed)
        with pytest.raises(ContainerError, match="SHA-256"):
            load_container(path)
    path.write_bytes(DATA[:-1])
    with pytest.raises(ContainerError, match="1023 bytes"):
        load_container(path)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"address": -1}, "address"),
        ({"address": 1 << 32}, "address"),
        ({"address": "0x8000"}, "address"),
        ({"size": 0}, "size"),
        ({"sha256": "AB"}, "sha256"),
        ({"adress": 1}, "adress"),
        ({"erase": [[1]]}, "erase"),
    ],
)
def test_a_wrong_manifest_is_refused_with_its_field(
    tmp_path: Path, change: dict[str, object], words: str
) -> None:
    with pytest.raises(BadInputError, match=words):
        load_container(write(tmp_path, {**GOOD, **change}))


@pytest.mark.parametrize("text", ["", "{", "[]", "\x00", "[" * 100_000, " " * 70_000])
def test_what_is_no_manifest_is_refused(tmp_path: Path, text: str) -> None:
    with pytest.raises(BadInputError):
        load_container(write(tmp_path, text))


def test_a_binary_beyond_the_address_space_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ContainerError, match="32-bit"):
        load_container(write(tmp_path, {**GOOD, "address": 0xFFFFFF00}))


def test_a_missing_manifest_is_refused(tmp_path: Path) -> None:
    path = write(tmp_path, GOOD)
    with pytest.raises(BadInputError, match="cannot be read"):
        load_container(path, tmp_path / "absent.toml")
    (tmp_path / "image.bin.json").unlink()
    with pytest.raises(ContainerError, match="not known"):
        load_container(path)
