"""Each of the four gates refuses: the screen says why and what to do, and the car is left alone."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from itertools import pairwise
from pathlib import Path

import pytest

from tests.stack import GOOD_VOLTS, TECHNICIAN
from tests.ui.journeys.kit import ECU, Kit
from tests.ui.journeys.screen import Screen
from tests.ui.journeys.window import View

pytestmark = pytest.mark.timeout(300)

TITLES = ("Battery voltage", "Two backups", "Checksums and ECU", "Your acknowledgment")
LOW_V = 12.1


def test_a_low_battery_is_refused_until_it_is_charged(kit: Kit, screen: Screen) -> None:
    kit.planned("Low")
    kit.volts(LOW_V)
    mark = kit.mark()
    screen.opens("Low")
    asked = screen.asks_the_gates()
    assert refused(asked) == ["Battery voltage"]
    assert asked.says("12.50 to 14.80 V is demanded")
    assert asked.says("Connect a charger and wait until the voltage has settled.")
    assert asked.says("outside the start window")
    assert not asked.offers("Go on")
    assert kit.writes(mark) == []

    kit.volts(GOOD_VOLTS)
    screen.passes_the_gates()


def test_a_backup_with_one_copy_is_refused_until_both_media_are_there(
    kit: Kit, screen: Screen
) -> None:
    kit.planned("One copy")
    mark = kit.mark()
    screen.opens("One copy")
    with away(kit.state / "medium-b"):
        asked = screen.asks_the_gates()
        assert refused(asked) == ["Two backups"]
        assert asked.says("Medium B is not there.")
        assert asked.says("Insert medium B.")
        assert not asked.offers("Go on")
    assert kit.writes(mark) == []
    screen.passes_the_gates()


def test_a_file_for_other_software_than_the_ecu_has_now_is_refused(
    kit: Kit, screen: Screen
) -> None:
    kit.planned("Other software")
    screen.opens("Other software")
    # Somebody else programs the ECU between the plan and the gates.
    kit.control(do="exchange", ecu=ECU, dids={"0xF188": "8K0907115X"})
    try:
        mark = kit.mark()
        asked = screen.asks_the_gates()
        assert refused(asked) == ["Checksums and ECU"]
        assert asked.says("0xF188")
        assert asked.says("Identify the ECU and make the plan again.")
        assert not asked.offers("Go on")
        assert kit.writes(mark) == []
    finally:
        kit.put_back()


def test_an_acknowledgment_of_somebody_who_may_no_longer_sign_is_refused(
    kit: Kit, screen: Screen
) -> None:
    kit.planned("No signer")
    mark = kit.mark()
    screen.opens("No signer")
    screen.passes_the_gates()
    with without_signer(kit.state / "trust" / "allowed_signers", f"technician:{TECHNICIAN}"):
        assert screen.acknowledges() == "GatesPage"
        asked = screen.hears_the_gates()
        assert refused(asked) == ["Your acknowledgment"]
        assert kit.writes(mark) == []


def refused(view: View) -> list[str]:
    """Titles of the gates that refused. The tree has a row's word before its title."""
    words = [one for one in view.words if one in TITLES or one == "Refused"]
    return [title for word, title in pairwise(words) if word == "Refused"]


@contextmanager
def away(folder: Path) -> Iterator[None]:
    """Pull a medium out, and put it back."""
    aside = folder.with_name(f"{folder.name}-pulled")
    folder.rename(aside)
    try:
        yield
    finally:
        aside.rename(folder)


@contextmanager
def without_signer(file: Path, principal: str) -> Iterator[None]:
    """Take somebody off the list of those whose signature counts."""
    text = file.read_text()
    lines = text.splitlines(keepends=True)
    file.write_text("".join(line for line in lines if not line.startswith(principal)))
    try:
        yield
    finally:
        file.write_text(text)
