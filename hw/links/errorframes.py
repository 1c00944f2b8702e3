"""What an error frame of a CAN controller says, in words for a technician.

Linux reports trouble on the bus as frames of their own (linux/can/error.h): the classes are bits of
the identifier, details and the controller's two error counters lie in the data.
"""

from __future__ import annotations

import errno
from dataclasses import dataclass

TX_TIMEOUT, ARBITRATION_LOST, CONTROLLER, PROTOCOL = 0x001, 0x002, 0x004, 0x008
TRANSCEIVER, NO_ACK, BUS_OFF, BUS_ERROR = 0x010, 0x020, 0x040, 0x080
RESTARTED, COUNTERS = 0x100, 0x200

CHECK_WIRING = (
    "Check CAN-H, CAN-L, ground and termination at the plug and that the bit rate is the car's, "
    "then try again."
)

# Byte 1, state of the controller: what it means for whoever holds the plug.
_CONTROLLER_STATES = (
    (0x30, "the CAN controller is error-passive: most frames fail"),
    (0x0C, "the CAN controller warns: many frames fail"),
    (0x03, "the CAN controller lost frames: the kit was too slow for the bus"),
    (0x40, "the CAN controller works without errors again"),
)
_SIMPLE = (
    (NO_ACK, "nothing on the bus acknowledges our frames"),
    (TRANSCEIVER, "the CAN transceiver reports a fault of the wires"),
    (TX_TIMEOUT, "the CAN controller could not send a frame in time"),
)
_OTHERS = (
    (PROTOCOL | BUS_ERROR, "frames on the bus are damaged"),
    (ARBITRATION_LOST, "another node keeps the bus busy"),
    (RESTARTED, "the CAN controller was restarted after bus-off"),
)


@dataclass(frozen=True, slots=True)
class BusTrouble:
    """What one error frame told. `lost`: the controller has left the bus."""

    what: str
    lost: bool = False


def read_error_frame(identifier: int, data: bytes) -> BusTrouble | None:
    """Put an error frame into words; None where it tells nothing that matters.

    Args:
        identifier: the class bits, without Linux' error flag.
        data: up to 8 bytes.
    """
    full = bytes(data).ljust(8, b"\x00")
    counted = ""
    if _counts(identifier, full):
        counted = f" (errors: {full[6]} sending, {full[7]} receiving)"
    if identifier & BUS_OFF:
        return BusTrouble(
            f"the CAN controller went bus-off after too many errors{counted}", lost=True
        )
    what = _first(_SIMPLE, identifier)
    if not what and identifier & CONTROLLER:
        what = _first(_CONTROLLER_STATES, full[1]) or "the CAN controller reports errors"
    what = what or _first(_OTHERS, identifier)
    return BusTrouble(what + counted) if what else None


def explain_os_error(number: int | None, interface: str) -> tuple[str, str]:
    """Why the kernel refused a frame or took the socket away: what it is, and what to do."""
    match number:
        case errno.ENETDOWN:
            return (
                f"the CAN interface {interface} is down",
                f"Bring it up with 'ip link set {interface} up', then try again.",
            )
        case errno.ENODEV | errno.ENXIO:
            return (
                f"the CAN interface {interface} is gone",
                "Check that the adapter is plugged in, then try again.",
            )
        case errno.ENOBUFS | errno.EAGAIN:
            return f"the CAN controller of {interface} gets no frame out", CHECK_WIRING
    return "", ""


def _counts(identifier: int, data: bytes) -> bool:
    # Drivers from before the class COUNTERS fill the bytes without saying so.
    return bool(identifier & COUNTERS or (identifier & CONTROLLER and data[6] | data[7]))


def _first(table: tuple[tuple[int, str], ...], bits: int) -> str:
    return next((text for mask, text in table if bits & mask), "")
