"""Errors of the record."""

from __future__ import annotations

from hw.errors import BadInputError, UsageError

_TAMPERED = (
    "Do not rely on this record; compare it with an exported copy or with the workshop's, and keep "
    "both."
)


class ChainBroken(BadInputError):
    """A record is not what the kit wrote: changed, cut short, out of order or signed by another.

    Args:
        job: the job.
        seq: number of the first event that does not fit, 0 where it is not one event.
        reason: what does not fit, a clause without a full stop.
    """

    code = "record_damaged"

    def __init__(self, job: str, seq: int, reason: str) -> None:
        place = f"event {seq}" if seq else "as a whole"
        super().__init__(f"The record of job {job} is damaged, {place}: {reason}.", _TAMPERED)
        self.job = job
        self.seq = seq


class JobNotThere(UsageError):
    """There is no job of that name on this kit, or more than one that it could mean."""

    code = "not_there"
