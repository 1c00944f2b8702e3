"""The hw socket: clients, packets, file descriptors. Decides nothing; calls `hw.daemon`'s handlers.

One thread reads and writes all sockets without ever blocking; requests are carried out on worker
threads. Each client has two lanes, and in each lane one request after the other is carried out: a
memory image that takes minutes does not keep the same client from asking for the status or from
aborting. Other threads hand over messages with `publish`, which only enqueues. A client whose queue
is full is dropped: the gate never waits for a client.
"""

from __future__ import annotations

import array
import contextlib
import grp
import logging
import os
import pwd
import select
import selectors
import socket
import stat
import struct
import threading
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

import msgspec

from hw.errors import BadInputError, FieldKitError, UnavailableError, UsageError
from hw.messages import (
    MAX_PACKET,
    PROTOCOL,
    Error,
    Event,
    GateChanged,
    Hello,
    Reply,
    Request,
    Subscribe,
    VoltageTrace,
    decode_request,
    encode,
)

MAX_CLIENTS = 16
QUEUE_PACKETS = 512
WAITING_REQUESTS = 16
"""In each lane of a client. Small, because waiting requests hold file descriptors."""
MAX_FDS = 2
SOCKET_BUFFER = 4 * 1024 * 1024
_SO_PEERGROUPS = 59
"""asm-generic/socket.h; Python's socket module has no name for it."""

_GROUPS_BYTES = 1024
"""Python's limit: 256 groups. Of a user in more, only the first and the listed ones count."""

log = logging.getLogger("fieldkit.hw")

Lane = Literal["car", "quick"]
Cancelled = Callable[[], bool]
Handler = Callable[[Request, Sequence[int], Cancelled], tuple[Reply, Sequence[int]]]
"""Carries out a request with its descriptors; returns the reply and descriptors to send with it.
The server closes both kinds afterwards. `cancelled()` is True once nobody waits for the reply."""


@dataclass(eq=False)
class _LaneQueue:
    waiting: deque[tuple[Request, tuple[int, ...]]] = field(default_factory=deque)
    busy: bool = False


@dataclass(eq=False)
class Client:
    """One connection."""

    sock: socket.socket
    name: str = ""
    subscribed: bool = False
    queue: deque[tuple[bytes, tuple[int, ...]]] = field(default_factory=deque)
    lanes: dict[Lane, _LaneQueue] = field(
        default_factory=lambda: {"car": _LaneQueue(), "quick": _LaneQueue()}
    )


