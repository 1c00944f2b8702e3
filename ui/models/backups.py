"""Backups on the two media: which there are, whether they are whole, and what is in them."""

from __future__ import annotations

from msgspec import Struct

from appliance.client import FieldKitError, messages
from ui.models import words
from ui.models.shared import Asking, AskingState, Shared
from ui.models.unlock import WrongTries


class BackupRow(Struct, frozen=True, kw_only=True):
    """A backup. `copies` counts the media it lies on; there should be two."""

    backup: str
    job: str
    ecu: str
    profile: str
    made: str
    objects: tuple[str, ...]
    refused: tuple[str, ...]
    copies: int
    simulated: bool


class CopyRow(Struct, frozen=True, kw_only=True):
    """One copy after it was read again: `whole`, `repaired` or `damaged`."""

    folder: str
    state: str
    found: tuple[str, ...]


class FileInside(Struct, frozen=True, kw_only=True):
    """A file of an opened backup."""

    name: str
    size: str


class BackupsState(AskingState, frozen=True, kw_only=True):
    """Attributes:
    backups: all of them, the job in hand first.
    chosen: the one that is looked at, None for none.
    whole: both copies of it are whole; None while that was not asked.
    copies: what was found of each.
    files: what is in it, once it was opened.
    opened: the sentence that says so.
    wait_s: seconds until another passphrase is looked at.
    """

    backups: tuple[BackupRow, ...] = ()
    chosen: BackupRow | None = None
    whole: bool | None = None
    copies: tuple[CopyRow, ...] = ()
    files: tuple[FileInside, ...] = ()
    opened: str = ""
    wait_s: int = 0


class BackupsModel(Asking[BackupsState]):
    """Lists, verifies and opens backups. What was opened is shown by name and kept nowhere."""

    def __init__(self, shared: Shared) -> None:
        super().__init__(BackupsState(), shared)
        self._tries = WrongTries(shared.backend.now)
        shared.backend.on_tick(self.tick)

    def open(self) -> None:
        """The screen is shown: fetch the list."""
        self.choose("")
        self._ask(lambda client: client.backup_list(), self._found)

    def choose(self, backup: str) -> None:
        """Look at one; an empty id looks at none."""
        row = next((row for row in self.state.backups if row.backup == backup), None)
        self._change(chosen=row, whole=None, copies=(), files=(), opened="", what="", next_step="")

    def verify(self) -> None:
        """Read both copies of the chosen one again; one is repaired from the other."""
        if (chosen := self.state.chosen) is not None:
            self._change(whole=None, copies=())
            self._ask(lambda client: client.backup_verify(chosen.backup), self._verified)

    def open_backup(self, passphrase: str) -> None:
        """Decrypt the chosen one, with the technician's passphrase once more."""
        chosen = self.state.chosen
        if chosen is None or not passphrase or self._tries.left_s:
            return
        self._change(files=(), opened="")
        self._ask(
            lambda client: client.backup_open(chosen.backup, passphrase),
            self._opened,
            self._refused,
        )

    def tick(self) -> None:
        """Count down."""
        self._change(wait_s=self._tries.left_s)

    def _found(self, reply: messages.Backups) -> None:
        rows = [
            BackupRow(
                backup=one.backup,
                job=one.job,
                ecu=one.ecu,
                profile=one.profile,
                made=one.made,
                objects=tuple(one.objects),
                refused=tuple(one.refused),
                copies=len(one.folders),
                simulated=one.simulated,
            )
            for one in reply.backups
        ]
        job = self._shared.desk.state.job
        self._change(backups=tuple(sorted(rows, key=lambda row: row.job != job)))

    def _verified(self, reply: messages.BackupVerified) -> None:
        copies = tuple(
            CopyRow(folder=one.folder, state=one.state, found=tuple(one.found))
            for one in reply.copies
        )
        self._change(whole=reply.whole, copies=copies)

    def _opened(self, reply: messages.Files) -> None:
        self._tries.right()
        files = tuple(
            FileInside(name=one.name, size=words.size(len(one.content))) for one in reply.files
        )
        self._change(files=files, opened=reply.what)

    def _refused(self, error: FieldKitError) -> None:
        self._tries.wrong(error)
        self._tell(error)
        self.tick()
