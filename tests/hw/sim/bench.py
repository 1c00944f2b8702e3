"""One ECU of the simulated car on the table, and a bare DoIP connection to a whole car."""

from __future__ import annotations

import asyncio
import random
import socket
import ssl
import struct
from collections.abc import Coroutine
from pathlib import Path
from typing import Any

from cryptography.hazmat.primitives.ciphers.algorithms import AES
from cryptography.hazmat.primitives.cmac import CMAC

from hw.sim.battery import Battery
from hw.sim.ecu import Ecu, Timing
from hw.sim.fleet import GATEWAY_ADDRESS, EcuDefinition
from hw.sim.registers import RegisterFile

LIMIT_S = 10.0
TESTER = 0x0E00
ENGINE = 0x0010


def xor_key(seed: bytes) -> bytes:
    """The engine's key, worked out here and not by the kit's provider."""
    return bytes(a ^ b for a, b in zip(seed, bytes.fromhex("a5c3f00d"), strict=True))


def sa2_key(seed: bytes) -> bytes:
    """What the gearbox's script says, in plain arithmetic."""
    value = int.from_bytes(seed, "big")
    for _ in range(2):
        carry = value >> 31
        value = (value << 1 | carry) & 0xFFFFFFFF
        if carry:
            value ^= 0x5F1C4A2B
        value = (value + 0x0A1B2C3D) & 0xFFFFFFFF
    return value.to_bytes(4, "big")


def cmac_key(seed: bytes) -> bytes:
    """AES-128-CMAC with the body's key, through the library itself."""
    mac = CMAC(AES(bytes.fromhex("2b7e151628aed2a6abf7158809cf4f3c")))
    mac.update(seed)
    return mac.finalize()


class Bench:
    """An ECU with a battery; must be made inside a running event loop.

    Args:
        definition: the ECU.
        folder: for the sensor's registers.
        erase_s: time of one sector.
        program_s_per_kib: time of 1 KiB.
    """

    def __init__(
        self,
        definition: EcuDefinition,
        folder: Path,
        erase_s: float = 0.0,
        program_s_per_kib: float = 0.0,
    ) -> None:
        self.registers = RegisterFile(folder / "registers", create=True)
        self.battery = Battery(self.registers)
        self.ecu = Ecu(
            definition, self.battery, Timing(erase_s, program_s_per_kib), random.Random(1)
        )
        self.sent: list[str] = []

    async def ask(self, request: str, link: str = "doip") -> str:
        """Send one request; the final answer as hex, all answers are in `sent`."""
        answer = await self.ecu.handle(
            bytes.fromhex(request), link, lambda data: self.sent.append(data.hex())
        )
        return answer.hex()

    async def unlock(self, level: int) -> str:
        """Unlock a constant-xor level."""
        seed = bytes.fromhex((await self.ask(f"27{level:02x}"))[4:])
        return await self.ask(f"27{level + 1:02x}{xor_key(seed).hex()}")

    async def enter_programming(self) -> None:
        """Boot loader, unlocked."""
        await self.ask("1002")
        assert await self.unlock(0x11) == "6712"


def run(scenario: Coroutine[Any, Any, None]) -> None:
    """Play a scenario on an event loop of its own; it may take at most 20 s."""

    async def limited() -> None:
        async with asyncio.timeout(20):
            await scenario

    asyncio.run(limited())


def pack(kind: int, body: bytes = b"") -> bytes:
    """A DoIP message with its header."""
    return struct.pack(">BBHI", 0x02, 0xFD, kind, len(body)) + body


class Wire:
    """A TCP connection that says what it is told and nothing else."""

    def __init__(self, port: int, tls: ssl.SSLContext | None = None) -> None:
        self.socket = socket.create_connection(("127.0.0.1", port), LIMIT_S)
        if tls is not None:
            self.socket = tls.wrap_socket(self.socket, server_hostname="127.0.0.1")
        self.socket.settimeout(LIMIT_S)

    def __enter__(self) -> Wire:
        return self

    def __exit__(self, *_: object) -> None:
        self.socket.close()

    def say(self, kind: int, body: bytes = b"") -> None:
        self.socket.sendall(pack(kind, body))

    def hear(self) -> tuple[int, bytes]:
        """The next message; kind -1 where the gateway closed."""
        head = self._exactly(8)
        if len(head) < 8:
            return -1, b""
        version, inverse, kind, length = struct.unpack(">BBHI", head)
        assert version ^ inverse == 0xFF
        return kind, self._exactly(length)

    def activate(self, source: int = TESTER, activation: int = 0) -> int:
        self.say(0x0005, struct.pack(">HBI", source, activation, 0))
        kind, body = self.hear()
        assert kind == 0x0006
        tester, entity, code = struct.unpack_from(">HHB", body)
        assert (tester, entity, len(body)) == (source, GATEWAY_ADDRESS, 9)
        return int(code)

    def ask(self, request: bytes, target: int = ENGINE) -> list[tuple[int, bytes]]:
        """Send a diagnostic message; its ack or nack, and after an ack the answer."""
        self.say(0x8001, struct.pack(">HH", TESTER, target) + request)
        heard = [self.hear()]
        if heard[0][0] == 0x8002:
            heard.append(self.hear())
        return heard

    def _exactly(self, length: int) -> bytes:
        data = b""
        while len(data) < length and (more := self.socket.recv(length - len(data))):
            data += more
        return data
