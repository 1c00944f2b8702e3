"""The hw client against a hw that is missing, hangs up, stays silent or talks nonsense."""

from __future__ import annotations

import os
import socket
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from hw.client import HwClient, RemoteError
from hw.errors import BadInputError, RefusedError, UnavailableError
from hw.memfd import seal
from hw.messages import (
    MAX_PACKET,
    PROTOCOL,
    Answer,
    Arm,
    Done,
    Error,
    Event,
    Evidence,
    GateReport,
    GetStatus,
    Hello,
    HelloReply,
    Memory,
    ReadMemory,
    Reply,
    Request,
    Voltage,
    decode_request,
    encode,
)
from hw.plan import Timing

LIMIT_S = 20.0
TIMING = Timing(p2_s=0.5, p2_star_s=5.0, pending_limit_s=5.0, busy_limit_s=1.0)
LINK = "can://virtual/test?tx=0x7E0&rx=0x7E8"
EVENT = Event(run="", seq=1, body=Voltage(at=1.0, volts=12.6))
NOTHING = Evidence(
    profile_file="", backup=None, checks_document=None, checks_signature=None, acknowledgment=None
)
ASKED = ReadMemory(
    id=0,
    link=LINK,
    address=0,
    length=3,
    address_width=4,
    length_width=4,
    block_length=3,
    method="read_memory_by_address",
    timing=TIMING,
)
ABC = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"


class Hw:
    """A hw that behaves as a test says: `reply` is called with each request but hello."""

    def __init__(self, path: Path) -> None:
        self._listener = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self._listener.bind(str(path))
        self._listener.listen()
        self.reply: Callable[[Hw, Request], None] = lambda hw, asked: hw.send(Done(id=asked.id))
        self.greet = True
        self.requests: list[Request] = []
        self.files: list[int] = []
        self.sock: socket.socket | None = None
        self._thread = threading.Thread(target=self._serve, daemon=True)
        self._thread.start()

    def send(self, message: Reply | bytes, files: list[int] | None = None) -> None:
        packet = message if isinstance(message, bytes) else encode(message)
        assert self.sock is not None
        socket.send_fds(self.sock, [packet], files or [])

    def hang_up(self) -> None:
        if self.sock is not None:
            self.sock.shutdown(socket.SHUT_RDWR)

    def close(self) -> None:
        self._listener.shutdown(socket.SHUT_RDWR)
        self._thread.join(LIMIT_S)
        assert not self._thread.is_alive()
        self._listener.close()
        for file in self.files:
            os.close(file)

    def _serve(self) -> None:
        while True:
            try:
                self.sock, _ = self._listener.accept()
            except OSError:
                return
            with self.sock:
                self._serve_one(self.sock)

    def _serve_one(self, sock: socket.socket) -> None:
        while True:
            try:
                packet, files, _, _ = socket.recv_fds(sock, MAX_PACKET, 8)
            except OSError:
                return
            if not packet:
                return
            self.files += files
            request = decode_request(packet)
            self.requests.append(request)
            if isinstance(request, Hello) and self.greet:
                reply = HelloReply(id=request.id, protocol=PROTOCOL, version="1", boot_id="b")
                self.send(reply)
            else:
                self.reply(self, request)


@pytest.fixture
def path(short_tmp: Path) -> Path:
    return short_tmp / "hw.sock"


@pytest.fixture
def hw(path: Path) -> Iterator[Hw]:
    hw = Hw(path)
    yield hw
    hw.close()


@pytest.fixture
def client(hw: Hw, path: Path) -> Iterator[HwClient]:
    client = HwClient(path, "test")
    client.connect()
    yield client
    client.close()


def open_files() -> int:
    return len(os.listdir("/proc/self/fd"))


# Connecting ---------------------------------------------------------------------------------------


