"""A list of very many jobs in a window: how long it takes to open, and each frame of a scroll."""

from __future__ import annotations

import statistics
import time
from typing import Any

from msgspec.structs import replace

from tests.ui.looks import tree
from tests.ui.states import JOBS, STATUS, FakeModel
from tests.ui.tour import tour_of
from ui.models.home import HomeState
from ui.models.job_list import PAGE, JobRow
from ui.models.navigation import NavigationState

SIZE = (800, 480)
OPENINGS = 5
PASSES, DRAGS, MOVES, MOVE_PX, GLIDE = 3, 12, 8, 30, 6
"""In each pass so many drags of so many moves, and frames in which the list glides on after it."""


def measure(count: int) -> dict[str, list[float]]:
    """Milliseconds of each opening, `opened`, and each frame, `frames` (median of the passes).

    With every second drag the next page of jobs arrives, as it does at the end of a list.
    """
    jobs = jobs_of(count)
    with tour_of(SIZE):
        shown = Shown()
        opened = [shown.open(jobs) for _opening in range(OPENINGS)]
        passes = [shown.scroll(jobs) for _pass in range(PASSES)]
    frames = [statistics.median(times) for times in zip(*passes, strict=True)]
    return {"opened": opened, "frames": frames}


def jobs_of(count: int) -> tuple[JobRow, ...]:
    """So many jobs, no two of them alike."""
    return tuple(
        replace(JOBS[number % len(JOBS)], job=f"{number:08d}", customer=f"Customer {number}")
        for number in range(count)
    )


class Shown:
    """The screen of found jobs in a window, one at a time."""

    def __init__(self) -> None:
        from kivy.base import EventLoop  # noqa: PLC0415 - opens the window when imported
        from kivy.core.window import Window  # noqa: PLC0415 - as above
        from kivy.graphics.opengl import glFinish  # noqa: PLC0415 - as above

        from ui import app  # noqa: PLC0415 - as above

        self._loop, self._window, self._finish, self._app = EventLoop, Window, glFinish, app
        self._shell: Any = None
        self._model = FakeModel(HomeState())

    def open(self, jobs: tuple[JobRow, ...]) -> float:
        """Make the screen; the time until its first rows are drawn."""
        if self._shell is not None:
            self._window.remove_widget(self._shell)
            self._shell.close()
        self._model = FakeModel(HomeState(query="a", found=jobs, more=True))
        self._shell = self._app.make_shell(FakeModel(STATUS))
        self._window.add_widget(self._shell)
        self._frame()
        page, nav = self._app.page_class("home"), FakeModel(NavigationState())
        began = time.perf_counter()
        self._shell.show(lambda edit: page(self._model, nav, edit))
        while not any(hasattr(one, "arrow") for one in tree(self._shell)):
            self._loop.idle()
        self._frame()
        return (time.perf_counter() - began) * 1e3

    @property
    def listing(self) -> Any:
        """The list itself."""
        return next(one for one in tree(self._shell) if hasattr(one, "on_near_end"))

    def change(self, jobs: tuple[JobRow, ...]) -> None:
        """Other jobs were found."""
        self._model.change(replace(self._model.state, found=jobs))

    def titles(self) -> list[str]:
        """Those of the rows that there are, after the next frame."""
        self._frame()
        return sorted(one.title for one in tree(self._shell) if hasattr(one, "arrow"))

    def scroll(self, jobs: tuple[JobRow, ...]) -> list[float]:
        """Drag the list from its top; the time of each frame."""
        from kivy.tests.common import UnitTestTouch  # noqa: PLC0415 - as above

        self.change(jobs)
        self.listing.scroll_y = 1
        self._frame()
        times = []
        for drag in range(DRAGS):
            touch = UnitTestTouch(SIZE[0] / 2, SIZE[1] / 4)
            touch.touch_down()
            for move in range(MOVES):
                touch.touch_move(touch.x, SIZE[1] / 4 + (move + 1) * MOVE_PX)
                times.append(self._frame())
            touch.touch_up()
            if drag % 2:
                self.change(jobs + jobs[: PAGE * (drag + 1)])
            times += [self._frame() for _glide in range(GLIDE)]
        if self.listing.scroll_y > 1 - 1 / len(jobs):
            raise RuntimeError("the list did not move")
        return times

    def _frame(self) -> float:
        began = time.perf_counter()
        self._loop.idle()
        self._finish()
        return (time.perf_counter() - began) * 1e3
