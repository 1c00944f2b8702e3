"""The one error of the container readers."""

from __future__ import annotations

from hw.errors import BadInputError

DO_NOT_WRITE = "Do not write this file; get it again from where it came from and compare."


class ContainerError(BadInputError):
    """A container is damaged, incomplete or of a kind that is not supported: refuse to plan.

    Args:
        name: file name, as the person knows it.
        offset: where in the file the damage was seen, in bytes from the start.
        reason: what is wrong there, a clause without a full stop.
        next_step: what to do now, where getting the file again is not the answer.
        line: line of a text format, from 1; 0 where the format has no lines.
    """

    def __init__(
        self, name: str, offset: int, reason: str, next_step: str = DO_NOT_WRITE, *, line: int = 0
    ) -> None:
        place = f"line {line}, offset 0x{offset:X}" if line else f"offset 0x{offset:X}"
        super().__init__(f"{name} cannot be used: {place}: {reason}.", next_step)
        self.offset = offset
        self.line = line
