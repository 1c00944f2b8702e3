"""One simulated ECU: a UDS server (ISO 14229-1) with a boot loader, honest enough to brick.

Requests are handled one after the other. Work that takes longer than P2 is announced by 0x78. A dip
of the supply below 9 V while flash is erased or programmed spoils the sector and resets the ECU;
with an application that is not valid it stays in its boot loader.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field

from hw import clock
from hw.seedkey import key_for
from hw.sim.battery import Battery
from hw.sim.flash import Flash, FlashError
from hw.sim.fleet import (
    DEFAULT_SESSION,
    EXTENDED_SESSION,
    LEVEL_PROGRAMMING,
    LEVEL_READ_MEMORY,
    PROGRAMMING_SESSION,
    EcuDefinition,
    Security,
)

Send = Callable[[bytes], None]

FLASH_CORRUPT_V = 9.0
POWER_LOST_V = 6.0
FLASH_MIN_V, FLASH_MAX_V = 10.0, 15.5
FLASH_LOAD_A = 2.0
WRONG_KEYS = 3
LOCKOUT_S = 10.0
BLOCK_LENGTH = {"can": 0x0FFE, "doip": 0xFFFE}
PENDING_PERIOD_S = 1.0
WITH_SUB_FUNCTION = frozenset({0x10, 0x11, 0x19, 0x27, 0x28, 0x31, 0x3E, 0x85})


class Nrc(Exception):
    """A negative response code (ISO 14229-1:2020, Annex A)."""

    def __init__(self, code: int) -> None:
        super().__init__(f"0x{code:02X}")
        self.code = code


@dataclass
class Timing:
    """How slow the flash is; zeros are allowed."""

    erase_s_per_sector: float = 0.02
    program_s_per_kib: float = 0.0002


@dataclass
class Fault:
    """Misbehaviour asked for by a test: of which service, how often, with which numbers."""

    kind: str
    service: int
    count: int = 1
    seconds: float = 0.0
    nrc: int = 0x10


@dataclass
class Transfer:
    """A download or upload under way."""

    flash: Flash
    address: int
    end: int
    upload: bool
    block_length: int
    counter: int = 0
    last: bytes = b""


@dataclass
class SessionState:
    """What a reset or the default session forgets."""

    session: int = DEFAULT_SESSION
    unlocked: set[int] = field(default_factory=set)
    seeds: dict[int, bytes] = field(default_factory=dict)
    transfer: Transfer | None = None
    dtc_setting_off: bool = False
    communication_off: bool = False


class Ecu:
    """See the module. All calls on the car's event loop.

    Args:
        definition: what makes this ECU different.
        battery: its supply.
        timing: of its flash.
        rng: seeds of SecurityAccess, flash content, what corruption leaves.
    """

    def __init__(
        self, definition: EcuDefinition, battery: Battery, timing: Timing, rng: random.Random
    ) -> None:
        self.definition = definition
        self.faults: list[Fault] = []
        self.flashes = [Flash(region, rng) for region in definition.regions]
        self.dids = {did.did: did.value for did in definition.dids}
        self.spare: tuple[dict[int, bytes], list[Flash]] | None = None
        self.state = SessionState()
        self.in_boot = False
        self._battery = battery
        self._timing = timing
        self._rng = rng
        self._turn = asyncio.Lock()
        self._wrong_keys = 0
        self._locked_until = 0.0
        self._silent_until = 0.0
        self._heard_at = 0.0
        self._flashing: tuple[Flash, int] | None = None
        self._powered = True
        self._resets = 0
        self._reset_due = False
        battery.watch(self._on_voltage)
        self._services: dict[int, Callable[[bytes, str], Awaitable[bytes]]] = {
            0x10: self._session_control,
            0x11: self._reset_service,
            0x14: self._clear_dtcs,
            0x19: self._read_dtcs,
            0x22: self._read_dids,
            0x23: self._read_memory,
            0x27: self._security_access,
            0x28: self._communication_control,
            0x2E: self._write_did,
            0x31: self._routine,
            0x34: self._request_download,
            0x35: self._request_upload,
            0x36: self._transfer_data,
            0x37: self._transfer_exit,
            0x3E: self._tester_present,
            0x85: self._dtc_setting,
        }
        self.cleared = False

    @property
    def app_valid(self) -> bool:
        """May the application run?"""
        return all(flash.valid for flash in self.flashes if flash.region.programmable)

    @property
    def volts(self) -> float:
        """Its supply now."""
        return self._battery.volts

    def exchange(self, dids: dict[int, bytes]) -> None:
        """Put another ECU of the same make on the plug; done again, the first one is back.

        Args:
            dids: what the other one answers differently; its memory is its own.
        """
        other = self.spare
        if other is None:
            flashes = [Flash(region, self._rng) for region in self.definition.regions]
            other = (self.dids | dids, flashes)
        self.spare = (self.dids, self.flashes)
        self.dids, self.flashes = other
        self.reset()

    def lock_out(self, seconds: float) -> None:
        """SecurityAccess answers requiredTimeDelayNotExpired (0x37) for a while."""
        self._locked_until = clock.now() + seconds

    def is_alive(self) -> bool:
        """Does it have power and is it past its start?"""
        return self._battery.volts >= POWER_LOST_V and clock.now() >= self._silent_until

    def hear(self) -> None:
        """A frame of a long message arrived: S3 does not run while one is (ISO 14229-2, 8.3)."""
        if not self._turn.locked():
            self._lapse()

    async def handle(self, request: bytes, link: str, send: Send) -> bytes:
        """Carry out a request; `send` is given every answer. Returns the final one, for the log."""
        if not request or not self.is_alive():
            return b""
        async with self._turn:
            if not self.is_alive():
                return b""
            # Only now: S3 does not run while the ECU works on a request (ISO 14229-2, 8.3).
            self._lapse()
            fault = self._fault_for(request[0])
            resets = self._resets
            if fault is not None:
                early = await self._misbehave(fault, request, send)
                if early is not None:
                    return early
            answer = await self._with_pending(request, link, send)
            if not answer or resets != self._resets:
                return b""
            if fault is not None and fault.kind == "late_answer":
                await asyncio.sleep(fault.seconds)
            self._heard_at = clock.now()
            if fault is not None and fault.kind == "drop_answer":
                answer = b""
            else:
                send(answer)
            if self._reset_due:
                self.reset()
            return answer

    # Answering --------------------------------------------------------------------------------

    async def _with_pending(self, request: bytes, link: str, send: Send) -> bytes:
        work = asyncio.ensure_future(self._answer(request, link))
        wait_s = self.definition.p2_s * 0.6
        while not (await asyncio.wait({work}, timeout=wait_s))[0]:
            if self.is_alive():
                send(bytes([0x7F, request[0], 0x78]))
            wait_s = PENDING_PERIOD_S
        return work.result()

    async def _answer(self, request: bytes, link: str) -> bytes:
        service = request[0]
        handler = self._services.get(service)
        try:
            if handler is None:
                raise Nrc(0x11)
            answer = await handler(request, link)
        except Nrc as refusal:
            return bytes([0x7F, service, refusal.code])
        except FlashError:
            return bytes([0x7F, service, 0x72])
        suppressed = service in WITH_SUB_FUNCTION and len(request) > 1 and request[1] & 0x80
        return b"" if suppressed else answer

    def _fault_for(self, service: int) -> Fault | None:
        for fault in self.faults:
            if fault.service == service:
                fault.count -= 1
                if fault.count <= 0:
                    self.faults.remove(fault)
                return fault
        return None

    async def _misbehave(self, fault: Fault, request: bytes, send: Send) -> bytes | None:
        """Carry out a fault that comes before the work; None lets the work go on."""
        codes = {"busy": 0x21, "nrc": fault.nrc, "wrong_counter": 0x73}
        if fault.kind in codes:
            answer = bytes([0x7F, request[0], codes[fault.kind]])
            send(answer)
            return answer
        if fault.kind == "reset":
            self.reset()
            return b""
        if fault.kind == "pending":
            until = clock.now() + fault.seconds
            while clock.now() < until:
                send(bytes([0x7F, request[0], 0x78]))
                await asyncio.sleep(min(PENDING_PERIOD_S, fault.seconds))
        return None

    # Power, reset and time --------------------------------------------------------------------

    def reset(self) -> None:
        """Start anew: application if valid, else boot loader; silent meanwhile."""
        self._resets += 1
        self._reset_due = False
        self.state = SessionState()
        self.in_boot = not self.app_valid
        self._silent_until = clock.now() + self.definition.boot_s

    def _on_voltage(self, volts: float) -> None:
        if self._flashing is not None and volts < FLASH_CORRUPT_V:
            flash, offset = self._flashing
            self._flashing = None
            flash.corrupt(offset)
            self.reset()
        elif volts < POWER_LOST_V:
            self._powered = False
        elif not self._powered:
            # Power is back: it starts, which takes its time.
            self._powered = True
            self.reset()

    def _lapse(self) -> None:
        """S3: a session that nobody kept alive ends, and with it the boot loader if it may."""
        now = clock.now()
        if self.state.session != DEFAULT_SESSION and now - self._heard_at > self.definition.s3_s:
            self.state = SessionState()
            self.in_boot = not self.app_valid
        self._heard_at = now

    async def _flash_work(self, flash: Flash, offset: int, seconds: float) -> None:
        """Time in which a dip spoils the sector at `offset`."""
        self._flashing = (flash, offset)
        self._battery.add_load(FLASH_LOAD_A)
        resets = self._resets
        try:
            if seconds > 0:
                await asyncio.sleep(seconds)
        finally:
            self._battery.add_load(-FLASH_LOAD_A)
            self._flashing = None
        if resets != self._resets:
            raise Nrc(0x72)

    def _check_supply(self) -> None:
        if self._battery.volts > FLASH_MAX_V:
            raise Nrc(0x92)
        if self._battery.volts < FLASH_MIN_V:
            raise Nrc(0x93)

    # Sessions and security --------------------------------------------------------------------

    async def _session_control(self, request: bytes, _link: str) -> bytes:
        _length(request, 2)
        session = request[1] & 0x7F
        if session not in {DEFAULT_SESSION, PROGRAMMING_SESSION, EXTENDED_SESSION}:
            raise Nrc(0x12)
        if session == PROGRAMMING_SESSION and not self.definition.programmable:
            raise Nrc(0x12)
        if session == EXTENDED_SESSION and self.in_boot and not self.app_valid:
            raise Nrc(0x12)
        before = self.state
        self.state = SessionState(session=session)
        if session != DEFAULT_SESSION:
            self.state.dtc_setting_off = before.dtc_setting_off
            self.state.communication_off = before.communication_off
        self.in_boot = session == PROGRAMMING_SESSION or not self.app_valid
        p2_ms = int(self.definition.p2_s * 1000)
        p2_star = int(self.definition.p2_star_s * 100)
        return bytes([0x50, session]) + p2_ms.to_bytes(2, "big") + p2_star.to_bytes(2, "big")

    async def _reset_service(self, request: bytes, _link: str) -> bytes:
        _length(request, 2)
        if request[1] & 0x7F not in {0x01, 0x03}:
            raise Nrc(0x12)
        self._reset_due = True  # The answer goes out before the ECU is gone.
        return bytes([0x51, request[1] & 0x7F])

    def _security_for(self, level: int) -> Security:
        for security in self.definition.securities:
            if security.level == level:
                if security.session != self.state.session:
                    raise Nrc(0x7E)
                return security
        raise Nrc(0x12)

    async def _security_access(self, request: bytes, _link: str) -> bytes:
        if len(request) < 2:
            raise Nrc(0x13)
        sub_function = request[1] & 0x7F
        level = sub_function if sub_function & 1 else sub_function - 1
        security = self._security_for(level)
        if clock.now() < self._locked_until:
            raise Nrc(0x37)
        if sub_function == level:
            return self._seed(security)
        return self._key(security, request[2:])

    def _seed(self, security: Security) -> bytes:
        level = security.level
        if level in self.state.unlocked:
            return bytes([0x67, level]) + bytes(security.seed_length)
        # All zeros would say 'unlocked'.
        seed = bytes([1 + self._rng.randrange(255)]) + self._rng.randbytes(security.seed_length - 1)
        self.state.seeds[level] = seed
        return bytes([0x67, level]) + seed

    def _key(self, security: Security, key: bytes) -> bytes:
        seed = self.state.seeds.pop(security.level, None)
        if seed is None:
            raise Nrc(0x24)
        if key != key_for(security.provider, security.level, seed, security.params):
            self._wrong_keys += 1
            if self._wrong_keys < WRONG_KEYS:
                raise Nrc(0x35)
            self._wrong_keys = 0
            self._locked_until = clock.now() + LOCKOUT_S
            raise Nrc(0x36)
        self._wrong_keys = 0
        self.state.unlocked.add(security.level)
        return bytes([0x67, security.level + 1])

    def _require(self, session: int | None, level: int | None) -> None:
        if session is not None and self.state.session != session:
            raise Nrc(0x7F)
        if level is not None and level not in self.state.unlocked:
            raise Nrc(0x33)

    # Data -------------------------------------------------------------------------------------

    async def _read_dids(self, request: bytes, _link: str) -> bytes:
        if len(request) < 3 or not len(request) % 2:
            raise Nrc(0x13)
        answer = b""
        for at in range(1, len(request), 2):
            number = int.from_bytes(request[at : at + 2], "big")
            value = self._did(number)
            if value is not None:
                answer += request[at : at + 2] + value
        if not answer:
            raise Nrc(0x31)
        return b"\x62" + answer

    def _did(self, number: int) -> bytes | None:
        if number == 0xF186:
            return bytes([self.state.session])
        did = self.definition.did_by_number.get(number)
        if did is None or (self.in_boot and not (did.in_boot or did.write_session == 2)):
            return None
        return self.dids[number]

    async def _write_did(self, request: bytes, _link: str) -> bytes:
        if len(request) < 4:
            raise Nrc(0x13)
        number = int.from_bytes(request[1:3], "big")
        did = self.definition.did_by_number.get(number)
        if did is None or did.write_session is None:
            raise Nrc(0x31)
        self._require(did.write_session, did.write_level)
        if len(request) - 3 != len(did.value):
            raise Nrc(0x13)
        self.dids[number] = request[3:]
        return b"\x6e" + request[1:3]

    async def _read_dtcs(self, request: bytes, _link: str) -> bytes:
        if len(request) != 3 or request[1] & 0x7F != 0x02:
            raise Nrc(0x12)
        found = b"".join(
            dtc.code.to_bytes(3, "big") + bytes([dtc.status])
            for dtc in self.definition.dtcs
            if dtc.status & request[2] and not self.cleared
        )
        return b"\x59\x02\xff" + found

    async def _clear_dtcs(self, request: bytes, _link: str) -> bytes:
        _length(request, 4)
        self.cleared = True
        return b"\x54"

    async def _communication_control(self, request: bytes, _link: str) -> bytes:
        _length(request, 3)
        self._require_not_default()
        self.state.communication_off = request[1] & 0x7F != 0
        return bytes([0x68, request[1] & 0x7F])

    async def _dtc_setting(self, request: bytes, _link: str) -> bytes:
        _length(request, 2)
        self._require_not_default()
        if request[1] & 0x7F not in {1, 2}:
            raise Nrc(0x12)
        self.state.dtc_setting_off = request[1] & 0x7F == 2
        return bytes([0xC5, request[1] & 0x7F])

    def _require_not_default(self) -> None:
        if self.state.session == DEFAULT_SESSION:
            raise Nrc(0x7F)

    async def _tester_present(self, request: bytes, _link: str) -> bytes:
        _length(request, 2)
        if request[1] & 0x7F:
            raise Nrc(0x12)
        return b"\x7e\x00"

    # Memory -----------------------------------------------------------------------------------

    def _flash(self, address: int, length: int) -> Flash:
        for flash in self.flashes:
            if length and flash.holds(address, length):
                return flash
        raise Nrc(0x31)

    def _require_readout(self) -> None:
        if self.definition.memory_readout == "none":
            raise Nrc(0x11)
        if self.definition.memory_readout == "denied":
            raise Nrc(0x33)
        if not {LEVEL_READ_MEMORY, LEVEL_PROGRAMMING} & self.state.unlocked:
            raise Nrc(0x33)

    async def _read_memory(self, request: bytes, link: str) -> bytes:
        self._require_readout()
        address, length, rest = _address_and_length(request[1:])
        if rest or length > BLOCK_LENGTH[link] - 1:
            raise Nrc(0x31 if not rest else 0x13)
        return b"\x63" + self._flash(address, length).read(address, length)

    async def _request_upload(self, request: bytes, link: str) -> bytes:
        self._require_readout()
        return self._begin_transfer(request, link, upload=True)

    async def _request_download(self, request: bytes, link: str) -> bytes:
        self._require(PROGRAMMING_SESSION, LEVEL_PROGRAMMING)
        self._check_supply()
        return self._begin_transfer(request, link, upload=False)

    def _begin_transfer(self, request: bytes, link: str, *, upload: bool) -> bytes:
        if len(request) < 3:
            raise Nrc(0x13)
        if request[1] != 0x00:
            raise Nrc(0x31)  # Compressed or encrypted data is not supported.
        address, length, rest = _address_and_length(request[2:])
        flash = self._flash(address, length)
        if rest or not (upload or flash.region.programmable):
            raise Nrc(0x31)
        block = BLOCK_LENGTH[link]
        self.state.transfer = Transfer(flash, address, address + length, upload, block)
        return bytes([0x75 if upload else 0x74, 0x20]) + block.to_bytes(2, "big")

    async def _transfer_data(self, request: bytes, _link: str) -> bytes:
        transfer = self.state.transfer
        if transfer is None:
            raise Nrc(0x24)
        if len(request) < 2 or len(request) > transfer.block_length:
            raise Nrc(0x13)
        if request[1] == transfer.counter and transfer.last:
            # The tester lost the answer: the same again, nothing is written (14.4.5).
            return transfer.last
        if request[1] != (transfer.counter + 1) & 0xFF:
            raise Nrc(0x73)
        if transfer.upload:
            count = min(transfer.block_length - 2, transfer.end - transfer.address)
            data = transfer.flash.read(transfer.address, count)
        else:
            data = b""
            await self._program(transfer, request)
            count = len(request) - 2
        transfer.address += count
        transfer.counter = request[1]
        transfer.last = bytes([0x76, request[1]]) + data
        return transfer.last

    async def _program(self, transfer: Transfer, request: bytes) -> None:
        data = request[2:]
        if transfer.address + len(data) > transfer.end or not data:
            raise Nrc(0x71)
        self._check_supply()
        offset = transfer.address - transfer.flash.region.address
        seconds = self._timing.program_s_per_kib * len(data) / 1024
        await self._flash_work(transfer.flash, offset, seconds)
        transfer.flash.program(transfer.address, data)

    async def _transfer_exit(self, _request: bytes, _link: str) -> bytes:
        transfer = self.state.transfer
        if transfer is None or transfer.address != transfer.end:
            raise Nrc(0x24)
        self.state.transfer = None
        return b"\x77"

    async def _routine(self, request: bytes, _link: str) -> bytes:
        if len(request) < 4:
            raise Nrc(0x13)
        if request[1] & 0x7F != 1:
            raise Nrc(0x12)
        routines = {
            0xFF00: self._erase,
            0x0202: self._check_memory,
            0xFF01: self._check_dependencies,
        }
        routine = routines.get(int.from_bytes(request[2:4], "big"))
        if routine is None or not self.definition.programmable:
            raise Nrc(0x31)
        self._require(PROGRAMMING_SESSION, LEVEL_PROGRAMMING)
        return b"\x71\x01" + request[2:4] + await routine(request[4:])

    async def _erase(self, option: bytes) -> bytes:
        address, length, rest = _address_and_length(option)
        flash = self._flash(address, length)
        if rest or not flash.region.programmable:
            raise Nrc(0x31)
        self._check_supply()
        self.state.transfer = None
        try:
            sectors = flash.sectors(address, length)
        except FlashError as error:
            raise Nrc(0x31) from error
        for offset in sectors:
            flash.erase_sector(offset)
            await self._flash_work(flash, offset, self._timing.erase_s_per_sector)
        return b"\x00"

    async def _check_memory(self, option: bytes) -> bytes:
        address, length, rest = _address_and_length(option)
        flash = self._flash(address, length)
        if len(rest) != 4:
            raise Nrc(0x13)
        right = flash.check(address, length, int.from_bytes(rest, "big"))
        return b"\x00" if right else b"\x01"

    async def _check_dependencies(self, _option: bytes) -> bytes:
        return b"\x00" if self.app_valid else b"\x01"


def _length(request: bytes, length: int) -> None:
    if len(request) != length:
        raise Nrc(0x13)


def _address_and_length(data: bytes) -> tuple[int, int, bytes]:
    """addressAndLengthFormatIdentifier, address, length (ISO 14229-1:2020, H.1); and the rest."""
    if not data:
        raise Nrc(0x13)
    address_width, length_width = data[0] & 0x0F, data[0] >> 4
    end = 1 + address_width + length_width
    if not address_width or not length_width or len(data) < end:
        raise Nrc(0x13)
    address = int.from_bytes(data[1 : 1 + address_width], "big")
    return address, int.from_bytes(data[1 + address_width : end], "big"), data[end:]
