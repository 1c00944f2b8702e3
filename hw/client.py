"""The client of the hw socket: synchronous calls, events on the reader's thread."""

from __future__ import annotations

import array
import contextlib
import hashlib
import logging
import os
import socket
import struct
import threading
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TypeVar

import msgspec

from hw.errors import UNDECODABLE, BadInputError, FieldKitError, RefusedError, UnavailableError
from hw.memfd import read_sealed, seal
from hw.messages import (
    MAX_PACKET,
    PROTOCOL,
    AbortWrite,
    Acknowledgment,
    Answer,
    Arm,
    Discover,
    Done,
    Error,
    Event,
    EventBody,
    Evidence,
    Found,
    FoundEcu,
    GateReport,
    GetJournal,
    GetRunLog,
    GetStatus,
    Hello,
    HelloReply,
    Journal,
    Memory,
    Read,
    ReadMemory,
    Reply,
    Request,
    ResumeWrite,
    RunInfo,
    RunLog,
    StartWrite,
    Status,
    Subscribe,
    UnlockForReading,
    decode_reply,
    encode,
)
from hw.plan import Timing

CALL_TIMEOUT_S = 30.0
_SEND_TIMEOUT = struct.pack("ll", 10, 0)
"""A timeval: hw takes messages at once, so a send that waits longer means that it hangs."""
CAR_TIMEOUT_S = 900.0
"""A read of the car ends by the profile's own timing; this only keeps a dead hw from hanging us."""

log = logging.getLogger("fieldkit.client")

R = TypeVar("R")
Answered = (
    HelloReply | Done | Error | Answer | Found | Memory | GateReport | Status | Journal | RunLog
)
"""Every reply but an event."""


class RemoteError(FieldKitError):
    """An error that hw reported; `code`, `exit_status`, `gate`, `nrc` and `service` are hw's."""

    def __init__(self, error: Error) -> None:
        super().__init__(error.what, error.next_step)
        self.code = error.error  # type: ignore[misc]  # the class's own code is for local errors
        self.exit_status = error.exit_status  # type: ignore[misc]  # as above
        self.gate = error.gate
        self.nrc = error.nrc
        self.service = error.service


class RemoteRefusal(RefusedError):
    """A refusal by one of hw's gates; `code`, `exit_status` and `gate` are hw's."""

    def __init__(self, error: Error) -> None:
        super().__init__(error.gate, error.what, error.next_step)
        self.code = error.error  # type: ignore[misc]  # the class's own code is for local errors
        self.exit_status = error.exit_status  # type: ignore[misc]  # as above


class _Call:
    def __init__(self, sock: socket.socket) -> None:
        self.sock = sock
        self.done = threading.Event()
        self.reply: Reply | None = None
        self.files: list[int] = []


