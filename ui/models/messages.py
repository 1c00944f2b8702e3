"""Messages over a screen, in three kinds: confirmation, warning, error. One at a time, in order."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

from msgspec import Struct

from appliance.client import FieldKitError
from ui.i18n import _
from ui.models.base import ViewModel

Kind = Literal["", "confirmation", "warning", "error"]


class MessagesState(Struct, frozen=True, kw_only=True):
    """The message that is shown; `kind` is empty while there is none.

    Attributes:
        what, next_step: what is the matter, and what to do now.
        yes: text of the button that goes on; in a warning or error the only one.
        no: text of the button that leaves everything as it is; empty where there is none.
        waiting: further messages behind this one.
    """

    kind: Kind = ""
    what: str = ""
    next_step: str = ""
    yes: str = ""
    no: str = ""
    waiting: int = 0


@dataclass(frozen=True)
class _Message:
    state: MessagesState
    confirmed: Callable[[], None] | None = None


class MessagesModel(ViewModel[MessagesState]):
    """Shows messages. Nothing that is asked happens unless `confirm` is called."""

    def __init__(self) -> None:
        super().__init__(MessagesState())
        self._messages: list[_Message] = []

    def ask(self, what: str, next_step: str, yes: str, confirmed: Callable[[], None]) -> None:
        """A confirmation: `confirmed` is called if the person says so, with the button `yes`."""
        state = MessagesState(
            kind="confirmation", what=what, next_step=next_step, yes=yes, no=_("Cancel")
        )
        self._put(_Message(state, confirmed))

    def warn(self, what: str, next_step: str) -> None:
        """A warning: something that must be known before going on."""
        self._put(
            _Message(MessagesState(kind="warning", what=what, next_step=next_step, yes=_("OK")))
        )

    def error(self, error: FieldKitError) -> None:
        """An error, in its own sentences."""
        state = MessagesState(kind="error", what=error.what, next_step=error.next_step, yes=_("OK"))
        self._put(_Message(state))

    def confirm(self) -> None:
        """The person pressed the button that goes on."""
        if self._messages:
            message = self._messages.pop(0)
            self._show()
            if message.confirmed is not None:
                message.confirmed()

    def dismiss(self) -> None:
        """The person leaves it: nothing happens."""
        if self._messages:
            self._messages.pop(0)
            self._show()

    def clear(self) -> None:
        """Take away all messages, because what they are about is over."""
        self._messages.clear()
        self._show()

    def _put(self, message: _Message) -> None:
        # The same sentence twice in a row says nothing new.
        if any(one.state == message.state and one.confirmed is None for one in self._messages):
            return
        self._messages.append(message)
        self._show()

    def _show(self) -> None:
        shown = self._messages[0].state if self._messages else MessagesState()
        self._change(
            kind=shown.kind,
            what=shown.what,
            next_step=shown.next_step,
            yes=shown.yes,
            no=shown.no,
            waiting=max(0, len(self._messages) - 1),
        )
