"""Reading for clients: one link, kept alive, given back; through the real gate."""

from __future__ import annotations

import hashlib
import os
import threading
from collections import deque
from collections.abc import Callable, Iterator

import pytest

from hw.config import OutputsConfig
from hw.errors import BadInputError, UnavailableError
from hw.gate.errors import NotPlanned
from hw.gate.gate import Gate
from hw.links.base import FrameCheck, Link, LinkBusy, LinkError, LinkGate, LinkLost
from hw.memfd import read_sealed
from hw.messages import ReadMemory
from hw.outputs import Outputs
from hw.plan import Timing
from hw.reading import Reader

TIMING = Timing(p2_s=0.2, p2_star_s=0.5, pending_limit_s=1.0, busy_limit_s=0.1, s3_s=0.25)
URI = "can://virtual/test?tx=0x7E0&rx=0x7E8"
KEY = {"key": "a5c3f00d"}
LIMIT_S = 20.0
MEMORY = bytes(range(256)) * 8


class EcuLink(Link):
    """A link to an ECU that is a function; both ends in memory."""

    max_request_bytes = 4095

    def __init__(self, car: Car, uri: str, gate: LinkGate, timing: Timing) -> None:
        super().__init__(uri, gate, timing)
        self._car = car
        self._answers: deque[bytes] = deque()
        self.closed = threading.Event()

    def _transmit(self, payload: bytes, check: FrameCheck | None) -> None:
        self._car.received(payload)
        if payload != b"\x3e\x80":
            self._answers.append(self._car.answer(payload))

    def _receive(self, deadline: float) -> bytes | None:
        return self._answers.popleft() if self._answers else None

    def close(self) -> None:
        self.closed.set()


class Car:
    """Opens links and records what the ECU received."""

    def __init__(self) -> None:
        self.links: list[EcuLink] = []
        self.requests: list[bytes] = []
        self.answer: Callable[[bytes], bytes] = lambda asked: bytes([asked[0] + 0x40]) + asked[1:]
        self._changed = threading.Condition()

    def open(self, uri: str, gate: LinkGate, timing: Timing) -> Link:
        self.links.append(EcuLink(self, uri, gate, timing))
        return self.links[-1]

    def received(self, payload: bytes) -> None:
        with self._changed:
            self.requests.append(payload)
            self._changed.notify_all()

    def wait_for(self, payload: bytes, count: int = 1) -> None:
        with self._changed:
            assert self._changed.wait_for(lambda: self.requests.count(payload) >= count, LIMIT_S)


@pytest.fixture
def car() -> Car:
    return Car()


@pytest.fixture
def writing() -> threading.Event:
    return threading.Event()


@pytest.fixture
def reader(car: Car, writing: threading.Event) -> Iterator[Reader]:
    outputs = Outputs(OutputsConfig())
    reader = Reader(Gate(outputs), writing.is_set, car.open)
    yield reader
    reader.close()
    outputs.close()
    assert all(link.closed.is_set() for link in car.links)


def region(**changes: object) -> ReadMemory:
    values: dict[str, object] = {
        "id": 1,
        "link": URI,
        "address": 0x8000,
        "length": 0x400,
        "address_width": 4,
        "length_width": 2,
        "block_length": 0x100,
        "method": "read_memory_by_address",
        "timing": TIMING,
    }
    return ReadMemory(**{**values, **changes})  # type: ignore[arg-type]  # wrong on purpose


def never() -> bool:
    return False


def image(reader: Reader, asked: ReadMemory, cancelled: Callable[[], bool] = never) -> bytes:
    descriptor, size, sha256 = reader.read_memory(asked, cancelled)
    data = read_sealed(descriptor)
    os.close(descriptor)
    assert (len(data), hashlib.sha256(data).hexdigest()) == (size, sha256)
    return data


# Requests -----------------------------------------------------------------------------------------


def test_a_read_brings_the_answer(reader: Reader, car: Car) -> None:
    car.answer = lambda _: b"\x62\xf1\x90VIN"
    assert reader.read(URI, b"\x22\xf1\x90", TIMING) == b"\x62\xf1\x90VIN"
    assert car.requests == [b"\x22\xf1\x90"]


@pytest.mark.parametrize("request_hex", ["2e f190 00", "27 01", "31 01 ff00", "10 02", "11 01"])
def test_what_is_not_on_the_read_list_reaches_nobody(
    reader: Reader, car: Car, request_hex: str
) -> None:
    with pytest.raises(NotPlanned):
        reader.read(URI, bytes.fromhex(request_hex), TIMING)
    assert car.requests == []


