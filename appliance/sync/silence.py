"""How long this kit has not heard the workshop, and what it may not do any more because of that.

A kit that was lost or shut out learns of it from the workshop. So one that did not greet it with
success for `LIMIT_DAYS` takes no new programming jobs; reading, diagnosis and the recovery of an
unfinished write always work. Two measures, and each can only fall short of the truth, so the larger
one counts:

*Running time.* Boot time is added up over all boots, in the encrypted database. Nobody can set it,
and turning a clock back changes nothing. What it misses is the time for which the kit was off, and
at a hard switch-off what ran since it was last noted (`NOTE_S`).

*The kit's clock.* Its highest reading since the greeting, less the later of the workshop's time and
its own reading at the greeting. Only the highest counts, so turning it back gives nothing; and a
clock that stands at 1970, or went wrong by decades before the greeting, measures nothing false
(1970 corrected to today is measured from the workshop's time, one that always was in 2038 from
itself). A clock that *jumps* to 2038 afterwards, as from a dead battery, cannot be told from years
in a drawer. So it is not believed at once: for `GRACE_HOURS` of running time after it first says so
the kit says why, and works. The next greeting sets all of this right.

What neither can show: a kit without a battery-backed clock that is on for an hour a day is only
measured by that hour. The workshop refuses such a kit whenever it comes, all the same.

The workshop's clock is told in its answer to the greeting, inside TLS that trusts the workshop
alone. Together with the running time since it also says how old a receipt is, at least
(`Heard.workshop_s`): nothing else decides when a backup that the workshop has may go from here.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import msgspec
from msgspec import Struct, structs

from appliance.identity.wallclock import wall_s
from appliance.store import Store, StoreDamaged, Tables
from appliance.store.errors import KEEP_IT
from hw import clock
from hw.errors import UNDECODABLE, RefusedError
from hw.plan import WritePlan

LIMIT_DAYS, SOON_DAYS = 30, 25
GRACE_HOURS = 8
NOTE_S = 300.0
"""So often running time is written down: a switch-off loses no more, and the card is spared."""
_HOUR_S, _DAY_S = 3600, 86_400
_SETTING = "workshop/heard"


class Heard(Struct, frozen=True, kw_only=True):
    """What is known since the last greeting; times in seconds.

    Attributes:
        hub_time: the workshop's clock then, 0 where it was never greeted.
        wall: the kit's clock then.
        boot_id, boottime: when running time was counted last.
        ran: running time since the greeting.
        highest_wall: the highest reading of the kit's clock since.
        doubted: `ran` when the kit's clock first said that the limit is over; None before.
    """

    hub_time: int
    wall: float
    boot_id: str
    boottime: float
    ran: float = 0.0
    highest_wall: float
    doubted: float | None = None

    @property
    def by_clock(self) -> float:
        """Seconds since the greeting as the kit's clock has it."""
        return self.highest_wall - max(self.hub_time, self.wall)

    @property
    def workshop_s(self) -> float:
        """The workshop's clock now, at least; 0 where it was never heard."""
        return self.hub_time + self.ran if self.hub_time else 0.0


class Standing(Struct, frozen=True, kw_only=True):
    """What follows: `soon` and `doubted` warn, `refused` takes no new programming job."""

    state: Literal["fine", "soon", "doubted", "refused"]
    days: int
    heard: int
    what: str = ""
    next_step: str = ""


def greeted(hub_time: int, boot_id: str, boottime: float, wall: float) -> Heard:
    """The workshop answered a greeting just now."""
    return Heard(
        hub_time=hub_time, wall=wall, boot_id=boot_id, boottime=boottime, highest_wall=wall
    )


def later(heard: Heard, boot_id: str, boottime: float, wall: float) -> Heard:
    """The same after some time has passed."""
    since = boottime - (heard.boottime if boot_id == heard.boot_id else 0.0)
    moved = structs.replace(
        heard,
        boot_id=boot_id,
        boottime=boottime,
        ran=heard.ran + max(since, 0.0),
        highest_wall=max(heard.highest_wall, wall),
    )
    if moved.doubted is None and moved.by_clock >= LIMIT_DAYS * _DAY_S:
        moved = structs.replace(moved, doubted=moved.ran)
    return moved


