"""The hw socket: clients that are wrong, slow, many, gone or somebody else's."""

from __future__ import annotations

import array
import json
import logging
import os
import socket
import stat
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from hw.errors import RefusedError, UnavailableError
from hw.memfd import read_sealed, seal
from hw.messages import (
    MAX_PACKET,
    PROTOCOL,
    AbortWrite,
    Answer,
    Done,
    Error,
    Event,
    GateChanged,
    GetJournal,
    GetRunLog,
    GetStatus,
    Hello,
    HelloReply,
    Memory,
    Read,
    Reply,
    Request,
    StartWrite,
    Subscribe,
    Voltage,
    VoltageTrace,
    decode_reply,
    encode,
)
from hw.plan import Timing
from hw.server import MAX_CLIENTS, QUEUE_PACKETS, WAITING_REQUESTS, Lane, Server
from hw.sim.registers import RegisterFile
from hw.voltage.sampler import Sample, sampler_for

LIMIT_S = 20.0
TIMING = Timing(p2_s=0.5, p2_star_s=5.0, pending_limit_s=5.0, busy_limit_s=1.0)


class Handler:
    """Answers as a test wants it to."""

    def __init__(self) -> None:
        self.go_on = threading.Event()
        self.started = threading.Semaphore(0)
        self.cancelled = threading.Event()
        self.refuse = False

    def __call__(
        self, request: Request, files: Sequence[int], cancelled: Callable[[], bool]
    ) -> tuple[Reply, Sequence[int]]:
        if isinstance(request, Read):
            self.started.release()
            while not self.go_on.wait(0.01):
                if cancelled():
                    self.cancelled.set()
                    break
            return Answer(id=request.id, payload=bytes(1 + len(request.payload) * 1000)), ()
        if isinstance(request, GetJournal):
            raise ZeroDivisionError("a defect")
        if isinstance(request, StartWrite):
            raise RefusedError("VOLTAGE_CHECK", "The voltage is low.", "Charge the battery.")
        if isinstance(request, GetRunLog):
            return Memory(id=request.id, size=3, sha256=""), (seal(b"abc", "test"),)
        if isinstance(request, AbortWrite):
            names = [read_sealed(file).decode() for file in files]
            return Answer(id=request.id, payload=" ".join(names).encode()), ()
        return Done(id=request.id), ()


def lane(request: Request) -> Lane:
    return "car" if isinstance(request, Read) else "quick"


def greet(hello: Hello) -> Reply:
    return HelloReply(id=hello.id, protocol=PROTOCOL, version="test", boot_id="boot")


