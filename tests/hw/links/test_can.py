"""CanLink on python-can's virtual bus, against can-isotp's own layer and hand-made frames."""

from __future__ import annotations

import itertools
import threading
import time
from collections.abc import Callable

import can
import pytest

from hw.gate.errors import WriteHeld
from hw.links import LinkError, LinkLost, NoAnswer, open_link
from hw.links import can as can_module
from tests.hw.links.support import (
    RX,
    SHORT,
    TIMING,
    ReadGate,
    WriteGate,
    isotp_ecu,
    listener,
    new_channel,
    open_can,
    raw_ecu,
    virtual_uri,
)

DID = bytes.fromhex("22f190")


def echo_block(request: bytes) -> list[bytes]:
    """An ECU that accepts blocks (0x36) and reads DIDs with a long value."""
    if request[0] == 0x36:
        return [bytes((0x76, request[1]))]
    return [bytes((request[0] + 0x40,)) + request[1:3] + bytes(range(200))]


def test_short_and_long_messages_go_both_ways() -> None:
    channel = new_channel()
    block = b"\x36\x01" + bytes(range(256)) * 15
    with (
        isotp_ecu(channel, echo_block) as received,
        open_can(virtual_uri(channel), ReadGate()) as link,
    ):
        assert link.request(DID) == b"\x62\xf1\x90" + bytes(range(200))
        assert link.request(block) == b"\x76\x01"
    assert received == [DID, block]


def test_messages_beyond_4095_bytes_use_the_long_length() -> None:
    channel = new_channel()
    block = b"\x36\x01" + bytes(5000)
    with (
        isotp_ecu(channel, echo_block) as received,
        open_can(virtual_uri(channel), ReadGate()) as link,
    ):
        assert link.request(block) == b"\x76\x01"
    assert received == [block]


@pytest.mark.parametrize(
    ("more", "options"),
    [
        ("&ext=1", {"extended": True, "tx": 0x18DA40F1, "rx": 0x18DAF140}),
        ("&padding=0x55", {"tx_padding": 0xAA}),
        ("&fd=1&data_bitrate=2000000", {"can_fd": True, "tx_data_length": 64}),
        ("&fd=1&tx_dl=32", {"can_fd": True, "tx_data_length": 16}),
        ("&bs=3&stmin=1", {"blocksize": 5, "stmin": 1}),
    ],
)
def test_addressing_padding_and_can_fd(more: str, options: dict[str, object]) -> None:
    channel = new_channel()
    uri = virtual_uri(channel, more)
    if "ext=1" in more:
        uri = f"can://virtual/{channel}?tx=0x18DA40F1&rx=0x18DAF140{more}"
    block = b"\x36\x01" + bytes(range(150))
    with (
        isotp_ecu(channel, echo_block, **options) as received,
        open_can(uri, ReadGate()) as link,
    ):
        assert link.request(block) == b"\x76\x01"
        assert link.request(DID) == b"\x62\xf1\x90" + bytes(range(200))
    assert received == [block, DID]


def test_padding_fills_every_frame_and_no_padding_fills_none() -> None:
    for more, expected in (("&padding=0xAA", ["0322f190aaaaaaaa"]), ("", ["0322f190"])):
        channel = new_channel()
        with (
            isotp_ecu(channel, echo_block),
            listener(channel) as heard,
            open_can(virtual_uri(channel, more), ReadGate()) as link,
        ):
            link.request(DID)
            assert [f.hex() for f in heard.frames() if f[0] >> 4 == 0] == expected


def test_our_flow_control_asks_for_what_the_uri_says() -> None:
    channel = new_channel()
    with (
        isotp_ecu(channel, echo_block),
        listener(channel) as heard,
        open_can(virtual_uri(channel, "&bs=8&stmin=0xF1"), ReadGate()) as link,
    ):
        link.request(DID)
        flow = [f.hex() for f in heard.frames() if f[0] >> 4 == 3]
    # 203 bytes: a first frame with 6 and 29 consecutive ones, so a flow control after 8, 16 and 24.
    assert flow == ["3008f1"] * 4