class HwClient:
    """A connection to `fieldkit-hw`. Thread-safe; reconnecting is explicit (`connect` again).

    Args:
        path: the hw socket.
        name: shown in hw's log.
        on_event: takes events on the reader's thread once `subscribe` was called. It must not call
            hw itself; what it raises is logged.
    """

    def __init__(
        self, path: Path, name: str, on_event: Callable[[Event], None] | None = None
    ) -> None:
        self._path = path
        self._name = name
        self._on_event = on_event
        self._lock = threading.Lock()
        self._calls: dict[int, _Call] = {}
        self._number = 0
        self._sock: socket.socket | None = None
        self._reader: threading.Thread | None = None

    @property
    def connected(self) -> bool:
        """Is there a connection?"""
        return self._sock is not None

    def connect(self) -> HelloReply:
        """Connect and say hello.

        Raises:
            UnavailableError: hw does not run, or refuses this client.
        """
        self.close()
        sock = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        try:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDTIMEO, _SEND_TIMEOUT)
            sock.connect(str(self._path))
        except OSError as error:
            sock.close()
            raise UnavailableError(
                f"The hardware process does not answer on {self._path}: {error.strerror or error}.",
                "Wait a moment: it is started again by itself. If it is not, restart the kit.",
            ) from error
        self._sock = sock
        self._reader = threading.Thread(
            target=self._read_all, args=(sock,), name="hw-client", daemon=True
        )
        self._reader.start()
        hello = Hello(id=self._next(), protocol=PROTOCOL, client=self._name)
        try:
            return self._call(hello, HelloReply)
        except FieldKitError:
            self.close()
            raise

    def close(self) -> None:
        """Close the connection; calls under way fail."""
        sock, self._sock = self._sock, None
        if sock is not None:
            with contextlib.suppress(OSError):  # hw may have closed it first.
                sock.shutdown(socket.SHUT_RDWR)
            if self._reader is not None and self._reader is not threading.current_thread():
                self._reader.join(timeout=5)
            sock.close()

    # What hw offers ---------------------------------------------------------------------------

    def status(self) -> Status:
        """Gate, voltage, run and wiring of this moment."""
        return self._call(GetStatus(id=self._next()), Status)

    def subscribe(self) -> None:
        """Have events delivered to `on_event` from now on."""
        self._call(Subscribe(id=self._next()), Done)

    def discover(self, link: str) -> list[FoundEcu]:
        """ECUs that announce themselves on a link."""
        return self._call(Discover(id=self._next(), link=link), Found, CAR_TIMEOUT_S).ecus

    def read(self, link: str, payload: bytes, timing: Timing) -> bytes:
        """One request of the read list; returns the positive answer."""
        request = Read(id=self._next(), link=link, payload=payload, timing=timing)
        return self._call(request, Answer, CAR_TIMEOUT_S).payload

    def unlock_for_reading(
        self, link: str, level: int, provider: str, params: dict[str, str], timing: Timing
    ) -> None:
        """SecurityAccess for reading."""
        request = UnlockForReading(
            id=self._next(), link=link, level=level, provider=provider, params=params, timing=timing
        )
        self._call(request, Done, CAR_TIMEOUT_S)

    def read_memory(self, request: ReadMemory) -> bytes:
        """A memory image; the request's `id` is set here."""
        request = msgspec.structs.replace(request, id=self._next())
        reply, files = self._exchange(request, (), CAR_TIMEOUT_S)
        try:
            memory = _expect(reply, Memory)
            if len(files) != 1:
                raise UnavailableError("hw sent a memory image without its bytes.", "Read again.")
            data = read_sealed(files[0])
        finally:
            _close_all(files)
        if len(data) != memory.size or hashlib.sha256(data).hexdigest() != memory.sha256:
            raise UnavailableError("hw sent a memory image that is not whole.", "Read again.")
        return data

    def arm(self, plan: bytes, payload: bytes, evidence: Evidence, *, dry: bool) -> GateReport:
        """Have the four gates checked; without `dry`, all passed gives a permit."""
        files = [seal(plan, "plan")]
        try:
            files.append(seal(payload, "payload"))
            request = Arm(id=self._next(), evidence=evidence, dry=dry)
            reply, answered = self._exchange(request, files, CAR_TIMEOUT_S)
            _close_all(answered)
        finally:
            _close_all(files)
        return _expect(reply, GateReport)

    def start(self, permit: str) -> None:
        """Use a permit."""
        self._call(StartWrite(id=self._next(), permit=permit), Done)

    def resume(self, acknowledgment: Acknowledgment) -> None:
        """Resume after CUT."""
        self._call(ResumeWrite(id=self._next(), acknowledgment=acknowledgment), Done)

    def abort(self) -> None:
        """End the write at its next safe point."""
        self._call(AbortWrite(id=self._next()), Done)

    def journal(self) -> list[RunInfo]:
        """All runs, unfinished ones first."""
        return self._call(GetJournal(id=self._next()), Journal).runs

    def run_log(self, run: str, after: int) -> list[tuple[int, EventBody]]:
        """A part of a run's log; empty at its end."""
        return self._call(GetRunLog(id=self._next(), run=run, after=after), RunLog).events

    # Calls ------------------------------------------------------------------------------------

    def _next(self) -> int:
        with self._lock:
            self._number += 1
            return self._number

    def _call(self, request: Request, kind: type[R], timeout_s: float = CALL_TIMEOUT_S) -> R:
        reply, files = self._exchange(request, (), timeout_s)
        _close_all(files)
        return _expect(reply, kind)

    def _exchange(
        self, request: Request, files: Sequence[int], timeout_s: float
    ) -> tuple[Reply, list[int]]:
        if self._reader is threading.current_thread():
            raise RuntimeError("on_event must not call hw: the answer comes on the same thread")
        packet = encode(request)
        if len(packet) > MAX_PACKET:
            raise BadInputError(
                f"A request of {len(packet)} bytes is more than a message of {MAX_PACKET} holds.",
                "Ask for less at a time.",
            )
        sock = self._sock
        if sock is None:
            raise _lost()
        call = _Call(sock)
        with self._lock:
            self._calls[request.id] = call
        ancillary = [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", files))]
        try:
            sock.sendmsg([packet], ancillary if files else [])
        except OSError:
            # hw hung up. Why, it may have said before; the reader wakes the call either way.
            with contextlib.suppress(OSError):
                sock.shutdown(socket.SHUT_WR)
        answered = call.done.wait(timeout_s)
        with self._lock:
            self._calls.pop(request.id, None)
            if not answered:
                _close_all(call.files)
        if call.reply is not None and answered:
            return call.reply, call.files
        if answered:
            raise _lost()
        raise UnavailableError(
            f"The hardware process did not answer within {timeout_s:g} s.",
            "Check it with 'fieldkit status'; restart it if it hangs.",
        )

    def _read_all(self, sock: socket.socket) -> None:
        space = socket.CMSG_SPACE(struct.calcsize("i"))
        while True:
            try:
                packet, ancillary, _, _ = sock.recvmsg(
                    4 * MAX_PACKET, space, socket.MSG_CMSG_CLOEXEC
                )
            except ConnectionResetError:
                continue  # Said once, before what hw sent last.
            except OSError as error:
                log.warning("The connection to hw ends: %s", error)
                break
            files = _descriptors(ancillary)
            try:
                taken = bool(packet) and self._take(packet, files)
            except UNDECODABLE as error:
                log.warning("hw sent something that is not understood: %s", error)
                packet, taken = b"", False
            if not taken:
                _close_all(files)
            if not packet:
                break
        self._fail_all(sock)

    def _take(self, packet: bytes, files: list[int]) -> bool:
        """Handle one packet; True when the descriptors have a new owner."""
        reply = decode_reply(packet)
        if isinstance(reply, Event):
            self._tell(reply)
            return False
        return self._answer(reply, files)

    def _tell(self, event: Event) -> None:
        if self._on_event is not None:
            try:
                self._on_event(event)
            except Exception:
                # A defect in whoever listens must not end the calls of others.
                log.exception("on_event failed")

    def _answer(self, reply: Answered, files: list[int]) -> bool:
        with self._lock:
            call = self._calls.get(reply.id)
            if call is None and isinstance(reply, Error) and reply.id == 0:
                # hw refused the client itself: the first call, its hello, is told why.
                call = next(iter(self._calls.values()), None)
            if call is None or call.done.is_set():
                return False
            call.reply, call.files = reply, files
            call.done.set()
            return True

    def _fail_all(self, sock: socket.socket) -> None:
        if self._sock is sock:
            self._sock = None
        sock.close()
        with self._lock:
            for call in self._calls.values():
                if call.sock is sock:
                    call.done.set()


def _expect(reply: Reply, kind: type[R]) -> R:
    if isinstance(reply, kind):
        return reply
    if isinstance(reply, Error):
        raise RemoteRefusal(reply) if reply.gate else RemoteError(reply)
    raise UnavailableError(
        "The hardware process gave an answer of another kind.",
        "Install the same version of all parts.",
    )


def _lost() -> UnavailableError:
    return UnavailableError(
        "The connection to the hardware process is gone.",
        "A write that runs goes on by itself. Check 'fieldkit status'.",
    )


def _descriptors(ancillary: list[tuple[int, int, bytes]]) -> list[int]:
    fds = array.array("i")
    for level, kind, data in ancillary:
        if level == socket.SOL_SOCKET and kind == socket.SCM_RIGHTS:
            fds.frombytes(data[: len(data) - len(data) % fds.itemsize])
    return list(fds)


def _close_all(files: Sequence[int]) -> None:
    for descriptor in files:
        os.close(descriptor)
