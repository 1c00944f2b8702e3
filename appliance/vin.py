"""The rules of a VIN (ISO 3779), as help for whoever types one in: pure functions, no state.

A wrong form is a problem. A check digit that does not fit is only said: ISO 3779 leaves position 9
to the maker, and only North America and China put a check digit there (49 CFR 565.15; GB 16735).
"""

from __future__ import annotations

import re
from typing import Literal

from msgspec import Struct

LENGTH = 17
CHECK_POSITION = 8
_LETTERS = "ABCDEFGHJKLMNPRSTUVWXYZ"
_ALLOWED = frozenset(_LETTERS + "0123456789")
_WEIGHTS = (8, 7, 6, 5, 4, 3, 2, 10, 0, 9, 8, 7, 6, 5, 4, 3, 2)
_VALUES = {
    **{digit: int(digit) for digit in "0123456789"},
    **dict(zip(_LETTERS, map(int, "12345678123457923456789"), strict=True)),
}
# First character of the world manufacturer identifier (ISO 3780): the United States (1, 4, 5 and
# 7), Canada, Mexico and China.
_CHECKED_REGIONS = frozenset("123457L")
_NEVER = {"I": "1", "O": "0", "Q": "0"}
# What is easily read as the other on a dusty plate.
_ALIKE = dict(
    pair
    for one, other in ("S5", "B8", "Z2", "G6", "D0", "17", "UV")
    for pair in ((one, other), (other, one))
)


class VinReport(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """What a typed VIN is worth.

    Attributes:
        vin: as it is written (capitals, no blanks or dashes), right or not.
        good: it has the form of a VIN; a job can carry it.
        problems: what is wrong with its form, one sentence each; empty where it is good.
        check_digit: `matches`, `does_not_match` (a maker that uses one: probably a typing error),
            `not_used` by this maker; `unknown` while the form is not good.
        note: what the check digit says, in one sentence; empty for nothing to say.
        suggestion: the VIN that was probably meant, empty for none.
    """

    vin: str
    good: bool
    problems: list[str]
    check_digit: Literal["matches", "does_not_match", "not_used", "unknown"]
    note: str = ""
    suggestion: str = ""


def examine_vin(text: str) -> VinReport:
    """Look at a VIN as it was typed; blanks, dashes and small letters are put right.

    A VIN from a maker that uses no check digit is never called wrong for it.
    """
    vin = written(text)
    problems = form_problems(vin)
    if problems:
        likely = "".join(_NEVER.get(letter, letter) for letter in vin)
        better = likely if likely != vin and not form_problems(likely) else ""
        return VinReport(
            vin=vin, good=False, problems=problems, check_digit="unknown", suggestion=better
        )
    if check_digit_fits(vin):
        note = f"The check digit {vin[CHECK_POSITION]} at position 9 matches."
        return VinReport(vin=vin, good=True, problems=[], check_digit="matches", note=note)
    if vin[0] not in _CHECKED_REGIONS:
        note = "This maker uses no check digit, so a typing error would not show."
        return VinReport(vin=vin, good=True, problems=[], check_digit="not_used", note=note)
    note = (
        f"Position 9 is {vin[CHECK_POSITION]}, and the check digit of the rest is "
        f"{check_digit(vin)}: compare every character with the car."
    )
    return VinReport(
        vin=vin,
        good=True,
        problems=[],
        check_digit="does_not_match",
        note=note,
        suggestion=_misread(vin),
    )


def written(text: str) -> str:
    """A VIN in its written form: capital letters, no blanks or dashes (ISO 3779, 5)."""
    return re.sub(r"[\s-]", "", text).upper()


def form_problems(vin: str) -> list[str]:
    """What is wrong with the form of a VIN (`written`), one sentence each; empty for nothing."""
    found = []
    if len(vin) != LENGTH:
        found.append(f"A VIN has 17 characters, this has {len(vin)}.")
    for letter in dict.fromkeys(letter for letter in vin if letter not in _ALLOWED):
        places = ", ".join(str(at) for at, one in enumerate(vin, 1) if one == letter)
        meant = f"; it is probably {_NEVER[letter]}" if letter in _NEVER else ""
        found.append(f"A VIN cannot hold '{letter}' (position {places}){meant}.")
    return found


def check_digit(vin: str) -> str:
    """The check digit that belongs to a VIN of good form, `0` to `9` or `X` (49 CFR 565.15)."""
    total = sum(weight * _VALUES[letter] for weight, letter in zip(_WEIGHTS, vin, strict=True))
    return "0123456789X"[total % 11]


def check_digit_fits(vin: str) -> bool:
    """Whether position 9 of a VIN of good form is its check digit.

    Other makers use that position freely, so a misfit is worth a note and never a refusal.
    """
    return vin[CHECK_POSITION] == check_digit(vin)


def _misread(vin: str) -> str:
    """The one VIN with a fitting check digit that differs by one easily misread character.

    The last four characters are digits in every VIN (ISO 3779).
    """
    fitting = []
    for at, letter in enumerate(vin):
        if letter not in _ALIKE:
            continue
        other = vin[:at] + _ALIKE[letter] + vin[at + 1 :]
        if check_digit_fits(other) and other[-4:].isdigit():
            fitting.append(other)
    return fitting[0] if len(fitting) == 1 else ""
