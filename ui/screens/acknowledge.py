"""Acknowledge: the exact risk text, the passphrase, and the button that must be held."""

from __future__ import annotations

from ui.i18n import _
from ui.models.acknowledge import AcknowledgeState
from ui.screens.page import Page
from ui.widgets import kv, lines


class AcknowledgePage(Page):
    """Bound to `AcknowledgeModel`."""

    def paragraphs(self, risk_text: str) -> list[str]:
        """The text as it is signed; where its file breaks a line, the screen breaks its own."""
        return [" ".join(one.split()) for one in risk_text.split("\n\n")]

    def title(self, state: AcknowledgeState) -> str:
        """What is acknowledged."""
        if state.resumes:
            return _("Read this again before the write goes on")
        if state.recovers:
            return _("Read this before the recovery")
        return _("Read this before the write")

    def hold_words(self, state: AcknowledgeState) -> str:
        """What the button says."""
        if state.holding:
            return _("Keep holding…")
        return _("Hold to resume") if state.resumes else _("Hold to write")

    def hint(self, wait_s: int) -> str:
        """A pause after wrong passphrases."""
        return _("Wait {seconds} s before the next try.").format(seconds=wait_s) if wait_s else ""

    def ask(self) -> None:
        """Open the keyboard for the passphrase."""
        self.edit(_("Passphrase"), "", self.model.enter, secret=True)


kv.load(lines.__file__)
kv.load(__file__)
