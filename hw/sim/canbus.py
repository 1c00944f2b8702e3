"""The simulated CAN bus: ECUs with ISO-TP on it, and a socketcand server for testers.

Paced, every frame takes its true time at 500 kbit/s: its bits with the stuff bits that its content
needs (ISO 11898-1, 10.5), one frame at a time for both directions.
"""

from __future__ import annotations

import asyncio
import contextlib
import errno
import socket
import struct
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, replace

import isotp

from hw.sim.disturb import Wire
from hw.sim.ecu import Ecu
from hw.sim.log import Requests

BITRATE = 500_000
BUS_NAME = "can0"
_TICK_S = 0.01
_FIRST_OR_CONSECUTIVE = (0x1, 0x2)
_QUEUE_RETRY_S = 0.001
_RECEIVE_BYTES = 4 << 20
_LINUX_FRAME = struct.Struct("=IB3x8s")
"""`struct can_frame` of linux/can.h."""


@dataclass(frozen=True, slots=True)
class Frame:
    """A classic CAN data frame."""

    identifier: int
    extended: bool
    data: bytes


def frame_bits(frame: Frame) -> int:
    """Length on the wire in bits, stuffing and interframe space included (ISO 11898-1)."""
    dlc = len(frame.data)
    if frame.extended:
        # Base identifier, SRR and IDE recessive, rest of the identifier, RTR, r1, r0.
        high, low = frame.identifier >> 18, frame.identifier & 0x3FFFF
        head = f"0{high:011b}11{low:018b}000{dlc:04b}"
    else:
        head = f"0{frame.identifier:011b}000{dlc:04b}"
    body = head + "".join(f"{byte:08b}" for byte in frame.data)
    body += f"{_crc15(body):015b}"
    # CRC delimiter, ACK slot and delimiter, end of frame, interframe space are never stuffed.
    return len(body) + _stuff_bits(body) + 1 + 2 + 7 + 3


def _crc15(bits: str) -> int:
    crc = 0
    for bit in bits:
        invert = (bit == "1") ^ (crc >> 14 & 1)
        crc = (crc << 1) & 0x7FFF
        if invert:
            crc ^= 0x4599
    return crc


def _stuff_bits(bits: str) -> int:
    stuffed, run, last = 0, 0, ""
    for bit in bits:
        run = run + 1 if bit == last else 1
        last = bit
        if run == 5:
            stuffed += 1
            # The stuff bit is the complement and begins a run of its own.
            last, run = ("0" if bit == "1" else "1"), 1
    return stuffed


class Bus:
    """Delivers each frame to every other node; with `paced`, at the true bit rate.

    Attributes:
        wire: what goes wrong on it.
        frame_at: when the frame that is being delivered ended on the bus, as a controller stamps
            it; event loop's time, which wakes up to 1 ms late.
    """

    def __init__(self, *, paced: bool) -> None:
        self._paced = paced
        self.wire = Wire()
        self.frame_at = 0.0
        self._nodes: list[Callable[[Frame], None]] = []
        self._queue: deque[tuple[float, Frame, Callable[[Frame], None]]] = deque()
        self._free_at = 0.0
        self._timer: asyncio.TimerHandle | None = None

    def attach(self, node: Callable[[Frame], None]) -> None:
        """Add a node, named by the function that takes its frames."""
        self._nodes.append(node)

    def detach(self, node: Callable[[Frame], None]) -> None:
        """Remove a node."""
        self._nodes.remove(node)

    def send(self, frame: Frame, sender: Callable[[Frame], None]) -> None:
        """Put a frame on the bus."""
        hold_s = self.wire.hold_s()
        loop = asyncio.get_running_loop()
        if not self._paced and not hold_s and not self._queue:
            self.frame_at = loop.time()
            self._deliver(frame, sender)
            return
        start = max(self._free_at, loop.time() + hold_s)
        self._free_at = start + (frame_bits(frame) / BITRATE if self._paced else 0.0)
        self._queue.append((self._free_at, frame, sender))
        if self._timer is None:
            self._timer = loop.call_at(self._free_at, self._flush)

    def _flush(self) -> None:
        loop = asyncio.get_running_loop()
        self._timer = None
        while self._queue and self._queue[0][0] <= loop.time():
            self.frame_at, frame, sender = self._queue.popleft()
            self._deliver(frame, sender)
        if self._queue and self._timer is None:
            self._timer = loop.call_at(self._queue[0][0], self._flush)

    def _deliver(self, frame: Frame, sender: Callable[[Frame], None]) -> None:
        for data in self.wire.deliver(frame.data):
            arriving = frame if data is frame.data else replace(frame, data=data)
            for node in tuple(self._nodes):
                if node is not sender:
                    node(arriving)


