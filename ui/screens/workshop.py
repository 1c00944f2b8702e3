"""The workshop: how handing over stands, and enrolling this kit with the office's code."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from ui.i18n import _
from ui.models import words
from ui.models.workshop import WorkshopState
from ui.screens.sheet import Pairs, Sheet
from ui.widgets import marks
from ui.widgets.scanner import Scanner

SHOWN = 8
"""Letters by which a job is told here: the end of its id."""


class WorkshopPage(Sheet):
    """Bound to `WorkshopModel`."""

    def __init__(self, model: Any, navigation: Any, edit: Any, **options: object) -> None:
        super().__init__(model, navigation, edit, **options)
        self._scanner = Scanner(model.typing, model.take)

    def close(self) -> None:
        """The screen is left: the scanner is another one's."""
        self._scanner.close()
        super().close()

    def title(self, state: WorkshopState, view: str) -> str:
        """What it is."""
        del state, view
        return _("Workshop")

    def hint(self, state: WorkshopState, view: str) -> str:
        """A code that comes, what was done, what must be known, or how to begin."""
        del view
        if state.typed:
            return f"{marks.BUSY} {_('{n} letters of the code').format(n=state.typed)}"
        if state.done:
            return f"{marks.DONE} {state.done}"
        if state.silence:
            return f"{marks.WARNING} {state.silence} {state.silence_next}"
        if state.state == "not_set_up":
            if state.owner:
                return _("Scan the code that the office shows for this kit, or type it.")
            return _("Only an owner of this kit can enrol it at a workshop.")
        return f"{marks.NOTE} {state.keeps} {state.keeps_next}".strip() if state.keeps else ""

    def pairs(self, state: WorkshopState, view: str) -> Pairs:
        """How it stands."""
        del view
        facts = [
            (_("State"), words.sync_state(state.state)),
            (_("Workshop"), state.workshop),
            (_("This kit"), state.kit),
            (_("Sending"), _under_way(state)),
            (_("Waiting"), _("{n} records").format(n=state.waiting) if state.waiting else ""),
            (_("In work"), _("{n} jobs").format(n=state.in_work) if state.in_work else ""),
            (_("Last handed over"), _when(state.handed_over)),
            (_("Last heard"), _when(state.heard)),
            (_("Kept for now"), _("{n} jobs").format(n=state.retirable) if state.retirable else ""),
            (_("At the workshop only"), _files(state.retired)),
        ]
        facts += [
            (_("Put aside"), _("Job {job}: {why}").format(job=job[-SHOWN:], why=why))
            for job, why in state.aside
        ]
        facts += [(_("Not taken"), why) for why in state.not_taken]
        return [(label, text) for label, text in facts if text]

    def action(self, state: WorkshopState, view: str) -> str:
        """Hand over now; for a kit without a workshop, type the code."""
        del view
        if state.busy or state.state in ("", "locked", "sending"):
            return ""
        if state.state == "not_set_up":
            return _("Type code") if state.owner else ""
        return _("Hand over now")

    def act(self) -> None:
        """Do that."""
        if self.state.state == "not_set_up":
            self.edit(_("Code for enrolment"), "FKENROL-", self.model.take)
        else:
            self.model.hand_over()


def _under_way(state: WorkshopState) -> str:
    if not state.job:
        return ""
    return _("Job {job}: {done} of {total}").format(
        job=state.job[-SHOWN:],
        done=words.size(state.sent_bytes),
        total=words.size(state.total_bytes),
    )


def _files(jobs: int) -> str:
    return _("Files of {n} jobs").format(n=jobs) if jobs else ""


def _when(wall: str) -> str:
    """A wall time at the technician's place, to the minute; as it came where it is none."""
    try:
        return datetime.fromisoformat(wall).astimezone().strftime("%Y-%m-%d %H:%M")
    except ValueError:
        return wall
