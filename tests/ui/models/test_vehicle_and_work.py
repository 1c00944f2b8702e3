"""Vehicle and work: what is chosen, and that it is looked at before it is taken."""

from __future__ import annotations

import pytest

from appliance.client import messages as m
from tests.ui.models.bench import Bench
from tests.ui.models.fake import job_view, refusal
from ui.models.work import WorkModel

LINK = "doip://127.0.0.1:13400?target=16"


@pytest.fixture
def at_vehicle(bench: Bench) -> Bench:
    bench.kit.home.take("j1")
    bench.on("vehicle")
    bench.until(lambda: bench.kit.vehicle.state.ecus)
    return bench


@pytest.fixture
def at_work(at_vehicle: Bench) -> Bench:
    kit = at_vehicle.kit
    kit.vehicle.choose(LINK, "sim-engine")
    kit.vehicle.identify()
    at_vehicle.until(lambda: kit.vehicle.state.can_go_on)
    kit.vehicle.go_on()
    at_vehicle.on("work")
    at_vehicle.until(lambda: kit.work.state.can_flash)
    return at_vehicle


def test_links_and_kinds_of_ecu_are_offered_the_unusable_ones_last(at_vehicle: Bench) -> None:
    state = at_vehicle.kit.vehicle.state
    assert [(row.name, row.discovery) for row in state.links] == [("car", True), ("engine", False)]
    assert [(row.profile, row.problem) for row in state.ecus] == [
        ("sim-engine", ""),
        ("bad", "It is not signed."),
    ]


def test_ecus_that_announce_themselves_are_listed(at_vehicle: Bench) -> None:
    at_vehicle.kit.vehicle.discover("doip://127.0.0.1:13400")
    at_vehicle.until(lambda: at_vehicle.kit.vehicle.state.searched)
    (row,) = at_vehicle.kit.vehicle.state.found
    assert (row.address, row.vin) == ("0x0010", "WVWZZZ1JZ3W386752")


def test_an_ecu_is_read_for_this_job_with_what_it_refused(at_work: Bench) -> None:
    state = at_work.kit.vehicle.state
    assert at_work.appliance.calls("identify") == [(LINK, "sim-engine", "j1")]
    assert [(row.did, row.text, row.refused) for row in state.values] == [
        ("0xF190", "WVWZZZ1JZ3W386752", ""),
        ("0x0600", "cruise_control on, idle 800", ""),
        ("0xF18C", "", "0x31"),
    ]
    assert state.vin_differs == ""


def test_an_ecu_from_another_car_is_pointed_out(at_vehicle: Bench) -> None:
    at_vehicle.appliance.set(jobs=[job_view("j2", vin="1M8GDM9AXKP042788")])
    at_vehicle.kit.home.take("j2")
    at_vehicle.until(lambda: at_vehicle.kit.desk.state.job == "j2")
    at_vehicle.kit.vehicle.choose(LINK, "sim-engine")
    at_vehicle.kit.vehicle.identify()
    at_vehicle.until(lambda: at_vehicle.kit.vehicle.state.vin_differs == "WVWZZZ1JZ3W386752")


def test_choosing_another_ecu_takes_away_what_was_read(at_work: Bench) -> None:
    at_work.kit.vehicle.choose(LINK, "bad")
    state = at_work.kit.vehicle.state
    assert (state.values, state.can_go_on) == ((), False)


def test_a_failed_read_shows_no_older_values(at_work: Bench) -> None:
    at_work.appliance.refuses["identify"] = refusal("unavailable", "No answer.", "Check the plug.")
    at_work.kit.vehicle.identify()
    at_work.until(lambda: at_work.kit.vehicle.state.what == "No answer.")
    assert at_work.kit.vehicle.state.values == ()


def test_a_backup_is_made_for_the_job(at_work: Bench) -> None:
    at_work.kit.vehicle.back_up()
    at_work.until(lambda: at_work.kit.vehicle.state.backup == "b9")
    ((request,),) = at_work.appliance.calls("backup_make")
    assert (request.link, request.profile, request.job) == (LINK, "sim-engine", "j1")


