"""A job that is worked on is not torn into pieces; one at rest goes, and on request every one."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from appliance.records import Records
from appliance.records.events import Note, WriteEnded, WriteStarted
from appliance.sync import outbox as outbox_module
from appliance.sync.outbox import Outbox, Unfrozen
from appliance.sync.rest import Rested
from hw import clock
from tests.appliance.records.sample import new_job, open_records, whole_job

LONG_S = 3600.0


@pytest.fixture
def records(tmp_path: Path) -> Iterator[Records]:
    with open_records(tmp_path) as records:
        yield records


@pytest.fixture
def outbox(records: Records) -> Outbox:
    return Outbox(records, lambda _backup: [])


def frozen(outbox: Outbox, job: str) -> list[tuple[int, int]]:
    """First and last event of each record of a job."""
    found = [outbox.sealed(item).record for item in outbox.items() if item.job == job]
    return [(record.first, record.first + len(record.events) - 1) for record in found]


def test_a_job_in_work_waits_until_it_was_quiet_and_arrives_in_one_record(
    records: Records, outbox: Outbox
) -> None:
    opened = clock.now()
    job = new_job(records)
    for number in range(5):
        records.append(job, Note(author="maria", text=f"Step {number}"))
        assert outbox.freeze(Rested(opened, LONG_S)) == Unfrozen(in_work=[job])
    assert outbox.freeze(Rested(opened, 0.0)) == Unfrozen()
    assert frozen(outbox, job) == [(1, 6)]


def test_whoever_asks_for_it_has_every_job_handed_over(records: Records, outbox: Outbox) -> None:
    job = new_job(records)
    assert outbox.freeze() == Unfrozen()
    assert frozen(outbox, job) == [(1, 1)]


def test_what_was_left_when_the_kit_was_locked_or_switched_off_is_at_rest(
    records: Records, outbox: Outbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    before_lock = new_job(records)
    opened = clock.now()
    with monkeypatch.context() as other_boot:
        other_boot.setattr(clock, "boot_id", lambda: "another boot")
        other_boot.setattr(clock, "now", lambda: opened + LONG_S / 2)
        before_boot = new_job(records)
    in_work = new_job(records)
    assert outbox.freeze(Rested(opened, LONG_S)) == Unfrozen(in_work=[in_work])
    assert [item.job for item in outbox.items()] == [before_lock, before_boot]


def test_a_finished_job_goes_at_once(records: Records, outbox: Outbox) -> None:
    opened = clock.now()
    job = whole_job(records)
    assert outbox.freeze(Rested(opened, LONG_S)) == Unfrozen()
    assert frozen(outbox, job) == [(1, records.job(job).length)]


def test_a_job_whose_write_runs_is_never_frozen(records: Records, outbox: Outbox) -> None:
    job = new_job(records)
    records.append(job, WriteStarted(run="run-1", plan_digest="0" * 64))
    assert outbox.freeze() == Unfrozen(in_work=[job])
    ended = WriteEnded(
        run="run-1", outcome="aborted_recoverable", code="cut", what="Cut.", next_step="Recover."
    )
    records.append(job, ended)
    assert outbox.freeze() == Unfrozen()
    assert frozen(outbox, job) == [(1, 3)]


def test_a_very_long_job_goes_in_records_that_the_workshop_can_take(
    records: Records, outbox: Outbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(outbox_module, "MOST_AT_ONCE", 4)
    job = new_job(records)
    records.append_all(job, [Note(author="maria", text=f"Step {n}") for n in range(9)])
    outbox.freeze()
    assert frozen(outbox, job) == [(1, 4), (5, 8), (9, 10)]