class CanNode:
    """An ECU on the bus, behind ISO-TP (ISO 15765-2) with block size 0 and STmin 0."""

    def __init__(self, ecu: Ecu, bus: Bus, requests: Requests) -> None:
        ids = ecu.definition.can
        if ids is None:
            raise ValueError(f"{ecu.definition.name} is not on CAN")
        self._ids, self._ecu, self._bus, self._requests = ids, ecu, bus, requests
        self._inbox: deque[isotp.CanMessage] = deque()
        self._tasks: set[asyncio.Task[None]] = set()
        mode = isotp.AddressingMode.Normal_29bits if ids.extended else None
        self._layer = isotp.TransportLayerLogic(
            rxfn=lambda _timeout: self._inbox.popleft() if self._inbox else None,
            txfn=self._put,
            address=isotp.Address(
                mode or isotp.AddressingMode.Normal_11bits, txid=ids.rx, rxid=ids.tx
            ),
            error_handler=lambda _error: None,  # A dropped message is what the gate is for.
            params={"stmin": 0, "blocksize": 0, "tx_padding": 0x55, "max_frame_size": 4095},
        )
        self._tick: asyncio.TimerHandle | None = None
        self._node = self._take
        bus.attach(self._node)

    def _take(self, frame: Frame) -> None:
        if frame.identifier != self._ids.tx or frame.extended != self._ids.extended:
            return
        if not self._ecu.is_alive():
            return
        if frame.data[:1] and frame.data[0] >> 4 in _FIRST_OR_CONSECUTIVE:
            self._ecu.hear()
        self._inbox.append(
            isotp.CanMessage(
                arbitration_id=frame.identifier,
                extended_id=frame.extended,
                data=frame.data,
                dlc=len(frame.data),
            )
        )
        self._process()

    def _process(self) -> None:
        self._advance()
        while (request := self._layer.recv()) is not None:
            task = asyncio.ensure_future(self._handle(bytes(request)))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

    async def _handle(self, request: bytes) -> None:
        await self._requests.handle(self._ecu, request, "can", self._answer)

    def _answer(self, answer: bytes) -> None:
        self._layer.send(answer)
        self._advance()

    def _advance(self) -> None:
        """Let ISO-TP do what is due; while a message is under way, its time-outs go on."""
        self._layer.process(rx_timeout=0.0)
        if self._tick is None and (self._layer.transmitting() or self._layer.is_rx_active()):
            self._tick = asyncio.get_running_loop().call_later(_TICK_S, self._go_on)

    def _go_on(self) -> None:
        self._tick = None
        self._process()

    def _put(self, frame: isotp.CanMessage) -> None:
        self._bus.send(
            Frame(frame.arbitration_id, frame.is_extended_id, bytes(frame.data)), self._node
        )


class Interface:
    """A real CAN interface of Linux as one node of the bus.

    Args:
        name: an interface that is up; its own queue and bit rate set the pace.

    Raises:
        OSError: it is not there, or is down.
    """

    def __init__(self, bus: Bus, name: str) -> None:
        self._bus, self._waiting = bus, deque[bytes]()
        self._socket = socket.socket(socket.AF_CAN, socket.SOCK_RAW, socket.CAN_RAW)
        # A block of a download comes without a pause (block size 0); the system's limit holds.
        self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, _RECEIVE_BYTES)
        self._socket.bind((name,))
        self._socket.setblocking(False)
        self._loop = asyncio.get_running_loop()
        self._loop.add_reader(self._socket, self._receive)
        self._node = self._take
        bus.attach(self._node)

    def _receive(self) -> None:
        identifier, length, data = _LINUX_FRAME.unpack(self._socket.recv(_LINUX_FRAME.size))
        extended = bool(identifier & socket.CAN_EFF_FLAG)
        if not identifier & (socket.CAN_ERR_FLAG | socket.CAN_RTR_FLAG):
            number = identifier & (socket.CAN_EFF_MASK if extended else socket.CAN_SFF_MASK)
            self._bus.send(Frame(number, extended, data[:length]), self._node)

    def _take(self, frame: Frame) -> None:
        identifier = frame.identifier | (socket.CAN_EFF_FLAG if frame.extended else 0)
        self._waiting.append(_LINUX_FRAME.pack(identifier, len(frame.data), frame.data))
        if len(self._waiting) == 1:
            self._send()

    def _send(self) -> None:
        while self._waiting:
            try:
                self._socket.send(self._waiting[0])
            except OSError as error:
                if error.errno not in {errno.ENOBUFS, errno.EAGAIN}:
                    raise
                # The interface's queue is full; select(2) does not tell when it has room again.
                self._loop.call_later(_QUEUE_RETRY_S, self._send)
                return
            self._waiting.popleft()


class SocketcandServer:
    """Testers' way onto the bus: the socketcand protocol in raw mode."""

    def __init__(self, bus: Bus) -> None:
        self._bus = bus

    async def serve(self, port: int) -> asyncio.Server:
        """Listen on 127.0.0.1; port 0 takes a free one."""
        return await asyncio.start_server(self._client, "127.0.0.1", port)

    async def _client(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        def take(frame: Frame) -> None:
            identifier = f"{frame.identifier:0{8 if frame.extended else 3}X}"
            stamp = f"{self._bus.frame_at:.6f}"
            writer.write(f"< frame {identifier} {stamp} {frame.data.hex()} >".encode())

        writer.write(b"< hi >")
        raw = False
        try:
            while True:
                line = await reader.readuntil(b">")
                words = line.strip(b"<> \r\n\t").split()
                if not words:
                    continue
                if words[0] == b"send" and raw:
                    self._send(words, take)
                elif words[0] == b"open" and words[1:] == [BUS_NAME.encode()]:
                    writer.write(b"< ok >")
                elif words[0] == b"rawmode" and not raw:
                    raw = True
                    self._bus.attach(take)
                    writer.write(b"< ok >")
                else:
                    writer.write(b"< error unknown command >")
        except (asyncio.IncompleteReadError, asyncio.LimitOverrunError, ConnectionError):
            pass  # The tester is gone.
        finally:
            if raw:
                self._bus.detach(take)
            writer.close()
            with contextlib.suppress(ConnectionError):
                await writer.wait_closed()

    def _send(self, words: list[bytes], sender: Callable[[Frame], None]) -> None:
        """`< send ID LEN B0 B1 .. >`; an identifier of eight digits has 29 bits."""
        try:
            identifier, length = int(words[1], 16), int(words[2])
            data = bytes(int(word, 16) for word in words[3 : 3 + length])
        except (IndexError, ValueError):
            return  # socketcand ignores what it does not understand.
        self._bus.send(Frame(identifier, len(words[1]) > 3, data), sender)
