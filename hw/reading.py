"""Reading from an ECU for clients: single requests, unlocking for reading, memory images.

One link is kept open between requests, so that a session opened for reading survives; TesterPresent
keeps it alive for a while. It is given back before a write starts.
"""

from __future__ import annotations

import hashlib
import logging
import threading
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from typing import Protocol

from hw import clock
from hw.errors import BadInputError, UnavailableError
from hw.links import discover, open_link
from hw.links.base import Link, LinkBusy, LinkError, LinkGate, LinkLost
from hw.memfd import MAX_SIZE, seal_parts
from hw.messages import FoundEcu, ReadMemory
from hw.plan import Timing
from hw.seedkey import key_for

IDLE_LIMIT_S = 60.0
"""A link that no client has used for so long is closed, and its session lapses."""
TURN_LIMIT_S = 5.0
"""So long one client waits for another one's request; then it is told that the link is busy."""
_ATTEND_S = 0.2
_SESSION_CONTROL, _DEFAULT_SESSION = 0x10, 0x01
_TESTER_PRESENT = b"\x3e\x80"

log = logging.getLogger("fieldkit.hw")


class AccessGate(LinkGate, Protocol):
    """The gate as reading needs it."""

    def access(self) -> AbstractContextManager[None]:
        """Within it, SecurityAccess for reading is admitted."""


class OpenLink(Protocol):
    """`hw.links.open_link`."""

    def __call__(self, uri: str, gate: LinkGate, timing: Timing) -> Link:
        """Open the link that a URI names."""


@dataclass
class _Open:
    uri: str
    timing: Timing
    link: Link
    used_at: float
    kept_alive_at: float
    session: int = _DEFAULT_SESSION


