"""Backups: all of them, both copies read again, and what is in one."""

from __future__ import annotations

from ui.i18n import _, n_
from ui.models.backups import BackupRow, BackupsState
from ui.screens.page import Page, Rows
from ui.widgets import kv, listing, marks, values
from ui.widgets.swap import Swap  # noqa: F401 - named by the KV file

COPIES = {
    "whole": f"{marks.DONE} ",
    "repaired": f"{marks.WARNING} ",
    "damaged": f"{marks.FAILED} ",
}
COPY_WORDS = {"whole": n_("whole"), "repaired": n_("repaired"), "damaged": n_("damaged")}


def day(made: str) -> str:
    """A wall time as people read it."""
    return made[:16].replace("T", " ")


class BackupsPage(Page):
    """Bound to `BackupsModel`."""

    def rows(self, backups: tuple[BackupRow, ...]) -> Rows:
        """Each backup: when, of what, on how many media."""
        return [
            {
                "key": one.backup,
                "title": f"{day(one.made)} · {one.ecu}",
                "detail": _("{count} of 2 copies").format(count=one.copies),
                "mark": marks.DONE if one.copies == 2 else marks.WARNING,
                "tone": "good" if one.copies == 2 else "warn",
            }
            for one in backups
        ]

    def pairs(self, state: BackupsState) -> list[tuple[str, str]]:
        """What is known of the chosen one."""
        one = state.chosen
        if one is None:
            return []
        pairs = [
            (_("ECU"), one.ecu),
            (_("Made"), day(one.made)),
            (_("Objects"), ", ".join(one.objects)),
            (_("Refused by the ECU"), ", ".join(one.refused)),
            (_("Copies"), _("{count} of 2 copies").format(count=one.copies)),
        ]
        pairs += [
            (
                copy.folder.rsplit("/", 1)[-1],
                COPIES[copy.state] + "; ".join((_(COPY_WORDS[copy.state]), *copy.found)),
            )
            for copy in state.copies
        ]
        pairs += [(file.name, file.size) for file in state.files]
        return [(label, text) for label, text in pairs if text]

    def hint(self, state: BackupsState) -> str:
        """What stands there for an empty list, a pause, and an opened backup."""
        if state.wait_s:
            return _("Wait {seconds} s before the next try.").format(seconds=state.wait_s)
        if state.opened:
            return f"{marks.DONE} {state.opened}"
        if not state.backups and not state.busy and not state.what:
            return _("There are no backups on the two media.")
        return ""

    def ask(self) -> None:
        """Open the keyboard for the passphrase."""
        self.edit(_("Passphrase"), "", self.model.open_backup, secret=True)

    def back(self) -> None:
        """From one backup to all, from there away."""
        if self.state.chosen is not None:
            self.model.choose("")
        else:
            self.navigation.back()


kv.load(listing.__file__)
kv.load(values.__file__)
kv.load(__file__)
