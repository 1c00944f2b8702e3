"""A proxy between kits and the hub that speaks HTTP over TLS, and does to requests what links do.

Each is passed on or has one fault, drawn from a seed: it is lost on its way, its answer is lost, it
comes twice, or late. What went to the hub is counted in bytes of bodies.
"""

from __future__ import annotations

import random
import ssl
import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import httpx

from appliance.sync.hubclient import tls_for
from appliance.workshop.keys import TLS, TLS_KEY, WorkshopKeys

LATE_S = 0.05
_NOT_PASSED_ON = {"connection", "transfer-encoding", "content-length", "server", "date"}


@dataclass
class FaultyProxy:
    """Listens on `port`.

    Attributes:
        target: the hub's address.
        keys: the workshop's: the proxy shows its certificate.
        one_in: so many requests have one fault.
        faults: how many of each kind there were.
        to_hub: bytes of bodies that the hub received.
        requests: how many the hub received.
    """

    target: str
    keys: WorkshopKeys
    one_in: int
    faults: Counter[str] = field(default_factory=Counter)
    to_hub: int = 0
    requests: int = 0
    port: int = 0
    _random: random.Random = field(default_factory=lambda: random.Random(5))
    _lock: threading.Lock = field(default_factory=threading.Lock)

    @contextmanager
    def running(self) -> Iterator[None]:
        with (
            httpx.Client(base_url=self.target, verify=tls_for(self.keys.authority)) as hub,
            _Server(self, hub) as server,
        ):
            self.port = server.server_address[1]
            thread = threading.Thread(target=server.serve_forever, daemon=True)
            thread.start()
            yield
            server.shutdown()
            thread.join()

    def draw(self) -> str:
        """The fault of the next request, empty for none."""
        with self._lock:
            if self._random.randrange(self.one_in):
                return ""
            fault = self._random.choice(["lost", "answer lost", "twice", "late"])
            self.faults[fault] += 1
            return fault

    def received(self, size: int) -> None:
        """The hub gets a request with a body of so many bytes."""
        with self._lock:
            self.to_hub += size
            self.requests += 1


class _Server(ThreadingHTTPServer):
    daemon_threads = True

    def __init__(self, proxy: FaultyProxy, hub: httpx.Client) -> None:
        self.proxy, self.hub = proxy, hub
        self._tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self._tls.load_cert_chain(proxy.keys.folder / TLS, proxy.keys.folder / TLS_KEY)
        super().__init__(("127.0.0.1", 0), _Handler)

    def get_request(self) -> tuple[ssl.SSLSocket, Any]:
        connection, address = super().get_request()
        wrapped = self._tls.wrap_socket(connection, server_side=True, do_handshake_on_connect=False)
        return wrapped, address


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: _Server

    def handle_one_request(self) -> None:
        try:
            super().handle_one_request()
        except OSError:  # The kit's connection was cut.
            self.close_connection = True

    def do(self) -> None:
        """Read a request whole, and do to it what was drawn."""
        size = int(self.headers.get("content-length", 0))
        body = self.rfile.read(size)
        fault = self.server.proxy.draw()
        if fault == "lost" or len(body) < size:
            self.close_connection = True
            return
        if fault == "late":
            time.sleep(LATE_S)
        answer = self._pass_on(body)
        if fault == "twice":
            self._pass_on(body)
        if fault == "answer lost":
            self.close_connection = True
        else:
            self._answer(answer)

    do_GET = do_HEAD = do_PATCH = do_POST = do_PUT = do  # noqa: N815 - the library's names

    def _pass_on(self, body: bytes) -> httpx.Response:
        self.server.proxy.received(len(body))
        headers = {
            name: value for name, value in self.headers.items() if name.lower() != "connection"
        }
        return self.server.hub.request(self.command, self.path, content=body, headers=headers)

    def _answer(self, answer: httpx.Response) -> None:
        self.send_response(answer.status_code)
        for name, value in answer.headers.items():
            if name.lower() not in _NOT_PASSED_ON:
                self.send_header(name, value)
        self.send_header("Content-Length", str(len(answer.content)))
        self.end_headers()
        self.wfile.write(answer.content)

    def log_message(self, *_: object) -> None:
        """Nobody reads it."""
