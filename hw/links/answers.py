"""Which answer belongs to which request: pure functions over bytes (ISO 14229-1:2020, clause 8).

A positive answer repeats the service identifier plus 0x40 and, for most services, what the request
asked for: sub-function, DID, RID, block sequence counter. That echo is all there is to tell the
answer to this request from a late one to an earlier request. A negative answer repeats the service
identifier only.
"""

from __future__ import annotations

import enum

NEGATIVE_RESPONSE = 0x7F
RESPONSE_PENDING = 0x78
BUSY_REPEAT_REQUEST = 0x21
SUPPRESS_POSITIVE_RESPONSE = 0x80

_POSITIVE_OFFSET = 0x40

# Services whose second byte is a sub-function: it has the suppress bit and is echoed without it.
_SUB_FUNCTION = frozenset(
    {0x10, 0x11, 0x19, 0x27, 0x28, 0x29, 0x2C, 0x31, 0x3E, 0x83, 0x85, 0x86, 0x87}
)

# How many bytes after the service the answer repeats. InputOutputControlByIdentifier repeats the
# DID and the control parameter, RoutineControl sub-function and RID, DynamicallyDefineData-
# Identifier sub-function and the defined DID. 0x01..0x0A are OBD (ISO 15031-5), 0x1A and 0x21 KWP.
_ECHO_LENGTH = {
    0x02: 2,
    0x06: 1,
    0x08: 1,
    0x09: 1,
    0x10: 1,
    0x11: 1,
    0x19: 1,
    0x1A: 1,
    0x21: 1,
    0x24: 2,
    0x27: 1,
    0x28: 1,
    0x29: 1,
    0x2C: 3,
    0x2E: 2,
    0x2F: 3,
    0x31: 3,
    0x36: 1,
    0x38: 1,
    0x3E: 1,
    0x83: 1,
    0x85: 1,
    0x86: 1,
    0x87: 1,
}


class Match(enum.Enum):
    """What an answer is, seen from one request."""

    STRAY = "not an answer to this request"
    PENDING = "0x78: the ECU works on it"
    NEGATIVE = "0x7F: refused"
    POSITIVE = "done"


def suppresses_answer(request: bytes) -> bool:
    """Does the request carry suppressPosRspMsgIndicationBit (ISO 14229-1:2020, 8.2.2)?"""
    return len(request) > 1 and request[0] in _SUB_FUNCTION and bool(request[1] & 0x80)


def echoes(request: bytes) -> tuple[bytes, ...]:
    """The beginnings that a positive answer to this request may have, service included.

    More than one only where one request asks for several things and the ECU leaves out those it
    does not know: ReadDataByIdentifier with several DIDs (ISO 14229-1:2020, 11.2) and OBD 0x01.
    """
    service = request[0]
    answer = bytes(((service + _POSITIVE_OFFSET) & 0xFF,))
    if service == 0x22:
        return tuple(answer + request[at : at + 2] for at in range(1, max(len(request), 2), 2))
    if service == 0x01:
        return tuple(answer + request[at : at + 1] for at in range(1, max(len(request), 2)))
    if service == 0x3D and len(request) > 1:
        # WriteMemoryByAddress repeats format, address and size; the nibbles say how long they are.
        return (answer + request[1 : 2 + (request[1] >> 4) + (request[1] & 0x0F)],)
    echo = bytearray(request[1 : 1 + _ECHO_LENGTH.get(service, 0)])
    if echo and service in _SUB_FUNCTION:
        echo[0] &= ~SUPPRESS_POSITIVE_RESPONSE & 0xFF
    return (answer + echo,)


def match(request: bytes, answer: bytes) -> Match:
    """Judge an answer as one to `request`."""
    if len(answer) >= 3 and answer[0] == NEGATIVE_RESPONSE:
        if answer[1] != request[0]:
            return Match.STRAY
        return Match.PENDING if answer[2] == RESPONSE_PENDING else Match.NEGATIVE
    return Match.POSITIVE if answer.startswith(echoes(request)) else Match.STRAY
