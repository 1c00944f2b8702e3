"""Which screen is shown: a pure function of the kit and of where the technician is."""

from __future__ import annotations

from typing import Any

from msgspec import Struct, structs

from ui.models.backend import Backend, Seen
from ui.models.base import ViewModel
from ui.models.place import Place, PlaceFile
from ui.models.words import Screen

BACK: dict[Screen, Screen] = {
    "new_job": "home",
    "vehicle": "home",
    "work": "vehicle",
    "plan": "work",
    "agree": "plan",
    "gates": "plan",
    "acknowledge": "gates",
    "result": "home",
    "recovery": "home",
    "backups": "home",
    "records": "home",
    "orders": "home",
}
"""Where 'back' leads from each screen; from the others nowhere."""
ON_THE_WAY: frozenset[Screen] = frozenset({"plan", "agree", "gates", "acknowledge"})
"""Screens from a plan to its write."""


def deals_with(place: Place, job: str) -> bool:
    """Whether the technician is at a job's unfinished write already."""
    if place.job != job:
        return False
    if place.screen in ON_THE_WAY:
        return place.recovers or place.resumes
    return place.screen in ("result", "backups") or (place.screen == "write" and place.watched)


def screen_for(seen: Seen, place: Place) -> Screen:
    """The screen that must be shown.

    A write that runs has the screen to itself, but for the acknowledgment that resumes it. An
    unfinished one comes before anything else, until it was seen and set aside.
    """
    status = seen.status
    if seen.gone or status is None:
        return "gone"
    if status.locked:
        return "unlock"
    if (running := seen.running) is not None:
        cut = status.hw is not None and status.hw.gate == "CUT"
        resuming = place.screen == "acknowledge" and place.resumes and place.job == running.job
        return "acknowledge" if cut and resuming else "write"
    for run in seen.unfinished:
        if run.run not in place.set_aside and not deals_with(place, run.job):
            return "recovery"
    if place.screen == "write" or (place.screen == "acknowledge" and place.resumes):
        return "result"
    return place.screen


def back_from(seen: Seen, place: Place) -> Screen | None:
    """Where 'back' leads; None where there is no way back."""
    screen = screen_for(seen, place)
    if screen == "acknowledge" and place.resumes:
        return "write"
    if seen.running is not None:
        return None
    if screen == "plan" and place.recovers:
        return "recovery"
    return BACK.get(screen)


def _anew(kept: Place) -> Place:
    """Where a screen that starts anew begins: it has seen no write, so none is over for it yet."""
    screen = "write" if kept.screen == "result" else kept.screen
    return structs.replace(kept, screen=screen, watched=False)


class NavigationState(Struct, frozen=True, kw_only=True):
    """Attributes:
    screen: what is shown.
    can_go_back: whether the button that leads back is there.
    job: the job of this place, empty for none.
    """

    screen: Screen = "gone"
    can_go_back: bool = False
    job: str = ""


class NavigationModel(ViewModel[NavigationState]):
    """Leads through the screens, and keeps the place.

    Args:
        backend: the kit.
        file: where the place is kept.
    """

    def __init__(self, backend: Backend, file: PlaceFile) -> None:
        super().__init__(NavigationState())
        self._backend, self._file = backend, file
        self._place = _anew(file.load())
        backend.subscribe(lambda _seen: self._look())

    @property
    def place(self) -> Place:
        """Where the technician is, whatever stands over it just now."""
        return self._place

    def go(self, screen: Screen, **fields: Any) -> None:
        """Open a screen. What the kit demands stands before it all the same.

        Args:
            screen: which one.
            fields: what else of the place changes in the same moment (see `Place`).
        """
        self._move(screen=screen, **fields)

    def back(self) -> None:
        """Go back, where there is a way."""
        seen, place = self._backend.state, self._place
        to = back_from(seen, place)
        if to is None:
            return
        if self.state.screen == "recovery":
            self.set_aside()
        self._move(screen=to)

    def home(self) -> None:
        """Leave the job, where that may be: not while a write runs."""
        if self._backend.state.running is None:
            if self.state.screen == "recovery":
                self.set_aside()
            self._move(screen="home")

    def set_aside(self) -> None:
        """The unfinished writes were seen; something else is done before them."""
        runs = {run.run for run in self._backend.state.unfinished}
        self._move(set_aside=tuple(sorted(runs)))

    def note(self, **fields: Any) -> None:
        """Keep more of the place: the job and the kind of its plan (see `Place`)."""
        self._move(**fields)

    def _move(self, **fields: Any) -> None:
        place = structs.replace(self._place, **fields)
        if place != self._place:
            self._place = place
            self._file.save(place)
        self._look()

    def _look(self) -> None:
        seen = self._backend.state
        if (running := seen.running) is not None:
            self._take_along(seen, running.job)
        screen = screen_for(seen, self._place)
        if screen == "result" and self._place.screen != "result":
            # The write is over: a screen that starts anew shows how it ended.
            self._place = structs.replace(self._place, screen="result", resumes=False)
            self._file.save(self._place)
        self._change(
            screen=screen,
            can_go_back=back_from(seen, self._place) is not None,
            job=self._place.job,
        )

    def _take_along(self, seen: Seen, job: str) -> None:
        """A write runs, whoever started it: this is where the technician is.

        An acknowledgment that is no longer wanted is left for good: at the next cut it must be
        asked for anew.
        """
        place = self._place
        resuming = screen_for(seen, place) == "acknowledge"
        screen: Screen = "acknowledge" if resuming else "write"
        moved = structs.replace(
            place, screen=screen, job=job, recovers=False, resumes=resuming, watched=True
        )
        if moved != place:
            self._place = moved
            self._file.save(moved)
