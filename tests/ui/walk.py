"""A technician's fingers on the real app: finds widgets by their words and touches them.

Run as a process of its own: `python -m tests.ui.walk SOCKET STATE WALK`. The walk `walk` unlocks
the kit, opens a job and changes the language; `write` backs an ECU up, programs it from a stick and
holds the button for it; `settings` goes through the settings of the kit; `papers` reads a
record's report and saves diagnostics.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from tests.stack import PASSPHRASE, TECHNICIAN
from tests.ui import looks, sight
from ui import program
from ui.settings import Settings

LIMIT_S = 60.0
HOLD_S = 4.0


class Finger:
    """Touches what is on the screen."""

    def __init__(self, app: Any) -> None:
        from kivy.core.window import Window  # noqa: PLC0415 - opens it when imported

        self._app, self._window, self._touches = app, Window, 0

    def frames(self, count: int = 3) -> None:
        from kivy.base import EventLoop  # noqa: PLC0415 - as above

        for _frame in range(count):
            EventLoop.idle()

    def until(self, condition: Callable[[], Any], what: str) -> Any:
        end = time.monotonic() + LIMIT_S
        while not (found := condition()):
            if time.monotonic() > end:
                raise SystemExit(f"waited in vain for: {what}; shown: {self.words()}")
            self.frames(1)
        return found

    def words(self) -> list[str]:
        return sight.words(self._app.root)

    def see(self, text: str) -> None:
        self.until(lambda: any(text in one for one in self.words()), text)

    def found(self, text: str) -> Any:
        """A target. Rows of a list that are out of sight are not there yet: looks further down."""
        for target in sight.targets(self._app.root):
            if text in sight.names(target):
                return target
        for one in sight.lists(self._app.root):
            if one.height:
                one.scroll_y = one.scroll_y - 0.05 if one.scroll_y > 0 else 1.0
        return None

    def press(self, text: str, hold_s: float = 0.0) -> None:
        """Touch a button, a row or a key."""
        from kivy.tests.common import UnitTestTouch  # noqa: PLC0415 - as above

        one = self.until(lambda: self.found(text), f"button {text}")
        self.frames()
        touch = UnitTestTouch(*one.to_window(*one.center))
        touch.touch_down()
        end = time.monotonic() + hold_s
        while time.monotonic() < end:
            self.frames(1)
        self.frames()
        touch.touch_up()
        self.frames()

    def type(self, text: str) -> None:
        """Type on the keyboard of the screen."""
        for letter in text:
            self.press("space" if letter == " " else letter)
        self.press("done")


def main() -> int:
    """Walk, and say what was seen."""
    socket, state = (Path(one) for one in sys.argv[1:3])
    way = WALKS[sys.argv[3]]
    program.log_to_standard_error()
    program.prepare_environment(state, kiosk=False)
    program.configure(800, 480, kiosk=False, rotation=0)
    from kivy.base import EventLoop  # noqa: PLC0415 - opens the window

    from ui.app import FieldKitApp  # noqa: PLC0415 - as above

    app = FieldKitApp(state, Settings(), socket)
    app._run_prepare()
    finger = Finger(app)
    try:
        way(finger, app)
    finally:
        app.stop()
        EventLoop.close()
    print("walked")
    return 0


def walk(finger: Finger, app: Any) -> None:
    """From the locked kit to an ECU that was read."""
    finger.see("Who is working?")
    finger.press(TECHNICIAN)
    finger.see("Passphrase")
    finger.type("wrong")
    finger.see("✗")
    finger.press("Enter passphrase")
    finger.type(PASSPHRASE)
    finger.press("New job")
    finger.press("Customer")
    finger.type("ada")
    finger.see("Ada")
    finger.press("Vehicle")
    finger.type("polo")
    finger.press("Save")
    finger.see("How is the car connected?")
    finger.press("Back")
    finger.press("Menu")
    finger.press("Settings")
    finger.see("Upright")
    finger.press("Language")
    finger.until(lambda: "Upright" not in finger.words(), "rows without what they showed before")
    finger.press("Deutsch")
    finger.see("Einstellungen")
    finger.press("Zurück")
    finger.press("Zurück")
    finger.see("Ada · Polo")
    app.settings.set("language", "en")
    finger.see("Jobs")
    finger.press("Ada · Polo")
    finger.see("How is the car connected?")


def write(finger: Finger, _app: Any) -> None:
    """From the list of jobs, of a kit that is unlocked, to a write that was verified."""
    finger.press("Ada · Polo")
    finger.press("engine, DoIP (simulated)")
    finger.press("Engine ECU of the simulated car")
    finger.press("Back up")
    finger.see("Backed up")
    finger.press("Choose work")
    finger.press("Programming")
    finger.press("demo-calibration.hex")
    finger.press("Make the plan")
    finger.press("Check the gates")
    finger.press("Go on")
    finger.press("Enter passphrase")
    finger.type(PASSPHRASE)
    # Too short: letting go cancels, and the button is there again.
    finger.press("Hold to write", 0.5)
    finger.press("Hold to write", HOLD_S)
    finger.see("Verified")


def settings(finger: Finger, _app: Any) -> None:
    """Through the settings of the kit, unlocked by its owner."""
    finger.press("Menu")
    finger.press("Settings")
    finger.press("links")
    finger.press("engine, DoIP (simulated)")
    finger.press("Default link")
    finger.press("Try it")
    finger.see("The ECU answers")
    finger.press("Back")
    finger.press("Back")
    finger.press("sensor")
    finger.see("Measure at the sensor's clamps")
    finger.press("Compare")
    finger.type("13.2")
    finger.see("Both agree")
    finger.press("Back")
    finger.press("media")
    finger.press("Medium A")
    finger.see("Last verified")
    finger.press("Back")
    finger.press("Back")
    finger.press("technicians")
    finger.press("New technician")
    finger.press("Name")
    finger.type("lea")
    finger.press("New passphrase")
    finger.type(PASSPHRASE)
    finger.press("Once more")
    finger.type(PASSPHRASE)
    finger.press("Add")
    finger.type(PASSPHRASE)
    finger.see("Lea can now unlock this kit.")


def papers(finger: Finger, app: Any) -> None:
    """A record's report, page by page, and the kit's diagnostics onto a stick."""
    from ui.widgets.picture import Picture  # noqa: PLC0415 - opens the window

    finger.press("Menu")
    finger.press("Records")
    finger.press("Fleet Ltd · Golf")
    finger.press("Report")
    finger.see("Page 1 of")
    page = next(one for one in looks.tree(app.root) if isinstance(one, Picture))
    width = page.width
    assert page.texture is not None
    assert width <= page.parent.width
    page.dispatch("on_release")
    finger.until(lambda: page.width > 1.9 * width, "a larger page")
    finger.press("Back")
    finger.see("Last hash")
    finger.press("Back")
    finger.press("Back")
    finger.press("Menu")
    finger.press("About")
    finger.see("Storage")
    finger.press("Save diagnostics")
    finger.press("demo-stick")
    finger.see("The diagnostics lie on demo-stick")


WALKS = {"walk": walk, "write": write, "settings": settings, "papers": papers}

if __name__ == "__main__":
    sys.exit(main())
