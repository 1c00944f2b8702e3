"""Making a program with threads ready to decode.

msgspec (0.22) finds out what a type consists of when it first decodes it, and two threads that do
so for one type at the same time crash the interpreter. So a program looks at all its types while
it still has one thread.
"""

from __future__ import annotations

from collections.abc import Iterator

import msgspec


def look_at_every_type() -> None:
    """Have msgspec look at every `Struct` that was imported. Takes a tenth of a second or less."""
    for kind in _below(msgspec.Struct):
        msgspec.json.Decoder(kind)


def _below(kind: type[msgspec.Struct]) -> Iterator[type[msgspec.Struct]]:
    for one in kind.__subclasses__():
        yield one
        yield from _below(one)
