"""The simulated car's DoIP gateway (ISO 13400-2): TCP, TLS, UDP identification."""

from __future__ import annotations

import asyncio
import contextlib
import ssl
import struct
from typing import cast

from hw import clock
from hw.sim.ecu import Ecu
from hw.sim.fleet import GATEWAY_ADDRESS, VIN
from hw.sim.log import Requests

VERSION = 0x02
EID = bytes.fromhex("02464b000017")
MAX_MESSAGE = 1 << 20
_HEADER = struct.Struct(">BBHI")
_ALIVE_WAIT_S = 0.5


def message(kind: int, body: bytes) -> bytes:
    """A DoIP message with its header."""
    return _HEADER.pack(VERSION, VERSION ^ 0xFF, kind, len(body)) + body


class Gateway:
    """Serves testers; one routing activation per source address.

    Args:
        ecus: by logical address.
        requests: the log.
    """

    def __init__(self, ecus: dict[int, Ecu], requests: Requests) -> None:
        self._ecus = ecus
        self._requests = requests
        self._active: dict[int, Connection] = {}
        self.awake = True
        self.deaf_until = 0.0

    async def serve(
        self, port: int, tls: ssl.SSLContext | None = None
    ) -> tuple[asyncio.Server, int]:
        """Listen on 127.0.0.1; returns the server and its port."""
        server = await asyncio.start_server(
            self._client, "127.0.0.1", port, limit=MAX_MESSAGE, ssl=tls
        )
        return server, server.sockets[0].getsockname()[1]

    async def _client(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        connection = Connection(reader, writer, self)
        try:
            await connection.run()
        except (asyncio.IncompleteReadError, ConnectionError, ssl.SSLError):
            pass  # The tester is gone.
        finally:
            if self._active.get(connection.source) is connection:
                del self._active[connection.source]
            writer.close()
            with contextlib.suppress(ConnectionError, ssl.SSLError):
                await writer.wait_closed()

    async def activate(self, connection: Connection, source: int) -> int:
        """Routing activation (ISO 13400-2:2019, table 49); returns the response code."""
        if not 0x0E00 <= source <= 0x0EFF:
            return 0x00
        if connection.source not in (-1, source):
            return 0x02
        other = self._active.get(source)
        if other is not None and other is not connection:
            if await other.is_alive():
                return 0x03
            other.drop()
        self._active[source] = connection
        connection.source = source
        return 0x10

    def drop_all(self) -> None:
        """Reset every tester's connection, as a gateway that starts anew does."""
        for connection in list(self._active.values()):
            connection.drop()

    def ask_alive(self) -> None:
        """Ask every tester whether it is there, and drop those that do not say so."""
        for connection in list(self._active.values()):
            connection.demand_alive()

    def is_awake(self) -> bool:
        """Does the gateway itself have power, and has nobody put it to sleep?"""
        hears = clock.now() >= self.deaf_until
        return self.awake and hears and self._ecus[GATEWAY_ADDRESS].is_alive()

    def ecu_for(self, address: int) -> Ecu | None:
        """The ECU at a logical address."""
        return self._ecus.get(address)

    async def handle(self, ecu: Ecu, request: bytes, connection: Connection, target: int) -> None:
        """Carry out a diagnostic message and send its answers."""

        def send(answer: bytes) -> None:
            addresses = struct.pack(">HH", target, connection.source)
            connection.send(0x8001, addresses + answer)

        await self._requests.handle(ecu, request, "doip", send)


class Connection:
    """One tester's TCP connection."""

    def __init__(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, gateway: Gateway
    ) -> None:
        self._reader, self._writer, self._gateway = reader, writer, gateway
        self.source = -1
        self._alive = asyncio.Event()
        self._tasks: set[asyncio.Task[None]] = set()

    async def run(self) -> None:
        """Serve until the tester closes."""
        while True:
            version, inverse, kind, length = _HEADER.unpack(
                await self._reader.readexactly(_HEADER.size)
            )
            if version ^ inverse != 0xFF:
                self.send(0x0000, b"\x00")
                return
            if length > MAX_MESSAGE:
                self.send(0x0000, b"\x02")
                return
            body = await self._reader.readexactly(length)
            if not self._gateway.is_awake():
                continue
            if not await self._take(kind, body):
                return

    def send(self, kind: int, body: bytes) -> None:
        """Send a message, unless the connection is closing."""
        if not self._writer.is_closing():
            self._writer.write(message(kind, body))

    def drop(self) -> None:
        """Cut the connection."""
        transport = self._writer.transport
        transport.abort()

    def demand_alive(self) -> None:
        """Drop the connection unless the tester answers an alive check."""

        async def check() -> None:
            if not await self.is_alive():
                self.drop()

        self._remember(asyncio.ensure_future(check()))

    def _remember(self, task: asyncio.Task[None]) -> None:
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def is_alive(self) -> bool:
        """Alive check (ISO 13400-2:2019, 7.7)."""
        self._alive.clear()
        self.send(0x0007, b"")
        try:
            await asyncio.wait_for(self._alive.wait(), _ALIVE_WAIT_S)
        except TimeoutError:
            return False
        return True

    async def _take(self, kind: int, body: bytes) -> bool:
        if kind == 0x0005:
            return await self._activation(body)
        if kind == 0x0008:
            self._alive.set()
        elif kind == 0x8001:
            self._diagnostic(body)
        else:
            self.send(0x0000, b"\x01")
        return True

    async def _activation(self, body: bytes) -> bool:
        if len(body) not in {7, 11}:
            self.send(0x0000, b"\x04")
            return False
        source, activation = struct.unpack_from(">HB", body)
        code = 0x06 if activation != 0x00 else await self._gateway.activate(self, source)
        self.send(0x0006, struct.pack(">HHBI", source, GATEWAY_ADDRESS, code, 0))
        return code == 0x10

    def _diagnostic(self, body: bytes) -> None:
        if len(body) < 5:
            self.send(0x0000, b"\x04")
            return
        source, target = struct.unpack_from(">HH", body)
        addresses = struct.pack(">HH", target, source)
        ecu = self._gateway.ecu_for(target)
        if source != self.source:
            self.send(0x8003, addresses + b"\x02")
        elif ecu is None:
            self.send(0x8003, addresses + b"\x03")
        else:
            self.send(0x8002, addresses + b"\x00")
            handling = self._gateway.handle(ecu, body[4:], self, target)
            self._remember(asyncio.ensure_future(handling))


class Identification(asyncio.DatagramProtocol):
    """Answers vehicle identification, entity status and power mode requests on UDP."""

    def __init__(self) -> None:
        self._transport: asyncio.DatagramTransport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Keep the transport."""
        # Python 3.11's own datagram transport is not derived from asyncio.DatagramTransport.
        self._transport = cast(asyncio.DatagramTransport, transport)

    def datagram_received(self, data: bytes, address: tuple[str, int]) -> None:
        """Answer one request."""
        if self._transport is None or len(data) < _HEADER.size:
            return
        version, inverse, kind, length = _HEADER.unpack_from(data)
        body = data[_HEADER.size :]
        if version ^ inverse != 0xFF or length != len(body):
            return
        answer = self._answer(kind, body)
        if answer is not None:
            self._transport.sendto(message(*answer), address)

    def _answer(self, kind: int, body: bytes) -> tuple[int, bytes] | None:
        wanted = {0x0001: b"", 0x0002: EID, 0x0003: VIN}
        if kind in wanted:
            if body != wanted[kind]:
                return None
            return 0x0004, VIN + struct.pack(">H", GATEWAY_ADDRESS) + EID + EID + b"\x00\x00"
        if kind == 0x4001:
            return 0x4002, struct.pack(">BBBI", 0x00, 16, 1, MAX_MESSAGE)
        if kind == 0x4003:
            return 0x4004, b"\x01"
        return 0x0000, b"\x01"
