"""Help with a VIN: what is wrong, what was probably meant, and no European VIN called wrong."""

from __future__ import annotations

import pytest

from appliance.client import examine_vin
from appliance.vin import check_digit, form_problems

AMERICAN = "1M8GDM9AXKP042788"  # the worked example of 49 CFR 565.15
EUROPEAN = "WVWZZZ1KZ6W612305"


def test_a_vin_with_its_check_digit_matches() -> None:
    report = examine_vin(" 1m8-gdm9 axkp042788")
    assert (report.vin, report.good, report.check_digit) == (AMERICAN, True, "matches")
    assert (report.problems, report.suggestion) == ([], "")


def test_a_maker_without_check_digit_is_not_called_wrong() -> None:
    report = examine_vin(EUROPEAN)
    assert (report.good, report.problems, report.check_digit) == (True, [], "not_used")


def test_a_misread_character_is_found_by_the_check_digit_and_suggested() -> None:
    report = examine_vin("1M8GDM9AXKP04278B")
    assert (report.good, report.check_digit) == (True, "does_not_match")
    assert "Position 9 is X" in report.note
    assert report.suggestion == AMERICAN


def test_what_cannot_be_told_by_one_misread_character_gets_no_suggestion() -> None:
    report = examine_vin("1M8GDM9A1KP042788")
    assert report.check_digit == "does_not_match"
    assert report.suggestion == "", "a letter among the last four would fit, and no VIN has one"


@pytest.mark.parametrize(
    ("typed", "said", "meant"),
    [
        ("1M8GDM9AXKPO42788", "cannot hold 'O' (position 12); it is probably 0", AMERICAN),
        ("IM8GDM9AXKP042788", "cannot hold 'I' (position 1); it is probably 1", AMERICAN),
        ("1M8GDM9AXKPQ42788", "cannot hold 'Q' (position 12); it is probably 0", AMERICAN),
        ("1M8GDM9AXKP04278", "has 17 characters, this has 16", ""),
        ("1M8GDM9AXKP0427881", "has 17 characters, this has 18", ""),
        ("1M8GDM9AXKP04278Ä", "cannot hold 'Ä' (position 17)", ""),
        ("", "has 17 characters, this has 0", ""),
    ],
)
def test_what_is_no_vin_is_said_with_what_was_meant(typed: str, said: str, meant: str) -> None:
    report = examine_vin(typed)
    assert not report.good
    assert report.check_digit == "unknown"
    assert any(said in problem for problem in report.problems)
    assert report.suggestion == meant


def test_every_value_of_the_check_digit_occurs() -> None:
    digits = {check_digit(f"1M8GDM9A0KP0427{number:02}") for number in range(40)}
    assert digits == set("0123456789X")
    assert form_problems(AMERICAN) == []
