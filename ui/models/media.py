"""The two backup media: how they are, what is on them, and what to do where one is missing."""

from __future__ import annotations

from msgspec import Struct, structs

from appliance.client import messages
from ui.models import words
from ui.models.shared import Asking, AskingState, Shared


class MediumRow(Struct, frozen=True, kw_only=True):
    """One medium. `what` and `next_step` are empty where it is present; texts are empty, and
    `backups` is None, where a thing is not known.

    Attributes:
        name: `a` or `b`.
        state, state_word: `present`, `missing`, `read_only` or `full`.
        verified: when a backup was last read back whole from it.
    """

    name: str
    state: str
    state_word: str
    what: str
    next_step: str
    folder: str
    free: str
    simulated: bool
    device: str = ""
    size: str = ""
    backups: int | None = None
    verified: str = ""
    verified_backup: str = ""


class MediaState(AskingState, frozen=True, kw_only=True):
    """Both media, a then b; empty while the kit does not tell."""

    media: tuple[MediumRow, ...] = ()


class MediaModel(Asking[MediaState]):
    """Follows the kit's status; asks for the rest whenever a medium comes or goes."""

    def __init__(self, shared: Shared) -> None:
        super().__init__(MediaState(), shared)
        self._use: dict[str, messages.MediumUse] = {}
        self._open = False
        shared.backend.subscribe(lambda _seen: self._look())

    def open(self) -> None:
        """The screen is shown: fetch what is on them."""
        self._open = True
        self._look()
        self._ask(lambda client: client.media(), self._found)

    def leave(self) -> None:
        """The screen is left."""
        self._open = False

    def _look(self) -> None:
        seen = self._shared.backend.state
        told = seen.status.media if seen.status is not None and seen.fresh else []
        before = [row.state for row in self.state.media]
        self._change(media=tuple(_row(one, self._use.get(one.name)) for one in told))
        if self._open and before and before != [row.state for row in self.state.media]:
            self._ask(lambda client: client.media(), self._found)

    def _found(self, reply: messages.Media) -> None:
        self._use = {one.name: one for one in reply.media}
        self._look()


def _row(view: messages.MediumView, use: messages.MediumUse | None) -> MediumRow:
    row = MediumRow(
        name=view.name,
        state=view.state,
        state_word=words.medium_state(view.state),
        what=view.what,
        next_step=view.next_step,
        folder=view.folder,
        free=words.size(view.free_bytes),
        simulated=view.simulated,
    )
    if use is None or view.state == "missing":
        return row
    return structs.replace(
        row,
        device=use.device,
        size=words.size(use.size_bytes),
        backups=use.backups,
        verified=use.verified,
        verified_backup=use.verified_backup,
    )
