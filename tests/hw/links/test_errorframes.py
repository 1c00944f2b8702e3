"""What a controller's error frames become: words that a technician can act on."""

from __future__ import annotations

import errno

import can
import pytest

from hw.links.base import LinkLost, NoAnswer
from hw.links.errorframes import (
    BUS_OFF,
    CONTROLLER,
    COUNTERS,
    NO_ACK,
    PROTOCOL,
    BusTrouble,
    explain_os_error,
    read_error_frame,
)
from tests.hw.links.support import (
    SHORT,
    ReadGate,
    WriteGate,
    listener,
    new_channel,
    open_can,
    virtual_uri,
)

DID = bytes.fromhex("22f190")


@pytest.mark.parametrize(
    ("identifier", "data", "what"),
    [
        (CONTROLLER | COUNTERS, "0004000000006000", "warns: many frames fail (errors: 96 sending"),
        (CONTROLLER, "00200000000000ff", "error-passive: most frames fail (errors: 0 sending, 255"),
        (CONTROLLER, "0001000000000000", "too slow"),
        (CONTROLLER, "0000000000000000", "reports errors"),
        (NO_ACK | PROTOCOL, "0000000000000000", "acknowledges our frames"),
        (PROTOCOL, "0000040000000000", "damaged"),
        (0x100, "", "restarted"),
    ],
)
def test_each_class_has_its_words(identifier: int, data: str, what: str) -> None:
    trouble = read_error_frame(identifier, bytes.fromhex(data))
    assert trouble is not None
    assert what in trouble.what
    assert not trouble.lost


def test_bus_off_is_loss_and_tells_the_counters() -> None:
    trouble = read_error_frame(BUS_OFF | COUNTERS, bytes((0, 0, 0, 0, 0, 0, 248, 3)))
    assert trouble == BusTrouble(
        "the CAN controller went bus-off after too many errors (errors: 248 sending, 3 receiving)",
        lost=True,
    )


def test_a_frame_without_a_known_class_says_nothing() -> None:
    assert read_error_frame(0, bytes(8)) is None


@pytest.mark.parametrize(
    ("number", "what", "next_step"),
    [
        (errno.ENETDOWN, "can0 is down", "ip link set can0 up"),
        (errno.ENODEV, "can0 is gone", "plugged in"),
        (errno.ENOBUFS, "gets no frame out", "CAN-H"),
    ],
)
def test_the_kernels_refusals_are_words_too(number: int, what: str, next_step: str) -> None:
    told = explain_os_error(number, "can0")
    assert what in told[0]
    assert next_step in told[1]
    assert explain_os_error(errno.EPERM, "can0") == ("", "")


def test_bus_off_in_the_middle_of_a_write_is_said_instead_of_an_errno() -> None:
    """The controller leaves the bus while frames go out: nobody reads meanwhile, so that the
    kernel's refusal is met first."""
    channel = new_channel()
    with listener(channel) as other, open_can(virtual_uri(channel), WriteGate()) as link:

        def refuse(msg: can.Message, timeout: float | None = None) -> None:
            data = bytes((0, 0, 0, 0, 0, 0, 248, 0))
            other.bus.send(can.Message(arbitration_id=0x240, is_error_frame=True, data=data))
            raise can.CanOperationError("Failed to transmit: Network is down", errno.ENETDOWN)

        link._bus.send = refuse  # type: ignore[method-assign] # stands for the driver
        with pytest.raises(LinkLost, match=r"bus-off .*248 sending") as lost:
            link.request(DID)
        assert "CAN-H" in lost.value.next_step
        with pytest.raises(LinkLost, match="bus-off") as again:
            link.request(DID)
        assert again.value.next_step == lost.value.next_step


def test_an_interface_that_is_taken_down_is_named() -> None:
    with open_can(virtual_uri(new_channel()), WriteGate()) as link:

        def refuse(msg: can.Message, timeout: float | None = None) -> None:
            raise can.CanOperationError("Failed to transmit: Network is down", errno.ENETDOWN)

        link._bus.send = refuse  # type: ignore[method-assign] # stands for the driver
        with pytest.raises(LinkLost, match="is down") as lost:
            link.request(DID)
        assert "ip link set" in lost.value.next_step


def test_what_the_bus_said_stands_beside_a_missing_flow_control() -> None:
    channel = new_channel()
    with listener(channel) as other, open_can(virtual_uri(channel), ReadGate(), SHORT) as link:
        send = link._bus.send

        def unheard(msg: can.Message, timeout: float | None = None) -> None:
            send(msg, timeout)
            other.bus.send(can.Message(arbitration_id=NO_ACK, is_error_frame=True, data=bytes(8)))

        link._bus.send = unheard  # type: ignore[method-assign] # stands for the controller
        with pytest.raises(NoAnswer, match=r"flow control.*acknowledges our frames"):
            link.request(bytes.fromhex("22") + bytes(20))
