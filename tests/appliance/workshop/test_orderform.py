"""What somebody fills in, field by field."""

from __future__ import annotations

import json

import pytest

from appliance.workshop.orderform import LONGEST, Filled, filled, strokes_of
from tests.appliance.records.sample import VIN

GOOD = {
    "customer": "Zoë Müller",
    "phone": "+49 30 1234567",
    "address": "Straße 1\r\n10115 Berlin",
    "vin": VIN.lower(),
    "symptoms": "Stalls.",
}


def form(**fields: str) -> Filled:
    given = {**GOOD, **fields}
    return filled(lambda name: given.get(name, ""), by_mail=True)


def of_the_office(**fields: str) -> Filled:
    given = {**GOOD, **fields}
    return filled(lambda name: given.get(name, ""), by_mail=False)


def test_a_good_form_is_a_booking() -> None:
    booking = form(year="2001", make="VW").booking("mail_in")
    assert (booking.customer, booking.vin, booking.year) == ("Zoë Müller", VIN, 2001)
    assert booking.address == "Straße 1\n10115 Berlin"


@pytest.mark.parametrize(
    ("field", "text", "told"),
    [
        ("customer", "", "who you are"),
        ("phone", "", "how to reach you"),
        ("phone", "no number", "no phone number"),
        ("address", "", "sent back"),
        ("symptoms", "", "what is wrong"),
        ("vin", "", "why there is none"),
        ("vin", "WVWZZZ1JZXW00000", "17 characters, this has 16"),
        ("vin", "WVWZZZ1JZXWO00001", "Is it WVWZZZ1JZXW000001?"),
        ("year", "20x1", "no year"),
        ("year", "1700", "no year"),
        ("year", "٢٠٢٠", "no year"),
        ("appointment", "tomorrow", "a day and a time"),
        ("appointment", "2026-02-30T09:30", "a day and a time"),
        ("appointment", "2026-12-01", "a day and a time"),
    ],
)
def test_a_mistake_is_told_at_its_field(field: str, text: str, told: str) -> None:
    found = form(**{field: text})
    assert list(found.wrong) == [field]
    assert told in found.wrong[field]
    with pytest.raises(ValueError, match="mistakes"):
        found.booking("mail_in")


@pytest.mark.parametrize("field", LONGEST)
def test_twenty_thousand_letters_are_told_and_not_kept(field: str) -> None:
    found = form(**{field: "x" * 20_000})
    assert field in found.wrong


def test_a_reason_stands_for_a_vin_and_the_office_needs_neither() -> None:
    assert form(vin="", no_vin="The plate is gone.").wrong == {}
    assert of_the_office(vin="", address="", symptoms="").wrong == {}
    assert "vin" in of_the_office(vin="short").wrong


def test_marks_that_nobody_types_are_left_out() -> None:
    found = form(customer="A\x00B\x1b[31m\u202eC\nD", symptoms="one\ttwo\n\x07three\xa0four")
    assert found.given["customer"] == "AB[31mCD"
    assert found.given["symptoms"] == "one two\nthree four"


def test_a_signature_is_what_the_pad_makes() -> None:
    strokes = [[[x, 2 * x] for x in range(20)], [[600, 200]]]
    assert strokes_of(json.dumps(strokes))[1] == [(600, 200)]
    assert strokes_of("") == []
    assert strokes_of("[[[1,1],[2,2]]]") == [], "a dot is no signature"


@pytest.mark.parametrize(
    "text",
    [
        "[",
        "{}",
        "null",
        "[[[1]]]",
        "[[[1,2,3]]]",
        '[[["a",1]]]',
        "[[[601,1]]]",
        "[[[1,-1]]]",
        "[[[1.5,1]]]",
        "[" * 5000,
        "[[[" + "1" * 100_000 + ",1]]]",
        "[[[1e999,1]]]",
    ],
)
def test_what_the_pad_does_not_make_is_no_signature(text: str) -> None:
    with pytest.raises(ValueError):  # noqa: PT011 - the reason is not shown
        strokes_of(text)
