"""What every model is given, and `Asking`: a model that asks the appliance and says how it went."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeVar

from msgspec import Struct

from appliance.client import Client, FieldKitError
from ui.models.backend import Backend
from ui.models.base import ViewModel
from ui.models.desk import Desk
from ui.models.messages import MessagesModel
from ui.models.navigation import NavigationModel


@dataclass(frozen=True)
class Shared:
    """One of each for the whole screen.

    Attributes:
        backend: the appliance.
        navigation: which screen is shown.
        messages: what is asked or said over it.
        desk: the job in hand.
    """

    backend: Backend
    navigation: NavigationModel
    messages: MessagesModel
    desk: Desk


class AskingState(Struct, frozen=True, kw_only=True):
    """Part of each state: whether an answer is awaited, and what was said to the last question.

    Attributes:
        busy: the appliance is at it.
        what, next_step: the last error, in the appliance's own sentences; empty for none.
    """

    busy: bool = False
    what: str = ""
    next_step: str = ""


A = TypeVar("A", bound=AskingState)
R = TypeVar("R")


class Asking(ViewModel[A]):
    """A model that asks the appliance.

    Only its newest question counts: an older one that is still under way is not heard any more.
    """

    def __init__(self, first: A, shared: Shared) -> None:
        super().__init__(first)
        self._shared = shared

    def _ask(
        self,
        action: Callable[[Client], R],
        done: Callable[[R], None],
        failed: Callable[[FieldKitError], None] | None = None,
        *,
        key: str = "",
    ) -> None:
        """Ask; `busy` until the answer is there."""
        self._change(busy=True, what="", next_step="")

        def answered(reply: R) -> None:
            self._change(busy=False)
            done(reply)

        def refused(error: FieldKitError) -> None:
            self._change(busy=False)
            (failed or self._tell)(error)

        self._shared.backend.call(action, answered, refused, key or type(self).__name__)

    def _tell(self, error: FieldKitError) -> None:
        """Show an error as it came."""
        self._change(what=error.what, next_step=error.next_step)

    def _forget(self) -> None:
        """Whatever was asked is not wanted any more."""
        self._shared.backend.forget(type(self).__name__)
        self._change(busy=False)
