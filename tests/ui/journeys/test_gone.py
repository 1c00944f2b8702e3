"""The appliance is killed: the screen says so, shows no stale figure, and comes back by itself."""

from __future__ import annotations

import os
import re
import signal

import pytest

from tests.stack import GOOD_VOLTS
from tests.ui.journeys.kit import ECU, TRANSFER_DATA, Kit
from tests.ui.journeys.screen import Screen
from tests.ui.journeys.window import View

pytestmark = pytest.mark.timeout(300)

LOAD_V = 0.08
"""What the car draws lowers the battery's voltage by."""
FIGURE = re.compile(r"\d[.,]\d+ ?(V|kB/s)|\d+ ?%|\d\d:\d\d")


def test_before_a_write_the_screen_comes_back_to_the_job_in_hand(kit: Kit, screen: Screen) -> None:
    kit.planned("Before")
    screen.opens("Before")
    screen.asks_the_gates()
    kit.programs.kill("appliance")
    gone = screen.on("GonePage")
    screen.sees("The kit does not answer", "Wait a moment.", "comes back by itself")
    assert not gone.says("fieldkit up")
    assert figures(gone) == []
    kit.start_appliance()
    screen.unlocks()
    # The screen asks them again: what they said before is not shown as news.
    assert screen.hears_the_gates().says(f"{GOOD_VOLTS - LOAD_V:.2f} V")


def test_in_a_write_the_screen_says_that_it_goes_on_and_comes_back_to_it(
    kit: Kit, screen: Screen
) -> None:
    job, data = kit.planned("Within")
    mark = kit.mark()
    screen.opens("Within")
    screen.begins_the_write()
    kit.wait_for(TRANSFER_DATA, 2, mark)
    kit.programs.kill("appliance")
    gone = screen.on("GonePage")
    screen.sees("A write was running. It goes on by itself: leave everything connected.")
    assert gone.says("Do not switch the kit off.")
    assert figures(gone) == []
    kit.wait_for(TRANSFER_DATA, 3, kit.mark())
    kit.when_blocks(ECU, 3, do="sag", volts=11.5, for_s=600.0)
    kit.start_appliance()
    screen.on("UnlockPage")
    screen.sees("A write is running; it goes on.")
    screen.unlocks()
    screen.on("WritePage")
    screen.watches_for("HELD")
    kit.volts(GOOD_VOLTS)
    screen.watches_for("Verified")
    assert kit.holds(data)
    assert kit.state_of(job) == "verified"


def test_a_screen_that_starts_before_the_appliance_waits_for_it(kit: Kit, screen: Screen) -> None:
    kit.programs.kill("appliance")
    screen.start()
    assert figures(screen.sees("The kit is starting", "Please wait…")) == []
    kit.start_appliance()
    screen.unlocks()


def test_an_appliance_that_stands_still_is_gone_too_until_it_goes_on(
    kit: Kit, screen: Screen
) -> None:
    kit.planned("Still")
    screen.opens("Still")
    os.kill(kit.programs.pid("appliance"), signal.SIGSTOP)
    try:
        assert figures(screen.on("GonePage")) == []
    finally:
        os.kill(kit.programs.pid("appliance"), signal.SIGCONT)
    screen.on("PlanPage")
    screen.sees(f"{GOOD_VOLTS - LOAD_V:.2f} V")


def figures(view: View) -> list[str]:
    """Numbers that would have to come from the kit."""
    return [text for text in view.words if FIGURE.search(text)]
