"""A technician at the touchscreen: the program under X, and a hand that only has a mouse.

What is shown is asked of the process (`window`); everything that is done goes through the X server,
as a click that a person makes. Nothing is waited for by time: each step waits for what it must see.
"""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType

import msgspec

from tests.stack import PASSPHRASE, ROOT, TECHNICIAN
from tests.ui.journeys.kit import CUSTOMER
from tests.ui.journeys.window import Target, View

LIMIT_S = 100.0
LOOK_LIMIT_S = 10.0
END_LIMIT_S = 10.0
SIGNING_S = 0.8
"""A hand does not sign faster."""
POLL_S = 0.03
DOT = "●"
TROUBLE = "✗  "
"""Stands before what the kit said to the last question."""
SPOKEN = {"Passed", "Refused"}
"""What stands beside a gate that has spoken."""


class Screen:
    """The program, once it was started, and a hand. A context manager, which closes the window.

    Args:
        display: of the X server.
        appliance: socket of the appliance.
        folder: short; keeps the screen's own state, so that a second one comes back to its place.
    """

    def __init__(self, display: str, appliance: Path, folder: Path) -> None:
        self._appliance, self._folder = appliance, folder
        self._environment = {
            **os.environ,
            "DISPLAY": display,
            "SDL_VIDEODRIVER": "x11",
            "FIELDKIT_UI_STATE": str(folder / "screen"),
            "PYTHONPATH": str(ROOT),
        }
        self._socket = folder / "window.sock"
        self._log = folder / "window.log"
        self._process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Screen:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._process is not None:
            self._process.terminate()
            self._process.wait(END_LIMIT_S)

    def start(self) -> None:
        """Start the program; returns once it shows a page."""
        words = ["--socket", str(self._appliance), "--language", "en", "--theme", "day"]
        with self._log.open("ab") as log:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "tests.ui.journeys.window", str(self._socket), *words],
                cwd=ROOT,
                env=self._environment,
                stdout=log,
                stderr=log,
            )
        self.until(lambda _view: True, "a window")

    def kill(self) -> None:
        """SIGKILL it."""
        assert self._process is not None
        self._process.kill()
        self._process.wait(END_LIMIT_S)

    # Eyes -------------------------------------------------------------------------------------

    def look(self) -> View:
        """What is shown now."""
        with socket.socket(socket.AF_UNIX) as sock:
            sock.settimeout(LOOK_LIMIT_S)
            try:
                sock.connect(str(self._socket))
                with sock.makefile("rb") as lines:
                    return msgspec.json.decode(lines.readline(), type=View)
            except (FileNotFoundError, ConnectionRefusedError, msgspec.DecodeError):
                return View()  # It is only just starting.

    def until(self, condition: Callable[[View], object], what: str) -> View:
        """Wait for a view of which something holds; one without a page shows nothing yet."""
        end = time.monotonic() + LIMIT_S
        while not (view := self.look()).page or not condition(view):
            assert self._process is not None
            assert self._process.poll() is None, f"the screen ended: {self._log.read_text()}"
            assert time.monotonic() < end, f"waited in vain for {what}; shown: {view}"
            time.sleep(POLL_S)
        return view

    def sees(self, *texts: str) -> View:
        """Wait until all of these are somewhere on the screen, as parts of its texts."""
        return self.until(lambda view: all(map(view.says, texts)), ", ".join(texts))

    def on(self, page: str) -> View:
        """Wait for a page, such as `WritePage`."""
        return self.until(lambda view: view.page == page, page)

    # Hand -------------------------------------------------------------------------------------

    def press(self, name: str) -> None:
        """Click a button, a row or a key."""
        self._x("mousemove", *self._place_of(name), "click", 1)

    @contextmanager
    def held(self, name: str) -> Iterator[Callable[[int, int], None]]:
        """Keep the mouse's button down on something; what is given moves it, in pixels."""
        x, y = self._place_of(name)
        self._x("mousemove", x, y, "mousedown", 1)
        try:
            yield lambda right, down: self._x("mousemove", x + right, y + down)
        finally:
            self._x("mouseup", 1)

    def types(self, text: str, *, secret: bool = False) -> None:
        """Type on the keyboard of the screen as fast as a person may; ends with OK."""
        self._place_of("done")
        keys = {name: (one.x, one.y) for one in self.look().targets for name in one.names}
        for letter in text.lower():
            self._x("mousemove", *keys["space" if letter == " " else letter], "click", 1)
        self.sees(f"{DOT * len(text) if secret else text}│")
        self.press("done")

    def scans(self, code: str) -> None:
        """Let a USB scanner type a code, which is a keyboard that ends with Enter."""
        self._x("type", "--delay", 5, code)
        self._x("key", "Return")

    def unlocks(self) -> None:
        """From the locked kit to wherever it opens."""
        self.on("UnlockPage")
        self.press(TECHNICIAN)
        self.sees("Passphrase")
        self.types(PASSPHRASE, secret=True)
        self.until(lambda view: view.page != "UnlockPage", "the kit is open")

    def opens(self, vehicle: str) -> None:
        """Start, and take up a job that has a plan."""
        self.start()
        self.on("HomePage")
        self.press(f"{CUSTOMER} · {vehicle}")
        self.on("PlanPage")

    def asks_the_gates(self) -> View:
        """From the plan, or once more, until they have spoken."""
        page = self._one_of("PlanPage", "GatesPage")
        self.press("Check the gates" if page == "PlanPage" else "Check again")
        while not SPOKEN & set((view := self.hears_the_gates()).words):
            self.press("Check again")  # The ECU, or a process, was not there yet.
        return view

    def has_it_signed(self, name: str) -> None:
        """The customer reads the text to its end, gives their name and signs with a finger."""
        while not (view := self.until(lambda view: view.lists, "the text")).says("Who signs?"):
            self._scroll(view)
        self.press("Name")
        self.types(name)
        self.press("Sign")
        self.sees("sign in the field with a finger")
        self._draws()
        self.press("That is my signature")

    def _draws(self) -> None:
        """A wave across the middle of the screen, at the speed of a hand."""
        left, middle = 200, 240
        self._x("mousemove", left, middle, "mousedown", 1)
        end, step = time.monotonic() + SIGNING_S, 0
        while step < 12 or time.monotonic() < end:
            step += 1
            self._x("mousemove", left + 30 * (step % 12), middle + 25 * (step % 2))
        self._x("mouseup", 1)

    def hears_the_gates(self) -> View:
        """Wait until the gates that were asked have spoken, or could not be asked."""

        def answered(view: View) -> object:
            said = SPOKEN & set(view.words) or view.says(TROUBLE)
            return view.page == "GatesPage" and said and "Checking" not in view.words

        return self.until(answered, "what the gates say")

    def passes_the_gates(self) -> None:
        """On to the acknowledgment; asks again what the voltage has not settled for yet."""
        while not self.asks_the_gates().offers("Go on"):
            pass
        self.press("Go on")
        self.on("AcknowledgePage")

    def enters_passphrase(self) -> None:
        """On the page of the acknowledgment."""
        self.press("Enter passphrase")
        self.types(PASSPHRASE, secret=True)

    def acknowledges(self, button: str = "Hold to write") -> str:
        """Hold the button until there is an answer; gives the page that it leads to."""
        ready = self.until(
            lambda view: {"Enter passphrase", button} & view.names, "the passphrase or the button"
        )
        if not ready.offers(button):
            self.enters_passphrase()
        with self.held(button):
            self.sees("Keep holding…")
            return self.until(
                lambda view: view.page != "AcknowledgePage" or view.says(TROUBLE),
                "an answer to the acknowledgment",
            ).page

    def begins_the_write(self) -> None:
        """From the gates, or the acknowledgment, to the write.

        On a busy computer samples of the voltage may be late, which the gates rightly refuse: then
        all of it is done once more.
        """
        on_the_way = ("PlanPage", "GatesPage", "AcknowledgePage")
        while (page := self._one_of(*on_the_way, "WritePage")) in on_the_way:
            if page == "AcknowledgePage":
                self.acknowledges()
            else:
                self.passes_the_gates()

    def watches_for(self, *texts: str) -> View:
        """To a moment of the write, or its end; one that was cut before that is resumed."""
        while True:
            view = self.until(
                lambda view: all(map(view.says, texts)) or view.offers("Resume"), ", ".join(texts)
            )
            if all(map(view.says, texts)):
                return view
            self.resumes()

    def resumes(self) -> None:
        """On with a write that was cut, by a new acknowledgment."""
        self.press("Resume")
        self.on("AcknowledgePage")
        while self.acknowledges("Hold to resume") != "WritePage":
            pass

    def _one_of(self, *pages: str) -> str:
        return self.until(lambda view: view.page in pages, " or ".join(pages)).page

    def _place_of(self, name: str) -> tuple[int, int]:
        """Where something is, once all stays where it is; looks further down a list."""
        end = time.monotonic() + LIMIT_S
        before: list[Target] = []
        while True:
            view = self.look()
            found = next((one for one in view.targets if name in one.names), None)
            if view.targets == before:
                if found is not None:
                    return found.x, found.y
                if view.lists:
                    self._scroll(view)
            assert time.monotonic() < end, f"there is no {name}; shown: {view}"
            before = view.targets

    def _scroll(self, view: View) -> None:
        """Push the largest list up by half of what is seen of it."""
        left, top, width, height = max(view.lists, key=lambda box: box[2] * box[3])
        x, y, way = left + width // 2, top + height * 3 // 4, height // 8
        self._x("mousemove", x, y, "mousedown", 1)
        for step in range(1, 5):
            self._x("mousemove", x, y - step * way)
        # Off the rows: where the screen took the push for a touch, it touched nothing.
        self._x("mousemove", max(left - 8, 0), y - 4 * way)
        self._x("mouseup", 1)

    def _x(self, *words: str | int) -> None:
        subprocess.run(
            ["xdotool", *map(str, words)],
            env=self._environment,
            check=True,
            timeout=END_LIMIT_S,
        )
