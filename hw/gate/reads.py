"""The read list: the one static table of requests that may go out without a plan.

Everything that is not in the table is a write, also services that this version has never heard of.
A service is listed only in the shape in which it cannot change the ECU: DiagnosticSessionControl
only to the default and extended session, TransferData only without data (the direction of an
upload), so that the same service in its writing shape is a write.

SecurityAccess (0x27) is not a read: wrong keys lock the ECU. For reading protected memory `hw`
itself does it inside `Gate.access()`.

Sources: ISO 14229-1:2020 clause 10-15, ISO 15031-5 (services 0x01-0x0A), ISO 14230-3.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class ReadShape:
    """The shape in which a service only reads.

    Attributes:
        sub_functions: allowed second bytes, without the suppress bit; None where there are none.
        length: the exact length of the whole request in bytes; None where it does not matter.
        while_planned: also allowed while a plan is armed or running (it cannot disturb it).
    """

    sub_functions: frozenset[int] | None = None
    length: int | None = None
    while_planned: bool = False


_SUPPRESS = 0x80

READ_LIST: dict[int, ReadShape] = {
    # OBD: current data, freeze frame, stored, test results, pending, vehicle info, permanent.
    0x01: ReadShape(),
    0x02: ReadShape(),
    0x03: ReadShape(),
    0x06: ReadShape(),
    0x07: ReadShape(),
    0x09: ReadShape(),
    0x0A: ReadShape(),
    # DiagnosticSessionControl: default and extended; the programming session is a write.
    0x10: ReadShape(sub_functions=frozenset({0x01, 0x03}), length=2),
    # KWP: readStatusOfDTC, readDTCByStatus, readEcuIdentification, readDataByLocalIdentifier.
    0x17: ReadShape(),
    0x18: ReadShape(),
    0x1A: ReadShape(),
    0x21: ReadShape(),
    # ReadDTCInformation.
    0x19: ReadShape(while_planned=True),
    # ReadDataByIdentifier, ReadMemoryByAddress, ReadScalingDataByIdentifier.
    0x22: ReadShape(while_planned=True),
    0x23: ReadShape(while_planned=True),
    0x24: ReadShape(),
    # RequestUpload, TransferData and RequestTransferExit in the direction of an upload only.
    0x35: ReadShape(),
    0x36: ReadShape(length=2),
    0x37: ReadShape(length=1),
    # TesterPresent.
    0x3E: ReadShape(sub_functions=frozenset({0x00}), length=2, while_planned=True),
}


def is_read(request: bytes, *, planned: bool) -> bool:
    """Is this request on the read list?

    Args:
        request: the whole diagnostic request, service first.
        planned: whether a plan is armed or running; fewer reads are allowed then.
    """
    if not request:
        return False
    shape = READ_LIST.get(request[0])
    if shape is None or (planned and not shape.while_planned):
        return False
    if shape.length is not None and len(request) != shape.length:
        return False
    if shape.sub_functions is None:
        return True
    return len(request) > 1 and request[1] & ~_SUPPRESS in shape.sub_functions
