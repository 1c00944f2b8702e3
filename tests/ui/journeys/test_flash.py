"""A flash by hand: with a sag in its middle, with a cut, and with a screen that is killed."""

from __future__ import annotations

import pytest

from tests.stack import GOOD_VOLTS
from tests.ui.journeys.kit import BLOCKS, ECU, TRANSFER_DATA, Kit
from tests.ui.journeys.screen import Screen

pytestmark = pytest.mark.timeout(300)

HOLD_V, SAG_V, CUT_V = 12.0, 11.5, 10.5
FOR_EVER_S = 600.0
LOAD_V = 0.08
"""What the car draws lowers the battery's voltage by."""
TESTER_PRESENT = "3e"


def test_a_flash_with_a_sag_in_its_middle_goes_on_by_itself_and_is_verified(
    kit: Kit, screen: Screen
) -> None:
    data = kit.file_on_stick("new.s37")
    with kit.client() as client:
        client.lock()
    screen.start()
    screen.unlocks()
    plans_from_nothing(screen, "new.s37")
    mark = kit.mark()
    screen.passes_the_gates()
    screen.enters_passphrase()
    lets_go_too_early(screen)
    assert kit.writes(mark) == []

    sags_in_the_middle(kit, SAG_V)
    screen.begins_the_write()
    held = screen.watches_for("HELD", f"{SAG_V:.2f} V", "Connect a battery charger")
    assert not held.offers("Back")
    assert not held.offers("Menu")
    written = kit.blocks(mark)
    assert BLOCKS // 2 <= written < BLOCKS
    # The session is kept alive, and nothing else is sent.
    kit.wait_for(TESTER_PRESENT, 1, kit.mark())
    assert kit.blocks(mark) == written

    kit.volts(GOOD_VOLTS)
    screen.watches_for("Verified", "Ada · Polo")
    judge(kit, data, mark)


def test_a_write_that_was_cut_goes_on_after_a_new_acknowledgment(kit: Kit, screen: Screen) -> None:
    job, data = kit.planned("Cut")
    mark = kit.mark()
    screen.opens("Cut")
    sags_in_the_middle(kit, CUT_V)
    screen.begins_the_write()
    screen.watches_for("CUT", f"{CUT_V:.2f} V", "resume with a new acknowledgment")
    written = kit.blocks(mark)
    kit.volts(GOOD_VOLTS)
    screen.sees(f"{GOOD_VOLTS - LOAD_V:.2f} V")
    assert kit.blocks(mark) == written
    screen.resumes()
    screen.watches_for("Verified")
    assert kit.state_of(job) == "verified"
    judge(kit, data, mark)


def test_a_write_goes_on_without_its_screen_and_the_next_one_comes_back_to_it(
    kit: Kit, screen: Screen
) -> None:
    job, data = kit.planned("Killed")
    mark = kit.mark()
    screen.opens("Killed")
    screen.begins_the_write()
    kit.wait_for(TRANSFER_DATA, 2, mark)
    screen.sees("Block ")
    screen.kill()
    # It goes on; then the battery keeps its end back until there is a screen again.
    kit.wait_for(TRANSFER_DATA, 3, kit.mark())
    kit.when_blocks(ECU, 3, do="sag", volts=SAG_V, for_s=FOR_EVER_S)
    screen.start()
    screen.on("WritePage")
    screen.watches_for("HELD")
    kit.volts(GOOD_VOLTS)
    screen.watches_for("Verified", "Fleet Ltd · Killed")
    assert kit.state_of(job) == "verified"
    judge(kit, data, mark)


def plans_from_nothing(screen: Screen, file: str) -> None:
    """A new job, its ECU, a backup, and a plan from a file on the stick."""
    screen.on("HomePage")
    screen.press("New job")
    screen.press("Customer")
    screen.types("Ada")
    screen.press("Vehicle")
    screen.types("Polo")
    screen.press("Save")
    screen.press("engine, CAN (simulated)")
    screen.press("Engine ECU of the simulated car")
    screen.press("Back up")
    screen.sees("Backed up")
    screen.press("Choose work")
    screen.press("Programming")
    screen.press(file)
    screen.press("Make the plan")
    screen.on("PlanPage")


def lets_go_too_early(screen: Screen) -> None:
    """A finger that is lifted, and one that slips off, cancel."""
    with screen.held("Hold to write"):
        screen.sees("Keep holding…")
    screen.sees("Hold to write")
    with screen.held("Hold to write") as move:
        screen.sees("Keep holding…")
        move(0, -200)
        screen.sees("Hold to write")


def sags_in_the_middle(kit: Kit, volts: float) -> None:
    """Let the battery sag at half of the blocks, until the test puts it right."""
    kit.when_blocks(ECU, BLOCKS // 2, do="sag", volts=volts, for_s=FOR_EVER_S)


def judge(kit: Kit, data: bytes, mark: int) -> None:
    """What the car itself says: the file is in it, by one download, and none of it in a sag."""
    assert kit.holds(data)
    sent = kit.requests(mark)
    assert sum(one["request"].startswith("34") for one in sent) == 1
    blocks = [one for one in sent if one["request"].startswith(TRANSFER_DATA)]
    assert len(blocks) >= BLOCKS
    assert min(one["volts"] for one in blocks) >= HOLD_V
