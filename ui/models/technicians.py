"""Technicians: who can unlock the kit, a new one, and one's own passphrase."""

from __future__ import annotations

from typing import Literal

from appliance.client import Client, FieldKitError, messages
from ui.i18n import _
from ui.models.shared import Asking, AskingState, Shared
from ui.models.unlock import TechnicianRow, WrongTries

Form = Literal["", "add", "change"]
OWNER = "owner"
ROLES = ("technician", OWNER)


class TechniciansState(AskingState, frozen=True, kw_only=True):
    """No passphrase is part of it, only how long it is.

    Attributes:
        technicians: all of them, by name.
        me: who has the kit.
        can_add: they are an owner.
        form: what is being filled in: a new technician, or one's own new passphrase.
        name, role: of the new one.
        typed: characters of the new passphrase.
        same: whether it was typed the same twice; None while it was not typed twice.
        can_send: all is there but the passphrase of who has the kit.
        done: what was done last, in one sentence.
        wait_s: seconds until a passphrase is looked at again.
    """

    technicians: tuple[TechnicianRow, ...] = ()
    me: str = ""
    can_add: bool = False
    form: Form = ""
    name: str = ""
    role: str = ROLES[0]
    typed: int = 0
    same: bool | None = None
    can_send: bool = False
    done: str = ""
    wait_s: int = 0


class TechniciansModel(Asking[TechniciansState]):
    """Lists technicians and fills in the two forms; the appliance says what can be taken."""

    def __init__(self, shared: Shared) -> None:
        super().__init__(TechniciansState(), shared)
        self._tries = WrongTries(shared.backend.now)
        self._new = self._again = ""
        shared.backend.on_tick(self.tick)

    def open(self) -> None:
        """The screen is shown: fetch who there is."""
        status = self._shared.backend.state.status
        self.leave()
        self._change(
            me=status.technician if status is not None else "",
            can_add=status is not None and status.role == OWNER,
            what="",
            next_step="",
            done="",
        )
        self._ask(lambda client: client.technicians(), self._found)

    def leave(self) -> None:
        """What was filled in is not kept, a passphrase least of all."""
        self._new = self._again = ""
        self._change(form="", name="", role=ROLES[0])
        self._look()

    def fill_in(self, form: Form) -> None:
        """Begin with a form."""
        self.leave()
        self._change(form=form, what="", next_step="", done="")

    def put(self, name: str, text: str) -> None:
        """Fill in one of `name`, `role`, `new` and `again`; the latter two are the passphrase."""
        if name == "new":
            self._new, self._again = text, ""
        elif name == "again":
            self._again = text
        else:
            self._change(**{name: text.strip()})
        self._change(what="", next_step="")
        self._look()

    def send(self, passphrase: str) -> None:
        """Do it, with the passphrase of who has the kit."""
        state, new = self.state, self._new
        if not state.can_send or not passphrase:
            return

        def action(client: Client) -> messages.Okay:
            if state.form == "add":
                return client.technician_add(state.name, state.role, new, passphrase)
            return client.passphrase_change(passphrase, new)

        self._ask(action, lambda _okay: self._did(state), self._refused)
        self._look()

    def tick(self) -> None:
        """Count down."""
        if self.state.wait_s != self._tries.left_s:
            self._look()

    def _look(self) -> None:
        state, wait_s = self.state, self._tries.left_s
        same = self._new == self._again if self._again else None
        self._change(
            typed=len(self._new),
            same=same,
            wait_s=wait_s,
            can_send=bool(
                (state.form == "change" or (state.form == "add" and state.name))
                and same
                and not wait_s
                and not state.busy
            ),
        )

    def _found(self, reply: messages.Technicians) -> None:
        rows = tuple(TechnicianRow(name=one.name, role=one.role) for one in reply.technicians)
        for one in reply.technicians:
            if one.name == self.state.me:
                self._tries.wait(one.wait_s)
        self._change(technicians=rows)
        self._look()

    def _did(self, state: TechniciansState) -> None:
        self._tries.right()
        self.leave()
        added = _("{name} can now unlock this kit.").format(name=state.name)
        self._change(done=added if state.form == "add" else _("Your passphrase is changed."))
        self._ask(lambda client: client.technicians(), self._found)

    def _refused(self, error: FieldKitError) -> None:
        self._tries.wrong(error)
        self._tell(error)
        self._look()
