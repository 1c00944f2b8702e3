"""Jobs: made, found, listed; their state follows from their events alone."""

from __future__ import annotations

import threading
from pathlib import Path

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from appliance.ids import uuid7
from appliance.records import (
    JobFilter,
    JobNotThere,
    Records,
    check_digit_fits,
    checked_vin,
    parse_vehicle,
    vehicle,
)
from appliance.records import events as e
from appliance.records.view import JobView, search_text
from appliance.store import Tables
from hw.errors import UsageError
from hw.messages import EventBody, GateChanged, Outcome, Voltage
from tests.appliance.records.sample import (
    RUN,
    VIN,
    compiled,
    gates,
    new_job,
    open_records,
    whole_job,
)

DIGEST = "d" * 64


def outcome(word: str, what: str = "It ended.") -> Outcome:
    return Outcome(
        at=9.0, outcome=word, code="c", what=what, next_step="Go on.", step=2  # type: ignore[arg-type]  # each test names one of the closed set
    )  # fmt: skip


def voltages(*numbers: int) -> list[tuple[int, EventBody]]:
    return [(number, Voltage(at=float(number), volts=12.5)) for number in numbers]


# Vehicle ------------------------------------------------------------------------------------------


def test_a_vin_is_written_in_capitals_without_blanks() -> None:
    assert checked_vin(" wvw-zzz 1jzxw000001") == VIN


NO_VINS = [
    "",
    "WVWZZZ1JZXW00000",
    f"{VIN}1",
    "WVWZZZ1JZXW00000I",
    "OVWZZZ1JZXW000001",
    "WVWQZZ1JZXW000001",
    "WVWZZZ1JZXW00000Ä",
]


@pytest.mark.parametrize("text", NO_VINS)
def test_what_is_no_vin_is_refused(text: str) -> None:
    with pytest.raises(UsageError, match="VIN"):
        checked_vin(text)


def test_the_check_digit_is_a_note_and_never_a_refusal() -> None:
    assert check_digit_fits("1M8GDM9AXKP042788")  # the worked example of 49 CFR 565.15
    assert not check_digit_fits("1M8GDM9A1KP042788")
    assert parse_vehicle("1M8GDM9A1KP042788").vin == "1M8GDM9A1KP042788"


def test_free_text_about_a_car_gives_up_its_vin() -> None:
    assert parse_vehicle(f"VW Golf ({VIN})").vin == VIN
    assert parse_vehicle("VW Golf, B-FK 1").vin == ""
    with pytest.raises(UsageError):
        parse_vehicle("VW Golf WVWZZZ1JZXW00000O")
    with pytest.raises(UsageError, match="not named"):
        parse_vehicle("  ")


def test_a_vehicle_s_name_says_each_thing_once() -> None:
    assert vehicle(f"VW Golf {VIN}", VIN, "B-FK 1").name == f"VW Golf {VIN}, B-FK 1"


@given(st.text(max_size=40))
def test_any_text_is_a_vehicle_or_refused(text: str) -> None:
    try:
        found = parse_vehicle(text)
    except UsageError:
        return
    assert found.vin == "" or len(found.vin) == 17


# State --------------------------------------------------------------------------------------------


def test_the_state_follows_the_events_from_draft_to_verified(records: Records) -> None:
    job = new_job(records)
    assert records.job(job).state == "draft"
    records.append(job, compiled(DIGEST))
    assert records.job(job).state == "ready"
    records.append(job, gates(DIGEST, dry=True, closed="DUAL_BACKUP"))
    assert records.job(job).state == "ready"
    records.append(job, gates(DIGEST, closed="DUAL_BACKUP"))
    view = records.job(job)
    assert (view.state, view.what) == ("refused", "DUAL_BACKUP: As it must be.")
    records.append(job, gates(DIGEST))
    records.append(job, e.WriteStarted(run=RUN, plan_digest=DIGEST))
    assert (records.job(job).state, records.job(job).run) == ("writing", RUN)
    records.append_events(job, RUN, [*voltages(1, 2), (3, outcome("verified"))])
    view = records.job(job)
    assert (view.state, view.run, view.next_step) == ("verified", "", "Go on.")
    records.append_events(job, RUN, voltages(4))  # a late sample wakes nothing up
    assert records.job(job).state == "verified"


