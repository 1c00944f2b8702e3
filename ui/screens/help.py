"""Help: the manual on the kit, searched by words."""

from __future__ import annotations

from ui.i18n import _
from ui.manual import HelpState
from ui.screens.page import Page, Rows
from ui.widgets import kv, lines, listing
from ui.widgets.swap import Swap  # noqa: F401 - named by the KV file


class HelpPage(Page):
    """Bound to `HelpModel`."""

    def title(self, state: HelpState) -> str:
        """The topic, or what was found."""
        if state.topic is not None:
            return state.topic.title
        if state.query:
            return _("Found for “{query}”").format(query=state.query)
        return _("Help")

    def rows(self, state: HelpState) -> Rows:
        """Topics to choose from."""
        return [{"key": one.title, "title": one.title} for one in state.topics]

    def paragraphs(self, state: HelpState) -> tuple[str, ...]:
        """The topic that is read."""
        return state.topic.paragraphs if state.topic is not None else ()

    def search(self) -> None:
        """Ask for words."""
        self.edit(_("Search"), "", self.model.search)

    def back(self) -> None:
        """From a topic to the list, from a search to all, from there away."""
        if self.state.topic is not None:
            self.model.read("")
        elif self.state.query:
            self.model.search("")
        else:
            self.navigation.back()


kv.load(lines.__file__)
kv.load(listing.__file__)
kv.load(__file__)
