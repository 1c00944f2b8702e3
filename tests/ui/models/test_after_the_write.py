"""Result, recovery, backups, records: what comes after a write, or instead of one."""

from __future__ import annotations

from functools import partial

import pytest

from tests.ui.models.bench import Bench
from tests.ui.models.fake import PASSPHRASE, job_view, refusal, run_info


@pytest.fixture
def ended(bench: Bench) -> Bench:
    bench.appliance.set(jobs=[job_view("j1", state="verified")])
    bench.kit.home.take("j1")
    bench.on("result")
    bench.until(lambda: bench.kit.result.state.outcome)
    return bench


def test_a_record_is_verified_and_exported_onto_a_stick(ended: Bench) -> None:
    result = ended.kit.result
    result.verify()
    ended.until(lambda: result.state.record_whole)
    assert (result.state.events, result.state.head) == (7, "bb" * 32)
    result.look_for_sticks()
    ended.until(lambda: result.state.sticks)
    result.export(result.state.sticks[0].folder)
    ended.until(lambda: result.state.exported == "It lies on the stick.")
    assert ended.appliance.calls("job_export_onto") == [("j1", "/media/usb")]


def test_a_write_whose_end_nobody_can_tell_says_why(bench: Bench) -> None:
    bench.appliance.set(jobs=[job_view("j1", state="writing")], hw_gone=True)
    bench.until(lambda: bench.kit.status.state.hw_what)
    bench.kit.home.take("j1")
    bench.on("result")
    result = bench.kit.result
    bench.until(lambda: result.state.outcome_what == "hw is gone.")
    assert (result.state.outcome, result.state.outcome_next_step) == ("", "Start it.")


def test_an_export_that_failed_is_not_called_exported(ended: Bench) -> None:
    ended.appliance.refuses["job_export_onto"] = refusal("unavailable", "It is full.", "Another.")
    ended.kit.result.export("/media/usb")
    ended.until(lambda: ended.kit.result.state.what == "It is full.")
    assert ended.kit.result.state.exported == ""


# Recovery -----------------------------------------------------------------------------------------


@pytest.fixture
def interrupted(bench: Bench) -> Bench:
    stopped = job_view("j1", state="aborted_recoverable", run="r1")
    bench.appliance.set(jobs=[stopped], runs=[run_info("interrupted")])
    bench.on("recovery")
    bench.until(lambda: bench.kit.recovery.state.runs[0].customer)
    return bench


def test_an_unfinished_write_comes_before_everything_and_says_where_it_stopped(
    interrupted: Bench,
) -> None:
    (row,) = interrupted.kit.recovery.state.runs
    assert (row.customer, row.ecu, row.done, row.total, row.part) == (
        *("Fleet Ltd", "engine", "512 B", "1.0 kB", 0.5),
    )
    assert row.what == "The kit was switched off."


def test_recovery_goes_through_plan_gates_and_acknowledgment_as_any_other_write(
    interrupted: Bench,
) -> None:
    kit = interrupted.kit
    kit.recovery.set_link(" can://other ")
    kit.recovery.recover("j1")
    interrupted.on("plan")
    interrupted.until(lambda: kit.plan.state.digest)
    assert interrupted.appliance.calls("recovery") == [("j1", "can://other")]
    assert kit.plan.state.recovers
    kit.plan.go_on()
    interrupted.on("gates")
    interrupted.until(lambda: kit.gates.state.can_go_on)
    assert not kit.gates.state.can_back_up
    kit.gates.go_on()
    interrupted.on("acknowledge")
    assert kit.acknowledge.state.recovers
    kit.acknowledge.enter(PASSPHRASE)
    kit.acknowledge.press()
    interrupted.passes(3.1)
    interrupted.on("write")


def test_back_from_a_recovery_plan_leads_to_the_recovery(interrupted: Bench) -> None:
    interrupted.kit.recovery.recover("j1")
    interrupted.on("plan")
    interrupted.kit.navigation.back()
    interrupted.on("recovery")


def test_a_recovery_that_cannot_be_planned_says_why(interrupted: Bench) -> None:
    interrupted.appliance.refuses["recovery"] = refusal("refused", "Another ECU.", "Plug it in.")
    interrupted.kit.recovery.recover("j1")
    interrupted.until(lambda: interrupted.kit.plan.state.what == "Another ECU.")
    interrupted.kit.navigation.back()
    interrupted.on("recovery")


def test_a_recovery_goes_over_another_link_where_the_ecu_is_now(interrupted: Bench) -> None:
    recovery = interrupted.kit.recovery
    recovery.look_for_links()
    interrupted.until(lambda: recovery.state.links)
    (engine,) = recovery.state.links
    assert (engine.name, engine.discovery) == ("engine", False), "one that leads to one ECU"
    recovery.set_link(engine.uri)
    assert (recovery.state.link, recovery.state.link_name) == (engine.uri, "engine")
    recovery.recover("j1")
    interrupted.until(lambda: interrupted.kit.plan.state.digest)
    assert interrupted.appliance.calls("recovery") == [("j1", engine.uri)]
    interrupted.kit.navigation.back()
    interrupted.on("recovery")
    assert recovery.state.link == "", "the next one begins with the plan's own link"
    recovery.set_link(engine.uri)
    recovery.set_link("")
    recovery.recover("j1")
    interrupted.until(lambda: len(interrupted.appliance.calls("recovery")) == 2)
    assert interrupted.appliance.calls("recovery")[1] == ("j1", "")


