"""The cursor: the exact bytes of every step, and which answers end it."""

from __future__ import annotations

import hashlib
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hw.cursor import Cursor, Pause, PlannedRequest, StepFailed
from hw.errors import BadInputError
from hw.plan import (
    CheckDid,
    CommunicationControl,
    Download,
    DtcSetting,
    IdentityValue,
    Payload,
    ReadBack,
    Reset,
    RestoreStep,
    Risk,
    Routine,
    Session,
    Step,
    Target,
    Timing,
    TransferExit,
    Unlock,
    Wait,
    WriteDid,
    WritePlan,
    decode_plan,
)
from tests.hw.gate.rig import WINDOW

RESTORE: list[RestoreStep] = [
    CommunicationControl(control_type=0, communication_type=1),
    DtcSetting(setting=1),
]
OFF: list[Step] = [
    DtcSetting(setting=2),
    CommunicationControl(control_type=3, communication_type=1),
]


def make_plan(
    steps: list[Step], *payloads: bytes, restore: list[RestoreStep] | None = None
) -> WritePlan:
    """A plan of these steps."""
    return WritePlan(
        format="fieldkit-plan/1",
        job="job",
        title="test",
        risk=Risk(risk_class="programming", text="risk"),
        profile="sim-engine",
        profile_sha256="0" * 64,
        target=Target(
            ecu="engine",
            link="can://virtual/test",
            identity=[IdentityValue(did=0xF190, value="00")],
            boot_identity=[],
        ),
        window=WINDOW,
        timing=Timing(p2_s=0.1, p2_star_s=1.0, pending_limit_s=10.0, busy_limit_s=1.0),
        payloads=[
            Payload(name=f"{n}", size=len(data), sha256=hashlib.sha256(data).hexdigest())
            for n, data in enumerate(payloads)
        ],
        steps=steps,
        restore=RESTORE if restore is None else restore,
    )


def key_for(provider: str, level: int, seed: bytes, params: dict[str, str]) -> bytes:
    """Says in the key what it was asked with."""
    return f"{provider}:{level}:{seed.hex()}:{params['key']}".encode()


def cursor(steps: list[Step], *payloads: bytes, **options: Any) -> Cursor:
    """At the first request."""
    return Cursor(make_plan(steps, *payloads, **options), b"".join(payloads), key_for)


def download(size: int, **changes: Any) -> Download:
    """A download of the first payload."""
    step = Download(
        payload=0,
        address=0x8000,
        address_width=4,
        length_width=4,
        data_format=0,
        uncompressed_size=size,
    )
    return msgspec.structs.replace(step, **changes)


def routine(**changes: Any) -> Routine:
    """A routine with a status record of two bytes."""
    step = Routine(
        sub_function=1,
        rid=0xFF00,
        option="4400008000",
        expect="00a5",
        purpose="erase",
        timeout_s=30.0,
    )
    return msgspec.structs.replace(step, **changes)


def request(walk: Cursor) -> PlannedRequest:
    """The request that is due."""
    assert isinstance(walk.move, PlannedRequest)
    return walk.move


# One request, one answer --------------------------------------------------------------------------

ONE: list[tuple[Step, str, str, list[str]]] = [
    (Session(session=0x02), "1002", "5002003201f4", ["", "50", "5003", "5103"]),
    (Reset(reset_type=0x01), "1101", "5101", ["5102", "51", "1101"]),
    (
        WriteDid(did=0xF15A, data="0102"),
        "2ef15a0102",
        "6ef15a",
        ["6ef15b", "6ef1", "6e", "2ef15a", ""],
    ),
    (
        routine(),
        "3101ff004400008000",
        "7101ff0000a5",
        [
            "7101ff0000a4",
            "7101ff0000",
            "7101ff0000a500",
            "7102ff0000a5",
            "7101ff0100a5",
            "7101ff00",
        ],
    ),
    (TransferExit(), "37", "77", ["", "76", "37"]),
    (TransferExit(option="aabb"), "37aabb", "77cc", ["7f3772"]),
    (CheckDid(did=0xF190, expect="3132"), "22f190", "62f1903132", ["62f19031", "62f190313200", ""]),
    (DtcSetting(setting=0x02), "8502", "c502", ["c501", "c5", "8502"]),
    (
        CommunicationControl(control_type=0x03, communication_type=0x01),
        "280301",
        "6803",
        ["6800", "68"],
    ),
]


