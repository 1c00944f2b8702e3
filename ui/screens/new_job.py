"""New job: customer, car and complaint."""

from __future__ import annotations

from functools import partial

from ui.i18n import _
from ui.models.new_job import NewJobState
from ui.screens.page import Page
from ui.widgets import kv, marks

VIN_LENGTH = 17


class NewJobPage(Page):
    """Bound to `NewJobModel`."""

    def ask(self, field: str, label: str) -> None:
        """Open the keyboard for one field."""
        value = getattr(self.state, field)
        page = {"vin": "vin", "phone": "numbers"}.get(field, "letters")
        longest = VIN_LENGTH if field == "vin" else 200
        self.edit(label, value, partial(self.model.enter, field), page, longest=longest)

    def vin_words(self, state: NewJobState) -> str:
        """What is wrong with the VIN; nothing while it is good."""
        if self.vin_mark(state) not in {marks.FAILED, marks.WARNING}:
            return ""
        said = " ".join(state.vin_problems) or state.vin_note
        return f"{self.vin_mark(state)}  {_('VIN')}: {said}"

    def is_long(self, state: NewJobState) -> bool:
        """Whether the form is taller than the screen, so that it scrolls."""
        return bool(state.what or state.busy or self.vin_words(state))

    def vin_mark(self, state: NewJobState) -> str:
        """Whether the VIN has the form of one; empty while none is there."""
        if state.vin_good is None:
            return ""
        if not state.vin_good:
            return marks.FAILED
        return marks.WARNING if state.vin_check == "does_not_match" else marks.DONE

    def vin_tone(self, state: NewJobState) -> str:
        """The tone of that mark."""
        tones = {marks.FAILED: "bad", marks.WARNING: "warn", marks.DONE: "good"}
        return tones.get(self.vin_mark(state), "plain")

    def suggestion(self, vin: str) -> str:
        """The VIN that was probably meant."""
        return _("Take {vin}").format(vin=vin) if vin else ""


kv.load(__file__)
