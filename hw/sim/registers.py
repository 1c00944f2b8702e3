"""The INA219 of the simulated car, as it is seen on I2C: registers in a file that both sides map.

The car writes the battery voltage and the faults; the kit opens the file as an I2C bus, so that the
unmodified driver runs on it. What the chip itself remembers (configuration, register pointer, last
collected conversion) lies in the file too: a restarted kit finds the chip as it was left.

Register facts: Texas Instruments SBOS448, 8.6. Times are CLOCK_BOOTTIME, which both sides share.
"""

from __future__ import annotations

import errno
import mmap
import os
import struct
from pathlib import Path
from typing import Literal

from hw import clock

ADDRESS = 0x40
POWER_ON_CONFIG = 0x399F
FAULTS = ("none", "nak", "frozen", "overflow", "reset", "offset")
Fault = Literal["none", "nak", "frozen", "overflow", "reset", "offset"]

_CONFIG, _SHUNT, _BUS, _POWER, _CURRENT, _CALIBRATION = range(6)
_SIZE = 64
# The car's part: volts, offset, volts at the freeze, fault.
_VOLTS, _OFFSET, _FROZEN, _FAULT = 0, 8, 16, 24
# The chip's part: last collection, configuration, calibration, pointer.
_COLLECTED, _CONFIG_AT, _CALIBRATION_AT, _POINTER = 32, 40, 42, 44
_CONVERSION_S = {0b0000: 84e-6, 0b0001: 148e-6, 0b0010: 276e-6}
_TWELVE_BIT_S = 532e-6