def test_without_hw_the_next_step_is_told(path: Path) -> None:
    client = HwClient(path, "test")
    with pytest.raises(UnavailableError) as caught:
        client.connect()
    assert str(path) in caught.value.what
    assert "started again by itself" in caught.value.next_step
    with pytest.raises(UnavailableError):
        client.status()
    assert not client.connected


def test_hello_says_name_and_version(hw: Hw, client: HwClient) -> None:
    assert hw.requests == [Hello(id=1, protocol=PROTOCOL, client="test")]
    assert client.connected


def test_a_refused_hello_is_told_and_nothing_stays_open(hw: Hw, path: Path) -> None:
    hw.greet = False
    hw.reply = lambda hw, _: hw.send(
        Error(id=0, error="usage", what="Not you.", next_step="Go away.", exit_status=64)
    )
    client = HwClient(path, "test")
    with pytest.raises(RemoteError, match="Not you") as caught:
        client.connect()
    assert caught.value.exit_status == 64
    assert not client.connected


def test_a_hw_that_hangs_up_at_once_is_told(hw: Hw, path: Path) -> None:
    hw.greet = False
    hw.reply = lambda hw, _: hw.hang_up()
    with pytest.raises(UnavailableError, match="gone"):
        HwClient(path, "test").connect()


def test_connecting_again_works_after_hw_was_lost(hw: Hw, client: HwClient) -> None:
    hw.reply = lambda hw, _: hw.hang_up()
    with pytest.raises(UnavailableError):
        client.abort()
    assert not client.connected
    hw.reply = lambda hw, asked: hw.send(Done(id=asked.id))
    client.connect()
    client.abort()


def test_clients_leave_nothing_open(hw: Hw, path: Path) -> None:
    client = HwClient(path, "test")
    client.connect()
    client.close()
    before = open_files()
    for _ in range(10):
        client.connect()
        client.close()
    client.connect()
    client.abort()
    client.close()
    assert open_files() <= before + 1  # hw's own end of the last connection may be open still


# Answers ------------------------------------------------------------------------------------------


def test_answers_find_their_calls_in_any_order(hw: Hw, client: HwClient) -> None:
    waiting: list[int] = []

    def swapped(hw: Hw, asked: Request) -> None:
        waiting.append(asked.id)
        if len(waiting) == 2:
            for number in reversed(waiting):
                hw.send(Answer(id=number, payload=number.to_bytes(2, "big")))

    hw.reply = swapped
    answers: dict[str, bytes] = {}

    def read(name: str) -> None:
        answers[name] = client.read(LINK, b"\x22\xf1\x90", TIMING)

    threads = [threading.Thread(target=read, args=(name,)) for name in ("one", "two")]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(LIMIT_S)
    assert sorted(answers.values()) == [number.to_bytes(2, "big") for number in sorted(waiting)]


def test_errors_come_as_hw_said_them(hw: Hw, client: HwClient) -> None:
    hw.reply = lambda hw, asked: hw.send(
        Error(
            id=asked.id,
            error="negative_response",
            what="The ECU refused.",
            next_step="Unlock it.",
            exit_status=69,
            nrc=0x33,
        )
    )
    with pytest.raises(RemoteError) as caught:
        client.read(LINK, b"\x22\xf1\x90", TIMING)
    error = caught.value
    assert (error.code, error.exit_status, error.nrc) == ("negative_response", 69, 0x33)
    assert (error.what, error.next_step) == ("The ECU refused.", "Unlock it.")


@pytest.mark.parametrize("code", ["refused", "not_planned"])
def test_refusals_of_a_gate_are_refusals_here_too(hw: Hw, client: HwClient, code: str) -> None:
    hw.reply = lambda hw, asked: hw.send(
        Error(
            id=asked.id,
            error=code,
            what="The voltage is low.",
            next_step="Charge.",
            exit_status=77,
            gate="VOLTAGE_CHECK",
        )
    )
    with pytest.raises(RefusedError) as caught:
        client.start("permit")
    error = caught.value
    assert (error.code, error.gate, error.exit_status) == (code, "VOLTAGE_CHECK", 77)


