"""About: what this kit is, and its diagnostics onto a stick."""

from __future__ import annotations

from kivy.properties import BooleanProperty

from ui.i18n import _
from ui.models.about import AboutState
from ui.screens.page import Page
from ui.screens.sticks import no_stick, stick_rows
from ui.widgets import kv, listing, marks, values
from ui.widgets.swap import Swap  # noqa: F401 - named by the KV file


class AboutPage(Page):
    """Bound to `AboutModel`. `saving`: a stick is being chosen."""

    saving = BooleanProperty(False)
    rows = staticmethod(stick_rows)

    def title(self, saving: bool) -> str:
        """What is shown."""
        return _("Save diagnostics to a stick") if saving else "fieldkit"

    def hint(self, state: AboutState, saving: bool) -> str:
        """What was done, or what will be in the file."""
        if state.saved:
            return f"{marks.DONE} {state.saved}"
        if not saving or state.busy:
            return ""
        return no_stick(state.sticks) or _(
            "Logs and state for the workshop; no passphrases, keys or customers."
        )

    def look_for_sticks(self) -> None:
        """Show the sticks."""
        self.saving = True
        self.model.look_for_sticks()

    def back(self) -> None:
        """From the sticks to the facts, from there away."""
        if self.saving:
            self.saving = False
        else:
            self.navigation.back()


kv.load(listing.__file__)
kv.load(values.__file__)
kv.load(__file__)
