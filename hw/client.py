"""The client of the hw socket: synchronous calls, events on the reader's thread."""

from __future__ import annotations

import array
import contextlib
import os
import socket
import struct
import threading
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TypeVar

import msgspec

from hw.errors import FieldKitError, RefusedError, UnavailableError
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
CAR_TIMEOUT_S = 900.0
"""A read of the car ends by the profile's own timing; this only keeps a dead hw from hanging us."""

R = TypeVar("R")


class RemoteError(FieldKitError):
    """An error that hw reported; `code`, `exit_status`, `gate` and `nrc` are hw's."""

    def __init__(self, error: Error) -> None:
        super().__init__(error.what, error.next_step)
        self.code = error.error  # type: ignore[misc]  # the class's own code is for local errors
        self.exit_status = error.exit_status  # type: ignore[misc]
        self.gate = error.gate
        self.nrc = error.nrc


class _Call:
    def __init__(self) -> None:
        self.done = threading.Event()
        self.reply: Reply | None = None
        self.files: list[int] = []


class HwClient:
    """A connection to `fieldkit-hw`. Thread-safe; reconnecting is explicit (`connect` again).

    Args:
        path: the hw socket.
        name: shown in hw's log.
        on_event: takes events on the reader's thread once `subscribe` was called.
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
            sock.connect(str(self._path))
        except OSError as error:
            sock.close()
            raise UnavailableError(
                f"The hardware process does not answer on {self._path}: {error.strerror}.",
                "Start it: 'fieldkit up', or the service fieldkit-hw.",
            ) from error
        self._sock = sock
        self._reader = threading.Thread(
            target=self._read_all, args=(sock,), name="hw-client", daemon=True
        )
        self._reader.start()
        hello = Hello(id=self._next(), protocol=PROTOCOL, client=self._name)
        return self._call(hello, HelloReply)

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
        if len(data) != memory.size:
            raise UnavailableError("hw sent a memory image of another size.", "Read again.")
        return data

    def arm(self, plan: bytes, payload: bytes, evidence: Evidence, *, dry: bool) -> GateReport:
        """Have the four gates checked; without `dry`, all passed gives a permit."""
        files = [seal(plan, "plan")]
        try:
            files.append(seal(payload, "payload"))
            request = Arm(id=self._next(), evidence=evidence, dry=dry)
            reply, _ = self._exchange(request, files, CAR_TIMEOUT_S)
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
        sock, call = self._sock, _Call()
        if sock is None:
            raise _lost()
        with self._lock:
            self._calls[request.id] = call
        try:
            ancillary = [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", files))]
            sock.sendmsg([encode(request)], ancillary if files else [])
            answered = call.done.wait(timeout_s)
        except OSError as error:
            raise _lost() from error
        finally:
            with self._lock:
                self._calls.pop(request.id, None)
        if not answered:
            raise UnavailableError(
                f"The hardware process did not answer within {timeout_s:g} s.",
                "Check it with 'fieldkit status'; restart it if it hangs.",
            )
        if call.reply is None:
            raise _lost()
        return call.reply, call.files

    def _read_all(self, sock: socket.socket) -> None:
        space = socket.CMSG_SPACE(struct.calcsize("i"))
        while True:
            try:
                packet, ancillary, _, _ = sock.recvmsg(4 * MAX_PACKET, space)
            except OSError:
                packet, ancillary = b"", []
            if not packet:
                break
            files = _descriptors(ancillary)
            reply = decode_reply(packet)
            if isinstance(reply, Event):
                _close_all(files)
                if self._on_event is not None:
                    self._on_event(reply)
                continue
            with self._lock:
                call = self._calls.get(reply.id)
                if call is None and isinstance(reply, Error) and reply.id == 0:
                    # hw refused the client itself, or could not tell which call it was.
                    call = next(iter(self._calls.values()), None)
            if call is None:
                _close_all(files)
                continue
            call.reply, call.files = reply, files
            call.done.set()
        self._fail_all(sock)

    def _fail_all(self, sock: socket.socket) -> None:
        if self._sock is sock:
            self._sock = None
            sock.close()
        with self._lock:
            for call in self._calls.values():
                call.done.set()


def _expect(reply: Reply, kind: type[R]) -> R:
    if isinstance(reply, kind):
        return reply
    if isinstance(reply, Error):
        if reply.error == RefusedError.code and reply.gate:
            raise RefusedError(reply.gate, reply.what, reply.next_step)
        raise RemoteError(reply)
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