def test_an_answer_of_another_kind_is_told(hw: Hw, client: HwClient) -> None:
    with pytest.raises(UnavailableError, match="another kind"):
        client.status()


def test_all_calls_fail_at_once_when_the_connection_is_lost(hw: Hw, client: HwClient) -> None:
    errors: list[UnavailableError] = []
    asked = threading.Semaphore(0)
    hw.reply = lambda _hw, _asked: asked.release()

    def call() -> None:
        try:
            client.journal()
        except UnavailableError as error:
            errors.append(error)

    threads = [threading.Thread(target=call) for _ in range(3)]
    for thread in threads:
        thread.start()
    for _ in threads:
        assert asked.acquire(timeout=LIMIT_S)
    hw.hang_up()
    for thread in threads:
        thread.join(LIMIT_S)
    assert ["gone" in error.what for error in errors] == [True] * 3


def test_closing_fails_the_calls_under_way(hw: Hw, client: HwClient) -> None:
    asked = threading.Event()
    hw.reply = lambda _hw, _asked: asked.set()
    failed = threading.Event()

    def call() -> None:
        try:
            client.journal()
        except UnavailableError:
            failed.set()

    thread = threading.Thread(target=call)
    thread.start()
    assert asked.wait(LIMIT_S)
    client.close()
    assert failed.wait(LIMIT_S)
    thread.join(LIMIT_S)


