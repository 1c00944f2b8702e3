"""Technicians: who can unlock the kit, a new one, and one's own passphrase."""

from __future__ import annotations

from ui.i18n import _
from ui.models import words
from ui.models.technicians import ROLES, TechniciansState
from ui.screens.page import Rows
from ui.screens.sheet import Sheet
from ui.widgets import marks
from ui.widgets.keyboard import HIDDEN


class TechniciansPage(Sheet):
    """Bound to `TechniciansModel`. `view` is `role` while that is being chosen."""

    def title(self, state: TechniciansState, view: str) -> str:
        """What is filled in, or all of them."""
        if view:
            return _("Role")
        return {"add": _("New technician"), "change": _("Your passphrase")}.get(
            state.form, _("Technicians")
        )

    def hint(self, state: TechniciansState, view: str) -> str:
        """A pause, what does not fit, what was done, or who may add."""
        if view:
            return _("An owner can add technicians; apart from that both may do the same.")
        if state.wait_s:
            return _("Wait {seconds} s before the next try.").format(seconds=state.wait_s)
        if state.same is False:
            return f"{marks.WARNING} {_('The two passphrases differ.')}"
        if state.done:
            return f"{marks.DONE} {state.done}"
        if not state.form and not state.can_add:
            return _("Only an owner of this kit can add technicians.")
        return ""

    def rows(self, state: TechniciansState, view: str) -> Rows:
        """All of them and what can be done, or the form."""
        if view:
            return [
                {
                    "key": role,
                    "title": words.role(role),
                    "mark": marks.NOTE if role == state.role else marks.WAITING,
                }
                for role in ROLES
            ]
        return self._form(state) if state.form else self._everybody(state)

    def action(self, state: TechniciansState, view: str) -> str:
        """What is done with the form."""
        if view or not state.can_send:
            return ""
        return _("Add") if state.form == "add" else _("Change")

    def choose(self, key: str | int) -> None:
        """Fill in a line, or begin with a form."""
        if self.view:
            self.view = ""
            self.model.put("role", key)
        elif not self.state.form:
            if key in {"add", "change"}:
                self.model.fill_in(key)
        elif key == "role":
            self.view = "role"
        elif key == "name":
            self.edit(
                _("Name"), self.state.name, lambda text: self.model.put("name", text), longest=32
            )
        else:
            label = _("New passphrase") if key == "new" else _("Once more")
            self.edit(label, "", lambda text: self.model.put(key, text), secret=True)

    def act(self) -> None:
        """Ask who has the kit for their passphrase, and do it."""
        own = self.state.form == "change"
        label = _("Your passphrase until now") if own else _("Your own passphrase")
        self.edit(label, "", self.model.send, secret=True)

    def back(self) -> None:
        """From the role to the form, from there to all, from there away."""
        if self.view or not self.state.form:
            super().back()
        else:
            self.model.open()

    def close(self) -> None:
        """The screen is left, and nothing of a passphrase is kept."""
        super().close()
        self.model.leave()

    def _everybody(self, state: TechniciansState) -> Rows:
        doable = [("add", _("New technician"), _("Add"))] * state.can_add
        doable += [("change", _("Your passphrase"), _("Change"))] * bool(state.me)
        rows: Rows = [
            {"key": key, "title": title, "detail": detail} for key, title, detail in doable
        ]
        rows += [
            {
                "key": "",
                "title": one.name,
                "detail": words.role(one.role),
                "mark": marks.NOTE if one.name == state.me else marks.WAITING,
                "arrow": "",
            }
            for one in state.technicians
        ]
        return rows

    def _form(self, state: TechniciansState) -> Rows:
        again = {None: marks.NONE, True: _("The same"), False: _("Not the same")}[state.same]
        lines = [
            ("name", _("Name"), state.name or marks.NONE),
            ("role", _("Role"), words.role(state.role)),
        ] * (state.form == "add") + [
            (
                "new",
                _("New passphrase"),
                HIDDEN * min(state.typed, 16) or _("10 characters or more"),
            ),
            ("again", _("Once more"), again),
        ]
        return [
            {
                "key": key,
                "title": title,
                "detail": detail,
                "arrow": marks.FORWARD if key == "role" else "",
            }
            for key, title, detail in lines
        ]
