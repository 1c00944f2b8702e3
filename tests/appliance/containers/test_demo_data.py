"""The demonstration's calibration is what its recipe says, made by objcopy."""

from __future__ import annotations

import hashlib
import subprocess
from pathlib import Path

from appliance.containers import load_container

DEMO = Path(__file__).parents[3] / "appliance/data/demo-calibration.hex"


def content() -> bytes:
    blocks = (hashlib.sha256(b"fieldkit demo calibration %d" % n) for n in range(48 * 1024 // 32))
    return b"".join(block.digest() for block in blocks)


def test_objcopy_makes_the_same_file_again(tmp_path: Path) -> None:
    source, target = tmp_path / "demo.bin", tmp_path / "demo.hex"
    source.write_bytes(content())
    command = ["objcopy", "-I", "binary", "-O", "ihex", "--change-addresses", "0x8000"]
    subprocess.run([*command, source, target], check=True, timeout=30)
    assert target.read_bytes() == DEMO.read_bytes()


def test_it_fills_six_sectors_of_the_calibration() -> None:
    image = load_container(DEMO)
    assert [(one.address, one.data) for one in image.segments] == [(0x8000, content())]
    assert image.segments[0].end == 0x14000