def test_a_silent_hw_is_told_after_the_time_limit(
    hw: Hw, client: HwClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    silent: list[int] = []
    hw.reply = lambda _, asked: silent.append(asked.id)
    monkeypatch.setattr("hw.client.CAR_TIMEOUT_S", 0.05)
    with pytest.raises(UnavailableError, match=r"0\.05 s"):
        client.read(LINK, b"\x22\xf1\x90", TIMING)
    # The late answer is nobody's, and what comes after it is not mixed up.
    hw.send(Answer(id=silent[0], payload=b"late"), [seal(b"late", "late")])
    hw.reply = lambda hw, asked: hw.send(Done(id=asked.id))
    client.abort()


@pytest.mark.parametrize("packet", [b"\xc1", encode({"type": "done"}), encode(GetStatus(id=1))])
def test_nonsense_from_hw_ends_the_connection(hw: Hw, client: HwClient, packet: bytes) -> None:
    hw.reply = lambda hw, _: hw.send(packet, [seal(b"x", "x")])
    with pytest.raises(UnavailableError, match="gone"):
        client.abort()
    assert not client.connected


def test_a_request_over_the_limit_is_not_sent(hw: Hw, client: HwClient) -> None:
    with pytest.raises(BadInputError, match="more than a message"):
        client.read(LINK, bytes(MAX_PACKET), TIMING)
    client.abort()


# Files --------------------------------------------------------------------------------------------


def test_arming_sends_two_sealed_files(hw: Hw, client: HwClient) -> None:
    def reply(hw: Hw, asked: Request) -> None:
        hw.send(
            GateReport(id=asked.id, plan_digest="0" * 64, results=[], permit="", expires_in_s=0.0)
        )

    hw.reply = reply
    before = open_files()
    client.arm(b"the plan", b"", NOTHING, dry=True)
    assert isinstance(hw.requests[-1], Arm)
    assert hw.requests[-1].dry
    assert [os.pread(file, 100, 0) for file in hw.files] == [b"the plan", b""]
    assert open_files() == before + 2  # what hw received


def test_memory_comes_in_a_file(hw: Hw, client: HwClient) -> None:
    def reply(hw: Hw, asked: Request) -> None:
        file = seal(b"abc", "memory")
        hw.send(Memory(id=asked.id, size=3, sha256=ABC), [file])
        os.close(file)

    hw.reply = reply
    before = open_files()
    assert client.read_memory(ASKED) == b"abc"
    until = time.monotonic() + 10
    while open_files() != before and time.monotonic() < until:
        time.sleep(0.01)  # hw's thread closes its own copy after it has sent it.
    assert open_files() == before


@pytest.mark.parametrize(
    ("data", "size", "sha256"),
    [(b"abc", 4, ABC), (b"abd", 3, ABC), (None, 3, ABC)],
)
def test_memory_that_is_not_whole_is_told(
    hw: Hw, client: HwClient, data: bytes | None, size: int, sha256: str
) -> None:
    def reply(hw: Hw, asked: Request) -> None:
        files = [] if data is None else [seal(data, "memory")]
        hw.send(Memory(id=asked.id, size=size, sha256=sha256), files)
        for file in files:
            os.close(file)

    hw.reply = reply
    before = open_files()
    with pytest.raises(UnavailableError, match="memory image"):
        client.read_memory(ASKED)
    until = time.monotonic() + 10  # The other end closes its own copy when it comes to it.
    while open_files() != before and time.monotonic() < until:
        time.sleep(0.005)
    assert open_files() == before


def test_a_memory_file_that_could_change_is_refused(hw: Hw, client: HwClient) -> None:
    def reply(hw: Hw, asked: Request) -> None:
        file = os.memfd_create("memory", os.MFD_ALLOW_SEALING)
        os.write(file, b"abc")
        hw.send(Memory(id=asked.id, size=3, sha256=ABC), [file])
        os.close(file)

    hw.reply = reply
    with pytest.raises(BadInputError, match="not sealed"):
        client.read_memory(ASKED)


def test_files_that_nobody_asked_for_are_closed(hw: Hw, client: HwClient) -> None:
    file = seal(b"x", "x")

    def reply(hw: Hw, asked: Request) -> None:
        hw.send(EVENT, [file])
        hw.send(Done(id=asked.id), [file])

    hw.reply = reply
    before = open_files()
    client.abort()
    assert open_files() == before
    os.close(file)


# Events -------------------------------------------------------------------------------------------


class Listener:
    """Events as they come; may fail or call back."""

    def __init__(self) -> None:
        self.events: list[Event] = []
        self.came = threading.Semaphore(0)
        self.error: Exception | None = None
        self.act: Callable[[], object] = lambda: None

    def __call__(self, event: Event) -> None:
        self.events.append(event)
        try:
            self.act()
        except Exception as error:
            self.error = error
            raise
        finally:
            self.came.release()


@pytest.fixture
def listener() -> Listener:
    return Listener()


@pytest.fixture
def subscriber(hw: Hw, path: Path, listener: Listener) -> Iterator[HwClient]:
    client = HwClient(path, "test", listener)
    client.connect()
    client.subscribe()
    yield client
    client.close()


def test_events_come_on_the_readers_thread(
    hw: Hw, subscriber: HwClient, listener: Listener
) -> None:
    names: list[str] = []
    listener.act = lambda: names.append(threading.current_thread().name)
    hw.send(EVENT)
    assert listener.came.acquire(timeout=LIMIT_S)
    assert (listener.events, names) == ([EVENT], ["hw-client"])


def test_a_failing_listener_is_logged_and_calls_go_on(
    hw: Hw, subscriber: HwClient, listener: Listener, caplog: pytest.LogCaptureFixture
) -> None:
    def fail() -> None:
        raise ValueError("a defect above")

    listener.act = fail
    for _ in range(2):
        hw.send(EVENT)
        assert listener.came.acquire(timeout=LIMIT_S)
    subscriber.abort()
    assert "a defect above" in caplog.text


def test_a_listener_that_calls_hw_is_told_instead_of_waiting_for_itself(
    hw: Hw, subscriber: HwClient, listener: Listener
) -> None:
    listener.act = subscriber.status
    hw.send(EVENT)
    assert listener.came.acquire(timeout=LIMIT_S)
    assert isinstance(listener.error, RuntimeError)
    subscriber.abort()
