"""Reading from an ECU for clients: single requests, unlocking for reading, memory images.

One link is kept open between requests, so that a session opened for reading survives; TesterPresent
keeps it alive for a while. It is given back before a write starts.
"""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from typing import Protocol

from hw import clock
from hw.links import open_link
from hw.links.base import Link, LinkBusy, LinkError, LinkGate, LinkLost
from hw.messages import ReadMemory
from hw.plan import Timing
from hw.seedkey import key_for

IDLE_LIMIT_S = 60.0
"""A link that no client has used for so long is closed, and its session lapses."""


class AccessGate(LinkGate, Protocol):
    """The gate as reading needs it."""

    def access(self) -> AbstractContextManager[None]:
        """Within it, SecurityAccess for reading is admitted."""


@dataclass
class _Open:
    uri: str
    timing: Timing
    link: Link
    used_at: float
    kept_alive_at: float


class Reader:
    """Carries out reads, one at a time.

    Args:
        gate: asked before every request.
        write_runs: True while a write has the car; reads are turned away then.
    """

    def __init__(self, gate: AccessGate, write_runs: Callable[[], bool]) -> None:
        self._gate = gate
        self._write_runs = write_runs
        self._lock = threading.Lock()
        self._open: _Open | None = None

    def read(self, uri: str, payload: bytes, timing: Timing) -> bytes:
        """Send one request that is on the read list; returns the positive answer."""
        with self._link(uri, timing) as link:
            return link.request(payload)

    def unlock(
        self, uri: str, level: int, provider: str, params: dict[str, str], timing: Timing
    ) -> None:
        """SecurityAccess at `level` (odd), the key by the named provider."""
        with self._link(uri, timing) as link, self._gate.access():
            seed = link.request(bytes([0x27, level]))[2:]
            if any(seed):  # A seed of zeros: unlocked already (ISO 14229-1:2020, 10.4).
                link.request(bytes([0x27, level + 1]) + key_for(provider, level, seed, params))

    def read_memory(self, asked: ReadMemory) -> tuple[bytes, str]:
        """A memory region and its SHA-256."""
        with self._link(asked.link, asked.timing) as link:
            if asked.method == "request_upload":
                parts = _upload(link, asked)
            else:
                parts = _by_address(link, asked)
            data = b"".join(parts)
        return data, hashlib.sha256(data).hexdigest()

    def keep_alive(self) -> None:
        """Called a few times a second: TesterPresent when due, and the end of an idle link."""
        if not self._lock.acquire(blocking=False):
            return
        try:
            opened, now = self._open, clock.now()
            if opened is None:
                return
            if self._write_runs() or now - opened.used_at > IDLE_LIMIT_S:
                self._drop()
            elif now - opened.kept_alive_at > opened.timing.s3_s / 2.5:
                opened.kept_alive_at = now
                try:
                    opened.link.notify(b"\x3e\x80")
                except LinkError:
                    # Nobody waits for this; the next request opens a new link and says what is up.
                    self._drop()
        finally:
            self._lock.release()

    def release(self) -> None:
        """Close the open link, waiting for a request under way."""
        with self._lock:
            self._drop()

    @contextmanager
    def _link(self, uri: str, timing: Timing) -> Iterator[Link]:
        if self._write_runs():
            raise LinkBusy("A write is running on this kit.", "Wait until it has ended.")
        with self._lock:
            opened = self._open
            if opened is None or opened.uri != uri or opened.timing != timing:
                self._drop()
                opened = _Open(uri, timing, open_link(uri, self._gate, timing), 0.0, clock.now())
                self._open = opened
            try:
                yield opened.link
            except LinkLost:
                self._drop()
                raise
            opened.used_at = opened.kept_alive_at = clock.now()

    def _drop(self) -> None:
        if self._open is not None:
            self._open.link.close()
            self._open = None


def _widths(asked: ReadMemory) -> bytes:
    return bytes([asked.length_width << 4 | asked.address_width])


def _by_address(link: Link, asked: ReadMemory) -> Iterator[bytes]:
    """ReadMemoryByAddress (ISO 14229-1:2020, 11.3), block by block."""
    position = 0
    while position < asked.length:
        count = min(asked.block_length, asked.length - position)
        answer = link.request(
            b"\x23"
            + _widths(asked)
            + (asked.address + position).to_bytes(asked.address_width, "big")
            + count.to_bytes(asked.length_width, "big")
        )
        _demand_length(answer[1:], count)
        yield answer[1:]
        position += count


def _upload(link: Link, asked: ReadMemory) -> Iterator[bytes]:
    """RequestUpload, TransferData, RequestTransferExit (ISO 14229-1:2020, 14.3 to 14.5)."""
    link.request(
        b"\x35\x00"
        + _widths(asked)
        + asked.address.to_bytes(asked.address_width, "big")
        + asked.length.to_bytes(asked.length_width, "big")
    )
    position, counter = 0, 0
    while position < asked.length:
        counter = (counter + 1) & 0xFF
        data = link.request(bytes([0x36, counter]))[2:]
        if not data or position + len(data) > asked.length:
            _demand_length(data, asked.length - position)
        yield data
        position += len(data)
    link.request(b"\x37")


def _demand_length(data: bytes, wanted: int) -> None:
    if len(data) != wanted:
        raise LinkError(
            f"The ECU gave {len(data)} bytes of memory where {wanted} were asked for.",
            "Check the memory region in the profile.",
        )