class Raw:
    """A client that can do everything wrong."""

    def __init__(self, path: Path) -> None:
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self.sock.settimeout(LIMIT_S)
        self.sock.connect(str(path))

    def __enter__(self) -> Raw:
        return self

    def __exit__(self, *_: object) -> None:
        self.sock.close()

    def send(self, message: Request | bytes, files: Sequence[int] = ()) -> None:
        packet = message if isinstance(message, bytes) else encode(message)
        ancillary = [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", files))]
        self.sock.sendmsg([packet], ancillary if files else [])

    def receive(self) -> Any:
        packet = self.sock.recv(4 * MAX_PACKET)
        assert packet, "hw hung up"
        return decode_reply(packet)

    def ask(self, message: Request | bytes, files: Sequence[int] = ()) -> Any:
        self.send(message, files)
        return self.receive()

    def hello(self) -> Raw:
        reply = self.ask(Hello(id=1, protocol=PROTOCOL, client="test"))
        assert isinstance(reply, HelloReply)
        return self

    def hung_up(self) -> bool:
        """Read what is left; True when hw has closed the connection at its end."""
        while packet := self.sock.recv(4 * MAX_PACKET):
            decode_reply(packet)
        return True


class Running:
    """A server on its own thread."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.handler = Handler()
        self.server = Server(path, self.handler, lane, greet)
        self._thread = threading.Thread(target=self.server.run, args=(lambda: None, 0.1))
        self._thread.start()

    def close(self) -> None:
        self.handler.go_on.set()
        self.server.stop()
        self._thread.join(LIMIT_S)
        assert not self._thread.is_alive()
        self.server.close()


@pytest.fixture
def running(short_tmp: Path) -> Iterator[Running]:
    running = Running(short_tmp / "run" / "hw.sock")
    yield running
    running.close()


def read(number: int, payload: bytes = b"") -> Read:
    return Read(id=number, link="", payload=payload, timing=TIMING)


def open_files() -> int:
    return len(os.listdir("/proc/self/fd"))


# Greeting and mistakes ----------------------------------------------------------------------------


def test_the_first_message_must_be_a_hello(running: Running) -> None:
    with Raw(running.path) as raw:
        error = raw.ask(GetStatus(id=7))
        assert isinstance(error, Error)
        assert (error.id, error.exit_status) == (7, 64)
        assert isinstance(raw.hello().ask(GetStatus(id=8)), Done)


def test_another_version_is_told_and_may_try_again(running: Running) -> None:
    with Raw(running.path) as raw:
        error = raw.ask(Hello(id=3, protocol=PROTOCOL + 1, client="test"))
        assert isinstance(error, Error)
        assert f"version {PROTOCOL + 1}" in error.what
        assert isinstance(raw.ask(GetStatus(id=4)), Error)
        raw.hello()


@pytest.mark.parametrize(
    ("packet", "number"),
    [
        (b"", 0),
        (b"\xc1", 0),
        (b"hello", 0),
        (encode({"type": "erase_everything", "id": 5}), 5),
        (encode({"type": "get_status"}), 0),
        (encode({"type": "get_status", "id": 6, "more": 1}), 6),
        (encode({"type": "get_status", "id": "six"}), 0),
        (encode({"type": "get_status", "id": -1, "x": 0}), 0),
        (encode([1, 2, 3]), 0),
        (b"\x81\xa2\xff\xfe\x01", 0),
        (b"\x91" * 5000, 0),
    ],
)
def test_what_is_not_understood_gets_an_error_and_the_connection_stays(
    running: Running, packet: bytes, number: int
) -> None:
    with Raw(running.path) as raw:
        error = raw.hello().ask(packet)
        assert isinstance(error, Error)
        assert (error.id, error.error, error.exit_status) == (number, "bad_input", 65)
        assert error.next_step
        assert raw.ask(GetStatus(id=9)) == Done(id=9)


def test_a_message_over_the_limit_gets_an_error(running: Running) -> None:
    with Raw(running.path) as raw:
        error = raw.hello().ask(bytes(MAX_PACKET + 1))
        assert isinstance(error, Error)
        assert "larger" in error.what
        assert raw.ask(GetStatus(id=9)) == Done(id=9)


def valid_messages() -> st.SearchStrategy[bytes]:
    samples: list[Request] = [
        GetStatus(id=1),
        Subscribe(id=2),
        GetRunLog(id=3, run="x", after=0),
        GetJournal(id=4),
        StartWrite(id=5, permit="x"),
    ]
    return st.sampled_from([encode(sample) for sample in samples])


@st.composite
def garbage(draw: st.DrawFn) -> bytes:
    if draw(st.booleans()):
        return draw(st.binary(max_size=200))
    packet = bytearray(draw(valid_messages()))
    for _ in range(draw(st.integers(1, 4))):
        packet[draw(st.integers(0, len(packet) - 1))] = draw(st.integers(0, 255))
    return bytes(packet)


@pytest.fixture(scope="module")
def lasting() -> Iterator[Running]:
    """One server for all packets of a property test."""
    with tempfile.TemporaryDirectory(prefix="fk") as folder:
        running = Running(Path(folder) / "hw.sock")
        yield running
        running.close()


@settings(
    max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(packets=st.lists(garbage(), max_size=8), greeted=st.booleans())
def test_no_packet_ends_the_server(
    lasting: Running, caplog: pytest.LogCaptureFixture, packets: list[bytes], greeted: bool
) -> None:
    caplog.set_level(logging.CRITICAL)
    with Raw(lasting.path) as raw:
        if greeted:
            raw.hello()
        for packet in packets:
            raw.send(packet)
        for _ in packets:
            raw.receive()
        raw.hello()
    assert not lasting.server._stopping


def test_a_defect_of_the_handler_is_a_sentence_for_the_client_and_a_trace_for_the_log(
    running: Running, caplog: pytest.LogCaptureFixture
) -> None:
    with Raw(running.path) as raw:
        error = raw.hello().ask(GetJournal(id=4))
        assert isinstance(error, Error)
        assert (error.id, error.error, error.exit_status) == (4, "internal", 70)
        assert "division" not in error.what + error.next_step
        assert raw.ask(GetStatus(id=5)) == Done(id=5)
    assert "ZeroDivisionError" in caplog.text


def test_a_refusal_keeps_gate_and_sentences(running: Running) -> None:
    with Raw(running.path) as raw:
        error = raw.hello().ask(StartWrite(id=4, permit="x"))
    assert error == Error(
        id=4,
        error="refused",
        what="The voltage is low.",
        next_step="Charge the battery.",
        exit_status=77,
        gate="VOLTAGE_CHECK",
    )


# Files --------------------------------------------------------------------------------------------


def test_files_reach_the_handler_and_come_back_in_a_reply(running: Running) -> None:
    with Raw(running.path) as raw:
        raw.hello()
        before = open_files()
        files = [seal(b"plan", "plan"), seal(b"payload", "payload")]
        assert raw.ask(AbortWrite(id=2), files) == Answer(id=2, payload=b"plan payload")
        raw.send(GetRunLog(id=3, run="", after=0))
        packet, returned, _, _ = socket.recv_fds(raw.sock, MAX_PACKET, 4)
        assert isinstance(decode_reply(packet), Memory)
        assert [read_sealed(file) for file in returned] == [b"abc"]
        for file in (*files, *returned):
            os.close(file)
        assert raw.ask(GetStatus(id=4)) == Done(id=4)
        assert open_files() == before


@pytest.mark.parametrize("count", [3, 8, 9, 60])
def test_too_many_files_get_an_error_and_none_stays_open(running: Running, count: int) -> None:
    with Raw(running.path) as raw:
        raw.hello()
        file = seal(b"x", "x")
        before = open_files()
        for _ in range(5):
            error = raw.ask(GetStatus(id=2), [file] * count)
            assert isinstance(error, Error)
            assert "files" in error.what
        assert open_files() == before
        assert raw.ask(GetStatus(id=3)) == Done(id=3)
        os.close(file)


def test_files_with_garbage_are_closed(running: Running) -> None:
    with Raw(running.path) as raw:
        raw.hello()
        file = seal(b"x", "x")
        before = open_files()
        for packet in (b"", b"\xc1", encode(GetStatus(id=1))):
            raw.ask(packet, [file])
        assert open_files() == before
        os.close(file)


def test_clients_that_come_and_go_leave_nothing_open(running: Running) -> None:
    file = seal(b"x", "x")
    with Raw(running.path) as watching:
        watching.hello()
        before = open_files()
        for _ in range(20):
            with Raw(running.path) as raw:
                raw.hello()
                raw.send(read(2), [file])
                raw.send(read(3), [file])
                raw.send(AbortWrite(id=4), [file, file])
        running.handler.go_on.set()
        deadline = time.monotonic() + LIMIT_S
        while open_files() != before:
            assert time.monotonic() < deadline
            watching.ask(GetStatus(id=5))
    os.close(file)


# Waiting ------------------------------------------------------------------------------------------


def test_a_long_read_does_not_keep_the_status_waiting(running: Running) -> None:
    with Raw(running.path) as raw:
        raw.hello().send(read(2))
        assert raw.ask(GetStatus(id=3)) == Done(id=3)
        running.handler.go_on.set()
        assert raw.receive() == Answer(id=2, payload=b"\0")


def test_reads_of_one_client_are_carried_out_one_after_the_other(running: Running) -> None:
    with Raw(running.path) as raw:
        raw.hello()
        for number in range(3):
            raw.send(read(number))
        assert running.handler.started.acquire(timeout=LIMIT_S)
        raw.ask(GetStatus(id=9))
        assert not running.handler.started.acquire(blocking=False)
        running.handler.go_on.set()
        assert [raw.receive().id for _ in range(3)] == [0, 1, 2]


def test_a_client_that_asks_too_much_at_once_is_told(running: Running) -> None:
    with Raw(running.path) as raw:
        raw.hello()
        raw.send(read(100))
        assert running.handler.started.acquire(timeout=LIMIT_S)
        for number in range(WAITING_REQUESTS + 1):
            raw.send(read(number))
        error = raw.receive()
        assert isinstance(error, Error)
        assert (error.id, error.error) == (WAITING_REQUESTS, "unavailable")


def test_what_a_gone_client_asked_for_is_cancelled(running: Running) -> None:
    with Raw(running.path) as raw:
        raw.hello().send(read(2))
        assert running.handler.started.acquire(timeout=LIMIT_S)
    assert running.handler.cancelled.wait(LIMIT_S)


def test_closing_the_server_does_not_wait_for_readers_of_the_car(short_tmp: Path) -> None:
    running = Running(short_tmp / "hw.sock")
    with Raw(running.path) as raw:
        raw.hello().send(read(2))
        assert running.handler.started.acquire(timeout=LIMIT_S)
        running.server.stop()
        running._thread.join(LIMIT_S)
        running.server.close()
        assert running.handler.cancelled.is_set()
        assert raw.hung_up()
    assert not running.path.exists()


def test_too_many_clients_are_told(running: Running) -> None:
    clients = [Raw(running.path).hello() for _ in range(MAX_CLIENTS)]
    with Raw(running.path) as one_more:
        error = one_more.receive()
        assert isinstance(error, Error)
        assert (error.id, error.error) == (0, "unavailable")
        assert one_more.hung_up()
    for client in clients:
        client.sock.close()


# Events -------------------------------------------------------------------------------------------


def voltage(number: int) -> Event:
    return Event(run="", seq=number, body=Voltage(at=0.0, volts=12.6))


def test_only_subscribers_get_events(running: Running) -> None:
    with Raw(running.path) as subscriber, Raw(running.path) as other:
        other.hello()
        assert subscriber.hello().ask(Subscribe(id=2)) == Done(id=2)
        running.server.publish(voltage(1))
        assert subscriber.receive() == voltage(1)
        assert other.ask(GetStatus(id=3)) == Done(id=3)


def test_a_client_that_never_reads_is_dropped_and_delays_nobody(
    running: Running, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """The sampler's own thread publishes each sample; one subscriber sleeps, one reads."""
    chip = RegisterFile(tmp_path / "registers", create=True)
    chip.volts = 12.6
    published: list[Sample] = []
    long_trace = [(0.0, 12.6)] * 500

    def on_sample(sample: Sample) -> None:
        published.append(sample)
        body = VoltageTrace(at=sample.at, samples=list(long_trace))
        running.server.publish(Event(run="", seq=len(published), body=body))

    sampler = sampler_for(f"ina219+sim://{tmp_path / 'registers'}", 1.0, 1000, on_sample)
    with Raw(running.path) as sleeper, Raw(running.path) as reader:
        sleeper.hello().ask(Subscribe(id=2))
        reader.hello().ask(Subscribe(id=2))
        sampler.start()
        seen: list[int] = []
        while len(seen) < 2 * QUEUE_PACKETS or "too slow" not in caplog.text:
            seen.append(reader.receive().seq)
        sampler.stop()
        assert seen == list(range(seen[0], seen[0] + len(seen)))
        assert len(published) >= len(seen)
        assert sleeper.hung_up()
    chip.close()


def test_an_answer_over_the_limit_is_an_error(running: Running) -> None:
    running.handler.go_on.set()
    with Raw(running.path) as raw:
        error = raw.hello().ask(read(2, bytes(66)))
        assert isinstance(error, Error)
        assert "Ask for less" in error.next_step


def test_an_event_over_the_limit_keeps_the_newest_of_its_trace(running: Running) -> None:
    trace: list[tuple[float, float | None]] = [(float(number), 12.6) for number in range(10000)]
    changed = GateChanged(at=1.0, state="HELD", reason="r", next_step="n", volts=11.9, trace=trace)
    with Raw(running.path) as raw:
        raw.hello().ask(Subscribe(id=2))
        for body in (changed, VoltageTrace(at=1.0, samples=trace)):
            running.server.publish(Event(run="r", seq=1, body=body))
            got = raw.receive().body
            kept = got.trace if isinstance(got, GateChanged) else got.samples
            assert 1000 < len(kept) < 10000
            assert kept == trace[-len(kept) :]


# Who may connect ----------------------------------------------------------------------------------


def test_folder_and_socket_have_narrow_rights(running: Running) -> None:
    assert stat.S_IMODE(running.path.stat().st_mode) == 0o660
    assert stat.S_IMODE(running.path.parent.stat().st_mode) & 0o027 == 0


AS_SOMEBODY = """
import json, os, socket, sys
os.setgroups(json.loads(sys.argv[4]))
os.setgid(int(sys.argv[3]))
os.setuid(int(sys.argv[3]))
sock = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
sock.settimeout(20)
sock.connect(sys.argv[1])
packets = []
try:
    sock.send(bytes.fromhex(sys.argv[2]))
except OSError:
    pass
while True:
    try:
        packet = sock.recv(65536)
    except ConnectionResetError:
        continue
    if not packet:
        break
    packets.append(packet.hex())
    sock.shutdown(socket.SHUT_WR)
print(json.dumps(packets))
"""


def connect_as(path: Path, user: int, groups: list[int]) -> list[Any]:
    """Say hello as another user, from another process; returns all that hw said."""
    hello = encode(Hello(id=1, protocol=PROTOCOL, client="somebody"))
    arguments = (str(path), hello.hex(), str(user), json.dumps(groups))
    done = subprocess.run(
        [sys.executable, "-I", "-c", AS_SOMEBODY, *arguments],
        stdout=subprocess.PIPE,
        timeout=60,
        check=True,
    )
    return [decode_reply(bytes.fromhex(packet)) for packet in json.loads(done.stdout)]


@pytest.mark.skipif(os.getuid() != 0, reason="only root can connect as somebody else")
def test_another_user_is_turned_away_even_where_the_file_lets_them_in(running: Running) -> None:
    for folder in (running.path.parent, running.path.parent.parent):
        folder.chmod(0o755)
    running.path.chmod(0o666)
    for _ in range(5):
        (error,) = connect_as(running.path, 65534, [])
        assert isinstance(error, Error)
        assert (error.id, error.exit_status) == (0, 64)
    with Raw(running.path) as raw:
        raw.hello()


@pytest.mark.skipif(os.getuid() != 0, reason="only root can connect as somebody else")
def test_members_of_the_sockets_group_are_let_in(running: Running) -> None:
    group = 54321
    for folder in (running.path.parent, running.path.parent.parent):
        folder.chmod(0o755)
    os.chown(running.path, -1, group)
    assert [type(reply) for reply in connect_as(running.path, 65534, [group])] == [HelloReply]
    assert [type(reply) for reply in connect_as(running.path, group, [])] == [HelloReply]


# The socket itself --------------------------------------------------------------------------------


def test_a_second_server_on_a_live_socket_is_refused(running: Running) -> None:
    with pytest.raises(UnavailableError, match="running already"):
        Server(running.path, running.handler, lane, greet)
    with Raw(running.path) as raw:
        raw.hello()


def test_a_dead_socket_is_replaced(short_tmp: Path) -> None:
    path = short_tmp / "hw.sock"
    with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as dead:
        dead.bind(str(path))
    running = Running(path)
    with Raw(path) as raw:
        raw.hello()
    running.close()


def test_a_file_that_is_no_socket_is_left_alone(short_tmp: Path) -> None:
    path = short_tmp / "notes.txt"
    path.write_text("precious")
    with pytest.raises(UnavailableError, match="cannot be made"):
        Server(path, Handler(), lane, greet)
    assert path.read_text() == "precious"


def test_a_path_that_cannot_be_is_told(short_tmp: Path) -> None:
    with pytest.raises(UnavailableError, match="cannot be made"):
        Server(short_tmp / ("x" * 120), Handler(), lane, greet)
    before = open_files()
    with pytest.raises(UnavailableError, match="cannot be made"):
        Server(Path("/proc/nowhere/hw.sock"), Handler(), lane, greet)
    assert open_files() == before