@pytest.mark.parametrize(("step", "sent", "answer", "_wrong"), ONE)
def test_a_step_sends_exactly_these_bytes_and_goes_on_at_this_answer(
    step: Step, sent: str, answer: str, _wrong: list[str]
) -> None:
    walk = cursor([step, Session(session=3)])
    assert walk.expected == bytes.fromhex(sent)
    assert request(walk).step == 0
    walk.advance(bytes.fromhex(answer))
    assert walk.expected == b"\x10\x03"
    assert request(walk).step == 1
    walk.advance(b"\x50\x03")
    assert walk.move is None
    assert walk.expected is None


@pytest.mark.parametrize(
    ("step", "answer"), [(step, answer) for step, _sent, _right, wrong in ONE for answer in wrong]
)
def test_any_other_answer_fails_the_step(step: Step, answer: str) -> None:
    walk = cursor([step])
    with pytest.raises(StepFailed) as failed:
        walk.advance(bytes.fromhex(answer))
    assert "recover" in failed.value.next_step
    assert failed.value.exit_status == 75


def test_every_single_wrong_bit_in_a_status_record_fails_the_routine() -> None:
    right = bytes.fromhex("7101ff0000a5")
    for bit in range(8 * len(right)):
        wrong = bytearray(right)
        wrong[bit // 8] ^= 1 << bit % 8
        with pytest.raises(StepFailed):
            cursor([routine()]).advance(bytes(wrong))


def test_only_what_the_protocol_makes_safe_may_be_repeated() -> None:
    for step, *_ in ONE:
        assert request(cursor([step])).repeatable is isinstance(step, CheckDid)
    walk = cursor([Unlock(level=1, provider="x", params={"key": "k"})])
    assert not request(walk).repeatable
    walk.advance(b"\x67\x01\x11")
    assert not request(walk).repeatable
    walk = cursor([download(4)], bytes(4))
    assert not request(walk).repeatable
    walk.advance(b"\x74\x10\x10")
    assert request(walk).repeatable


def test_a_routine_brings_its_own_limit_for_pending_answers() -> None:
    assert request(cursor([routine(timeout_s=77.0)])).pending_limit_s == 77.0
    assert request(cursor([Session(session=2)])).pending_limit_s is None


def test_a_wait_is_a_pause_in_which_nothing_may_be_sent() -> None:
    walk = cursor([Wait(min_s=0.5, max_s=3.0), Session(session=3)])
    assert walk.move == Pause(0, 0.5, 3.0)
    assert walk.expected is None
    walk.advance(b"")
    assert walk.expected == b"\x10\x03"


# Unlock -------------------------------------------------------------------------------------------


def test_unlock_asks_for_the_seed_and_sends_the_providers_key() -> None:
    walk = cursor([Unlock(level=0x11, provider="p", params={"key": "k"}), Session(session=3)])
    assert walk.expected == b"\x27\x11"
    walk.advance(bytes.fromhex("67110a0b0c0d"))
    assert walk.expected == b"\x27\x12" + b"p:17:0a0b0c0d:k"
    walk.advance(b"\x67\x12")
    assert walk.expected == b"\x10\x03"


@pytest.mark.parametrize("seed", ["00", "00000000", "00" * 16])
def test_a_seed_of_zeros_means_unlocked_and_no_key_goes_out(seed: str) -> None:
    walk = cursor([Unlock(level=0x11, provider="p", params={"key": "k"}), Session(session=3)])
    walk.advance(bytes.fromhex("6711" + seed))
    assert walk.expected == b"\x10\x03"


@pytest.mark.parametrize("answer", ["", "67", "6711", "671201020304", "6713aa"])
def test_a_missing_or_misplaced_seed_fails(answer: str) -> None:
    walk = cursor([Unlock(level=0x11, provider="p", params={"key": "k"}), Session(session=3)])
    with pytest.raises(StepFailed):
        walk.advance(bytes.fromhex(answer))


@pytest.mark.parametrize("answer", ["6711", "67", "6714", ""])
def test_an_unconfirmed_key_fails(answer: str) -> None:
    walk = cursor([Unlock(level=0x11, provider="p", params={"key": "k"})])
    walk.advance(b"\x67\x11\x01")
    with pytest.raises(StepFailed, match="key"):
        walk.advance(bytes.fromhex(answer))


# Download -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("changes", "sent"),
    [
        ({}, "3400440000800000000006"),
        ({"address_width": 3, "length_width": 2}, "34 00 23 008000 0006"),
        ({"address_width": 2, "length_width": 1}, "34 00 12 8000 06"),
        ({"data_format": 0x21, "uncompressed_size": 9}, "34 21 44 00008000 00000009"),
        (
            {"address": 0xFFFFFFFF, "uncompressed_size": 1},
            "34 00 44 ffffffff 00000001",
        ),
    ],
)
def test_request_download_carries_format_widths_address_and_size(
    changes: dict[str, Any], sent: str
) -> None:
    walk = cursor([download(6, **changes)], b"abcdef")
    assert walk.expected == bytes.fromhex(sent)