class Server:
    """Serves `path` until `stop`.

    Args:
        path: the socket; its folder is made if missing, a dead socket there is replaced.
        handle: carries out requests other than `Hello`, on worker threads.
        lane: which lane a request takes.
        greet: makes the reply to a `Hello` that fits.

    Raises:
        UnavailableError: another daemon serves this socket, or it cannot be made.
    """

    def __init__(
        self,
        path: Path,
        handle: Handler,
        lane: Callable[[Request], Lane],
        greet: Callable[[Hello], Reply],
    ) -> None:
        self._path = path
        self._handle = handle
        self._lane = lane
        self._greet = greet
        self._lock = threading.Lock()
        self._clients: set[Client] = set()
        self._stopping = False
        self._listener = _listen(path)
        self._selector = selectors.DefaultSelector()
        self._wake_in, self._wake_out = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
        self._workers = ThreadPoolExecutor(2 * MAX_CLIENTS, thread_name_prefix="client")
        self._selector.register(self._listener, selectors.EVENT_READ)
        self._selector.register(self._wake_in, selectors.EVENT_READ)

    def publish(self, event: Event) -> None:
        """Send an event to all subscribers; any thread, never blocks."""
        packet = _pack_event(event)
        with self._lock:
            for client in list(self._clients):
                if client.subscribed:
                    self._enqueue(client, packet, ())
        self._wake()

    def run(self, tick: Callable[[], None], period_s: float) -> None:
        """Serve until `stop`; calls `tick` at least every `period_s`."""
        while not self._stopping:
            for key, events in self._selector.select(period_s):
                self._serve(key.fileobj, key.data, events)
            self._arm_writers()
            tick()

    def stop(self) -> None:
        """Make `run` return; safe in a signal handler."""
        self._stopping = True
        self._wake()

    def close(self) -> None:
        """End what clients asked for, close every connection and remove the socket."""
        self._stopping = True
        with self._lock:
            for client in list(self._clients):
                self._flush(client)  # The outcome of a write that was stopped is among it.
                self._drop(client)
        self._workers.shutdown(wait=True)
        self._selector.close()
        self._listener.close()
        self._path.unlink(missing_ok=True)
        os.close(self._wake_in)
        os.close(self._wake_out)

    # The loop ---------------------------------------------------------------------------------

    def _serve(self, source: object, client: Client | None, events: int) -> None:
        if source is self._listener:
            self._accept()
        elif client is None:
            with contextlib.suppress(BlockingIOError):
                os.read(self._wake_in, 4096)
        else:
            if events & selectors.EVENT_WRITE:
                with self._lock:
                    self._flush(client)
            if events & selectors.EVENT_READ:
                self._receive(client)

    def _accept(self) -> None:
        try:
            sock, _ = self._listener.accept()
        except OSError as error:
            log.warning("a client was not accepted: %s", error)
            return
        sock.setblocking(False)
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, SOCKET_BUFFER)
        if (refusal := self._refusal(sock)) is not None:
            _turn_away(sock, encode(error_message(0, refusal)))
            return
        client = Client(sock)
        with self._lock:
            self._clients.add(client)
            self._selector.register(sock, selectors.EVENT_READ, client)

    def _refusal(self, sock: socket.socket) -> FieldKitError | None:
        if not _peer_allowed(sock, self._path):
            return UsageError(
                "This user may not use the kit's hardware.",
                "Run as a member of the group that owns the socket.",
            )
        if len(self._clients) >= MAX_CLIENTS:
            return UnavailableError("Too many clients are connected.", "Close one of them.")
        return None

    def _receive(self, client: Client) -> None:
        try:
            packet, ancillary, flags, _ = client.sock.recvmsg(
                MAX_PACKET + 1,
                socket.CMSG_SPACE(4 * MAX_FDS * struct.calcsize("i")),
                socket.MSG_CMSG_CLOEXEC,
            )
        except BlockingIOError:
            return
        except OSError:
            with self._lock:
                self._drop(client)
            return
        fds = _descriptors(ancillary)
        if not packet and not fds and _hung_up(client.sock):
            with self._lock:
                self._drop(client)
            return
        try:
            self._take(client, packet, fds, flags)
        except FieldKitError as error:
            self._reply(client, error_message(_id_of(packet), error))

    def _take(self, client: Client, packet: bytes, fds: list[int], flags: int) -> None:
        """Queue or answer one packet; takes over the descriptors."""
        try:
            _check_packet(packet, fds, flags)
            request = _decode(packet)
            if isinstance(request, Hello) or not client.name:
                self._hello(client, request)
                return
            lane = client.lanes[self._lane(request)]
            if len(lane.waiting) >= WAITING_REQUESTS:
                raise UnavailableError("Too many requests wait already.", "Wait for the answers.")
            with self._lock:
                lane.waiting.append((request, tuple(fds)))
                fds = []
                self._dispatch(client, lane)
        finally:
            _close_all(fds)

    def _hello(self, client: Client, request: Request) -> None:
        if not isinstance(request, Hello):
            raise UsageError("The first message must be a hello.", "Say hello first.")
        if request.protocol != PROTOCOL:
            raise UsageError(
                f"The client speaks version {request.protocol} of the protocol, hw {PROTOCOL}.",
                "Install the same version of all parts.",
            )
        client.name = request.client or "unnamed"
        self._reply(client, self._greet(request))

    # Workers ----------------------------------------------------------------------------------

    def _dispatch(self, client: Client, lane: _LaneQueue) -> None:
        if lane.busy or not lane.waiting or self._stopping:
            return
        lane.busy = True
        request, fds = lane.waiting.popleft()
        self._workers.submit(self._work, client, lane, request, fds)

    def _work(
        self, client: Client, lane: _LaneQueue, request: Request, fds: tuple[int, ...]
    ) -> None:
        packet, out = self._carry_out(client, request, fds)
        with self._lock:
            self._enqueue(client, packet, out)
            if isinstance(request, Subscribe):
                client.subscribed = True
            lane.busy = False
            self._dispatch(client, lane)
        self._wake()

    def _carry_out(
        self, client: Client, request: Request, fds: tuple[int, ...]
    ) -> tuple[bytes, tuple[int, ...]]:
        out: Sequence[int] = ()
        try:
            reply, out = self._handle(request, fds, lambda: client not in self._clients)
            return _pack_reply(reply), tuple(out)
        except FieldKitError as error:
            refused = error
        except Exception:
            # A defect in hw: its trace goes to the log, the client gets a sentence, hw goes on.
            log.exception("request %s failed", type(request).__name__)
            refused = _internal()
        finally:
            _close_all(fds)
        _close_all(out)
        return encode(error_message(request.id, refused)), ()

    # Sending ----------------------------------------------------------------------------------

    def _reply(self, client: Client, reply: Reply) -> None:
        with self._lock:
            self._enqueue(client, encode(reply), ())

    def _enqueue(self, client: Client, packet: bytes, fds: tuple[int, ...]) -> None:
        if client not in self._clients:
            _close_all(fds)
        elif len(client.queue) >= QUEUE_PACKETS:
            log.warning("client %s is too slow and was dropped", client.name)
            _close_all(fds)
            self._drop(client)
        else:
            client.queue.append((packet, fds))

    def _flush(self, client: Client) -> None:
        while client.queue and client in self._clients:
            packet, fds = client.queue[0]
            ancillary = [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", fds))]
            try:
                client.sock.sendmsg([packet], ancillary if fds else [])
            except BlockingIOError:
                return
            except OSError:
                self._drop(client)
                return
            client.queue.popleft()
            _close_all(fds)

    def _arm_writers(self) -> None:
        with self._lock:
            for client in list(self._clients):
                self._flush(client)
                if client in self._clients:
                    write = selectors.EVENT_WRITE if client.queue else 0
                    self._selector.modify(client.sock, selectors.EVENT_READ | write, client)

    def _drop(self, client: Client) -> None:
        if client in self._clients:
            self._clients.remove(client)
            self._selector.unregister(client.sock)
            client.sock.close()
            held = [fds for _, fds in client.queue]
            client.queue.clear()
            for lane in client.lanes.values():
                held += [fds for _, fds in lane.waiting]
                lane.waiting.clear()
            for fds in held:
                _close_all(fds)

    def _wake(self) -> None:
        # Full: it will wake up anyway. Closed: there is nothing left to wake.
        with contextlib.suppress(OSError):
            os.write(self._wake_out, b"\0")


def error_message(number: int, error: FieldKitError) -> Error:
    """An error as it crosses the socket."""
    return Error(
        id=number,
        error=error.code,
        what=error.what,
        next_step=error.next_step,
        exit_status=error.exit_status,
        gate=str(getattr(error, "gate", "")),
        nrc=int(getattr(error, "nrc", -1)),
        service=int(getattr(error, "service", -1)),
    )


def _internal() -> FieldKitError:
    return FieldKitError(
        "The hardware process failed on this request.",
        "Try again; if it stays, send the diagnostics to the maker.",
    )


# Packets --------------------------------------------------------------------------------------


def _check_packet(packet: bytes, fds: Sequence[int], flags: int) -> None:
    if flags & (socket.MSG_TRUNC | socket.MSG_CTRUNC) or len(packet) > MAX_PACKET:
        raise BadInputError(
            f"The message is larger than {MAX_PACKET} bytes or brings too many files.",
            "Use a client of this version.",
        )
    if len(fds) > MAX_FDS:
        raise BadInputError(
            f"The message brings {len(fds)} files; at most {MAX_FDS} are taken.",
            "Use a client of this version.",
        )


def _decode(packet: bytes) -> Request:
    try:
        request: Request = decode_request(packet)
    # Text that is not UTF-8 is a ValueError, deep nesting a RecursionError.
    except (msgspec.MsgspecError, ValueError, RecursionError) as error:
        raise BadInputError(
            f"The message is not understood: {error}.", "Use a client of this version."
        ) from error
    return request


def _id_of(packet: bytes) -> int:
    """The id of a message that was not understood, as far as it can be found; else 0."""
    try:
        fields = msgspec.msgpack.decode(packet)
    except (msgspec.MsgspecError, ValueError, RecursionError, TypeError):
        return 0
    number = fields.get("id") if isinstance(fields, dict) else None
    return number if isinstance(number, int) and 0 <= number < 2**63 else 0


def _pack_reply(reply: Reply) -> bytes:
    packet = encode(reply)
    if len(packet) > MAX_PACKET:
        raise BadInputError(
            f"The answer has {len(packet)} bytes, more than a message of {MAX_PACKET} holds.",
            "Ask for less at a time.",
        )
    return packet


def _pack_event(event: Event) -> bytes:
    """An event that is too long loses the older half of its trace, until it fits."""
    packet = encode(event)
    while len(packet) > MAX_PACKET:
        body: GateChanged | VoltageTrace
        if isinstance(event.body, GateChanged) and event.body.trace:
            trace = event.body.trace
            body = msgspec.structs.replace(event.body, trace=trace[len(trace) // 2 + 1 :])
        elif isinstance(event.body, VoltageTrace) and event.body.samples:
            samples = event.body.samples
            body = msgspec.structs.replace(event.body, samples=samples[len(samples) // 2 + 1 :])
        else:
            raise ValueError(f"an event of {len(packet)} bytes does not fit a packet")
        event = msgspec.structs.replace(event, body=body)
        packet = encode(event)
    return packet


def _descriptors(ancillary: list[tuple[int, int, bytes]]) -> list[int]:
    fds = array.array("i")
    for level, kind, data in ancillary:
        if level == socket.SOL_SOCKET and kind == socket.SCM_RIGHTS:
            fds.frombytes(data[: len(data) - len(data) % fds.itemsize])
    return list(fds)


def _close_all(fds: Sequence[int]) -> None:
    for descriptor in fds:
        os.close(descriptor)


# Sockets --------------------------------------------------------------------------------------


def _listen(path: Path) -> socket.socket:
    try:
        path.parent.mkdir(mode=0o750, parents=True, exist_ok=True)
        _remove_dead(path)
        return _bind(path)
    except OSError as error:
        raise UnavailableError(
            f"The socket {path} cannot be made: {error}.",
            "Check the folder that FIELDKIT_RUN names and the rights on it.",
        ) from error


def _remove_dead(path: Path) -> None:
    """Remove a socket that nobody listens on any more; anything else is left alone."""
    if not path.exists() or not stat.S_ISSOCK(path.stat().st_mode):
        return
    with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as probe:
        # Without waiting: a live daemon with a full backlog says EAGAIN, and that is an answer.
        probe.setblocking(False)
        try:
            probe.connect(str(path))
        except ConnectionRefusedError:
            path.unlink()
            return
        except BlockingIOError:
            pass
    raise UnavailableError(f"fieldkit-hw is running already: it serves {path}.", "Stop it first.")


def _bind(path: Path) -> socket.socket:
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    try:
        # Nobody may connect between bind and chmod with wider rights than meant.
        before = os.umask(0o117)
        try:
            listener.bind(str(path))
        finally:
            os.umask(before)
        listener.listen(MAX_CLIENTS)
        listener.setblocking(False)
    except OSError:
        listener.close()
        raise
    return listener


def _turn_away(sock: socket.socket, packet: bytes) -> None:
    with sock, contextlib.suppress(OSError):  # The client may be gone again.
        # A close with unread messages would reach the client before the reason does: take no more,
        # and drop what is there.
        sock.shutdown(socket.SHUT_RD)
        sock.send(packet)
        while sock.recv(1):
            pass


def _hung_up(sock: socket.socket) -> bool:
    """Tell the end of a connection from an empty packet: both read as nothing."""
    poll = select.poll()
    poll.register(sock, select.POLLRDHUP)
    return bool(poll.poll(0))


def _peer_allowed(sock: socket.socket, path: Path) -> bool:
    """The socket's owner, root, or a member of the socket's group."""
    raw = sock.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, struct.calcsize("3i"))
    _pid, uid, gid = struct.unpack("3i", raw)
    if uid in (0, os.getuid()):
        return True
    group = path.stat().st_gid
    # Group 0 is what a socket has when nobody chose one; it lets nobody in.
    return group != 0 and group in {gid, *_peer_groups(sock), *_listed_groups(uid, group)}


def _peer_groups(sock: socket.socket) -> Sequence[int]:
    try:
        raw = sock.getsockopt(socket.SOL_SOCKET, _SO_PEERGROUPS, _GROUPS_BYTES)
    except OSError:
        return ()
    return array.array("I", raw)


def _listed_groups(uid: int, group: int) -> Sequence[int]:
    """A member who logged in before becoming one."""
    try:
        return (group,) if pwd.getpwuid(uid).pw_name in grp.getgrgid(group).gr_mem else ()
    except KeyError:
        return ()
