"""Links: the one that is chosen beforehand, and a try whether anything answers."""

from __future__ import annotations

from ui.i18n import _
from ui.models.links import LinksState
from ui.screens.page import Rows
from ui.screens.sheet import Sheet
from ui.widgets import marks


class LinksPage(Sheet):
    """Bound to `LinksModel`. `view` is the link that is looked at."""

    def title(self, state: LinksState, view: str) -> str:
        """All, or the one that is looked at."""
        return next((one.name for one in state.links if one.uri == view), _("Link"))

    def hint(self, state: LinksState, view: str) -> str:
        """What answered; else what the default is for, or where links come from."""
        if view:
            return f"{marks.DONE} {state.answer}" if state.answer else ""
        if state.busy or state.what:
            return ""
        if not state.links:
            return _("This kit has no named links; [[links]] in kit.toml gives them names.")
        return _("The default link is chosen beforehand in a new job.")

    def rows(self, state: LinksState, view: str) -> Rows:
        """All links, or what can be done with one."""
        if view:
            default = view == state.default
            return [
                {
                    "key": "default",
                    "title": _("Default link"),
                    "detail": view,
                    "mark": marks.DONE if default else marks.WAITING,
                    "word": _("yes") if default else _("no"),
                    "arrow": "",
                },
            ]
        return [
            {
                "key": one.uri,
                "title": one.name,
                "detail": one.uri.split("?")[0],
                "mark": marks.DONE if one.uri == state.default else marks.LINKED,
            }
            for one in state.links
        ]

    def action(self, state: LinksState, view: str) -> str:
        """Try it."""
        return _("Try it") if view and not state.busy else ""

    def choose(self, key: str | int) -> None:
        """Look at a link, or make it the default."""
        if self.view:
            self.model.choose(self.view)
        else:
            self.model.put_away()
            self.view = str(key)

    def act(self) -> None:
        """See whether anything answers."""
        self.model.attempt(self.view)

    def back(self) -> None:
        """What was said of this link is not of the others."""
        self.model.put_away()
        super().back()
