"""A CAN bus for hosts without one: a socketcand server that passes every frame to all others.

It knows nothing of ECUs. Tests also use it to see what is on the bus, to put lines on the wire that
a server should not send, and to close connections.
"""

from __future__ import annotations

import contextlib
import re
import socket
import threading
import time
from typing import Self

_SEND = re.compile(rb"< send ([0-9A-Fa-f]{1,8}) ([0-9A-Fa-f]+) ([0-9a-fA-F ]*)>")


class SocketcandHub:
    """Serve one bus, "can0", on a free loopback port.

    Attributes:
        port: where it listens.
        frames: every frame seen so far as (identifier, data).
    """

    def __init__(self) -> None:
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listener.getsockname()[1]
        self.frames: list[tuple[int, bytes]] = []
        self.greeting = b"< hi >"
        self.after_rawmode = b""
        self._clients: list[socket.socket] = []
        self._lock = threading.Lock()
        self._joined = threading.Condition(self._lock)
        self._threads: list[threading.Thread] = []
        self._start(self._accept)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        # Wakes the accepting thread, which closing alone does not.
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self.disconnect_all()
        for thread in self._threads:
            thread.join(5)

    def uri(self, tx: int = 0x7E0, rx: int = 0x7E8, more: str = "") -> str:
        return f"can://socketcand/127.0.0.1:{self.port}/can0?tx=0x{tx:X}&rx=0x{rx:X}{more}"

    def wait_for_clients(self, count: int) -> None:
        """Return when so many clients hear what is on the bus."""
        with self._joined:
            assert self._joined.wait_for(lambda: len(self._clients) >= count, 20)

    def disconnect_all(self) -> None:
        with self._lock:
            for client in self._clients:
                with contextlib.suppress(OSError):  # it may have gone by itself
                    client.shutdown(socket.SHUT_RDWR)

    def inject(self, line: bytes) -> None:
        """Send a line to every client in raw mode."""
        with self._lock:
            for client in self._clients:
                client.sendall(line)

    def _start(self, body: object, *args: object) -> None:
        assert callable(body)
        thread = threading.Thread(target=body, args=args)
        self._threads.append(thread)
        thread.start()

    def _accept(self) -> None:
        while True:
            try:
                client, _ = self._listener.accept()
            except OSError:
                return
            client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            self._start(self._serve, client)

    def _serve(self, client: socket.socket) -> None:
        text = b""
        with client:
            try:
                client.sendall(self.greeting)
                while data := client.recv(65536):
                    *lines, text = (text + data).split(b">")
                    for line in lines:
                        self._obey(client, line.strip() + b">")
            except OSError:
                pass  # The client is gone.
            finally:
                with self._lock:
                    if client in self._clients:
                        self._clients.remove(client)

    def _obey(self, client: socket.socket, line: bytes) -> None:
        if line.startswith(b"< open "):
            client.sendall(b"< ok >")
        elif line.startswith(b"< rawmode"):
            with self._lock:
                self._clients.append(client)
                self._joined.notify_all()
                client.sendall(b"< ok >" + self.after_rawmode)
        elif found := _SEND.fullmatch(line):
            data = bytes(int(byte, 16) for byte in found[3].split())
            frame = b"< frame %s %.6f %s >" % (found[1], time.time(), data.hex().encode())
            with self._lock:
                self.frames.append((int(found[1], 16), data))
                for other in self._clients:
                    if other is not client:
                        other.sendall(frame)
