"""Choose work: coding, programming from a stick, or restoring a backup."""

from __future__ import annotations

from functools import partial

from kivy.properties import StringProperty

from ui.i18n import _, n_
from ui.models.work import OptionRow, WorkState
from ui.screens.page import Page, Rows
from ui.screens.sticks import file_rows, is_file
from ui.widgets import kv, listing, marks, values
from ui.widgets.swap import Swap  # noqa: F401 - named by the KV file

RESTORES = (
    ("all", n_("Coding and memory")),
    ("coding", n_("Coding only")),
    ("image", n_("Memory only")),
)


def shown_value(option: OptionRow, value: str) -> str:
    """A value of a field as the profile calls it, with its unit."""
    labels = dict(zip(option.values, option.labels, strict=True))
    return " ".join(filter(None, (labels.get(value, value), option.unit))) if value else marks.NONE


class WorkPage(Page):
    """Bound to `WorkModel`. `picked` is the field of the coding that is being chosen."""

    picked = StringProperty()

    def title(self, state: WorkState, picked: str) -> str:
        """What is asked for."""
        option = self._option(picked)
        if option is not None:
            return option.label
        if state.container is not None:
            return state.container.name
        return {
            "": _("What is to be done?"),
            "coding": _("What is to be coded?"),
            "programming": _("Which file?"),
            "restore": _("What is restored?") if state.backup else _("Which backup?"),
        }[state.kind]

    def rows(self, state: WorkState, picked: str) -> Rows:
        """What can be chosen now."""
        if state.kind == "coding":
            return self._coding(state, picked)
        if state.kind == "programming":
            return self._files(state)
        if state.kind == "restore":
            return self._restore(state)
        kinds = (
            ("programming", _("Programming"), _("Write software from a stick"), state.can_flash),
            ("coding", _("Coding"), _("Change settings of the ECU"), state.can_code),
            (
                "restore",
                _("Restore a backup"),
                _("Put the ECU back to where it was"),
                state.can_code or state.can_flash,
            ),
        )
        return [
            {"key": key, "title": title, "detail": detail}
            for key, title, detail, can in kinds
            if can
        ]

    def hint(self, state: WorkState) -> str:
        """What stands there for an empty list."""
        if state.busy:
            return ""
        if state.kind == "programming" and not state.sticks:
            return _("No stick is plugged in. Plug one in and look again.")
        if state.kind == "restore" and not state.backups:
            return _("There is no backup of this kind of ECU.")
        if state.kind == "programming" and state.folder and not self._files(state):
            return _("Here is no file that could be written.")
        if not state.kind and not self.rows(state, ""):
            return _("The profile of this ECU allows reading only.")
        return ""

    def choose(self, key: str) -> None:
        """Take what was chosen."""
        state: WorkState = self.state
        if state.busy:
            return
        if not state.kind:
            self.model.choose(key)
        elif state.kind == "coding":
            self._choose_value(key)
        elif state.kind == "restore":
            if state.backup:
                self.model.choose_backup(state.backup, key)
            else:
                self.model.choose_backup(key)
        elif is_file(state, key):
            self.model.inspect(key)
        else:
            self.model.enter(key)

    def back(self) -> None:
        """One step back: from a value, a file, a folder, a kind of work, the screen."""
        state: WorkState = self.state
        if self.picked:
            self.picked = ""
        elif state.container is not None:
            self.model.enter(state.folder)
        elif state.backup:
            self.model.choose_backup("")
        elif state.folder and state.parent:
            self.model.enter(state.parent)
        elif state.kind:
            self.model.choose("")
        else:
            self.navigation.back()

    def facts(self, state: WorkState) -> list[tuple[str, str]]:
        """What the chosen file says of itself."""
        return list(state.container.facts) if state.container is not None else []

    def trouble(self, state: WorkState) -> tuple[str, str]:
        """What is wrong: with the chosen file, or with the last question."""
        if state.container is not None and not state.container.usable:
            return state.container.what, state.container.next_step
        return state.what, state.next_step

    def _coding(self, state: WorkState, picked: str) -> Rows:
        option = self._option(picked)
        if option is not None:
            now = option.chosen or option.current
            return [
                {
                    "key": value,
                    "title": label,
                    "mark": marks.NOTE if value == now else marks.WAITING,
                    "detail": _("as it is now") if value == option.current else "",
                }
                for value, label in zip(option.values, option.labels, strict=True)
            ]
        return [
            {
                "key": one.setting,
                "title": one.label,
                "detail": shown_value(one, one.current)
                + (f"  →  {shown_value(one, one.chosen)}" if one.chosen else ""),
                "mark": marks.DONE if one.chosen else marks.WAITING,
            }
            for one in state.options
        ]

    def _files(self, state: WorkState) -> Rows:
        # Only what can be written can be chosen, so only that is shown.
        return file_rows(state, containers=True)

    def _restore(self, state: WorkState) -> Rows:
        if state.backup:
            return [
                {
                    "key": key,
                    "title": _(label),
                    "mark": marks.NOTE if key == state.restore_what else marks.WAITING,
                }
                for key, label in RESTORES
            ]
        return [
            {
                "key": one.backup,
                "title": one.made[:16].replace("T", " "),
                "detail": _("of this job") if one.of_this_job else ", ".join(one.objects),
            }
            for one in state.backups
        ]

    def _choose_value(self, key: str) -> None:
        if self.picked:
            self.model.set_option(self.picked, key)
            self.picked = ""
            return
        option = self._option(key)
        if option is not None and option.values:
            self.picked = key
        elif option is not None:
            now = option.chosen or option.current
            self.edit(option.label, now, partial(self.model.set_option, key), "numbers")

    def _option(self, setting: str) -> OptionRow | None:
        return next((one for one in self.state.options if one.setting == setting), None)


kv.load(listing.__file__)
kv.load(values.__file__)
kv.load(__file__)
