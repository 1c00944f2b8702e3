"""python-can's socketcand bus, made fit for a conversation that must not hang.

python-can 4.6 as it comes waits without limit for the server's greeting, fails when the reply to
`rawmode` and the first frame arrive together, spins at full load when the server has closed the
connection, and reads 1,024 bytes at a time. Frames are still built and written by python-can.
"""

# python-can declares itself typed; this interface of it has no annotations.
# mypy: allow-untyped-calls

from __future__ import annotations

import logging
import select
import socket
from collections import deque

import can
from can.interfaces.socketcand.socketcand import SocketCanDaemonBus

CONNECT_LIMIT_S = 3.0
HANDSHAKE_LIMIT_S = 3.0
SEND_LIMIT_S = 2.0

_RECEIVE_BYTES = 65536
_LONGEST_LINE = 512
_LOG = logging.getLogger(__name__)


class SocketcandBus(SocketCanDaemonBus):
    """One CAN bus of a socketcand server.

    Args:
        host, port: the server.
        channel: name of the bus there, such as "can0".

    Raises:
        can.CanError, OSError: the server is not there or does not speak socketcand.
    """

    def __init__(self, host: str, port: int, channel: str) -> None:
        self._text = b""
        self._frames: deque[can.Message] = deque()
        # python-can retries a refused connection for 10 s at full load: find out beforehand.
        socket.create_connection((host, port), CONNECT_LIMIT_S).close()
        try:
            super().__init__(channel=channel, host=host, port=port)
        except BaseException:
            self._wire.close()
            raise

    @property
    def _wire(self) -> socket.socket:
        # python-can keeps its socket under a private, mangled name.
        wire = self.__dict__["_SocketCanDaemonBus__socket"]
        if not isinstance(wire, socket.socket):
            raise can.CanInitializationError("python-can keeps no socket for socketcand")
        return wire

    def fileno(self) -> int:
        """The connection, to wait on."""
        return self._wire.fileno()

    def _expect_msg(self, msg: str) -> None:
        wire = self._wire
        wire.settimeout(HANDSHAKE_LIMIT_S)
        wire.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        while b">" not in self._text:
            self._take_in(wire.recv(_RECEIVE_BYTES))
        end = self._text.index(b">") + 1
        line, self._text = self._text[:end].strip(), self._text[end:]
        if line != msg.encode():
            raise can.CanInitializationError(f"expected '{msg}', got {line[:80]!r}")
        wire.settimeout(SEND_LIMIT_S)

    def _recv_internal(self, timeout: float | None) -> tuple[can.Message | None, bool]:
        if not self._frames:
            wire = self._wire
            if select.select([wire], [], [], timeout)[0]:
                self._take_in(wire.recv(_RECEIVE_BYTES))
            self._split()
        return (self._frames.popleft() if self._frames else None), False

    def _take_in(self, received: bytes) -> None:
        if not received:
            raise can.CanOperationError("the socketcand server closed the connection")
        self._text += received

    def _split(self) -> None:
        *lines, self._text = self._text.split(b">")
        for line in lines:
            if (frame := _parse(line, self.channel)) is not None:
                self._frames.append(frame)
        if len(self._text) > _LONGEST_LINE:
            raise can.CanOperationError("what the server sends is not socketcand's protocol")


def _parse(line: bytes, channel: object) -> can.Message | None:
    """Read `< frame 7E8 1700000000.000000 0250` or `< error 20000040 1700000000.000000 ...`."""
    try:
        _, kind, identifier, timestamp, *data = line.split()
        if kind not in {b"frame", b"error"}:
            raise ValueError(kind)
        is_error = kind == b"error"
        return can.Message(
            timestamp=float(timestamp),
            arbitration_id=int(identifier, 16) & 0x1FFF_FFFF,
            is_extended_id=len(identifier) != 3,
            is_error_frame=is_error,
            data=b"" if is_error else bytes.fromhex(b"".join(data).decode("ascii")),
            channel=channel if isinstance(channel, (str, int)) else None,
        )
    except ValueError:
        _LOG.warning("socketcand: ignored a line that is no frame: %r", line[:80])
        return None
