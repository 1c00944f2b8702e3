"""The simulated CAN bus: frame lengths, pacing, and the socketcand protocol of python-can."""

from __future__ import annotations

import asyncio
import contextlib
import random
import socket
from collections.abc import Iterator
from pathlib import Path

import can
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hw.sim.canbus import BITRATE, Bus, Frame, frame_bits
from tests.hw.sim.bench import run
from tests.kit import Car

LIMIT_S = 10.0

frames = st.one_of(
    st.builds(Frame, st.integers(0, 0x7FF), st.just(False), st.binary(max_size=8)),
    st.builds(Frame, st.integers(0, 0x1FFFFFFF), st.just(True), st.binary(max_size=8)),
)


def _unstuffed(frame: Frame) -> list[int]:
    """SOF to CRC as ISO 11898-1 draws it; the CRC by long division, another way than the car's."""
    fields: list[tuple[int, int]] = [(0, 1)]
    if frame.extended:
        fields += [(frame.identifier >> 18, 11), (0b11, 2), (frame.identifier & 0x3FFFF, 18)]
    else:
        fields += [(frame.identifier, 11)]
    fields += [(0b000, 3), (len(frame.data), 4), *((byte, 8) for byte in frame.data)]
    value = width = 0
    for field, bits in fields:
        value, width = value << bits | field, width + bits
    rest = value << 15
    for shift in range(width - 1, -1, -1):
        if rest >> (shift + 15) & 1:
            rest ^= 0xC599 << shift
    whole = value << 15 | rest
    return [whole >> shift & 1 for shift in range(width + 14, -1, -1)]


def _stuffed(bits: list[int]) -> list[int]:
    """Put a complement after every five equal bits, stuff bits counted."""
    out: list[int] = []
    for bit in bits:
        out.append(bit)
        if len(out) >= 5 and len(set(out[-5:])) == 1:
            out.append(1 - bit)
    return out


@given(frames)
def test_a_frame_is_as_long_as_an_independent_count_says(frame: Frame) -> None:
    tail = 1 + 2 + 7 + 3  # CRC delimiter, ACK, end of frame, interframe space
    assert frame_bits(frame) == len(_stuffed(_unstuffed(frame))) + tail


@given(frames)
def test_a_frame_lies_between_no_stuffing_and_the_worst_case(frame: Frame) -> None:
    stuffable = (54 if frame.extended else 34) + 8 * len(frame.data)
    assert stuffable + 13 <= frame_bits(frame) <= stuffable + 13 + (stuffable - 1) // 4


def test_content_decides_the_length() -> None:
    zeros = frame_bits(Frame(0x000, extended=False, data=bytes(8)))
    mixed = frame_bits(Frame(0x2AA, extended=False, data=b"\x55" * 8))
    assert zeros > mixed


def test_a_paced_bus_carries_no_more_than_its_bit_rate_for_both_directions() -> None:
    async def scenario() -> None:
        bus, rng = Bus(paced=True), random.Random(1)
        loop, done = asyncio.get_running_loop(), asyncio.Event()
        got: list[Frame] = []

        def left(frame: Frame) -> None:
            got.append(frame)
            if len(got) == len(sent):
                done.set()

        def right(frame: Frame) -> None:
            left(frame)

        bus.attach(left)
        bus.attach(right)
        sent = [Frame(0x7E0, extended=False, data=rng.randbytes(8)) for _ in range(200)]
        began = loop.time()
        for index, frame in enumerate(sent):
            bus.send(frame, left if index % 2 else right)
        await done.wait()
        assert loop.time() - began >= sum(map(frame_bits, sent)) / BITRATE
        assert got == sent

    run(scenario())


# The protocol, over real sockets --------------------------------------------------------------


@pytest.fixture
def car(short_tmp: Path) -> Iterator[Car]:
    car = Car(short_tmp / "car")
    yield car
    car.close()


def _port(car: Car) -> int:
    return int(car.link("can").split(":")[2].split("/")[0])


@contextlib.contextmanager
def _tester(car: Car) -> Iterator[can.BusABC]:
    bus = can.Bus(interface="socketcand", host="127.0.0.1", port=_port(car), channel="can0")
    try:
        yield bus
    finally:
        bus.shutdown()


def _message(identifier: int, data: str, *, extended: bool = False) -> can.Message:
    return can.Message(arbitration_id=identifier, data=bytes.fromhex(data), is_extended_id=extended)


def _next(bus: can.BusABC) -> can.Message:
    message = bus.recv(LIMIT_S)
    assert message is not None
    return message


