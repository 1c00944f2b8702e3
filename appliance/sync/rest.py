"""When a job is at rest, so that it arrives as one record and not in twenty.

A job is worked on in many small steps, each of them on the disk at once; what goes to the workshop
is frozen for good. A job that is finished is at rest, and one with no event for a while. So is one
that was left when the kit was locked or switched off. Boot time decides: what happened in another
boot happened before this one.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from appliance.records.view import JobState
from hw import clock
from hw.statements import Moment

Rest = Callable[[JobState, Moment], bool]
"""Is a job in this state, whose last event was then, at rest?"""


def in_any_case(_state: JobState, _last: Moment) -> bool:
    """Somebody asked for it now: every job counts as being at rest."""
    return True


@dataclass(frozen=True)
class Rested:
    """See the module.

    Attributes:
        opened: when the kit was unlocked, in seconds since boot.
        quiet_s: so long without an event, and a job is at rest.
    """

    opened: float
    quiet_s: float

    def __call__(self, state: JobState, last: Moment) -> bool:
        """Whether the job is at rest."""
        left_before = last.boot_id != clock.boot_id() or last.boottime < self.opened
        return state == "verified" or left_before or clock.now() - last.boottime >= self.quiet_s
