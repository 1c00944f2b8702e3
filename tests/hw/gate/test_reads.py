"""The whole rule as a set: what may go out without a plan, beside a plan, and nothing else."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hw.gate.errors import NotPlanned, WriteCut, WriteHeld
from hw.gate.reads import READ_LIST, ReadShape, is_read
from tests.hw.gate.rig import NEXT, Rig

STATES = ("CLOSED", "ARMED", "OPEN", "HELD", "CUT")
ALL = range(256)
# Service -> the second bytes with which a request of two bytes reads; stated here once more, by
# hand, so that a change of the table has to be made in two places.
ANY = set(ALL)
TWO_BYTES: dict[int, set[int]] = {
    **dict.fromkeys((0x01, 0x02, 0x03, 0x06, 0x07, 0x09, 0x0A, 0x17, 0x18, 0x19, 0x1A), ANY),
    **dict.fromkeys((0x21, 0x22, 0x23, 0x24, 0x35, 0x36), ANY),
    0x10: {0x01, 0x03, 0x81, 0x83},
    0x3E: {0x00, 0x80},
}
ONE_BYTE = set(TWO_BYTES) - {0x10, 0x3E, 0x36} | {0x37}
THREE_BYTES = set(TWO_BYTES) - {0x10, 0x3E, 0x36}
BESIDE_A_PLAN = {0x19, 0x22, 0x23, 0x3E}
# Services of ISO 14229-1, ISO 14230-3 and ISO 15031-5 that change something.
WRITING = {0x04, 0x08, 0x11, 0x14, 0x27, 0x28, 0x2C, 0x2E, 0x2F, 0x31, 0x34, 0x38, 0x3B, 0x3D, 0x85}


def admitted(rig: Rig, request: bytes) -> bool:
    """Admitted as a read: past the gate with no frame check."""
    try:
        return rig.gate.admit(request) is None
    except (NotPlanned, WriteHeld, WriteCut):
        return False


@pytest.mark.parametrize("state", STATES)
def test_every_service_with_every_second_byte_in_every_state(rig: Rig, state: str) -> None:
    rig.in_state(state)
    planned = state != "CLOSED"
    for service in ALL:
        beside = not planned or service in BESIDE_A_PLAN
        for second in ALL:
            request = bytes([service, second])
            wanted = beside and second in TWO_BYTES.get(service, set())
            assert admitted(rig, request) is wanted, request.hex()
            assert is_read(request, planned=planned) is wanted


@pytest.mark.parametrize("state", STATES)
def test_every_service_alone_and_with_data_in_every_state(rig: Rig, state: str) -> None:
    rig.in_state(state)
    for service in ALL:
        beside = state == "CLOSED" or service in BESIDE_A_PLAN
        assert admitted(rig, bytes([service])) is (beside and service in ONE_BYTE)
        for length in (3, 4, 8, 4095):
            request = bytes([service, 0x01]) + bytes(length - 2)
            assert admitted(rig, request) is (beside and service in THREE_BYTES)


@pytest.mark.parametrize("state", STATES)
def test_an_empty_request_is_never_admitted(rig: Rig, state: str) -> None:
    rig.in_state(state)
    assert not is_read(b"", planned=False)
    with pytest.raises(NotPlanned, match="empty"):
        rig.gate.admit(b"")


def test_no_writing_service_is_on_the_list() -> None:
    assert not WRITING & set(READ_LIST)


def test_transfer_data_reads_only_without_data_and_exit_only_without_option() -> None:
    assert is_read(b"\x36\x01", planned=False)
    assert not is_read(b"\x36", planned=False)
    assert not is_read(b"\x36\x01\x00", planned=False)
    assert is_read(b"\x37", planned=False)
    assert not is_read(b"\x37\x00", planned=False)


@pytest.mark.parametrize("state", STATES)
def test_security_access_is_admitted_only_inside_access_and_without_a_plan(
    rig: Rig, state: str
) -> None:
    gate = rig.in_state(state)
    requests = (b"\x27\x01", b"\x27\x02\x11\x22\x33\x44")
    assert not any(admitted(rig, request) for request in requests)
    with gate.access():
        assert [admitted(rig, request) for request in requests] == [state == "CLOSED"] * 2
        assert not any(admitted(rig, bytes([service, 0x02])) for service in WRITING - {0x27})
    assert not any(admitted(rig, request) for request in requests)


def test_access_ends_with_its_block_also_after_an_error(rig: Rig) -> None:
    with pytest.raises(ZeroDivisionError), rig.gate.access():
        _ = 1 / 0
    assert not admitted(rig, b"\x27\x01")


@pytest.mark.parametrize(
    "longer", ["100100", "100300", "3e0000", "3e8000", "360000", "3700", "1001" + "00" * 6]
)
def test_a_request_that_is_longer_than_its_reading_shape_is_a_write(longer: str) -> None:
    for planned in (False, True):
        assert is_read(bytes.fromhex(longer), planned=planned) is False


def test_no_request_at_all_is_no_read(rig: Rig) -> None:
    assert is_read(b"", planned=False) is False
    for state in STATES:
        rig.gate.close("for the test")
        rig.in_state(state)
        with pytest.raises((NotPlanned, WriteHeld, WriteCut)):
            rig.gate.admit(b"")


def test_a_shape_with_sub_functions_wants_one_whatever_its_length(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setitem(READ_LIST, 0xBA, ReadShape(sub_functions=frozenset({0x00})))
    assert is_read(b"\xba", planned=False) is False
    assert is_read(b"\xba\x00\x55", planned=False) is True


def test_beside_a_plan_only_what_says_so_is_read() -> None:
    assert ReadShape() == ReadShape(sub_functions=None, length=None, while_planned=False)
    assert {service for service, shape in READ_LIST.items() if shape.while_planned} == BESIDE_A_PLAN


def test_a_plan_armed_inside_access_ends_it(rig: Rig) -> None:
    with rig.gate.access():
        rig.armed()
        assert not admitted(rig, b"\x27\x01")


@given(st.binary(max_size=12))
def test_what_reads_beside_a_plan_also_reads_without_one(request_: bytes) -> None:
    assert not is_read(request_, planned=True) or is_read(request_, planned=False)


def test_in_open_only_the_next_request_passes_byte_for_byte(rig: Rig) -> None:
    gate = rig.opened()
    check = gate.admit(NEXT)
    assert check is not None
    check()
    for bit in range(8 * len(NEXT)):
        flipped = bytearray(NEXT)
        flipped[bit // 8] ^= 1 << bit % 8
        if not is_read(bytes(flipped), planned=True):
            with pytest.raises(NotPlanned):
                gate.admit(bytes(flipped))
    for length in range(1, len(NEXT)):
        with pytest.raises(NotPlanned):
            gate.admit(NEXT[:length])
    with pytest.raises(NotPlanned):
        gate.admit(NEXT + b"\x00")


@pytest.mark.parametrize("service", sorted(set(ALL) - BESIDE_A_PLAN))
def test_every_other_service_can_be_the_next_request_and_only_then_passes(
    rig: Rig, service: int
) -> None:
    gate = rig.opened()
    with pytest.raises(NotPlanned):
        gate.admit(bytes([service, 0x01]))
    rig.plan.expected = bytes([service, 0x01])
    assert gate.admit(bytes([service, 0x01])) is not None
    rig.plan.expected = None
    with pytest.raises(NotPlanned):
        gate.admit(bytes([service, 0x01]))


@pytest.mark.parametrize(
    ("state", "refusal"),
    [("CLOSED", NotPlanned), ("ARMED", NotPlanned), ("HELD", WriteHeld), ("CUT", WriteCut)],
)
def test_the_next_request_is_refused_in_every_state_but_open(
    rig: Rig, state: str, refusal: type[Exception]
) -> None:
    gate = rig.in_state(state)
    with pytest.raises(refusal):
        gate.admit(NEXT)