def test_an_ecu_with_11_bits_answers(car: Car) -> None:
    with _tester(car) as bus:
        bus.send(_message(0x7E0, "023e00"))
        answer = _next(bus)
    assert (answer.arbitration_id, answer.is_extended_id) == (0x7E8, False)
    assert bytes(answer.data).startswith(bytes.fromhex("027e00"))
    assert car.log() == ["3e00"]


def test_an_ecu_with_29_bits_answers_on_its_own_identifiers_only(car: Car) -> None:
    with _tester(car) as bus:
        bus.send(_message(0x18DA40F1, "023e00", extended=True))
        answer = _next(bus)
    assert (answer.arbitration_id, answer.is_extended_id) == (0x18DAF140, True)
    assert car.log("body") == ["3e00"]
    assert car.log("engine") == []


def test_an_11_bit_number_sent_as_29_bits_is_another_identifier(car: Car) -> None:
    with _tester(car) as bus:
        bus.send(_message(0x7E0, "023e00", extended=True))
        bus.send(_message(0x7E1, "023e00"))
        assert _next(bus).arbitration_id == 0x7E9
    assert car.log("engine") == []


def test_a_long_answer_waits_for_flow_control(car: Car) -> None:
    with _tester(car) as bus:
        bus.send(_message(0x7E0, "0322f190"))
        first = _next(bus)
        assert bytes(first.data[:2]) == b"\x10\x14"
        bus.send(_message(0x7E0, "300000"))
        rest = [_next(bus), _next(bus)]
    text = bytes(first.data[2:]) + b"".join(bytes(frame.data[1:]) for frame in rest)
    assert text[:20] == bytes.fromhex("62f190") + b"WFKZZZ8K1TA000017"


def test_a_long_request_is_let_through_at_once(car: Car) -> None:
    with _tester(car) as bus:
        bus.send(_message(0x7E0, "10082ef15a010203"))
        flow = _next(bus)
        assert bytes(flow.data[:3]) == b"\x30\x00\x00"
        bus.send(_message(0x7E0, "210405"))
        assert bytes(_next(bus).data[:4]) == bytes.fromhex("037f2e7f")
    assert car.log() == ["2ef15a0102030405"]


def test_a_message_that_is_not_finished_never_reaches_the_ecu(car: Car) -> None:
    with _tester(car) as bus:
        bus.send(_message(0x7E0, "10142ef15a010203"))
        assert bytes(_next(bus).data[:1]) == b"\x30"
        bus.send(_message(0x7E0, "023e00"))
        assert bytes(_next(bus).data[:3]) == b"\x02\x7e\x00"
    assert car.log() == ["3e00"]


def test_every_tester_sees_the_others_frames_and_not_its_own(car: Car) -> None:
    with _tester(car) as one, _tester(car) as two:
        one.send(_message(0x123, "aa55"))
        seen = _next(two)
        assert (seen.arbitration_id, bytes(seen.data)) == (0x123, b"\xaa\x55")
        two.send(_message(0x124, ""))
        seen = _next(one)
        assert (seen.arbitration_id, bytes(seen.data)) == (0x124, b"")


def test_the_protocol_is_spoken_in_any_pieces_and_nonsense_is_survived(car: Car) -> None:
    with socket.create_connection(("127.0.0.1", _port(car)), LIMIT_S) as raw:
        raw.settimeout(LIMIT_S)
        assert raw.recv(100) == b"< hi >"
        for piece in (b"< op", b"en can0 >"):
            raw.sendall(piece)
        assert raw.recv(100) == b"< ok >"
        raw.sendall(b"< rawmode >")
        assert raw.recv(100) == b"< ok >"
        raw.sendall(b"< send xyz 1 0 >< send 7E0 >< >< send 7E0 3 2 3e 0 >")
        assert raw.recv(100).startswith(b"< frame 7E8 ")
    with _tester(car) as bus:
        bus.send(_message(0x7E0, "023e00"))
        assert _next(bus).arbitration_id == 0x7E8


def test_a_bus_that_the_car_does_not_have_is_not_opened(car: Car) -> None:
    with socket.create_connection(("127.0.0.1", _port(car)), LIMIT_S) as raw:
        raw.settimeout(LIMIT_S)
        assert raw.recv(100) == b"< hi >"
        raw.sendall(b"< open can7 >")
        assert raw.recv(100).startswith(b"< error")


def test_a_dead_ecu_sends_nothing_at_all(car: Car) -> None:
    car.do("battery", volts=0.0)
    with _tester(car) as bus, _tester(car) as witness:
        bus.send(_message(0x7E0, "023e00"))
        bus.send(_message(0x7E0, "10142ef15a010203"))
        bus.send(_message(0x123, "00"))
        assert [_next(witness).arbitration_id for _ in range(3)] == [0x7E0, 0x7E0, 0x123]
        assert bus.recv(0) is None
    assert car.log() == []