def test_the_link_stays_open_for_the_same_link_and_timing(reader: Reader, car: Car) -> None:
    for _ in range(3):
        reader.read(URI, b"\x22\xf1\x90", TIMING)
    assert len(car.links) == 1


def test_another_link_closes_the_first(reader: Reader, car: Car) -> None:
    reader.read(URI, b"\x22\xf1\x90", TIMING)
    reader.read(URI + "&ext=0", b"\x22\xf1\x90", TIMING)
    assert [link.closed.is_set() for link in car.links] == [True, False]


def test_a_lost_link_is_closed_and_opened_again_only_by_the_next_request(
    reader: Reader, car: Car
) -> None:
    def lost(_: bytes) -> bytes:
        raise LinkLost("The cable is gone.", "Plug it in.")

    usual, car.answer = car.answer, lost
    with pytest.raises(LinkLost):
        reader.read(URI, b"\x22\xf1\x90", TIMING)
    assert car.links[0].closed.is_set()
    car.answer = usual
    reader.read(URI, b"\x22\xf1\x90", TIMING)
    assert car.requests == [b"\x22\xf1\x90"] * 2


def test_while_a_write_runs_everything_is_turned_away(
    reader: Reader, car: Car, writing: threading.Event
) -> None:
    writing.set()
    calls: tuple[Callable[[], object], ...] = (
        lambda: reader.read(URI, b"\x22\xf1\x90", TIMING),
        lambda: reader.unlock(URI, 1, "constant-xor", KEY, TIMING),
        lambda: reader.read_memory(region(), never),
        lambda: reader.discover("doip://127.0.0.1:1"),
    )
    for call in calls:
        with pytest.raises(LinkBusy, match="A write is running"):
            call()
    assert car.links == []


def test_a_link_given_back_is_closed_and_the_next_request_opens_it_again(
    reader: Reader, car: Car
) -> None:
    reader.read(URI, b"\x22\xf1\x90", TIMING)
    with reader.given_back():
        assert car.links[0].closed.is_set()
    reader.read(URI, b"\x22\xf1\x90", TIMING)
    assert len(car.links) == 2


