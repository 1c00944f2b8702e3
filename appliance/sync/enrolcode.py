"""The office's code for enrolment: one line, for a QR and for typing.

Where the workshop is, the word that lets one kit in, and the SHA-256 of its authority.
All in letters and digits (RFC 4648, base32): marks and capitals come differently from a
scanner with each keyboard layout, and nobody likes to type them. Two bytes at the end find a letter
that is wrong.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import re
from dataclasses import dataclass

from hw.errors import UsageError

BEGINS = "FKENROL"
_GROUP = 6
_HASH_BYTES, _PORT_BYTES, _CHECK_BYTES = 32, 2, 2
_HOST = re.compile(r"[A-Za-z0-9.\-]+|\[[0-9A-Fa-f:.]+\]")
_AGAIN = "Scan it, or type all of it, as the office shows it."


@dataclass(frozen=True)
class EnrolWord:
    """What a code says.

    Attributes:
        host: name or address of the hub; an IPv6 address in brackets.
        token: the one-time word.
        authority: SHA-256 of the certificate, lower-case hex.
    """

    host: str
    port: int
    token: str
    authority: str


def enrol_code(host: str, port: int, token: str, authority: str) -> str:
    """The office's code.

    Args:
        host, port, token, authority: as `EnrolWord` has them; the token in URL-safe base64.
    """
    word = base64.urlsafe_b64decode(token)
    content = b"".join(
        (
            bytes.fromhex(authority),
            port.to_bytes(_PORT_BYTES, "big"),
            bytes([len(word)]),
            word,
            host.encode(),
        )
    )
    text = _letters(content + _check(content))
    groups = (text[at : at + _GROUP] for at in range(0, len(text), _GROUP))
    return "-".join((BEGINS, *groups))


def read_code(code: str) -> EnrolWord:
    """What a code says; marks and spaces in it do not matter.

    Raises:
        UsageError: it is none, or a letter of it is wrong.
    """
    letters = "".join(one for one in code.upper() if one.isalnum())
    if not letters.startswith(BEGINS):
        raise UsageError("This is no code for enrolment.", f"It begins with {BEGINS}. {_AGAIN}")
    text = letters.removeprefix(BEGINS)
    try:
        content = base64.b32decode(text + "=" * (-len(text) % 8))
    except binascii.Error as error:
        raise _mistyped() from error
    if _letters(content) != text:  # Bits at the end that say nothing.
        raise _mistyped()
    content, check = content[:-_CHECK_BYTES], content[-_CHECK_BYTES:]
    begins = _HASH_BYTES + _PORT_BYTES + 1
    if len(content) <= begins or check != _check(content):
        raise _mistyped()
    port, end = content[_HASH_BYTES:begins], begins + content[begins - 1]
    host = content[end:].decode("ascii", "replace")
    if not _HOST.fullmatch(host):
        raise _mistyped()
    return EnrolWord(
        host=host,
        port=int.from_bytes(port[:_PORT_BYTES], "big"),
        token=base64.urlsafe_b64encode(content[begins:end]).decode(),
        authority=content[:_HASH_BYTES].hex(),
    )


def _letters(content: bytes) -> str:
    return base64.b32encode(content).decode().rstrip("=")


def _check(content: bytes) -> bytes:
    return hashlib.sha256(content).digest()[:_CHECK_BYTES]


def _mistyped() -> UsageError:
    return UsageError("A letter of this code for enrolment is wrong, or missing.", _AGAIN)