def test_an_unfinished_write_can_be_set_aside_and_another_one_comes_before_all(
    interrupted: Bench,
) -> None:
    interrupted.kit.recovery.set_aside()
    interrupted.on("home")
    said = interrupted.kit.messages.state
    assert (said.kind, said.no) == ("warning", "")
    assert said.next_step.startswith("Do not drive this car.")
    interrupted.kit.messages.confirm()
    interrupted.kit.navigation.go("records")
    interrupted.on("records")
    runs = [run_info("interrupted"), run_info("interrupted", run="r2")]
    interrupted.appliance.set(runs=runs)
    interrupted.on("recovery")


def test_the_result_of_a_stopped_write_leads_to_its_recovery(interrupted: Bench) -> None:
    interrupted.kit.navigation.note(job="j1")
    interrupted.kit.navigation.go("result")
    interrupted.on("result")
    interrupted.until(lambda: interrupted.kit.result.state.action == "recover")
    interrupted.kit.result.act()
    interrupted.on("plan")


# Backups ------------------------------------------------------------------------------------------


@pytest.fixture
def at_backups(bench: Bench) -> Bench:
    bench.kit.navigation.go("backups")
    bench.until(lambda: bench.kit.backups.state.backups)
    bench.kit.backups.choose("b1")
    return bench


def test_a_backup_is_read_again_and_each_copy_is_named(at_backups: Bench) -> None:
    backups = at_backups.kit.backups
    backups.verify()
    at_backups.until(lambda: backups.state.copies)
    assert backups.state.whole is False
    assert [(row.folder, row.state) for row in backups.state.copies] == [
        *(("a", "whole"), ("b", "damaged")),
    ]


def opened_or_not(bench: Bench, tries: int) -> bool:
    """So many tries were made and answered."""
    made = len(bench.appliance.calls("backup_open"))
    return made == tries and not bench.kit.backups.state.busy


def test_a_backup_is_opened_with_the_passphrase_only_and_wrong_ones_slow_down(
    at_backups: Bench,
) -> None:
    backups = at_backups.kit.backups
    for tries in range(1, 4):
        backups.open_backup("wrong")
        at_backups.until(partial(opened_or_not, at_backups, tries))
    at_backups.until(lambda: backups.state.wait_s == 2)
    backups.open_backup(PASSPHRASE)
    assert len(at_backups.appliance.calls("backup_open")) == 3
    at_backups.passes(2.1)
    backups.open_backup(PASSPHRASE)
    at_backups.until(lambda: backups.state.opened == "It is decrypted.")
    assert [(row.name, row.size) for row in backups.state.files] == [("x", "5 B")]
    assert "12345" not in repr(backups.state)


# Records ------------------------------------------------------------------------------------------


@pytest.fixture
def at_records(bench: Bench) -> Bench:
    bench.appliance.set(jobs=[job_view(f"j{n}", customer=f"C{n}") for n in range(30)])
    bench.kit.navigation.go("records")
    bench.until(lambda: bench.kit.records.state.found)
    return bench


def test_all_records_are_listed_page_by_page_and_searched(at_records: Bench) -> None:
    records = at_records.kit.records
    assert (len(records.state.found), records.state.more) == (20, True)
    records.more()
    at_records.until(lambda: len(records.state.found) == 30)
    records.search("C29")
    at_records.passes(0.4)
    at_records.until(lambda: [row.job for row in records.state.found] == ["j29"])


def test_a_record_is_looked_at_verified_and_exported(at_records: Bench) -> None:
    records = at_records.kit.records
    at_records.appliance.tell("job_created")
    at_records.appliance.tell("voltage", volts=13.0)
    at_records.appliance.tell("plan_compiled")
    records.look("j3")
    at_records.until(lambda: records.state.job == "j3")
    assert [row.kind for row in records.state.events] == ["plan_compiled", "job_created"]
    records.verify()
    at_records.until(lambda: records.state.whole)
    records.export("/media/usb")
    at_records.until(lambda: records.state.exported)


def whole(bench: Bench) -> bool | None:
    return bench.kit.records.state.whole


def test_a_damaged_record_is_called_damaged_and_a_failure_to_look_is_not(at_records: Bench) -> None:
    records = at_records.kit.records
    records.look("j3")
    at_records.until(lambda: records.state.job == "j3")
    at_records.appliance.refuses["job_verify"] = refusal("record_damaged", "Event 7 was changed.")
    records.verify()
    at_records.until(lambda: whole(at_records) is False)
    assert records.state.what == "Event 7 was changed."
    at_records.appliance.refuses["job_verify"] = refusal("unavailable", "The disk fails.")
    records.verify()
    at_records.until(lambda: records.state.what == "The disk fails.")
    assert whole(at_records) is None
