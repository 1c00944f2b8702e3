"""What the plan tests share: profiles, what an ECU answers, containers, and a simulated ECU.

The ECU is the simulated car's own, without a link between: it takes the plan's requests from hw's
cursor, so that a plan is judged by what an ECU makes of it.
"""

from __future__ import annotations

import asyncio
import hashlib
import random
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path

from appliance.containers import Image, Segment
from appliance.profiles import LoadedProfile, parse_profile
from hw.cursor import Cursor, Pause
from hw.plan import IdentityValue, WritePlan
from hw.seedkey import key_for
from hw.sim.battery import Battery
from hw.sim.ecu import Ecu, Timing
from hw.sim.fleet import FLEET, EcuDefinition
from hw.sim.registers import RegisterFile

DATA = Path(__file__).parents[3] / "appliance/profiles/data"
LINK = "can://socketcand/127.0.0.1:29536/can0"
JOB = "0199f0c0-0000-7000-8000-000000000001"


def parsed(text: str, name: str) -> LoadedProfile:
    path = Path(f"{name}.toml")
    document = text.encode()
    return LoadedProfile(parse_profile(document, path), path, hashlib.sha256(document).hexdigest())


def loaded(name: str) -> LoadedProfile:
    return parsed((DATA / f"{name}.toml").read_text(), name)


def ecu_of(name: str) -> EcuDefinition:
    return next(ecu for ecu in FLEET if ecu.name == name)


def identity(name: str) -> list[IdentityValue]:
    return [IdentityValue(did=did.did, value=did.value.hex()) for did in ecu_of(name).dids]


def coding(name: str) -> dict[int, bytes]:
    return {did.did: did.value for did in ecu_of(name).dids if did.write_session == 0x03}


def image(
    segments: Iterable[tuple[int, bytes]],
    software: dict[str, str] | None = None,
    erase: tuple[tuple[int, int], ...] = (),
) -> Image:
    return Image(
        kind="intel-hex",
        name="software.hex",
        sha256="5f" * 32,
        segments=tuple(Segment(address, data, len(data)) for address, data in segments),
        checks=("line checksums",),
        software=software or {},
        erase=erase,
    )


class SimulatedEcu:
    """One ECU of the simulated car, and what it was sent."""

    def __init__(self, name: str, folder: Path) -> None:
        self._registers = RegisterFile(folder / "registers", create=True)
        self._battery = Battery(self._registers)
        timing = Timing(erase_s_per_sector=0.0, program_s_per_kib=0.0)
        definition = replace(ecu_of(name), boot_s=0.0)
        self.ecu = Ecu(definition, self._battery, timing, random.Random(1))
        self.received: list[bytes] = []

    def close(self) -> None:
        self._registers.close()

    def run(self, plan: WritePlan, payload: bytes, *, stop_after: int = 0) -> None:
        """Walk a plan to its end, or until `stop_after` requests were answered."""
        asyncio.run(self._run(plan, payload, stop_after))

    async def _run(self, plan: WritePlan, payload: bytes, stop_after: int) -> None:
        cursor = Cursor(plan, payload, key_for)
        answered = 0
        while (move := cursor.move) is not None and (answered < stop_after or not stop_after):
            if isinstance(move, Pause):
                await self._until_alive()
                cursor.advance(b"")
                continue
            cursor.advance(await self._ask(move.payload))
            answered += 1

    async def _ask(self, request: bytes) -> bytes:
        self.received.append(request)
        answer = await self.ecu.handle(request, "can", lambda _: None)
        assert answer[:1] != b"\x7f", f"{request[:16].hex()} was refused with {answer.hex()}"
        return answer

    async def _until_alive(self) -> None:
        async with asyncio.timeout(10):
            while not self.ecu.is_alive():
                await asyncio.sleep(0.01)

    def power_cycle(self) -> None:
        """The ECU forgets its session; with its application gone it stays in the boot loader."""
        self.ecu.reset()

    def content(self, address: int, length: int) -> bytes:
        flash = next(one for one in self.ecu.flashes if one.holds(address, length))
        return flash.read(address, length)

    @property
    def services(self) -> list[int]:
        return [request[0] for request in self.received]