class Reader:
    """Carries out reads, one at a time, until `close`.

    Args:
        gate: asked before every request.
        write_runs: True while a write has the car; reads are turned away then.
        open_link: opens a link.
    """

    def __init__(
        self,
        gate: AccessGate,
        write_runs: Callable[[], bool],
        open_link: OpenLink = open_link,
    ) -> None:
        self._gate = gate
        self._write_runs = write_runs
        self._open_link = open_link
        self._turn = threading.Lock()
        self._open: _Open | None = None
        self._closing = threading.Event()
        # On its own thread: a link may take a while to send, and whoever serves clients may not.
        self._attendant = threading.Thread(target=self._attend, name="reader", daemon=True)
        self._attendant.start()

    def read(self, uri: str, payload: bytes, timing: Timing) -> bytes:
        """Send one request that is on the read list; returns the positive answer.

        A session opened so lasts while requests come with the same link and timing, and up to
        `IDLE_LIMIT_S` in between.

        Raises:
            LinkBusy: a write or another client's request has the car.
            hw.gate.errors.NotPlanned: the request is not on the read list.
            LinkError, UsageError: as `Link.request` and `open_link`.
        """
        with self._link(uri, timing) as opened:
            answer = opened.link.request(payload)
            if payload[0] == _SESSION_CONTROL:
                opened.session = payload[1]
            return answer

    def unlock(
        self, uri: str, level: int, provider: str, params: dict[str, str], timing: Timing
    ) -> None:
        """SecurityAccess at `level` (odd), the key by the named provider.

        Raises:
            BadInputError: the level is not a requestSeed (ISO 14229-1:2020, 10.4).
            LinkError: the ECU refused, or gave no seed.
        """
        if level % 2 == 0 or not 0 < level < 0x7F:
            raise BadInputError(
                f"Security level {level} is not a requestSeed: those are odd, 0x01 to 0x7D.",
                "Correct the security level in the profile.",
            )
        with self._link(uri, timing) as opened, self._gate.access():
            seed = opened.link.request(bytes([0x27, level]))[2:]
            if not seed:
                raise LinkError(
                    f"The ECU gave no seed at security level 0x{level:02X}.",
                    "Check the security level in the profile.",
                )
            if any(seed):  # A seed of zeros: unlocked already (ISO 14229-1:2020, 10.4).
                key = key_for(provider, level, seed, params)
                opened.link.request(bytes([0x27, level + 1]) + key)

    def read_memory(self, asked: ReadMemory, cancelled: Callable[[], bool]) -> tuple[int, int, str]:
        """Read a memory region into a sealed memfd; the caller closes it.

        Args:
            cancelled: asked before each block; True ends the reading.

        Returns:
            Descriptor, size in bytes and SHA-256 (lower-case hex).

        Raises:
            BadInputError: the region or the widths make no sense.
            UnavailableError: it was cancelled.
            LinkBusy, LinkError, UsageError: as `read`.
        """
        _check_region(asked)
        digest = hashlib.sha256()

        def parts(link: Link) -> Iterator[bytes]:
            method = _upload if asked.method == "request_upload" else _by_address
            for part in method(link, asked):
                if cancelled() or self._closing.is_set():
                    raise UnavailableError("Reading the memory was cancelled.", "Read it again.")
                digest.update(part)
                yield part

        with self._link(asked.link, asked.timing) as opened:
            descriptor = seal_parts(parts(opened.link), "memory")
        return descriptor, asked.length, digest.hexdigest()

    def discover(self, uri: str) -> list[FoundEcu]:
        """Entities that announce themselves on a link.

        Raises:
            LinkBusy, LinkError, UsageError: as `read`.
        """
        with self._take_turn():
            self._refuse_while_writing()
            return discover(uri)

    @contextmanager
    def given_back(self) -> Iterator[None]:
        """Within it no link is open and none is opened: the caller has the car.

        Raises:
            LinkBusy: a client's request has the car.
        """
        with self._take_turn():
            self._drop()
            yield

    def close(self) -> None:
        """Close the open link, waiting a while for a request under way; no more reads then."""
        self._closing.set()
        self._attendant.join(timeout=5)
        if self._turn.acquire(timeout=TURN_LIMIT_S):
            self._drop()
            self._turn.release()
        else:
            log.warning("A read is still under way; its link ends with the process.")

    # The open link ----------------------------------------------------------------------------

    @contextmanager
    def _link(self, uri: str, timing: Timing) -> Iterator[_Open]:
        with self._take_turn():
            self._refuse_while_writing()
            opened = self._open
            if opened is None or opened.uri != uri or opened.timing != timing:
                self._drop()
                now = clock.now()
                opened = _Open(uri, timing, self._open_link(uri, self._gate, timing), now, now)
                self._open = opened
            try:
                yield opened
            except LinkLost:
                self._drop()
                raise
            finally:
                opened.used_at = opened.kept_alive_at = clock.now()

    @contextmanager
    def _take_turn(self) -> Iterator[None]:
        if not self._turn.acquire(timeout=TURN_LIMIT_S):
            raise LinkBusy("Another request has the car.", "Wait until it has been answered.")
        try:
            yield
        finally:
            self._turn.release()

    def _refuse_while_writing(self) -> None:
        if self._write_runs():
            raise LinkBusy("A write is running on this kit.", "Wait until it has ended.")
        if self._closing.is_set():
            raise UnavailableError("The hardware process is stopping.", "Start it again.")

    def _drop(self) -> None:
        opened, self._open = self._open, None
        if opened is not None:
            opened.link.close()

    def _attend(self) -> None:
        while not self._closing.wait(_ATTEND_S):
            # Whoever has the turn uses the link, which then needs no attendance.
            if self._turn.acquire(blocking=False):
                try:
                    self._attend_once()
                finally:
                    self._turn.release()

    def _attend_once(self) -> None:
        opened, now = self._open, clock.now()
        if opened is None:
            return
        if now - opened.used_at > IDLE_LIMIT_S:
            self._drop()
            return
        try:
            # DoIP alive checks want an answer also while no client asks anything.
            opened.link.attend(0)
            due = now - opened.kept_alive_at > opened.timing.s3_s / 2.5
            if opened.session != _DEFAULT_SESSION and due:
                opened.kept_alive_at = now
                opened.link.notify(_TESTER_PRESENT)
        except LinkError as error:
            # No client waits for this; the next request opens a new link and says what is up.
            log.warning("The link for reading was closed: %s", error.what)
            self._drop()


def _check_region(asked: ReadMemory) -> None:
    widths_fit = 1 <= asked.address_width <= 4 and 1 <= asked.length_width <= 4
    if (
        not widths_fit
        or not 0 <= asked.address < asked.address + asked.length <= 256**asked.address_width
        or not 0 < asked.length < 256**asked.length_width
        or not 0 < asked.length <= MAX_SIZE
        or asked.block_length <= 0
    ):
        raise BadInputError(
            f"The memory region of {asked.length} bytes at 0x{asked.address:X} in blocks of "
            f"{asked.block_length} does not fit addresses of {asked.address_width} and lengths of "
            f"{asked.length_width} bytes, or is larger than {MAX_SIZE} bytes.",
            "Correct the memory region in the profile.",
        )


def _widths(asked: ReadMemory) -> bytes:
    """addressAndLengthFormatIdentifier (ISO 14229-1:2020, Annex H)."""
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
        # The link takes no answer with another counter for this one's.
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
