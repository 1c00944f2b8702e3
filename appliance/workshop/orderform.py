"""What somebody filled in for a work order, checked field by field."""

from __future__ import annotations

import json
import re
import unicodedata
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime

import msgspec
from msgspec import Struct

from appliance.sync.order import Booking, Way
from appliance.vin import examine_vin
from hw.errors import UNDECODABLE

LONGEST: Mapping[str, int] = {
    "customer": 120,
    "phone": 40,
    "email": 120,
    "address": 500,
    "appointment": 16,
    "make": 60,
    "model": 60,
    "year": 4,
    "vin": 40,
    "no_vin": 200,
    "fault_codes": 1000,
    "symptoms": 4000,
    "tried": 4000,
}
"""Letters that each field takes."""
_LINES = frozenset({"address", "fault_codes", "symptoms", "tried"})
_FIRST_CAR, _LAST_CAR = 1886, 2200
_FEWEST_DIGITS = 6
MOST_STROKES_BYTES = 60_000
PAD = (600, 200)
"""Width and height of the signature pad."""
_FEWEST_POINTS = 8

Ask = Callable[[str], str]
"""What was filled in under a name, without blanks around it; empty for nothing."""


class _Strokes(Struct, forbid_unknown_fields=True):
    strokes: list[list[tuple[int, int]]]


@dataclass
class Filled:
    """A form: what was given, and what is wrong with it, a sentence by field."""

    given: dict[str, str]
    wrong: dict[str, str] = field(default_factory=dict)

    def booking(self, way: Way) -> Booking:
        """What a form without mistakes says."""
        if self.wrong:
            raise ValueError("the form has mistakes")
        year = int(self.given["year"]) if self.given["year"] else None
        return msgspec.convert({**self.given, "way": way, "year": year}, Booking)


def filled(ask: Ask, *, by_mail: bool) -> Filled:
    """Read a form for an order.

    Args:
        ask: gives the fields of `LONGEST`.
        by_mail: the customer fills it in to send a part: what is needed for that must be there.
    """
    form = Filled({name: _plain(ask(name), lines=name in _LINES) for name in LONGEST})
    given, wrong = form.given, form.wrong
    for name, longest in LONGEST.items():
        if len(given[name]) > longest:
            wrong[name] = f"This has {len(given[name])} letters; {longest} fit."
    for name, told in (("customer", "Say who you are."), ("phone", "Say how to reach you.")):
        if not given[name]:
            wrong[name] = told
    if "phone" not in wrong and sum(map(str.isdigit, given["phone"])) < _FEWEST_DIGITS:
        wrong["phone"] = "This is no phone number."
    if by_mail:
        for name, told in (
            ("address", "Say where the part is sent back to."),
            ("symptoms", "Say what is wrong."),
        ):
            if not given[name]:
                wrong[name] = told
    _check_car(form, by_mail=by_mail)
    _check_appointment(form)
    return form


def strokes_of(text: str) -> list[list[tuple[int, int]]]:
    """A drawn signature from the field that the pad fills; empty for none.

    Raises:
        ValueError: it is none that the pad makes.
    """
    if not text:
        return []
    if len(text) > MOST_STROKES_BYTES:
        raise ValueError("too long")
    try:
        strokes = msgspec.convert({"strokes": json.loads(text)}, _Strokes).strokes
    except UNDECODABLE as error:
        raise ValueError("not of the pad") from error
    points = [point for stroke in strokes for point in stroke]
    if any(not (0 <= x <= PAD[0] and 0 <= y <= PAD[1]) for x, y in points):
        raise ValueError("beside the pad")
    return strokes if len(points) >= _FEWEST_POINTS else []


def _check_car(form: Filled, *, by_mail: bool) -> None:
    given, wrong = form.given, form.wrong
    year = given["year"]
    if year and not (re.fullmatch("[0-9]{4}", year) and _FIRST_CAR <= int(year) <= _LAST_CAR):
        wrong["year"] = "This is no year."
    if given["vin"]:
        report = examine_vin(given["vin"])
        given["vin"] = report.vin
        if not report.good:
            meant = f" Is it {report.suggestion}?" if report.suggestion else ""
            wrong.setdefault("vin", report.problems[0] + meant)
    elif by_mail and not given["no_vin"]:
        wrong["vin"] = "Give the VIN, or say below why there is none."


def _check_appointment(form: Filled) -> None:
    text = form.given["appointment"]
    try:
        if text and f"{datetime.fromisoformat(text):%Y-%m-%dT%H:%M}" != text:
            raise ValueError(text)
    except ValueError:
        form.wrong["appointment"] = "Give a day and a time, such as 2026-12-01T09:30."


def _plain(text: str, *, lines: bool) -> str:
    """Text as it is kept: no control characters, and new lines only where there may be some."""
    text = unicodedata.normalize("NFC", text.replace("\r\n", "\n"))
    text = re.sub(r"[^\S\n]", " ", text)
    kept = "".join(one for one in text if one.isprintable() or (lines and one == "\n"))
    return kept.strip()
