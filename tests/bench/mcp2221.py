"""An MCP2221 USB-to-I2C bridge on /dev/uhid, with the simulated car's INA219 behind it.

The kernel's own hid-mcp2221 driver takes it for the real device and makes a real `/dev/i2c-N` of
it, so that everything from the register file's model up to the kit runs unchanged. What the car
does to its battery and sensor (sag, NAK, a reset configuration) is seen there at once.

`main` prints the bus' path and runs until the process is killed, which is the plug pulled. SIGUSR1
makes each transfer slow, SIGUSR2 as fast as it was.

Source: Microchip DS20005565 (MCP2221A), section 3.1, as Linux' drivers/hid/hid-mcp2221.c uses it.
"""

from __future__ import annotations

import os
import signal
import struct
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path

from hw.sim.registers import ADDRESS, RegisterFile

SLOW_S = 0.3
"""A look at the sensor is two transfers: their sample is older than any plan bears."""
REPORT_S = 0.002
"""What a report and its answer take with a full-speed USB device."""
_PRIORITY = 20
BUS_USB, VENDOR, PRODUCT = 0x03, 0x04D8, 0x00DD
NAME = b"MCP2221 USB-I2C/UART Combo"
REPORT_BYTES = 64
# One vendor-defined report of 64 bytes each way, without a report number.
DESCRIPTOR = bytes.fromhex(
    "0600ff0901a101"  # usage page, usage, application collection
    "0902150026ff00750895408102"  # 64 bytes in
    "0903150026ff00750895409102"  # 64 bytes out
    "c0"
)

# linux/uhid.h
UHID_OUTPUT, UHID_CREATE2, UHID_INPUT2 = 6, 11, 12
UHID_EVENT_BYTES = 4 + 4376

STATUS = 0x10
WRITE, WRITE_NO_STOP = 0x90, 0x94
READ, READ_REPEATED_START = 0x91, 0x93
GET_DATA = 0x40
SET_SPEED = 0x20
COMPLETE, ADDRESS_NACK, STATUS_NACK = 0x55, 0x25, 0x40
SETTLE_S = 10.0


class Bridge:
    """The bridge's commands over a register file.

    Args:
        registers: the INA219; any other address does not acknowledge.
    """

    def __init__(self, registers: RegisterFile) -> None:
        self._registers = registers
        self._data = b""
        self._nack = False
        self._pointer = b""
        self.transfer_s = 0.0
        """Time that the wire takes, beyond that of the computer."""
        self._commands: dict[int, Callable[[bytes], bytes]] = {
            STATUS: self._status,
            WRITE: self._write,
            WRITE_NO_STOP: self._write_no_stop,
            READ: self._read,
            READ_REPEATED_START: self._read,
            GET_DATA: self._get_data,
        }

    def answer(self, report: bytes) -> bytes:
        """The 64 bytes that the device sends back."""
        command = self._commands.get(report[0])
        told = command(report) if command is not None else b""  # 0x00: success
        return (report[:1] + told).ljust(REPORT_BYTES, b"\x00")

    def _status(self, report: bytes) -> bytes:
        told = bytearray(REPORT_BYTES - 1)
        told[2] = SET_SPEED if report[3] == SET_SPEED else 0
        told[19] = STATUS_NACK if self._nack else 0
        if report[2]:  # Cancel: the bus is free again.
            self._nack = False
        return bytes(told)

    def _write(self, report: bytes) -> bytes:
        self._transfer(report[3], self._payload(report), 0)
        return b"\x00"

    def _write_no_stop(self, report: bytes) -> bytes:
        # The register's number, of which the read that follows makes one transfer.
        self._pointer = self._payload(report)
        return b"\x00"

    def _read(self, report: bytes) -> bytes:
        self._data = self._transfer(report[3], self._pointer, report[1])
        self._pointer = b""
        return b"\x00"

    def _get_data(self, _report: bytes) -> bytes:
        if self._nack:
            return bytes((0x00, ADDRESS_NACK))
        return bytes((0x00, COMPLETE, len(self._data))) + self._data

    def _payload(self, report: bytes) -> bytes:
        return report[4 : 4 + report[1]]

    def _transfer(self, address: int, written: bytes, length: int) -> bytes:
        if self.transfer_s:
            time.sleep(self.transfer_s)
        self._nack = address >> 1 != ADDRESS
        try:
            return b"" if self._nack else self._registers.transfer(written, length)
        except OSError:
            self._nack = True
            return b""


def serve(bridge: Bridge, device: int) -> None:
    """Answer the kernel's reports until the device is closed."""
    while event := os.read(device, UHID_EVENT_BYTES):
        if int.from_bytes(event[:4], sys.byteorder) == UHID_OUTPUT:
            answer = bridge.answer(event[4 : 4 + REPORT_BYTES])
            time.sleep(REPORT_S)
            os.write(device, struct.pack("=IH", UHID_INPUT2, len(answer)) + answer)


def create(device: int) -> None:
    """Plug it in: `struct uhid_create2_req` behind the event's type."""
    event = struct.pack(
        "=I128s64s64sHHIIII",
        UHID_CREATE2,
        NAME,
        b"bench",
        b"",
        len(DESCRIPTOR),
        BUS_USB,
        VENDOR,
        PRODUCT,
        0x0100,
        0,
    )
    os.write(device, event + DESCRIPTOR)


def i2c_bus(known: set[Path]) -> Path:
    """The bus that the driver made, once it is there."""
    until = time.monotonic() + SETTLE_S
    while time.monotonic() < until:
        if found := set(Path("/dev").glob("i2c-*")) - known:
            return found.pop()
        time.sleep(0.01)
    raise TimeoutError("hid-mcp2221 has made no I2C bus")


def main(registers: str) -> int:
    """Run the bridge over the file of the car's registers."""
    # A device of its own does not wait for the kit's processor.
    os.sched_setscheduler(0, os.SCHED_FIFO, os.sched_param(_PRIORITY))
    bridge = Bridge(RegisterFile(registers))

    def set_speed(number: int, _frame: object) -> None:
        bridge.transfer_s = SLOW_S if number == signal.SIGUSR1 else 0.0

    signal.signal(signal.SIGUSR1, set_speed)
    signal.signal(signal.SIGUSR2, set_speed)
    known = set(Path("/dev").glob("i2c-*"))
    device = os.open("/dev/uhid", os.O_RDWR | os.O_CLOEXEC)
    create(device)
    # The driver asks while it makes the bus, so it must be answered meanwhile.
    threading.Thread(target=lambda: print(i2c_bus(known), flush=True), daemon=True).start()
    serve(bridge, device)
    return 0
