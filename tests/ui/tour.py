"""A tour of every screen in one window: screenshots, and what can be measured in the widget tree.

Run as a process of its own: `python -m tests.ui.tour --size 800x480 --out build/tour`. Prints what
is wrong as JSON, one list for the whole tour.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

import PIL.Image
from PIL.Image import Image

from tests.ui import leftovers, looks
from tests.ui.states import FakeModel, Stop, blank, stops
from ui import i18n, program, theme
from ui.models.navigation import NavigationState
from ui.models.status import StatusState

BARS_FADE_S = 1.2
"""Kivy holds a list for so long after its scroll bar was last moved."""


def main() -> int:
    """Make the tour and print what was found."""
    it = argparse.ArgumentParser()
    it.add_argument("--size", type=program.size, default=(800, 480))
    it.add_argument("--out", type=Path, required=True)
    it.add_argument("--theme", action="append", choices=sorted(theme.THEMES))
    it.add_argument("--language", action="append", choices=sorted(i18n.LANGUAGES))
    it.add_argument("--only", default="")
    it.add_argument(
        "--rounds", type=int, default=0, help="only look for widgets left over after so many"
    )
    options = it.parse_args()
    with tour_of(options.size) as tour:
        if options.rounds:
            tour.make_again(options.rounds, options.only)
            options.theme = []
        for name in options.theme if options.theme is not None else sorted(theme.THEMES):
            for language in options.language or sorted(i18n.LANGUAGES):
                tour.make(name, language, options.out, options.only)
        json.dump(tour.found, sys.stdout, indent=1)
    return 0


@contextmanager
def tour_of(size: tuple[int, int]) -> Iterator[Tour]:
    """A window of this size for a tour; one for each process."""
    with tempfile.TemporaryDirectory() as home:
        program.log_to_standard_error()
        program.prepare_environment(Path(home), kiosk=False)
        program.configure(*size, kiosk=False, rotation=0)
        # Nobody watches: no frame waits for the next one's time.
        from kivy.config import Config  # noqa: PLC0415 - reads the environment when imported

        Config.set("graphics", "maxfps", "0")
        yield Tour(size)


class Tour:
    """Shows stop after stop in one window and keeps what was found wrong."""

    def __init__(self, size: tuple[int, int]) -> None:
        from kivy.core.window import Window  # noqa: PLC0415 - opens it when imported

        from ui import app  # noqa: PLC0415 - imports the window

        self.found: list[str] = []
        self._window, self._app, self._size = Window, app, size
        self._settle = 4
        """Frames within which texts and layouts settle."""
        app.set_up(*size)

    def make(self, theme_name: str, language: str, out: Path, only: str = "") -> None:
        """Every stop, in one theme and language, with a picture of each in a folder."""
        out.mkdir(parents=True, exist_ok=True)
        theme.NOW.use(theme_name)
        i18n.use(language)
        for stop in stops():
            if only in stop.name:
                for name, root in self._shown(stop):
                    where = f"{name} {self._size[0]}x{self._size[1]} {theme_name} {language}"
                    self.found += [f"{where}: {one}" for one in looks.problems(root)]
                    path = out / f"{self._size[0]}-{theme_name}-{language}-{name}.png"
                    self._picture().save(path, compress_level=1)

    def pictures(self, theme_name: str, language: str, names: Iterable[str]) -> dict[str, Image]:
        """What some stops look like at first."""
        theme.NOW.use(theme_name)
        i18n.use(language)
        return {
            stop.name: next(self._picture() for _shown in self._shown(stop))
            for stop in stops()
            if stop.name in names
        }

    def make_again(self, rounds: int, only: str = "") -> None:
        """When all rounds are made, none of their widgets is left over.

        Each round shows every screen once, in one of its states after the other.
        """
        self._settle = 1  # Nobody looks at these: what is not right yet is not left over.
        screens: dict[str, list[Stop]] = {}
        for stop in stops():
            if only in stop.name:
                screens.setdefault(stop.screen, []).append(stop)
        for number in range(rounds):
            self._show_one_of_each(screens, number)
        self._until_bars_faded()
        self.found += leftovers.told()

    def _show_one_of_each(self, screens: dict[str, list[Stop]], number: int) -> None:
        for states in screens.values():
            for _shown in self._shown(states[number % len(states)]):
                pass

    def _until_bars_faded(self) -> None:
        from kivy.clock import Clock  # noqa: PLC0415 - as above

        faded_at = time.monotonic() + BARS_FADE_S
        while time.monotonic() < faded_at:
            Clock.tick()

    def _shown(self, stop: Stop) -> Iterator[tuple[str, object]]:
        from kivy.clock import Clock  # noqa: PLC0415 - as above

        status, model = FakeModel(StatusState()), FakeModel(blank(stop.state))
        nav = FakeModel(NavigationState(can_go_back=True))
        shell = self._app.make_shell(status)
        shell.show(lambda edit: self._app.page_class(stop.screen)(model, nav, edit))
        self._window.add_widget(shell)
        # Shown first without anything, as in life: what the screen shows must follow its state.
        self._frames()
        status.change(stop.status)
        model.change(stop.state)
        try:
            self._frames()
            yield stop.name, shell
            if stop.then is not None:
                stop.then(shell)
                self._frames()
                yield f"{stop.name}-then", shell
        finally:
            self._window.remove_widget(shell)
            shell.close()
            Clock.tick()
            if status.subscribers or model.subscribers or nav.subscribers:
                self.found.append(f"{stop.name} is still told of its model when it is closed")

    def _frames(self) -> None:
        from kivy.base import EventLoop  # noqa: PLC0415 - as above
        from kivy.clock import Clock  # noqa: PLC0415 - as above

        for _frame in range(self._settle):
            Clock.tick()
        EventLoop.idle()

    def _picture(self) -> Image:
        from kivy.graphics.opengl import (  # noqa: PLC0415 - as above
            GL_RGB,
            GL_UNSIGNED_BYTE,
            glReadPixels,
        )

        self._window.dispatch("on_draw")
        pixels = glReadPixels(0, 0, *self._size, GL_RGB, GL_UNSIGNED_BYTE)
        image = PIL.Image.frombytes("RGB", self._size, bytes(pixels))
        return image.transpose(PIL.Image.Transpose.FLIP_TOP_BOTTOM)


if __name__ == "__main__":
    sys.exit(main())
