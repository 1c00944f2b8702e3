"""hw is killed in the middle of a write: the kit opens at the recovery, which finishes it."""

from __future__ import annotations

import pytest

from tests.ui.journeys.kit import TRANSFER_DATA, Kit
from tests.ui.journeys.screen import Screen

pytestmark = pytest.mark.timeout(300)


def test_a_write_that_hw_died_in_is_recovered_by_touch_and_verified(
    kit: Kit, screen: Screen
) -> None:
    job, data = kit.planned("Polo")
    mark = kit.mark()
    screen.opens("Polo")
    screen.begins_the_write()
    kit.wait_for(TRANSFER_DATA, 5, mark)
    kit.programs.kill("hw")
    screen.sees("No reading", "The hardware process", "is started again by itself")
    screen.kill()
    kit.start_hw()
    assert not kit.holds(data)

    screen.start()
    screen.on("RecoveryPage")
    screen.sees("A write is unfinished", "Fleet Ltd · Polo", "Do not drive this car")
    screen.press("Recover")
    screen.on("PlanPage")
    screen.begins_the_write()
    screen.watches_for("Verified")
    assert kit.holds(data)
    assert kit.state_of(job) == "verified"
