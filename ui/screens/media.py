"""Media: the two that backups go to."""

from __future__ import annotations

from ui.i18n import _
from ui.models.media import MediaState, MediumRow
from ui.screens.backups import day
from ui.screens.page import Rows
from ui.screens.sheet import Pairs, Sheet
from ui.widgets import marks

TONES = {"present": "good", "missing": "bad"}


class MediaPage(Sheet):
    """Bound to `MediaModel`. `view` is the medium that is looked at."""

    def title(self, state: MediaState, view: str) -> str:
        """All, or the one that is looked at."""
        del state
        return _("Medium {name}").format(name=view.upper()) if view else _("Media")

    def hint(self, state: MediaState, view: str) -> str:
        """Why one is not there, and what to do; else what they are for."""
        wrong = [
            f"{marks.WARNING} {one.what} {one.next_step}"
            for one in state.media
            if one.what and view in {"", one.name}
        ]
        if not wrong and not view:
            return _("Every backup lies on both, so that one may be lost.")
        return "\n".join(wrong)

    def rows(self, state: MediaState, view: str) -> Rows:
        """Both media."""
        del view
        return [
            {
                "key": one.name,
                "title": _("Medium {name}").format(name=one.name.upper()),
                "detail": _("{size} free").format(size=one.free) if one.free else one.folder,
                "mark": marks.DONE if one.state == "present" else marks.FAILED,
                "tone": TONES.get(one.state, "warn"),
                "word": one.state_word,
                "arrow": "",
            }
            for one in state.media
        ]

    def pairs(self, state: MediaState, view: str) -> Pairs:
        """What is known of one."""
        return [pair for one in state.media if one.name == view for pair in self._of(one)]

    def choose(self, key: str | int) -> None:
        """Look at one."""
        self.view = str(key)

    def close(self) -> None:
        """The screen is left."""
        super().close()
        self.model.leave()

    def _of(self, one: MediumRow) -> Pairs:
        backups = "" if one.backups is None else str(one.backups)
        never = _("never") if one.backups is not None else ""
        known = [
            (_("State"), one.state_word),
            (_("Folder"), one.folder),
            (_("Device"), one.device),
            (_("Size"), one.size),
            (_("Free"), one.free),
            (_("Backups"), backups),
            (_("Last verified"), day(one.verified) or never),
            (_("Backup"), one.verified_backup),
            (_("Simulated"), _("yes") if one.simulated else _("no")),
        ]
        return [(label, text or marks.NONE) for label, text in known]
