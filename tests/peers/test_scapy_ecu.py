"""The links against an ECU that is not ours, in a process of its own: a whole programming sequence.

What the ECU holds at the end is read from its own file, what it got from its own log.
"""

from __future__ import annotations

import json
import subprocess
import sys
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from hw.gate.errors import WriteHeld
from hw.links import Link, NegativeResponse, discover, doip, open_link
from hw.plan import Timing
from hw.seedkey import key_for
from tests.hw.links.support import WriteGate

ROOT = Path(__file__).resolve().parents[2]
TIMING = Timing(p2_s=5.0, p2_star_s=10.0, pending_limit_s=30.0, busy_limit_s=5.0)
ADDRESS, SIZE = 0x8000, 0x2000
IMAGE = bytes((at * 7 + at // 256) & 0xFF for at in range(SIZE))


class Peer:
    def __init__(self, process: subprocess.Popen[bytes]) -> None:
        assert process.stdout is not None
        self.info: dict[str, Any] = json.loads(process.stdout.readline())

    def log(self) -> list[dict[str, Any]]:
        return [json.loads(line) for line in Path(self.info["log"]).read_text().splitlines()]

    def memory(self) -> bytes:
        return Path(self.info["memory"]).read_bytes()


@pytest.fixture(scope="module")
def peer(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Peer]:
    process = subprocess.Popen(
        [
            sys.executable,
            "-m",
            "tests.peers.scapy_ecu",
            f"--folder={tmp_path_factory.mktemp('scapy')}",
            f"--memory={ADDRESS:X}:{SIZE:X}",
        ],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        cwd=ROOT,
    )
    try:
        yield Peer(process)
    finally:
        process.terminate()
        process.wait(10)
        assert process.stdout is not None
        process.stdout.close()


def region(*more: bytes) -> bytes:
    return b"\x44" + ADDRESS.to_bytes(4, "big") + SIZE.to_bytes(4, "big") + b"".join(more)


def unlock(link: Link, level: int) -> None:
    seed = link.request(bytes((0x27, level)))[2:]
    key = key_for("constant-xor", level, seed, {"key": "a5c3f00d"})
    assert link.request(bytes((0x27, level + 1)) + key) == bytes((0x67, level + 1))


def erase_and_write(link: Link, gate: WriteGate) -> list[bytes]:
    """The programming sequence; returns the requests whose bytes the ECU must have got, in order.

    The second block is held in its middle once and then sent again.
    """
    assert link.request(b"\x10\x02")[:2] == b"\x50\x02"
    unlock(link, 0x11)
    assert link.request(b"\x2e\xf1\x5a\x20\x26") == b"\x6e\xf1\x5a"
    assert link.request(b"\x31\x01\xff\x00" + region()) == b"\x71\x01\xff\x00\x00"
    grant = link.request(b"\x34\x00" + region())
    length = min(int.from_bytes(grant[2:], "big"), 0x0FFE) - 2
    blocks = [
        bytes((0x36, number)) + IMAGE[at : at + length]
        for number, at in enumerate(range(0, SIZE, length), 1)
    ]
    for number, block in enumerate(blocks):
        if number == 1:
            gate.refuse_at = 0 if isinstance(link, doip.DoipLink) else 50
            with pytest.raises(WriteHeld):
                link.request(block)
            gate.refuse_at = None
        assert link.request(block) == block[:1].replace(b"\x36", b"\x76") + block[1:2]
    assert link.request(b"\x37") == b"\x77"
    check = b"\x31\x01\x02\x02" + region(zlib.crc32(IMAGE).to_bytes(4, "big"))
    assert link.request(check) == b"\x71\x01\x02\x02\x00"
    assert link.request(b"\x31\x01\xff\x01") == b"\x71\x01\xff\x01\x00"
    return blocks


@pytest.mark.parametrize("kind", ["can", "doip"])
def test_a_foreign_ecu_is_programmed_and_holds_the_image(peer: Peer, kind: str) -> None:
    before = len(peer.log())
    gate = WriteGate()
    with open_link(peer.info[kind], gate, TIMING) as link:
        assert link.request(b"\x22\xf1\x90") == b"\x62\xf1\x90SCAPY000000000001"
        link.notify(b"\x3e\x80")
        with pytest.raises(NegativeResponse) as refused:
            link.request(b"\x34\x00" + region())
        assert refused.value.nrc == 0x33
        blocks = erase_and_write(link, gate)
        read = link.request(b"\x23\x44" + region()[1:5] + (0x400).to_bytes(4, "big"))
        assert read == b"\x63" + IMAGE[:0x400]
        assert link.request(b"\x11\x01")[:2] == b"\x51\x01"
        assert link.request(b"\x22\xf1\x86") == b"\x62\xf1\x86\x01"
    assert peer.memory() == IMAGE
    log = peer.log()[before:]
    assert {entry["link"] for entry in log} == {kind}
    transfers = [entry["request"] for entry in log if entry["request"].startswith("36")]
    assert transfers == [block.hex() for block in blocks]  # the held one arrived once, whole


def test_a_foreign_entity_is_discovered(peer: Peer) -> None:
    found = discover(peer.info["discovery"] + "?source=0x0E00")
    assert [(ecu.link, ecu.vin) for ecu in found] == [(peer.info["doip"], "SCAPY000000000001")]