class RegisterFile:
    """The mapped file.

    Args:
        path: created with power-on contents when `create` is true.
    """

    def __init__(self, path: str | Path, *, create: bool = False) -> None:
        if create:
            Path(path).write_bytes(bytes(_SIZE))
        descriptor = os.open(path, os.O_RDWR)
        try:
            self._map = mmap.mmap(descriptor, _SIZE)
        finally:
            os.close(descriptor)
        if create:
            self._put(">H", _CONFIG_AT, POWER_ON_CONFIG)

    def close(self) -> None:
        """Unmap the file."""
        self._map.close()

    # The car's side ---------------------------------------------------------------------------

    @property
    def volts(self) -> float:
        """The true voltage at the battery."""
        return self._get("<d", _VOLTS)

    @volts.setter
    def volts(self, volts: float) -> None:
        self._put("<d", _VOLTS, volts)

    def set_fault(self, fault: Fault, offset_v: float = 0.0) -> None:
        """Make the sensor fail in one way, or heal it with `none`; `reset` happens once."""
        self._put("<d", _OFFSET, offset_v)
        self._put("<d", _FROZEN, self.volts)
        if fault == "reset":
            self._put(">H", _CONFIG_AT, POWER_ON_CONFIG)
            self._put(">H", _CALIBRATION_AT, 0)
            fault = "none"
        self._put("<B", _FAULT, FAULTS.index(fault))

    @property
    def configuration(self) -> int:
        """The configuration register, for tests."""
        return int(self._get(">H", _CONFIG_AT))

    # The chip's side --------------------------------------------------------------------------

    def transfer(self, written: bytes, read_length: int) -> bytes:
        """One I2C transaction: the pointer and up to two bytes written, then bytes read.

        Raises:
            OSError: nobody acknowledges (EREMOTEIO, as Linux reports it).
        """
        if self._fault == "nak":
            raise OSError(errno.EREMOTEIO, os.strerror(errno.EREMOTEIO))
        if written:
            self._put("<B", _POINTER, written[0])
            if len(written) >= 3:
                self._write(written[0], int.from_bytes(written[1:3], "big"))
        if not read_length:
            return b""
        return self._read(int(self._get("<B", _POINTER))).to_bytes(2, "big")[:read_length]

    def _write(self, register: int, value: int) -> None:
        if register == _CONFIG:
            self._put(">H", _CONFIG_AT, POWER_ON_CONFIG if value & 0x8000 else value)
            self._put("<d", _COLLECTED, clock.now())
        elif register == _CALIBRATION:
            self._put(">H", _CALIBRATION_AT, value & 0xFFFE)

    def _read(self, register: int) -> int:
        if register == _CONFIG:
            return self.configuration
        if register == _CALIBRATION:
            return int(self._get(">H", _CALIBRATION_AT))
        if register == _BUS:
            return self._bus()
        if register == _POWER:
            self._put("<d", _COLLECTED, clock.now())
        return 0

    def _bus(self) -> int:
        fault = self._fault
        volts = self._get("<d", _FROZEN) if fault == "frozen" else self.volts
        if fault == "offset":
            volts += self._get("<d", _OFFSET)
        ready = self._converted() and fault != "frozen"
        millivolts = min(max(int(volts * 1000), 0), 32764)
        return (millivolts // 4) << 3 | ready << 1 | (fault == "overflow")

    def _converted(self) -> bool:
        config = self.configuration
        if config & 0b111 not in {0b110, 0b111}:
            return False
        resolution = config >> 7 & 0b1111
        averaged = 1 << (resolution & 0b111) if resolution & 0b1000 else 1
        conversion_s = averaged * _CONVERSION_S.get(resolution & 0b0011, _TWELVE_BIT_S)
        if resolution & 0b1000:
            conversion_s = averaged * _TWELVE_BIT_S
        return clock.now() - self._get("<d", _COLLECTED) >= conversion_s

    @property
    def _fault(self) -> str:
        return FAULTS[int(self._get("<B", _FAULT))]

    def _get(self, kind: str, offset: int) -> float:
        return float(struct.unpack_from(kind, self._map, offset)[0])

    def _put(self, kind: str, offset: int, value: float) -> None:
        struct.pack_into(kind, self._map, offset, value)


class RegisterFileI2C:
    """The register file as an I2C bus, in the form that adafruit's drivers expect.

    Args:
        path: the register file of a running simulated car.
    """

    def __init__(self, path: str | Path) -> None:
        self._registers = RegisterFile(path)
        self._locked = False

    def try_lock(self) -> bool:
        """Take the bus; False when it is taken."""
        if self._locked:
            return False
        self._locked = True
        return True

    def unlock(self) -> None:
        """Give the bus back."""
        self._locked = False

    def scan(self) -> list[int]:
        """Addresses that acknowledge."""
        try:
            self._registers.transfer(b"", 0)
        except OSError:
            return []
        return [ADDRESS]

    def writeto(
        self, address: int, buffer: bytes, *, start: int = 0, end: int | None = None
    ) -> None:
        """Write to the chip at `address`."""
        self._at(address).transfer(bytes(buffer[start:end]), 0)

    def readfrom_into(
        self, address: int, buffer: bytearray, *, start: int = 0, end: int | None = None
    ) -> None:
        """Read from the chip at `address`."""
        length = (len(buffer) if end is None else end) - start
        buffer[start : start + length] = self._at(address).transfer(b"", length)

    def writeto_then_readfrom(
        self,
        address: int,
        out_buffer: bytes,
        in_buffer: bytearray,
        *,
        out_start: int = 0,
        out_end: int | None = None,
        in_start: int = 0,
        in_end: int | None = None,
    ) -> None:
        """Write, then read with a repeated start."""
        length = (len(in_buffer) if in_end is None else in_end) - in_start
        read = self._at(address).transfer(bytes(out_buffer[out_start:out_end]), length)
        in_buffer[in_start : in_start + length] = read

    def deinit(self) -> None:
        """Unmap the register file."""
        self._registers.close()

    def _at(self, address: int) -> RegisterFile:
        if address != ADDRESS:
            raise OSError(errno.EREMOTEIO, os.strerror(errno.EREMOTEIO))
        return self._registers
