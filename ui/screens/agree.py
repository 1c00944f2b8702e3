"""Agree: a text for the customer, read to its end, and the pad that they sign on."""

from __future__ import annotations

from typing import Any

from kivy.clock import Clock

from ui.i18n import LANGUAGES, _
from ui.models.agree import AgreeState
from ui.screens.page import Edit, Page
from ui.widgets import kv, lines, pad
from ui.widgets.swap import Swap  # noqa: F401 - named by the KV file

AT_REST_S = 0.3
"""So long nothing moves any more before a text counts as laid out."""
END = 0.01


class AgreePage(Page):
    """Bound to `AgreeModel`."""

    def __init__(self, model: Any, navigation: Any, edit: Edit, **options: object) -> None:
        self._look = Clock.create_trigger(self._seen_to_end, AT_REST_S)
        super().__init__(model, navigation, edit, **options)
        self._shown = self.state.sha256

    def close(self) -> None:
        """The screen is left."""
        self._look.cancel()
        super().close()

    def on_state(self, _self: object, state: AgreeState) -> None:
        """Another text begins at its beginning, and on an empty pad."""
        if not self.ids or state.sha256 == self._shown:
            return
        self._shown = state.sha256
        self.ids.reading.scroll_y = 1
        self.ids.pad.clear()
        self.looked()

    def looked(self) -> None:
        """Text or view moved; whether its end is in sight is asked when both are at rest."""
        self._look.cancel()
        self._look()

    def _seen_to_end(self, _dt: float) -> None:
        reading, text = self.ids.reading, self.ids.text
        if self.state.read or not text.children or reading.parent is None:
            return
        if text.height <= reading.height or reading.scroll_y <= END:
            self.model.read_to_end()

    def title(self, state: AgreeState) -> str:
        """The text's own, and which of several it is."""
        return f"{state.title} ({state.number}/{state.count})" if state.count > 1 else state.title

    def hint(self, state: AgreeState) -> str:
        """What is still missing before it can be signed."""
        if not state.title:
            return ""
        if not state.read:
            return _("Give the screen to the customer: read this to its end.")
        if not state.customer:
            return _("Who signs? Enter the name.")
        return _("{name} can sign now.").format(name=state.customer)

    def sign_here(self, state: AgreeState) -> str:
        """What stands above the pad."""
        return _("{name}: sign in the field with a finger.").format(name=state.customer)

    def language_words(self, state: AgreeState) -> str:
        """The other language by its own name."""
        return LANGUAGES.get(state.other_language, state.other_language)

    def ask(self) -> None:
        """Open the keyboard for the name."""
        self.edit(_("Name of who signs"), self.state.customer, self.model.enter, longest=100)

    def sign(self) -> None:
        """Take what was drawn."""
        self.model.sign(self.ids.pad.strokes)

    def back(self) -> None:
        """From the pad to the text, from there away."""
        if self.state.signing:
            self.ids.pad.clear()
            self.model.back_to_text()
        else:
            self.navigation.back()


kv.load(lines.__file__)
kv.load(pad.__file__)
kv.load(__file__)