def test_who_waits_too_long_for_its_turn_is_told(
    reader: Reader, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("hw.reading.TURN_LIMIT_S", 0.05)
    with reader.given_back(), pytest.raises(LinkBusy, match="Another request"):
        reader.read(URI, b"\x22\xf1\x90", TIMING)


def test_after_close_nothing_is_read(car: Car) -> None:
    outputs = Outputs(OutputsConfig())
    reader = Reader(Gate(outputs), never, car.open)
    reader.close()
    with pytest.raises(UnavailableError, match="stopping"):
        reader.read(URI, b"\x22\xf1\x90", TIMING)
    outputs.close()


# Sessions -----------------------------------------------------------------------------------------


def test_an_extended_session_is_kept_alive(reader: Reader, car: Car) -> None:
    reader.read(URI, b"\x10\x03", TIMING)
    car.wait_for(b"\x3e\x80", 2)
    assert len(car.links) == 1


def test_the_default_session_needs_no_tester_present(
    reader: Reader, car: Car, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("hw.reading.IDLE_LIMIT_S", 0.5)
    reader.read(URI, b"\x10\x03", TIMING)
    reader.read(URI, b"\x10\x01", TIMING)
    assert car.links[0].closed.wait(LIMIT_S)
    assert car.requests == [b"\x10\x03", b"\x10\x01"]


def test_a_link_that_nobody_uses_is_closed(
    reader: Reader, car: Car, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("hw.reading.IDLE_LIMIT_S", 0.0)
    reader.read(URI, b"\x10\x03", TIMING)
    assert car.links[0].closed.wait(LIMIT_S)


def test_a_link_lost_between_requests_is_closed(
    reader: Reader, car: Car, monkeypatch: pytest.MonkeyPatch
) -> None:
    reader.read(URI, b"\x10\x03", TIMING)

    def lost(_: bytes) -> None:
        raise LinkLost("The cable is gone.", "Plug it in.")

    monkeypatch.setattr(car, "received", lost)
    assert car.links[0].closed.wait(LIMIT_S)


# Unlocking ----------------------------------------------------------------------------------------


def test_unlocking_sends_the_key_of_the_provider(reader: Reader, car: Car) -> None:
    car.answer = lambda asked: b"\x67\x01\x11\x22\x33\x44" if asked[1] == 1 else b"\x67\x02"
    reader.unlock(URI, 0x01, "constant-xor", KEY, TIMING)
    assert car.requests == [b"\x27\x01", bytes.fromhex("2702b4e1c349")]


def test_a_seed_of_zeros_means_unlocked_already(reader: Reader, car: Car) -> None:
    car.answer = lambda _: b"\x67\x01\0\0\0\0"
    reader.unlock(URI, 0x01, "constant-xor", KEY, TIMING)
    assert car.requests == [b"\x27\x01"]


def test_no_seed_at_all_is_an_error_of_the_ecu(reader: Reader, car: Car) -> None:
    car.answer = lambda _: b"\x67\x01"
    with pytest.raises(LinkError, match="no seed"):
        reader.unlock(URI, 0x01, "constant-xor", KEY, TIMING)
    assert car.requests == [b"\x27\x01"]


@pytest.mark.parametrize("level", [-1, 0, 2, 0x7F, 0x81, 300])
def test_a_level_that_is_no_request_seed_is_bad_input(reader: Reader, car: Car, level: int) -> None:
    with pytest.raises(BadInputError, match="requestSeed"):
        reader.unlock(URI, level, "constant-xor", KEY, TIMING)
    assert car.links == []


# Memory -------------------------------------------------------------------------------------------


def test_memory_is_read_block_by_block(reader: Reader, car: Car) -> None:
    def answer(asked: bytes) -> bytes:
        start, count = int.from_bytes(asked[2:6], "big") - 0x8000, int.from_bytes(asked[6:], "big")
        return b"\x63" + MEMORY[start : start + count]

    car.answer = answer
    assert image(reader, region(length=0x310)) == MEMORY[:0x310]
    assert [request.hex() for request in car.requests] == [
        "2324000080000100",
        "2324000081000100",
        "2324000082000100",
        "2324000083000010",
    ]


def test_memory_of_another_length_is_an_error(reader: Reader, car: Car) -> None:
    car.answer = lambda _: b"\x63" + bytes(0xFF)
    with pytest.raises(LinkError, match="255 bytes of memory where 256"):
        image(reader, region())


def upload(asked: bytes) -> bytes:
    if asked[0] == 0x36:
        start = (asked[1] - 1) * 0x100
        return b"\x76" + asked[1:2] + MEMORY[start : start + 0x100]
    return b"\x75\x20\x01\x02" if asked[0] == 0x35 else b"\x77"


def test_memory_is_uploaded(reader: Reader, car: Car) -> None:
    car.answer = upload
    assert image(reader, region(method="request_upload", length=0x300)) == MEMORY[:0x300]
    assert [request.hex() for request in car.requests] == [
        "350024000080000300",
        "3601",
        "3602",
        "3603",
        "37",
    ]


@pytest.mark.parametrize(
    ("block", "reason"),
    [
        (b"\x76\x01", "0 bytes of memory"),
        (b"\x76\x01" + bytes(0x401), "1025 bytes of memory"),
        (b"\x76\x02" + bytes(0x100), "did not answer"),
    ],
)
def test_an_upload_that_does_not_fit_is_an_error(
    reader: Reader, car: Car, block: bytes, reason: str
) -> None:
    car.answer = lambda asked: block if asked[0] == 0x36 else upload(asked)
    with pytest.raises(LinkError, match=reason):
        image(reader, region(method="request_upload"))


def test_a_reading_that_nobody_waits_for_ends(reader: Reader, car: Car) -> None:
    car.answer = upload
    asked = region(method="request_upload")
    with pytest.raises(UnavailableError, match="cancelled"):
        image(reader, asked, lambda: len(car.requests) > 2)
    assert car.requests[-1] == b"\x36\x02"


@pytest.mark.parametrize(
    "changes",
    [
        {"length": 0},
        {"length": -1},
        {"length": 0x10000},
        {"length": 64 * 1024 * 1024 + 1, "length_width": 4},
        {"block_length": 0},
        {"address": -1},
        {"address": 0xFFFF_FFFF},
        {"address": 0x100, "address_width": 1},
        {"address_width": 0},
        {"address_width": 5},
        {"length_width": 0},
        {"length_width": 9},
    ],
)
def test_a_region_that_makes_no_sense_is_bad_input(
    reader: Reader, car: Car, changes: dict[str, int]
) -> None:
    with pytest.raises(BadInputError, match="memory region"):
        reader.read_memory(region(**changes), never)
    assert car.links == []
