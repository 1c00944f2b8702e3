"""A new job: the VIN's help, the VIN read from the car, and what a job needs."""

from __future__ import annotations

import pytest

from appliance.client import messages as m
from tests.ui.models.bench import Bench
from tests.ui.models.fake import refusal
from ui.models.new_job import NewJobModel

VIN = "1M8GDM9AXKP042788"
"""Everybody's example of a VIN with a fitting check digit."""


@pytest.fixture
def form(bench: Bench) -> NewJobModel:
    bench.kit.home.new_job()
    bench.on("new_job")
    return bench.kit.new_job


def test_a_vin_is_put_into_its_written_form_and_its_check_digit_named(form: NewJobModel) -> None:
    form.enter("vin", "1m8-gdm9 axkp042788")
    assert (form.state.vin, form.state.vin_good, form.state.vin_check) == (VIN, True, "matches")


def test_a_vin_in_the_making_says_what_is_missing(form: NewJobModel) -> None:
    form.enter("vin", "1M8G")
    assert (form.state.vin_good, form.state.vin_length) == (False, 4)
    assert form.state.vin_problems


def test_no_vin_is_no_problem(form: NewJobModel) -> None:
    form.enter("vin", "1M")
    form.enter("vin", "")
    assert (form.state.vin_good, form.state.vin_problems) == (None, ())


def test_a_letter_that_no_vin_has_gets_a_suggestion_that_can_be_taken(form: NewJobModel) -> None:
    form.enter("vin", VIN.replace("0", "O"))
    assert form.state.vin_suggestion == VIN
    form.take_suggestion()
    assert (form.state.vin, form.state.vin_good) == (VIN, True)


def test_a_wrong_check_digit_is_said_and_does_not_stop_the_job(form: NewJobModel) -> None:
    form.enter("customer", "Ann")
    form.enter("vin", VIN.replace("9AX", "9A1"))
    assert form.state.vin_check == "does_not_match"
    assert form.state.vin_note
    assert form.state.can_save


def can_save(form: NewJobModel) -> bool:
    return form.state.can_save


def test_a_job_needs_a_customer_and_a_car(form: NewJobModel) -> None:
    form.enter("vehicle", "Golf")
    assert not can_save(form)
    form.enter("customer", "Ann")
    assert can_save(form)
    form.enter("vin", "1M8")
    assert not can_save(form)


def test_the_job_is_opened_with_all_that_was_typed(bench: Bench, form: NewJobModel) -> None:
    for field, text in (("customer", "Ann"), ("phone", "0123"), ("vin", VIN), ("complaint", "x")):
        form.enter(field, text)  # type: ignore[arg-type]  # each is one of the fields
    form.save()
    bench.on("vehicle")
    ((request,),) = bench.appliance.calls("job_open")
    assert request == m.JobNew(customer="Ann", phone="0123", vin=VIN, complaint="x")
    assert bench.kit.desk.state.customer == "Ann"


def test_a_job_that_is_refused_stays_on_the_form(bench: Bench, form: NewJobModel) -> None:
    bench.appliance.refuses["job_open"] = refusal("usage", "That is no car.", "Name it.")
    form.enter("customer", "Ann")
    form.enter("vehicle", "x")
    form.save()
    bench.until(lambda: form.state.what == "That is no car.")
    assert (bench.kit.navigation.state.screen, form.state.customer) == ("new_job", "Ann")


def test_the_vin_is_read_from_the_car_that_announces_itself(
    bench: Bench, form: NewJobModel
) -> None:
    form.read_vin()
    bench.until(lambda: form.state.vin == "WVWZZZ1JZ3W386752")
    assert (form.state.vin_from_car, form.state.vin_check) == (True, "not_used")
    assert bench.appliance.calls("discover") == [("doip://127.0.0.1:13400",)]


def test_a_car_that_does_not_answer_says_so(bench: Bench, form: NewJobModel) -> None:
    bench.appliance.refuses["discover"] = refusal("unavailable", "Nothing answers.", "Ignition on.")
    form.read_vin()
    bench.until(lambda: form.state.what == "Nothing answers.")
    bench.appliance.refuses.clear()
    bench.appliance.replies["discover"] = m.Discovered(ecus=[])
    form.read_vin()
    bench.until(lambda: form.state.what == "The car did not tell its VIN.")
