"""The hw socket: clients, packets, file descriptors. Decides nothing; calls `hw.daemon`'s handlers.

One thread reads and writes all sockets without ever blocking; requests are carried out on worker
threads, one after the other for each client. Other threads hand over messages with `send`, which
only enqueues. A client whose queue is full is dropped: the gate never waits for a client.
"""

from __future__ import annotations

import array
import contextlib
import grp
import logging
import os
import pwd
import selectors
import socket
import struct
import threading
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path

import msgspec

from hw.errors import FieldKitError, UnavailableError, UsageError
from hw.messages import (
    MAX_PACKET,
    PROTOCOL,
    Error,
    Event,
    Hello,
    Reply,
    Request,
    decode_request,
    encode,
)

MAX_CLIENTS = 16
QUEUE_PACKETS = 512
MAX_FDS = 2
SOCKET_BUFFER = 4 * 1024 * 1024

log = logging.getLogger("fieldkit.hw")

Handler = Callable[[Request, Sequence[int]], tuple[Reply, Sequence[int]]]
"""Carries out a request with its descriptors; returns the reply and descriptors to send with it.
The server closes both kinds afterwards."""


@dataclass(eq=False)
class Client:
    """One connection."""

    sock: socket.socket
    name: str = ""
    subscribed: bool = False
    queue: deque[tuple[bytes, tuple[int, ...]]] = field(default_factory=deque)
    pending: deque[tuple[Request, tuple[int, ...]]] = field(default_factory=deque)
    busy: bool = False


class Server:
    """Serves `path` until `stop`.

    Args:
        path: the socket; its folder is made if missing, a dead socket there is replaced.
        handle: carries out requests other than `Hello` and subscription, on worker threads.
        greet: makes the reply to a `Hello` that fits.

    Raises:
        UnavailableError: another daemon serves this socket.
    """

    def __init__(self, path: Path, handle: Handler, greet: Callable[[Hello], Reply]) -> None:
        self._path = path
        self._handle = handle
        self._greet = greet
        self._lock = threading.Lock()
        self._clients: set[Client] = set()
        self._selector = selectors.DefaultSelector()
        self._wake_in, self._wake_out = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
        self._workers = ThreadPoolExecutor(max_workers=MAX_CLIENTS, thread_name_prefix="client")
        self._stopping = False
        self._listener = _listen(path)
        self._selector.register(self._listener, selectors.EVENT_READ)
        self._selector.register(self._wake_in, selectors.EVENT_READ)

    def publish(self, event: Event) -> None:
        """Send an event to all subscribers; any thread, never blocks."""
        packet = encode(event)
        with self._lock:
            for client in list(self._clients):
                if client.subscribed:
                    self._enqueue(client, packet, ())
        self._wake()

    def run(self, tick: Callable[[], None], period_s: float) -> None:
        """Serve until `stop`; calls `tick` about every `period_s`."""
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
        """Close every connection and remove the socket."""
        self._workers.shutdown(wait=True, cancel_futures=True)
        with self._lock:
            for client in list(self._clients):
                self._drop(client)
        self._listener.close()
        self._path.unlink(missing_ok=True)
        self._selector.close()
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
                self._flush(client)
            if events & selectors.EVENT_READ:
                self._receive(client)

    def _accept(self) -> None:
        try:
            sock, _ = self._listener.accept()
        except OSError:
            return  # The client was gone again before it was taken.
        sock.setblocking(False)
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, SOCKET_BUFFER)
        client = Client(sock)
        refusal = self._refusal(sock)
        with self._lock:
            self._clients.add(client)
            self._selector.register(sock, selectors.EVENT_READ, client)
            if refusal is not None:
                self._enqueue(client, encode(error_message(0, refusal)), ())
                self._flush_locked(client)
                self._drop(client)

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
        fds: list[int] = []
        try:
            packet, ancillary, flags, _ = client.sock.recvmsg(
                MAX_PACKET + 1, socket.CMSG_SPACE(4 * struct.calcsize("i") * MAX_FDS)
            )
            fds = _descriptors(ancillary)
        except BlockingIOError:
            return
        except OSError:
            packet, flags = b"", 0
        if not packet and not fds:
            with self._lock:
                self._drop(client)
            return
        problem = _packet_problem(packet, fds, flags)
        try:
            if problem is not None:
                raise UsageError(problem, "Use a client of this version.")
            request = decode_request(packet)
            if isinstance(request, Hello) or not client.name:
                self._hello(client, request)
            elif len(client.pending) >= QUEUE_PACKETS:
                raise UsageError("Too many requests wait.", "Wait for the answers.")
            else:
                with self._lock:
                    client.pending.append((request, tuple(fds)))
                    fds = []
                    self._dispatch(client)
        except FieldKitError as error:
            self._reply(client, error_message(_id_of(packet), error))
        except msgspec.MsgspecError as error:
            refused = UsageError(
                f"The message is not understood: {error}.", "Use a client of this version."
            )
            self._reply(client, error_message(_id_of(packet), refused))
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

    def _dispatch(self, client: Client) -> None:
        if client.busy or not client.pending:
            return
        client.busy = True
        request, fds = client.pending.popleft()
        self._workers.submit(self._work, client, request, fds)

    def _work(self, client: Client, request: Request, fds: tuple[int, ...]) -> None:
        out: Sequence[int] = ()
        try:
            if request.__struct_config__.tag == "subscribe":
                client.subscribed = True
            reply, out = self._handle(request, fds)
        except FieldKitError as error:
            reply = error_message(request.id, error)
        except Exception:
            # A defect in hw: its trace goes to the log, the client gets a sentence, hw goes on.
            log.exception("request %s failed", type(request).__name__)
            reply = error_message(request.id, _internal())
        finally:
            _close_all(fds)
        with self._lock:
            if client in self._clients:
                self._enqueue(client, encode(reply), tuple(out))
            else:
                _close_all(out)
            client.busy = False
            if not self._stopping:
                self._dispatch(client)
        self._wake()

    def _reply(self, client: Client, reply: Reply) -> None:
        with self._lock:
            self._enqueue(client, encode(reply), ())
            self._flush_locked(client)

    # Sending ----------------------------------------------------------------------------------

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
        with self._lock:
            self._flush_locked(client)

    def _flush_locked(self, client: Client) -> None:
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
                self._flush_locked(client)
                if client in self._clients:
                    write = selectors.EVENT_WRITE if client.queue else 0
                    self._selector.modify(client.sock, selectors.EVENT_READ | write, client)

    def _drop(self, client: Client) -> None:
        if client in self._clients:
            self._clients.remove(client)
            self._selector.unregister(client.sock)
            client.sock.close()
            for _, fds in (*client.queue, *client.pending):
                _close_all(fds)
            client.queue.clear()
            client.pending.clear()

    def _wake(self) -> None:
        with contextlib.suppress(BlockingIOError, OSError):
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
    )


