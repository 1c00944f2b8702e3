"""Sealed memory files: how plans, payloads and memory images cross the socket.

A memfd sealed against writing, growing and shrinking cannot change after it was checked, whoever
else holds it (memfd_create(2), fcntl(2) F_ADD_SEALS).
"""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterable

from hw.errors import BadInputError

MAX_SIZE = 64 * 1024 * 1024
_SEALS = fcntl.F_SEAL_WRITE | fcntl.F_SEAL_GROW | fcntl.F_SEAL_SHRINK | fcntl.F_SEAL_SEAL


def seal(data: bytes, name: str) -> int:
    """Put bytes into a new sealed memfd; the caller closes the descriptor."""
    return seal_parts([data], name)


def seal_parts(parts: Iterable[bytes], name: str) -> int:
    """Put parts into a new sealed memfd as they come; the caller closes the descriptor.

    What the iterable raises is let through and leaves nothing behind.
    """
    descriptor = os.memfd_create(name, os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING)
    try:
        for part in parts:
            view = memoryview(part)
            while view:
                view = view[os.write(descriptor, view) :]
        fcntl.fcntl(descriptor, fcntl.F_ADD_SEALS, _SEALS)
    except BaseException:
        os.close(descriptor)
        raise
    return descriptor


def read_sealed(descriptor: int, limit: int = MAX_SIZE) -> bytes:
    """All bytes of a sealed memfd; the descriptor stays open.

    Raises:
        BadInputError: it is not a memfd, not sealed, or larger than `limit` bytes.
    """
    try:
        seals = fcntl.fcntl(descriptor, fcntl.F_GET_SEALS)
    except OSError:
        seals = 0
    if seals & _SEALS != _SEALS:
        raise BadInputError(
            "A file that came with the request is not sealed, so it could still change.",
            "Send it as a memfd with all four seals.",
        )
    size = os.fstat(descriptor).st_size
    if size > limit:
        raise BadInputError(
            f"A file that came with the request has {size} bytes; {limit} are allowed.",
            "Split the work into smaller plans.",
        )
    data = os.pread(descriptor, size, 0)
    if len(data) != size:
        raise BadInputError("A file that came with the request is cut short.", "Send it again.")
    return data