def standing(heard: Heard) -> Standing:
    """What follows from that."""
    limit_s = LIMIT_DAYS * _DAY_S
    days = int(max(heard.ran, heard.by_clock) / _DAY_S)
    left_s = GRACE_HOURS * _HOUR_S - (heard.ran - (heard.doubted or 0.0))
    sync = "Let it reach the workshop."
    if heard.ran >= limit_s or (heard.doubted is not None and left_s <= 0):
        return Standing(
            state="refused",
            days=days,
            heard=heard.hub_time,
            what=f"This kit has not heard the workshop for {days} days, so it takes no new "
            "programming jobs.",
            next_step=f"{sync} Reading, diagnosis and the recovery of an unfinished write work.",
        )
    if heard.doubted is not None:
        return Standing(
            state="doubted",
            days=days,
            heard=heard.hub_time,
            what=f"By its clock this kit has not heard the workshop for {days} days. It takes new "
            f"programming jobs for another {left_s / _HOUR_S:.1f} hours of running time.",
            next_step=f"{sync} Should the clock be wrong, that settles it, too.",
        )
    if days >= SOON_DAYS:
        return Standing(
            state="soon",
            days=days,
            heard=heard.hub_time,
            what=f"This kit has not heard the workshop for {days} days; after {LIMIT_DAYS} it "
            "takes no new programming jobs.",
            next_step=sync,
        )
    return Standing(state="fine", days=days, heard=heard.hub_time)


@dataclass(frozen=True)
class Silence:
    """The rule over the database of an opened kit. Thread-safe.

    Attributes:
        store: the kit's database.
        wall: the kit's clock, in seconds since 1970.
    """

    store: Store
    wall: Callable[[], float] = wall_s

    def begin(self) -> None:
        """The kit belongs to a workshop: from now on it counts, unless it does already."""

        def work(tables: Tables) -> None:
            if self._known(tables) is None:
                _keep(tables, greeted(0, clock.boot_id(), clock.now(), self.wall()))

        self.store.run(work)

    def greeted(self, hub_time: int) -> None:
        """The workshop answered a greeting.

        Args:
            hub_time: its clock, in seconds since 1970.
        """
        heard = greeted(hub_time, clock.boot_id(), clock.now(), self.wall())
        self.store.run(lambda tables: _keep(tables, heard))

    def look(self) -> Heard | None:
        """What is known now, written down every now and then; None without a workshop."""

        def work(tables: Tables) -> Heard | None:
            known = self._known(tables)
            if known is None:
                return None
            heard = later(known, clock.boot_id(), clock.now(), self.wall())
            if heard.ran - known.ran >= NOTE_S or heard.doubted != known.doubted:
                _keep(tables, heard)
            return heard

        return self.store.run(work)

    def standing(self) -> Standing | None:
        """What follows from it now; None for a kit without a workshop."""
        heard = self.look()
        return standing(heard) if heard is not None else None

    def demand_heard(self, plan: WritePlan | None = None) -> None:
        """See that a new plan may be made, or this one be run: one that recovers always may.

        Raises:
            RefusedError: the workshop was not heard for too long.
        """
        if plan is not None and plan.recovers:
            return
        now = self.standing()
        if now is not None and now.state == "refused":
            raise RefusedError("PERMIT", now.what, now.next_step)

    def _known(self, tables: Tables) -> Heard | None:
        settings = tables.settings
        rows = list(settings.select(settings.value).where(settings.name == _SETTING))
        try:
            return msgspec.json.decode(rows[0]["value"], type=Heard) if rows else None
        except UNDECODABLE as error:
            what = f"The kit's database does not tell when the workshop was heard: {error}."
            raise StoreDamaged(what, KEEP_IT) from error


def _keep(tables: Tables, heard: Heard) -> None:
    row = {"name": _SETTING, "value": msgspec.json.encode(heard).decode()}
    tables.settings.insert(row).on_conflict_replace().execute()