def test_an_unfinished_write_stays_what_matters_until_it_is_recovered(records: Records) -> None:
    job = new_job(records)
    records.append(job, compiled(DIGEST))
    records.append_events(job, RUN, [*voltages(1), (2, outcome("aborted_recoverable"))])
    assert (records.job(job).state, records.job(job).run) == ("aborted_recoverable", RUN)
    records.append(job, compiled("e" * 64))
    records.append(job, gates("e" * 64, closed="DUAL_BACKUP"))
    refused = e.Refused(doing="run", code="refused", what="No.", next_step="W.", gate="PERMIT")
    records.append(job, refused)
    assert (records.job(job).state, records.job(job).run) == ("aborted_recoverable", RUN)
    records.append_events(job, "run-2", [*voltages(1), (2, outcome("verified"))])
    records.append(job, e.Recovered(run=RUN, by_run="run-2"))
    assert (records.job(job).state, records.job(job).run) == ("verified", "")
    assert records.job(job).ended_runs == [RUN, "run-2"]


# Runs of hw ---------------------------------------------------------------------------------------


def test_an_event_of_hw_is_recorded_once_however_often_it_comes(records: Records) -> None:
    job = new_job(records)
    records.append_events(job, RUN, voltages(1, 2, 3))
    records.append_events(job, RUN, voltages(2, 3, 3, 4))
    records.append_events(job, RUN, voltages(1, 4))
    bodies = [event.body for event in records.events_of_kind(job, "hw_event")]
    assert [body.seq for body in bodies if isinstance(body, e.HwEvent)] == [1, 2, 3, 4]
    assert records.last_seq(RUN) == 4
    assert records.last_seq("run-2") == 0
    assert records.job(job).length == 5


def test_an_outcome_is_recorded_once_also_without_a_number(records: Records) -> None:
    job = new_job(records)
    assert not records.has_outcome(RUN)
    records.append_events(job, RUN, [*voltages(1), (0, outcome("aborted_recoverable"))])
    records.append_events(job, RUN, [(0, outcome("aborted_recoverable"))])
    assert records.has_outcome(RUN)
    ended = [event.body for event in records.events_of_kind(job, "write_ended")]
    assert len(ended) == 1
    assert isinstance(ended[0], e.WriteEnded)
    assert (ended[0].run, ended[0].what) == (RUN, "It ended.")


def test_events_for_a_job_that_is_not_there_are_refused_and_not_lost_in_part(
    records: Records,
) -> None:
    with pytest.raises(JobNotThere):
        records.append_events("nobody", RUN, voltages(1))
    assert records.last_seq(RUN) == 0


def test_a_trace_goes_through_the_record_unchanged(records: Records) -> None:
    job = new_job(records)
    change = GateChanged(
        at=1.5, state="HELD", reason="r", next_step="n", volts=11.9,
        trace=[(1.0, 12.0), (1.25, None), (1.5, 11.9)],
    )  # fmt: skip
    records.append_events(job, RUN, [(1, change)])
    body = records.events_of_kind(job, "hw_event")[0].body
    assert isinstance(body, e.HwEvent)
    assert body.event == change


# Finding ------------------------------------------------------------------------------------------


def test_a_job_is_found_by_either_end_of_its_id(records: Records) -> None:
    one, other = new_job(records), new_job(records)
    assert records.find(one) == one
    assert records.find(one[-12:].upper()) == one
    with pytest.raises(JobNotThere, match="More than one"):
        records.find(one[:6])
    for word in ("", "abc", "%%%%", "____", "f" * 40, "not hex"):
        with pytest.raises(JobNotThere):
            records.find(word)
    assert one != other


def test_jobs_are_listed_the_newest_first_and_page_by_page(records: Records) -> None:
    jobs = [new_job(records, name=f"Customer {number}") for number in range(7)]
    newest = list(reversed(jobs))
    assert [view.job for view in records.list_jobs()] == newest
    page = records.list_jobs(JobFilter(limit=3))
    assert [view.job for view in page] == newest[:3]
    rest = records.list_jobs(JobFilter(limit=3, before=page[-1].job))
    assert [view.job for view in rest] == newest[3:6]


