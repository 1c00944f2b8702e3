"""References of work orders, as people and scanners give them."""

from __future__ import annotations

import re

import pytest

from appliance.reference import PATTERN, reference_of


@pytest.mark.parametrize(
    "text",
    ["W-7K3F2", "w-7k3f2", " W 7K3F2 ", "7K3F2", "Wß7K3F2", "W/7K3F2", "W_7K3F2\r\n"],
)
def test_however_it_is_typed_it_is_the_same(text: str) -> None:
    assert reference_of(text) == "W-7K3F2"


def test_letters_that_are_read_as_digits_are_digits() -> None:
    assert reference_of("W-OIL00") == "W-01100"


@pytest.mark.parametrize(("text", "good"), [("W-7K3F2", True), ("W-7K3F", False), ("", False)])
def test_what_is_none_has_not_its_form(text: str, good: bool) -> None:
    assert bool(re.match(PATTERN, reference_of(text))) is good