def _internal() -> FieldKitError:
    return FieldKitError(
        "The hardware process failed on this request.",
        "Try again; if it stays, send the diagnostics to the maker.",
    )


def _listen(path: Path) -> socket.socket:
    path.parent.mkdir(mode=0o750, parents=True, exist_ok=True)
    probe = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    with probe:
        try:
            probe.connect(str(path))
        except (FileNotFoundError, ConnectionRefusedError):
            path.unlink(missing_ok=True)
        else:
            raise UnavailableError(
                f"fieldkit-hw is running already: it serves {path}.", "Stop it first."
            )
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
    except OSError as error:
        listener.close()
        raise UnavailableError(
            f"The socket {path} cannot be made: {error}.", "Check the rights on its folder."
        ) from error
    return listener


def _peer_allowed(sock: socket.socket, path: Path) -> bool:
    """The socket's owner, root, or a member of the socket's group."""
    raw = sock.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, struct.calcsize("3i"))
    _pid, uid, gid = struct.unpack("3i", raw)
    if uid in (0, os.getuid()):
        return True
    group = path.stat().st_gid
    if group == 0:
        return False
    try:
        return gid == group or pwd.getpwuid(uid).pw_name in grp.getgrgid(group).gr_mem
    except KeyError:
        return False


def _descriptors(ancillary: list[tuple[int, int, bytes]]) -> list[int]:
    fds = array.array("i")
    for level, kind, data in ancillary:
        if level == socket.SOL_SOCKET and kind == socket.SCM_RIGHTS:
            fds.frombytes(data[: len(data) - len(data) % fds.itemsize])
    return list(fds)


def _packet_problem(packet: bytes, fds: Sequence[int], flags: int) -> str | None:
    if flags & (socket.MSG_TRUNC | socket.MSG_CTRUNC) or len(packet) > MAX_PACKET:
        return f"The message is larger than {MAX_PACKET} bytes or brings too many files."
    if len(fds) > MAX_FDS:
        return f"The message brings {len(fds)} files; at most {MAX_FDS} are taken."
    return None


def _id_of(packet: bytes) -> int:
    """The id of a message that was not understood, as far as it can be found; else 0."""
    try:
        fields = msgspec.msgpack.decode(packet)
    except (msgspec.MsgspecError, ValueError, RecursionError):
        return 0
    number = fields.get("id") if isinstance(fields, dict) else None
    return number if isinstance(number, int) and 0 <= number < 2**63 else 0


def _close_all(fds: Sequence[int]) -> None:
    for descriptor in fds:
        os.close(descriptor)