def test_jobs_are_searched_without_case_and_accents(records: Records) -> None:
    job = new_job(records, name="Zoë Müller", complaint="Ruckelt 100 %")
    new_job(records, name="Somebody")
    for words in ("MULLER", "zoe müller", VIN[-6:].lower(), "b-fk golf", "100 %", "+49"):
        found = [view.job for view in records.list_jobs(JobFilter(words=words))]
        assert job in found, words
    assert len(records.list_jobs(JobFilter(words="golf"))) == 2
    for words in ("muller somebody", "100_", "nobody"):
        assert records.list_jobs(JobFilter(words=words)) == []


def test_jobs_are_filtered_by_state_and_vin(records: Records) -> None:
    done, draft = whole_job(records), new_job(records)
    assert [view.job for view in records.list_jobs(JobFilter(states=("verified",)))] == [done]
    both = records.list_jobs(JobFilter(states=("draft", "verified"), vin=VIN))
    assert [view.job for view in both] == [draft, done]
    assert records.list_jobs(JobFilter(vin="1M8GDM9AXKP042788")) == []


def test_ten_thousand_jobs_are_listed_through_an_index(records: Records) -> None:
    view = records.job(new_job(records))
    wanted = uuid7()

    def fill(tables: Tables) -> None:
        for number in range(10_000):
            name = wanted if number == 5000 else uuid7()
            state = "refused" if number == 5000 else "draft"
            one: JobView = msgspec.structs.replace(view, job=name, state=state)
            tables.jobs.insert(
                {
                    "job": name, "state": state, "vin": f"VIN{number}", "made": one.made,
                    "search": search_text(one), "view": msgspec.json.encode(one),
                }
            ).execute()  # fmt: skip

    records.store.run(fill)
    assert [one.job for one in records.list_jobs(JobFilter(states=("refused",)))] == [wanted]
    assert [one.job for one in records.list_jobs(JobFilter(vin="VIN5000"))] == [wanted]
    assert [one.job for one in records.list_jobs(JobFilter(words=wanted[-12:]))] == [wanted]
    assert len(records.list_jobs()) == 100
    assert records.find(wanted) == wanted
    asked = {
        "state IN ('refused') ORDER BY job DESC LIMIT 9": "jobs_by_state",
        "vin = 'x' ORDER BY job DESC LIMIT 9": "jobs_by_vin",
        "job < 'x' ORDER BY job DESC LIMIT 9": "PRIMARY KEY",
    }
    for condition, index in asked.items():
        plan = records.store._thread.submit(_explain, records, condition).result(10)
        assert index in plan
        assert "TEMP B-TREE" not in plan


def _explain(records: Records, condition: str) -> str:
    statement = f"EXPLAIN QUERY PLAN SELECT view FROM jobs WHERE {condition}"  # noqa: S608 - names of this test
    return str(records.store._database.execute_sql(statement).fetchall())


# Together -----------------------------------------------------------------------------------------


def test_many_threads_append_to_one_unbroken_chain(records: Records) -> None:
    job = new_job(records)

    def write(name: str) -> None:
        for number in range(10):
            records.append(job, e.Note(author=name, text=f"{number}"))

    threads = [threading.Thread(target=write, args=(f"t{number}",)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert records.verify_job(job).head.length == 41


def test_everything_is_there_after_opening_again(tmp_path: Path) -> None:
    with open_records(tmp_path) as records:
        job = whole_job(records)
        view = records.job(job)
    with open_records(tmp_path) as records:
        assert records.job(job) == view
        assert records.jobs_of("backup", view.backups[0]) == [job]
        assert records.jobs_of("plan", view.plans[0]) == [job]
        assert records.jobs_of("run", RUN) == [job]
        assert records.jobs_of("run", "run-2") == []
        records.verify_job(job)


def test_events_come_page_by_page(records: Records) -> None:
    job = whole_job(records)
    assert [one.seq for one in records.events(job, after=3, limit=2)] == [4, 5]
    assert [one.seq for one in records.all_events(job)] == list(
        range(1, records.job(job).length + 1)
    )
    assert records.events(job, after=9999) == []