class FlowControl:
    """An ECU that answers each first frame and each finished block with scripted flow control."""

    def __init__(self, *script: list[str], block_size: int = 0) -> None:
        self.script = list(script)
        self.block_size = block_size
        self.frames: list[bytes] = []
        self.flow_at: list[int] = []
        self._left = 0
        self._in_block = 0

    def __call__(self, frame: bytes, send: Callable[[str], None]) -> None:
        self.frames.append(frame)
        kind = frame[0] >> 4
        if kind == 1:
            self._left = ((frame[0] & 0xF) << 8 | frame[1]) - 6
            self._flow(send)
        elif kind == 2:
            self._left -= 7
            self._in_block += 1
            if self._left <= 0:
                send("027601")
            elif self.block_size and self._in_block == self.block_size:
                self._flow(send)

    def _flow(self, send: Callable[[str], None]) -> None:
        self._in_block = 0
        self.flow_at.append(len(self.frames))
        for item in self.script.pop(0) if len(self.script) > 1 else self.script[0]:
            send(item)


BLOCK = b"\x36\x01" + bytes(range(48))  # a first frame and 7 consecutive frames


@pytest.mark.parametrize("block_size", [1, 2, 3, 7])
def test_the_ecus_block_size_is_honoured(block_size: int) -> None:
    channel = new_channel()
    ecu = FlowControl([f"30{block_size:02x}00"], block_size=block_size)
    with raw_ecu(channel, ecu), open_can(virtual_uri(channel), WriteGate()) as link:
        assert link.request(BLOCK) == b"\x76\x01"
    # The kit sends nothing between the end of a block and the flow control that follows it.
    assert ecu.flow_at == list(range(1, 8, block_size))
    assert len(ecu.frames) == 8


@pytest.mark.parametrize(("stmin", "least_s"), [("05", 0.005), ("f5", 0.0005), ("14", 0.020)])
def test_the_ecus_separation_time_is_honoured(stmin: str, least_s: float) -> None:
    channel = new_channel()
    sent: list[float] = []
    with (
        raw_ecu(channel, FlowControl([f"3000{stmin}"])),
        open_can(virtual_uri(channel), WriteGate()) as link,
    ):
        send = link._bus.send

        def timed(msg: can.Message, timeout: float | None = None) -> None:
            sent.append(time.monotonic())
            send(msg, timeout)

        link._bus.send = timed  # type: ignore[method-assign] # to see when frames are handed over
        assert link.request(BLOCK) == b"\x76\x01"
    gaps = [b - a for a, b in itertools.pairwise(sent[1:])]
    # A frame's own time on the bus comes on top: STmin counts from its end.
    assert min(gaps) >= least_s + link._frame_s


def test_a_reserved_separation_time_means_the_longest() -> None:
    channel = new_channel()
    ecu = FlowControl(["3000ff"])
    short = b"\x36\x01" + bytes(18)
    with raw_ecu(channel, ecu), open_can(virtual_uri(channel), WriteGate()) as link:
        assert link.request(short) == b"\x76\x01"
        assert link._stmin_s == 0.127


def test_wait_frames_are_borne() -> None:
    channel = new_channel()
    ecu = FlowControl(["310000", "310000", "310000", "300000"])
    with raw_ecu(channel, ecu), open_can(virtual_uri(channel), WriteGate()) as link:
        assert link.request(BLOCK) == b"\x76\x01"


def test_wait_frames_without_end_are_given_up() -> None:
    channel = new_channel()
    ecu = FlowControl(["310000"] * (can_module.WAIT_FRAMES_MAX + 1))
    with (
        raw_ecu(channel, ecu),
        open_can(virtual_uri(channel), WriteGate()) as link,
        pytest.raises(LinkError, match="wait"),
    ):
        link.request(BLOCK)
    assert len(ecu.frames) == 1


def test_overflow_ends_the_message_and_names_the_block_length() -> None:
    channel = new_channel()
    ecu = FlowControl(["320000"], ["300000"])
    with raw_ecu(channel, ecu), open_can(virtual_uri(channel), WriteGate()) as link:
        with pytest.raises(LinkError, match="overflow") as refused:
            link.request(BLOCK)
        assert "block length" in refused.value.next_step
        assert len(ecu.frames) == 1
        assert link.request(BLOCK) == b"\x76\x01"


