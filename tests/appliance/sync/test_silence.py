"""A kit that has not heard its workshop for thirty days, whatever its clock says meanwhile."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, cast

import msgspec
import pytest
from msgspec import structs

from appliance.plans.compiler import compile_coding
from appliance.service.book import Book
from appliance.service.plans import kept
from appliance.service.writing import Writer
from appliance.store import Store, StoreDamaged
from appliance.sync.silence import GRACE_HOURS, LIMIT_DAYS, NOTE_S, Silence
from hw import clock
from hw.errors import RefusedError
from hw.plan import decode_plan
from tests.appliance.plans.cars import LINK, coding, identity, loaded
from tests.appliance.records.sample import DATABASE_KEY, new_job, open_records, plan_document

DAY_S, HOUR_S = 86_400.0, 3600.0
TODAY = 1_795_000_000.0
Y2038 = 2_147_483_648.0


@dataclass
class Kit:
    """A kit whose boot time and clock a test moves; its database is a real one."""

    store: Store
    boots: int = 1
    boottime: float = 20.0
    wall: float = TODAY
    silence: Silence = field(init=False)

    def __post_init__(self) -> None:
        self.silence = Silence(self.store, lambda: self.wall)

    def runs(self, seconds: float, *, clock_too: bool = True) -> None:
        """It is on for so long, and looks every now and then."""
        for _ in range(10):
            self.boottime += seconds / 10
            self.wall += seconds / 10 if clock_too else 0
            self.silence.look()

    def is_off(self, seconds: float) -> None:
        """It is switched off, and on again; its clock goes on."""
        self.boots, self.boottime = self.boots + 1, 20.0
        self.wall += seconds

    @property
    def state(self) -> str:
        now = self.silence.standing()
        return now.state if now is not None else ""


@pytest.fixture
def kit(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Kit]:
    with Store(tmp_path / "appliance.db", DATABASE_KEY) as store:
        kit = Kit(store)
        monkeypatch.setattr(clock, "now", lambda: kit.boottime)
        monkeypatch.setattr(clock, "boot_id", lambda: f"boot {kit.boots}")
        yield kit


def test_a_kit_without_a_workshop_is_held_to_nothing(kit: Kit) -> None:
    kit.runs(400 * DAY_S)
    assert kit.state == ""
    kit.silence.demand_heard()


def test_after_thirty_days_of_running_it_takes_no_new_programming(kit: Kit) -> None:
    kit.silence.greeted(int(TODAY))
    kit.runs(24 * DAY_S)
    assert kit.state == "fine"
    kit.runs(5.9 * DAY_S)
    assert kit.state == "soon"
    kit.silence.demand_heard()
    kit.runs(0.2 * DAY_S)
    with pytest.raises(RefusedError, match="not heard the workshop for 30 days"):
        kit.silence.demand_heard()
    kit.silence.greeted(int(kit.wall))
    assert kit.state == "fine"


def test_a_write_that_is_unfinished_may_be_recovered_all_the_same(kit: Kit) -> None:
    kit.silence.greeted(int(TODAY))
    kit.runs(31 * DAY_S)
    plan = decode_plan(plan_document("01a20000-0000-7000-8000-00000000000b"))
    with pytest.raises(RefusedError):
        kit.silence.demand_heard(plan)
    kit.silence.demand_heard(structs.replace(plan, recovers="0" * 64))


def test_a_clock_that_is_set_back_gives_no_time(kit: Kit) -> None:
    kit.silence.greeted(int(TODAY))
    for _ in range(31):
        kit.runs(DAY_S, clock_too=False)
        kit.wall = 0.0
    assert kit.state == "refused"


def test_days_switched_off_count_by_the_clock_and_stay_though_it_is_set_back(kit: Kit) -> None:
    kit.silence.greeted(int(TODAY))
    kit.is_off(40 * DAY_S)
    kit.runs(HOUR_S)
    assert kit.state == "doubted"
    kit.wall = TODAY - 10 * DAY_S
    kit.is_off(0.0)
    kit.runs((GRACE_HOURS - 1) * HOUR_S + 3 * NOTE_S)
    assert kit.state == "refused"


def test_a_clock_that_jumps_to_2038_locks_nobody_out_at_once_and_a_greeting_mends_it(
    kit: Kit,
) -> None:
    kit.silence.greeted(int(TODAY))
    kit.wall = Y2038
    kit.runs(HOUR_S)
    now = kit.silence.standing()
    assert now is not None
    assert now.state == "doubted"
    assert "By its clock" in now.what
    assert "clock be wrong" in now.next_step
    kit.silence.demand_heard()
    kit.silence.greeted(int(TODAY + HOUR_S))
    assert kit.state == "fine"
    kit.runs(20 * DAY_S)
    assert kit.state == "fine"


def test_a_clock_that_always_stood_in_2038_or_at_1970_is_measured_from_itself(kit: Kit) -> None:
    kit.wall = Y2038
    kit.silence.greeted(int(TODAY))
    kit.runs(HOUR_S)
    assert kit.state == "fine"
    kit.is_off(40 * DAY_S)
    assert kit.state == "doubted"

    kit.wall = 0.0
    kit.silence.greeted(int(TODAY))
    kit.runs(HOUR_S)
    kit.wall = TODAY + 2 * HOUR_S  # set right by the network
    kit.runs(HOUR_S)
    assert kit.state == "fine"
    kit.is_off(40 * DAY_S)
    assert kit.state == "doubted"


def test_running_time_adds_up_over_boots_and_a_switch_off_loses_little_of_it(kit: Kit) -> None:
    kit.silence.greeted(int(TODAY))
    for _ in range(LIMIT_DAYS):
        kit.runs(DAY_S, clock_too=False)
        kit.is_off(0.0)
    heard = kit.silence.look()
    assert heard is not None
    assert LIMIT_DAYS * (DAY_S - NOTE_S) < heard.ran <= LIMIT_DAYS * (DAY_S + 20)
    assert heard.workshop_s == int(TODAY) + heard.ran


def test_a_kit_that_was_let_in_and_never_greeted_counts_from_there(kit: Kit) -> None:
    kit.silence.begin()
    kit.runs(29 * DAY_S, clock_too=False)
    kit.silence.begin()
    kit.runs(2 * DAY_S, clock_too=False)
    assert kit.state == "refused"


def test_what_cannot_be_read_is_told_and_not_taken_for_a_kit_without_a_workshop(kit: Kit) -> None:
    kit.store.set_setting("workshop/heard", "{}")
    with pytest.raises(StoreDamaged, match="when the workshop was heard"):
        kit.silence.demand_heard()


def test_a_plan_made_before_is_not_checked_and_not_run_and_the_record_says_why(
    tmp_path: Path,
) -> None:
    with open_records(tmp_path) as records:
        job = new_job(records)
        book = Book(records.store, records, "maria")
        silence = Silence(records.store)
        silence.greeted(int(TODAY))
        engine = loaded("sim-engine")
        change = ["coding.drive=rear"]
        plan = compile_coding(engine, identity("engine"), coding("engine"), change, LINK, job)
        book.keep_plan(job, kept(plan), [])
        known = silence.look()
        assert known is not None
        long_ago = structs.replace(known, ran=31 * DAY_S)
        records.store.set_setting("workshop/heard", msgspec.json.encode(long_ago).decode())
        nothing = cast("Any", None)  # Neither hw nor a medium is asked.
        writer = Writer(nothing, book, nothing, nothing, silence)
        with pytest.raises(RefusedError, match="no new programming jobs"):
            writer.check(job, plan.document)
        (refused,) = records.events_of_kind(job, "refused")
        assert "not heard the workshop" in refused.body.what  # type: ignore[union-attr]  # its kind