@pytest.mark.parametrize(
    ("answer", "chunk"),
    [
        ("741003", 1),
        ("741012", 16),
        ("74200102", 0x100),
        ("7430000102", 0x100),
        ("74f0" + "00" * 13 + "0012", 16),
        ("742f0102", 0x100),
        ("74200102aabb", 0x100),
    ],
)
def test_the_block_length_counts_service_and_counter_in_any_width(answer: str, chunk: int) -> None:
    payload = bytes(range(256)) * 2
    walk = cursor([download(512)], payload)
    walk.advance(bytes.fromhex(answer))
    assert walk.expected == b"\x36\x01" + payload[:chunk]
    assert request(walk).blocks == -(-512 // chunk)


@pytest.mark.parametrize(
    "answer",
    [
        "",
        "74",
        "7400",
        "740012",
        "7420",
        "7420ff",
        "7440ffffff",
        "7400ffff",
        "742001",
        "7440000001",
        "7510ff",
        "741000",
        "741001",
        "741002",
        "74200002",
    ],
)
def test_a_malformed_or_useless_block_length_fails_before_any_data(answer: str) -> None:
    walk = cursor([download(6)], b"abcdef")
    with pytest.raises(StepFailed):
        walk.advance(bytes.fromhex(answer))


def test_the_smallest_of_the_ecus_the_profiles_and_the_links_limit_counts() -> None:
    def chunk(ecu: int, profile: int, link: int) -> int:
        walk = cursor([download(200, max_block_length=profile)], bytes(200))
        walk.max_request_bytes = link
        walk.advance(b"\x74\x20" + ecu.to_bytes(2, "big"))
        return len(request(walk).payload)

    assert chunk(100, 0, 0) == 100
    assert chunk(100, 50, 0) == 50
    assert chunk(100, 50, 40) == 40
    assert chunk(30, 50, 40) == 30
    assert chunk(100, 0, 40) == 40
    assert chunk(100, 3, 40) == 3
    with pytest.raises(StepFailed):
        chunk(100, 2, 0)
    with pytest.raises(StepFailed):
        chunk(100, 0, 1)


def test_the_counter_goes_from_ff_to_00_and_the_last_block_is_short() -> None:
    payload = bytes(n & 0xFF for n in range(2 * 600 + 1))
    walk = cursor([download(len(payload))], payload)
    walk.advance(b"\x74\x10\x04")
    sent, move = b"", request(walk)
    for number in range(1, 602):
        move = request(walk)
        assert (move.block, move.blocks) == (number, 601)
        assert move.payload[:2] == bytes([0x36, number & 0xFF])
        sent += move.payload[2:]
        assert move.done_bytes == len(sent)
        walk.advance(bytes([0x76, number & 0xFF]))
    assert len(move.payload) == 3
    assert sent == payload
    assert walk.move is None


@pytest.mark.parametrize("answer", ["", "76", "7602", "7600", "7701", "3601"])
def test_a_block_confirmed_with_another_counter_fails(answer: str) -> None:
    walk = cursor([download(6)], b"abcdef")
    walk.advance(b"\x74\x10\x10")
    with pytest.raises(StepFailed, match="Block 1"):
        walk.advance(bytes.fromhex(answer))


def test_a_block_may_be_confirmed_with_data_of_the_ecu() -> None:
    walk = cursor([download(6)], b"abcdef")
    walk.advance(b"\x74\x10\x10")
    walk.advance(b"\x76\x01\xaa\xbb")
    assert walk.move is None


def test_two_downloads_take_their_own_part_and_digest_and_done_bytes_go_on() -> None:
    walk = cursor([download(5), download(3, payload=1, address=0x9000)], b"first", b"2nd")
    assert walk.transfer_digest == hashlib.sha256(b"first").hexdigest()
    walk.advance(b"\x74\x10\x10")
    assert walk.expected == b"\x36\x01first"
    walk.advance(b"\x76\x01")
    assert walk.transfer_digest == hashlib.sha256(b"2nd").hexdigest()
    assert walk.expected == bytes.fromhex("3400440000900000000003")
    walk.advance(b"\x74\x10\x04")
    assert walk.expected == b"\x36\x012n"
    assert request(walk).done_bytes == 7
    walk.advance(b"\x76\x01")
    assert walk.expected == b"\x36\x02d"
    assert request(walk).done_bytes == 8
    assert bytes(walk.payload) == b"first2nd"


def test_downloads_in_another_order_than_their_payloads() -> None:
    walk = cursor([download(3, payload=1), download(5)], b"first", b"2nd")
    walk.advance(b"\x74\x10\x10")
    assert walk.expected == b"\x36\x012nd"
    walk.advance(b"\x76\x01")
    walk.advance(b"\x74\x10\x10")
    assert walk.expected == b"\x36\x01first"
    assert request(walk).done_bytes == 8


@given(data=st.binary(min_size=1, max_size=300), length=st.integers(3, 310))
def test_the_blocks_are_the_payload_whatever_the_length(data: bytes, length: int) -> None:
    walk = cursor([download(len(data)), TransferExit()], data)
    walk.advance(b"\x74\x20" + length.to_bytes(2, "big"))
    sent = b""
    while request(walk).block:
        move = request(walk)
        assert 3 <= len(move.payload) <= length
        sent += move.payload[2:]
        walk.advance(bytes([0x76, move.payload[1]]))
    assert sent == data
    assert walk.expected == b"\x37"


# Read-back ----------------------------------------------------------------------------------------


def read_back(data: bytes, block: int, **changes: Any) -> ReadBack:
    step = ReadBack(
        address=0x8000,
        length=len(data),
        address_width=4,
        length_width=2,
        block_length=block,
        sha256=hashlib.sha256(data).hexdigest(),
    )
    return msgspec.structs.replace(step, **changes)


def test_read_back_asks_in_blocks_and_compares_the_digest() -> None:
    walk = cursor([read_back(b"abcdef", 4), Session(session=3)])
    assert walk.expected == bytes.fromhex("23 24 00008000 0004")
    assert request(walk).repeatable
    walk.advance(b"\x63abcd")
    assert walk.expected == bytes.fromhex("23 24 00008004 0002")
    walk.advance(b"\x63ef")
    assert walk.expected == b"\x10\x03"


@pytest.mark.parametrize("answer", [b"", b"\x63abc", b"\x63abcde", b"\x23abcd", b"\x62abcd"])
def test_read_back_refuses_answers_of_another_length(answer: bytes) -> None:
    walk = cursor([read_back(b"abcdef", 4)])
    with pytest.raises(StepFailed, match="0x00008000"):
        walk.advance(answer)


def test_read_back_fails_at_the_end_when_one_bit_differs() -> None:
    walk = cursor([read_back(b"abcdef", 4)])
    walk.advance(b"\x63abcd")
    with pytest.raises(StepFailed, match="does not read back"):
        walk.advance(b"\x63eg")


# Restore ------------------------------------------------------------------------------------------


def walk_through(walk: Cursor, count: int) -> None:
    """Confirm so many requests as an ECU would."""
    for _ in range(count):
        assert walk.expected is not None
        walk.advance(bytes([walk.expected[0] + 0x40]) + walk.expected[1:2])


def test_what_was_sent_is_put_back_in_the_plans_order() -> None:
    walk = cursor([*OFF, Session(session=2)])
    walk_through(walk, 2)
    assert walk.to_restore == ["0x28", "0x85"]
    walk.restore()
    assert walk.expected == b"\x28\x00\x01"
    walk.advance(b"\x68\x00")
    assert walk.expected == b"\x85\x01"
    assert walk.to_restore == ["0x85"]
    walk.advance(b"\xc5\x01")
    assert walk.move is None
    assert walk.to_restore == []


def test_nothing_is_put_back_that_was_not_touched() -> None:
    walk = cursor(OFF)
    walk.restore()
    # The first one is counted from the moment in which it may go out: its answer may be lost.
    assert walk.expected == b"\x85\x01"
    walk.advance(b"\xc5\x01")
    assert walk.move is None
    untouched = cursor([Session(session=3), *OFF])
    untouched.restore()
    assert untouched.move is None
    assert untouched.to_restore == []


@pytest.mark.parametrize(
    "ends", [*(Reset(reset_type=kind) for kind in (1, 2, 3)), Session(session=1)]
)
def test_a_reset_and_the_default_session_put_everything_back(ends: Step) -> None:
    walk = cursor([*OFF, ends, Session(session=3)])
    walk_through(walk, 3)
    assert walk.to_restore == []
    walk.restore()
    assert walk.move is None


def test_another_session_puts_nothing_back() -> None:
    walk = cursor([*OFF, Session(session=2), Session(session=3)])
    walk_through(walk, 3)
    assert walk.to_restore == ["0x28", "0x85"]


def test_a_reset_that_was_not_confirmed_puts_nothing_back() -> None:
    walk = cursor([*OFF, Reset(reset_type=1)])
    walk_through(walk, 2)
    with pytest.raises(StepFailed):
        walk.advance(b"\x51\x02")
    assert walk.to_restore == ["0x28", "0x85"]


@pytest.mark.parametrize("reset_type", [0x04, 0x05, 0x40, 0x7E])
def test_a_reset_that_need_not_restart_the_ecu_undoes_nothing(reset_type: int) -> None:
    """enableRapidPowerShutDown and its like leave the ECU as it is; others only the maker knows."""
    walk = cursor([*OFF, Reset(reset_type=reset_type)])
    for answer in ("c502", "6803", f"51{reset_type:02x}"):
        walk.advance(bytes.fromhex(answer))
    assert walk.move is None
    assert walk.to_restore == ["0x28", "0x85"]


@pytest.mark.parametrize(
    ("off", "on", "undone"),
    [
        (0x01, 0x01, True),
        (0x01, 0x03, True),
        (0x02, 0x03, True),
        (0x03, 0x03, True),
        (0x03, 0x01, False),
        (0x03, 0x02, False),
        (0x02, 0x01, False),
        (0x11, 0x11, True),
        (0x11, 0x21, False),
        (0x11, 0x01, False),
    ],
)
def test_only_the_messages_that_are_switched_on_again_count_as_restored(
    off: int, on: int, undone: bool
) -> None:
    """ISO 14229-1:2020, Annex B.1: bits 0-1 name the kind of messages, 4-7 the subnet."""
    walk = cursor(
        [CommunicationControl(control_type=3, communication_type=off), Session(session=3)],
        restore=[CommunicationControl(control_type=0, communication_type=on)],
    )
    walk.advance(b"\x68\x03")
    walk.restore()
    assert walk.expected == bytes([0x28, 0x00, on])
    walk.advance(b"\x68\x00")
    assert walk.to_restore == ([] if undone else ["0x28"])


def test_what_the_plan_undoes_itself_is_not_restored_again() -> None:
    walk = cursor([*OFF, *RESTORE, Session(session=3)])
    walk_through(walk, 3)
    assert walk.to_restore == ["0x85"]
    walk_through(walk, 1)
    assert walk.to_restore == []


def test_a_restore_request_that_failed_is_skipped_and_named() -> None:
    walk = cursor([*OFF, Session(session=2)])
    walk_through(walk, 2)
    walk.restore()
    walk.skip()
    assert walk.expected == b"\x85\x01"
    walk.advance(b"\xc5\x01")
    assert walk.move is None
    assert walk.to_restore == ["0x28"]


def test_a_restore_request_answered_wrongly_does_not_keep_the_next_one_from_going_out() -> None:
    walk = cursor([*OFF, Session(session=2)])
    walk_through(walk, 2)
    walk.restore()
    walk.advance(b"\x68\x03")
    assert walk.expected == b"\x85\x01"
    walk.advance(b"\xc5\x01")
    assert walk.to_restore == ["0x28"]


def test_what_the_plan_cannot_restore_is_named() -> None:
    walk = cursor([*OFF, Session(session=2)], restore=[DtcSetting(setting=1)])
    walk_through(walk, 2)
    walk.restore()
    walk.advance(b"\xc5\x01")
    assert walk.move is None
    assert walk.to_restore == ["0x28"]


def test_after_a_failed_step_the_rest_of_the_plan_is_gone_and_restoring_works() -> None:
    walk = cursor([*OFF, routine(), Session(session=3)])
    walk_through(walk, 2)
    with pytest.raises(StepFailed):
        walk.advance(b"\x71\x01\xff\x00\x01")
    walk.restore()
    walk_through(walk, 2)
    assert walk.move is None
    assert walk.to_restore == []


# Plans that could not be walked to their end ------------------------------------------------------


@pytest.mark.parametrize(
    ("step", "change"),
    [
        (Session(session=2), {"session": 0x82}),
        (Reset(reset_type=1), {"reset_type": 0x81}),
        (DtcSetting(setting=2), {"setting": 0x82}),
        (CommunicationControl(control_type=3, communication_type=1), {"control_type": 0x83}),
        (routine(), {"sub_function": 0x81}),
        (Unlock(level=1, provider="p"), {"level": 2}),
        (Unlock(level=1, provider="p"), {"level": 0x7F}),
        (download(6), {"address": 0xFFFFFFFE}),
        (download(6), {"address_width": 1}),
        (download(6), {"length_width": 1, "uncompressed_size": 256}),
        (download(6), {"uncompressed_size": 0}),
        (download(6), {"payload": 1}),
        (read_back(b"abcdef", 4), {"address": 0xFFFFFFFE}),
        (read_back(b"abcdef", 4), {"length": 0x1000, "block_length": 0x100, "length_width": 1}),
    ],
)
def test_a_request_that_could_not_be_made_refuses_the_whole_plan_at_once(
    step: Step, change: dict[str, Any]
) -> None:
    plan: dict[str, Any] = msgspec.to_builtins(make_plan([step], b"abcdef"))
    decode_plan(msgspec.json.encode(plan))
    plan["steps"][0] |= change
    with pytest.raises(BadInputError) as refused:
        decode_plan(msgspec.json.encode(plan))
    assert "Make the plan again" in refused.value.next_step


# What a plan's requests say of themselves ---------------------------------------------------------


def obeying(walk: Cursor, memory: bytes) -> list[PlannedRequest | Pause]:
    """Every move of a plan whose ECU does as it is told."""
    moves: list[PlannedRequest | Pause] = []
    while (move := walk.move) is not None:
        moves.append(move)
        sent = walk.expected or b""
        answer = bytes([sent[0] + 0x40]) + sent[1:3] if sent else b""
        match sent[:1]:
            case b"\x23":
                start = int.from_bytes(sent[2:6], "big") - 0x8000
                answer = b"\x63" + memory[start : start + int.from_bytes(sent[6:], "big")]
            case b"\x27" if sent[1] % 2:
                answer = b"\x67" + sent[1:2] + b"\x01"
            case b"\x31":
                answer = b"\x71" + sent[1:4]
            case b"\x34":
                answer = b"\x74\x10\x06"
        walk.advance(answer)
    return moves


def test_every_request_names_its_step_and_plain_ones_carry_nothing_else() -> None:
    data = b"0123456"
    steps: list[Step] = [
        Session(session=3),
        *OFF,
        Unlock(level=1, provider="p", params={"key": "k"}),
        routine(expect=""),
        download(len(data)),
        TransferExit(),
        ReadBack(
            address=0x8000,
            length=len(data),
            address_width=4,
            length_width=4,
            block_length=4,
            sha256=hashlib.sha256(data).hexdigest(),
        ),
        Wait(min_s=0.0, max_s=1.0),
        WriteDid(did=0xF15A, data="01"),
    ]
    moves = obeying(cursor(steps, data), data)
    assert [move.step for move in moves] == [0, 1, 2, 3, 3, 4, 5, 5, 5, 6, 7, 7, 8, 9]
    plain = moves[3]
    assert plain == PlannedRequest(
        b"\x27\x01", 3, repeatable=False, pending_limit_s=None, block=0, blocks=0, done_bytes=0
    )


def test_a_restore_request_names_its_place_among_them() -> None:
    walk = cursor([*OFF, Session(session=2)])
    walk_through(walk, 2)
    walk.restore()
    assert request(walk).step == 0
    walk_through(walk, 1)
    assert request(walk).step == 1


def test_a_plan_without_steps_sends_nothing() -> None:
    walk = cursor([])
    assert walk.move is None
    assert walk.expected is None


def test_before_a_link_and_a_download_there_is_no_limit_and_no_digest() -> None:
    walk = cursor([Session(session=3)])
    assert walk.max_request_bytes == 0
    assert walk.transfer_digest == ""


@pytest.mark.parametrize(
    ("step", "answer", "sentence"),
    [
        (Session(session=3), "5002", "The session was not confirmed"),
        (Reset(reset_type=1), "5102", "The reset was not confirmed"),
        (TransferExit(), "78", "The transfer exit was not confirmed"),
        (WriteDid(did=0xF15A, data="01"), "6ef15b", "The DID was not written"),
        (CheckDid(did=0xF190, expect="00"), "62f19001", "The DID does not read as planned"),
        (routine(), "7101ff0000a4", "The routine did not end as planned"),
        (OFF[0], "c503", "It was not confirmed"),
        (OFF[1], "6801", "It was not confirmed"),
        (Unlock(level=1, provider="p", params={}), "6703aa", "The seed was not given"),
    ],
)
def test_a_failed_step_says_what_failed_and_what_was_answered(
    step: Step, answer: str, sentence: str
) -> None:
    walk = cursor([step])
    with pytest.raises(StepFailed) as failed:
        walk.advance(bytes.fromhex(answer))
    said = bytes.fromhex(answer)[: 2 if isinstance(step, Unlock) else 16]
    assert failed.value.what.startswith(f"{sentence}: the ECU answered {said.hex()[:4]}")
    assert failed.value.code == "step_failed"


def test_a_failed_step_tells_at_most_16_bytes_and_nothing_as_nothing() -> None:
    walk = cursor([CheckDid(did=0xF190, expect="11" * 20)])
    with pytest.raises(StepFailed) as failed:
        walk.advance(b"\x62\xf1\x90" + b"\x22" * 20)
    assert failed.value.what == (
        "The DID does not read as planned: "
        f"the ECU answered 62f190{'22' * 13}, the plan demands 62f190{'11' * 13}."
    )
    walk = cursor([Session(session=3)])
    with pytest.raises(StepFailed, match="the ECU answered nothing, the plan demands 5003"):
        walk.advance(b"")


@pytest.mark.parametrize("step", OFF)
def test_a_longer_answer_confirms_too(step: Step) -> None:
    walk = cursor([step, Session(session=3)])
    sent = request(walk).payload
    walk.advance(bytes([sent[0] + 0x40, sent[1], 0x00]))
    assert walk.expected == b"\x10\x03"


def test_a_key_may_be_confirmed_with_data_of_the_ecu() -> None:
    walk = cursor([Unlock(level=1, provider="p", params={"key": "k"}), Session(session=3)])
    walk.advance(b"\x67\x01\xaa")
    walk.advance(b"\x67\x02\x34")
    assert walk.expected == b"\x10\x03"


def test_a_block_length_without_room_for_data_names_it() -> None:
    walk = cursor([download(4)], b"1234")
    with pytest.raises(StepFailed, match="Blocks of 2 bytes hold no data"):
        walk.advance(b"\x74\x10\x02")


@pytest.mark.parametrize("answer", ["74", "7400", "740012", "7420", "742012", "76101234"])
def test_a_malformed_block_length_is_named_so(answer: str) -> None:
    walk = cursor([download(4)], b"1234")
    with pytest.raises(StepFailed, match="answer to the download request is malformed"):
        walk.advance(bytes.fromhex(answer))


def test_done_bytes_of_a_third_download_count_all_before_it() -> None:
    parts = (b"1111", b"22", b"333")
    steps: list[Step] = [download(len(part), payload=n) for n, part in enumerate(parts)]
    walk = cursor(steps, *parts)
    done = [m.done_bytes for m in obeying(walk, b"") if isinstance(m, PlannedRequest) and m.block]
    assert done == [4, 6, 9]


def test_a_short_read_back_names_where() -> None:
    data = b"01234567"
    step = ReadBack(
        address=0x8000,
        length=8,
        address_width=4,
        length_width=4,
        block_length=4,
        sha256=hashlib.sha256(data).hexdigest(),
    )
    walk = cursor([step])
    walk.advance(b"\x63" + data[:4])
    with pytest.raises(StepFailed, match="Reading back 0x00008004 gave a short answer"):
        walk.advance(b"\x63" + data[4:7])
