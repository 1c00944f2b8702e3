"""A TCP proxy between a kit and the hub that cuts connections after so many bytes, either way."""

from __future__ import annotations

import itertools
import random
import socket
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field

CHUNK = 4096


@dataclass
class CuttingProxy:
    """Listens on `port`; each connection lives until a number of bytes, drawn anew, went through.

    Attributes:
        targets: ports of hubs; each connection goes to the next one.
        draw: bytes until the next cut.
        to_hub: bytes that went to the hub.
        cuts: connections that were cut.
    """

    targets: Sequence[int]
    draw: list[int]
    to_hub: int = 0
    cuts: int = 0
    port: int = 0
    _random: random.Random = field(default_factory=lambda: random.Random(5))
    _lock: threading.Lock = field(default_factory=threading.Lock)

    @contextmanager
    def running(self) -> Iterator[None]:
        with socket.create_server(("127.0.0.1", 0)) as listener:
            self.port = listener.getsockname()[1]
            thread = threading.Thread(target=self._accept, args=(listener,), daemon=True)
            thread.start()
            yield
            listener.shutdown(socket.SHUT_RDWR)
        thread.join()

    def _accept(self, listener: socket.socket) -> None:
        with suppress(OSError):
            for target in itertools.cycle(self.targets):
                kit, _ = listener.accept()
                hub = socket.create_connection(("127.0.0.1", target))
                left = [self._random.randint(*self.draw)]
                for source, sink in ((kit, hub), (hub, kit)):
                    threading.Thread(
                        target=self._pump, args=(source, sink, left, sink is hub), daemon=True
                    ).start()

    def _pump(
        self, source: socket.socket, sink: socket.socket, left: list[int], to_hub: bool
    ) -> None:
        with suppress(OSError):
            while data := source.recv(CHUNK):
                with self._lock:
                    through = data[: max(left[0], 0)]
                    left[0] -= len(data)
                    self.to_hub += len(through) if to_hub else 0
                sink.sendall(through)
                if len(through) < len(data):
                    self.cuts += 1
                    break
        for one in (source, sink):
            with suppress(OSError):
                one.shutdown(socket.SHUT_RDWR)
            one.close()