def test_no_flow_control_is_no_answer_and_nothing_more_is_sent(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(can_module, "N_BS_S", 0.1)
    channel = new_channel()
    ecu = FlowControl([], ["300000"])
    with raw_ecu(channel, ecu), open_can(virtual_uri(channel), WriteGate()) as link:
        with pytest.raises(NoAnswer, match="flow control"):
            link.request(BLOCK)
        assert len(ecu.frames) == 1
        assert link.request(BLOCK) == b"\x76\x01"


@pytest.mark.parametrize("block_size", [0, 2])
@pytest.mark.parametrize("refuse_at", range(8))
def test_after_a_refusal_at_any_frame_none_follows_and_the_block_can_be_sent_again(
    refuse_at: int, block_size: int
) -> None:
    channel = new_channel()
    gate = WriteGate(refuse_at)
    with (
        isotp_ecu(channel, echo_block, blocksize=block_size) as received,
        listener(channel) as heard,
        open_can(virtual_uri(channel), gate) as link,
    ):
        with pytest.raises(WriteHeld):
            link.request(BLOCK)
        # A read while held (TesterPresent) still passes, and nothing of the block comes with it.
        link._gate = ReadGate()
        assert link.request(DID)[:3] == b"\x62\xf1\x90"
        frames = [frame for frame in heard.frames() if frame[0] >> 4 in {1, 2}]
        assert len(frames) == refuse_at
        assert received == [DID]
        gate.refuse_at = None
        link._gate = gate
        assert link.request(BLOCK) == b"\x76\x01"
        assert gate.asked == 8
    assert received == [DID, BLOCK]


def test_a_short_write_is_asked_about_too() -> None:
    channel = new_channel()
    gate = WriteGate(refuse_at=0)
    with listener(channel) as heard, open_can(virtual_uri(channel), gate) as link:
        with pytest.raises(WriteHeld):
            link.request(b"\x11\x01")
        assert heard.frames() == []


def test_flow_control_that_we_send_needs_no_leave() -> None:
    # The answer to a write may be long; while it comes in the gate may already be shut.
    channel = new_channel()
    gate = WriteGate(refuse_at=1)
    with (
        isotp_ecu(channel, lambda _: [b"\x71\x01\xff\x00" + bytes(50)]),
        open_can(virtual_uri(channel), gate) as link,
    ):
        assert len(link.request(bytes.fromhex("3101ff00"))) == 54


def test_pending_and_busy_over_the_bus() -> None:
    channel = new_channel()
    answers = iter([["037f3121"], ["037f3178", "037f3178", "057101ff0000"]])

    def ecu(frame: bytes, send: Callable[[str], None]) -> None:
        for answer in next(answers):
            send(answer)

    gate = WriteGate()
    with raw_ecu(channel, ecu), open_can(virtual_uri(channel), gate) as link:
        assert link.request(bytes.fromhex("3101ff00")).hex() == "7101ff0000"
    assert len(gate.admitted) == 2


def test_a_late_answer_is_not_the_next_ones() -> None:
    channel = new_channel()
    late = threading.Event()
    seen: list[bytes] = []

    def ecu(frame: bytes, send: Callable[[str], None]) -> None:
        seen.append(frame)
        if len(seen) == 1:
            late.wait(5)
            send("0462f19041")
        else:
            send("0462f19042")

    with raw_ecu(channel, ecu), open_can(virtual_uri(channel), ReadGate(), SHORT) as link:
        with pytest.raises(NoAnswer):
            link.request(DID)
        late.set()
        assert link.request(DID).hex() == "62f19042"
        assert len(seen) == 2


def test_garbage_and_foreign_frames_do_not_disturb() -> None:
    channel = new_channel()
    garbage = ["00", "40", "0f", "0009", "10", "1000", "30", "3f0000", "21"]
    garbage += ["ffffffffffffffff", "2100000000000000"]

    def ecu(frame: bytes, send: Callable[[str], None]) -> None:
        if frame[0] >> 4 == 0:
            for junk in garbage:
                send(junk)
            send("100a62f190010203")
        elif frame[0] >> 4 == 3:
            for junk in garbage[:-1]:
                send(junk)
            send("2104050607")

    with (
        raw_ecu(channel, ecu),
        listener(channel) as other,
        open_can(virtual_uri(channel), ReadGate()) as link,
    ):
        for identifier in (0x123, 0x7E9, 0x700):
            other.bus.send(
                can.Message(arbitration_id=identifier, data=b"\x02\x62", is_extended_id=False)
            )
        other.bus.send(can.Message(arbitration_id=RX, data=b"\x05\x62\xf1\x90\xee\xee"))  # 29 bit
        assert link.request(DID).hex() == "62f19001020304050607"


def test_an_answer_that_breaks_off_is_no_answer_and_says_why(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(can_module, "N_CR_S", 0.05)
    channel = new_channel()

    def ecu(frame: bytes, send: Callable[[str], None]) -> None:
        if frame[0] >> 4 == 0:
            send("101462f190010203")

    with (
        raw_ecu(channel, ecu),
        open_can(virtual_uri(channel), ReadGate(), SHORT) as link,
        pytest.raises(NoAnswer, match="CONSECUTIVE_FRAME"),
    ):
        link.request(DID)


def test_an_answer_that_began_in_time_may_end_after_p2() -> None:
    channel = new_channel()
    fast = threading.Event()

    def ecu(frame: bytes, send: Callable[[str], None]) -> None:
        if frame[0] >> 4 == 0:
            send("100c62f190010203")
        elif frame[0] >> 4 == 3:
            fast.wait(2 * SHORT.p2_s)
            send("21040506070809")

    with raw_ecu(channel, ecu), open_can(virtual_uri(channel), ReadGate(), SHORT) as link:
        assert len(link.request(DID)) == 12


def test_bus_off_ends_the_link_for_good() -> None:
    channel = new_channel()
    with listener(channel) as other, open_can(virtual_uri(channel), ReadGate()) as link:
        other.bus.send(can.Message(arbitration_id=0x40, is_error_frame=True, data=bytes(8)))
        for _ in range(2):
            with pytest.raises(LinkLost, match="bus-off"):
                link.request(DID)


def test_missing_acknowledge_is_told_with_the_missing_answer() -> None:
    channel = new_channel()
    with listener(channel) as other, open_can(virtual_uri(channel), ReadGate(), SHORT) as link:
        send = link._bus.send

        def unheard(msg: can.Message, timeout: float | None = None) -> None:
            send(msg, timeout)
            other.bus.send(can.Message(arbitration_id=0x20, is_error_frame=True, data=bytes(8)))

        link._bus.send = unheard  # type: ignore[method-assign] # stands for the controller
        with pytest.raises(NoAnswer, match="acknowledges"):
            link.request(DID)


def test_a_closed_link_says_so() -> None:
    link = open_can(virtual_uri(new_channel()), ReadGate())
    link.close()
    link.close()
    with pytest.raises(LinkLost, match="closed"):
        link.request(DID)


@pytest.mark.parametrize(
    ("uri", "named"),
    [
        ("can://socketcan/nosuch0?tx=1&rx=2", "nosuch0"),
        ("can://slcan/dev/nosuch?tx=1&rx=2&bitrate=500000", "nosuch"),
        ("can://socketcand/127.0.0.1:1/can0?tx=1&rx=2", "refused"),
    ],
)
def test_an_interface_that_is_not_there_is_said_at_opening(uri: str, named: str) -> None:
    with pytest.raises(LinkError, match=named) as refused:
        open_link(uri, ReadGate(), TIMING)
    assert "adapter" in refused.value.next_step


def test_kernel_reads_without_the_kernels_iso_tp_are_refused_and_not_replaced() -> None:
    # No ISO-TP socket can be bound to the loopback interface, with or without the module.
    with pytest.raises(LinkError, match="kernel offers no ISO-TP") as refused:
        open_link("can://socketcan/lo?tx=1&rx=2&kernel_reads=1", ReadGate(), TIMING)
    assert "kernel_reads" in refused.value.next_step