def can_plan(work: WorkModel) -> bool:
    return work.state.can_plan


# Programming --------------------------------------------------------------------------------------


def test_a_file_is_looked_at_before_it_is_taken(at_work: Bench) -> None:
    work = at_work.kit.work
    work.choose("programming")
    at_work.until(lambda: work.state.files)
    assert [(row.name, row.size, row.container) for row in work.state.files] == [
        ("new.s37", "2.0 kB", "s-record")
    ]
    assert not can_plan(work)
    work.inspect("/media/usb/new.s37")
    at_work.until(lambda: work.state.container)
    assert at_work.appliance.calls("container_inspect") == [("/media/usb/new.s37", "sim-engine")]
    container = work.state.container
    assert container is not None
    assert ("Part numbers", "8K0907115R") in container.facts
    assert ("Written to", "Calibration") in container.facts
    assert can_plan(work)
    work.plan()
    at_work.on("plan")
    at_work.until(lambda: at_work.kit.plan.state.digest)
    ((request,),) = at_work.appliance.calls("plan_flash")
    assert (request.path, request.link) == ("/media/usb/new.s37", LINK)


@pytest.mark.parametrize("wrong", ["damaged", "elsewhere"])
def test_a_file_that_is_damaged_or_does_not_fit_cannot_be_taken(at_work: Bench, wrong: str) -> None:
    work = at_work.kit.work
    with at_work.appliance.client() as client:
        good = client.container_inspect("/media/usb/new.s37")
    at_work.appliance.replies["container_inspect"] = m.ContainerView(
        **{name: getattr(good, name) for name in m.ContainerView.__struct_fields__}
        | (
            {"good": False, "what": "Line 7 is damaged.", "next_step": "Copy it again."}
            if wrong == "damaged"
            else {"fits": False, "fit_what": "It lies elsewhere.", "fit_next_step": "Take another."}
        )
    )
    work.choose("programming")
    work.inspect("/media/usb/new.s37")
    at_work.until(lambda: work.state.container)
    container = work.state.container
    assert container is not None
    assert container.what in ("Line 7 is damaged.", "It lies elsewhere.")
    assert container.next_step
    assert not container.usable
    assert not can_plan(work)
    work.plan()
    assert at_work.appliance.calls("plan_flash") == []


# Coding -------------------------------------------------------------------------------------------


def test_coding_offers_each_field_with_what_it_is_and_can_be(at_work: Bench) -> None:
    work = at_work.kit.work
    work.choose("coding")
    at_work.until(lambda: work.state.options)
    cruise, idle = work.state.options
    assert (cruise.current, cruise.values, cruise.labels) == ("on", ("off", "on"), ("Off", "On"))
    assert (idle.current, idle.minimum, idle.maximum, idle.unit) == ("800", 600.0, 1000.0, "1/min")
    work.set_option("0x0600.cruise_control", "off")
    assert can_plan(work)
    work.set_option("0x0600.cruise_control", "on")
    assert not can_plan(work)
    work.set_option("0x0600.idle", "850")
    work.plan()
    at_work.on("plan")
    at_work.until(lambda: at_work.appliance.calls("plan_code"))
    ((request,),) = at_work.appliance.calls("plan_code")
    assert request.settings == ["0x0600.idle=850"]


# Restore ------------------------------------------------------------------------------------------


def test_restore_offers_backups_of_this_kind_of_ecu_the_jobs_own_first(at_work: Bench) -> None:
    work = at_work.kit.work
    work.choose("restore")
    at_work.until(lambda: work.state.backups)
    assert [row.backup for row in work.state.backups] == ["b2", "b1"]
    work.choose_backup("b2", "coding")
    work.plan()
    at_work.on("plan")
    at_work.until(lambda: at_work.appliance.calls("plan_restore"))
    ((request,),) = at_work.appliance.calls("plan_restore")
    assert (request.backup, request.what) == ("b2", "coding")
