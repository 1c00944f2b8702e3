"""The thread that hands records over to the workshop whenever that is possible.

It works only while the kit is unlocked, since its keys sign what is sent, and never while a write
runs. What keeps it is told, and tried again by itself with growing, jittered pauses.
"""

from __future__ import annotations

import logging
import random
import shutil
import threading
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from hashlib import sha256
from importlib.metadata import version
from io import BytesIO
from pathlib import Path
from typing import BinaryIO, Literal

from msgspec import structs

from appliance.api.messages import Okay, Sync
from appliance.backups.layout import MANIFEST, SIGNATURE
from appliance.backups.media import media_of
from appliance.errors import NotPermittedError
from appliance.identity import Unlocked
from appliance.identity.wallclock import moment
from appliance.service.book import Book
from appliance.sync.changes import Inbox
from appliance.sync.handover import BlobAway, hand_over
from appliance.sync.hubclient import ComeAgain, Paused
from appliance.sync.outbox import Outbox
from appliance.sync.pairing import Pairing, enrol, load_pairing
from appliance.sync.record import BlobKind, BlobRef
from appliance.sync.requests import kit_id
from hw.config import MediaConfig
from hw.errors import FieldKitError

log = logging.getLogger("fieldkit.sync")

LOOK_S = 30.0
"""So often it looks for jobs that are at rest; whoever changed something wakes it sooner."""
FIRST_PAUSE_S, LONGEST_PAUSE_S, REFUSED_PAUSE_S = 5.0, 600.0, 600.0
PASS_LIMIT_S = 20.0
"""So long somebody who asked for a pass waits for it before being told how far it is."""


@dataclass
class _Kit:
    """What exists only while the kit is unlocked."""

    unlocked: Unlocked
    book: Book
    media: MediaConfig

    def outbox(self) -> Outbox:
        return Outbox(self.book.records, self._backup_files)

    def _backup_files(self, backup: str) -> Sequence[tuple[BlobKind, bytes]] | None:
        for medium in media_of(self.media):
            folder = medium.folder(backup)
            try:
                manifest, signature = (folder / MANIFEST), (folder / SIGNATURE)
                return (
                    ("manifest", manifest.read_bytes()),
                    ("manifest_signature", signature.read_bytes()),
                )
            except OSError:
                continue
        return None

    def open_blob(self, blob: BlobRef) -> BinaryIO:
        """Raises BlobAway where no medium has it."""
        if blob.kind in ("plan", "payload", "container"):
            return BytesIO(self.book.store.blob(blob.sha256))
        for path in self._copies(blob):
            with suppress(OSError):
                if path.stat().st_size == blob.size and _is(path, blob):
                    return path.open("rb")
        raise BlobAway(
            f"No medium that is there has the file {blob.sha256[:16]}… of a backup.",
            "Insert a medium with the backup; the rest is handed over meanwhile.",
        )

    def _copies(self, blob: BlobRef) -> Sequence[Path]:
        names = {"manifest": MANIFEST, "manifest_signature": SIGNATURE}
        name = names.get(blob.kind, f"{blob.sha256}.age")
        return [path for one in media_of(self.media) for path in one.store.glob(f"*/{name}")]


def _is(path: Path, blob: BlobRef) -> bool:
    """Is this the file? An encrypted one is named by its content; the hub computes it again."""
    return path.stem == blob.sha256 or sha256(path.read_bytes()).hexdigest() == blob.sha256


@dataclass
class Syncing:
    """See the module.

    Attributes:
        state: the kit's state folder.
        writing: is a write under way?
        people: held while the kit's technicians are changed.
    """

    state: Path
    writing: Callable[[], bool]
    people: threading.Lock
    _kit: _Kit | None = None
    _view: Sync = field(default_factory=lambda: Sync(state="not_set_up"))
    _wake: threading.Event = field(default_factory=threading.Event)
    _passed: threading.Condition = field(default_factory=threading.Condition)
    _passes: int = 0
    _stop: bool = False
    _pause_s: float = LOOK_S

    def start(self) -> None:
        """Begin."""
        self._thread = threading.Thread(target=self._work, name="sync", daemon=True)
        self._thread.start()

    def close(self) -> None:
        """Stop; what was not handed over waits in the outbox."""
        self._stop = True
        self._wake.set()
        self._thread.join(timeout=5)

    def open(self, unlocked: Unlocked, book: Book, media: MediaConfig) -> None:
        """The kit was unlocked."""
        self._kit = _Kit(unlocked, book, media)
        self._wake.set()

    def shut(self) -> None:
        """The kit is being locked; a pass ends before its next piece."""
        self._kit = None
        self._wake.set()

    def view(self) -> Sync:
        """How it stands."""
        if self._kit is None:
            return structs.replace(self._view, state=self._resting())
        return self._view

    def now(self) -> Sync:
        """Make a pass now; returns how it stands then, or where it is after a while."""
        with self._passed:
            wanted = self._passes + 1
            self._wake.set()
            self._passed.wait_for(lambda: self._passes >= wanted, PASS_LIMIT_S)
        return self.view()

    def enrol(self, code: str) -> Okay:
        """Let this kit in at a workshop.

        Raises:
            NotPermittedError: no owner has the kit.
            FieldKitError: the code is none or not good, or the workshop was not reached.
        """
        kit = self._kit
        if kit is None or kit.unlocked.technician.role != "owner":
            raise NotPermittedError(
                "Only an owner can enrol this kit.", "Let an owner unlock it and do it."
            )
        pairing = enrol(self.state, kit.unlocked.kit_key, code)
        self._wake.set()
        return Okay(what=f"This kit is '{pairing.name}' at the workshop {pairing.address} now.")

    # The thread -------------------------------------------------------------------------------

    def _work(self) -> None:
        while True:
            self._wake.wait(self._pause_s * random.uniform(0.7, 1.3))  # noqa: S311 - no secret
            self._wake.clear()
            if self._stop:
                return
            self._pass()
            with self._passed:
                self._passes += 1
                self._passed.notify_all()

    def _pass(self) -> None:
        kit = self._kit
        try:
            pairing = load_pairing(self.state)
            if pairing is None or kit is None:
                self._view = Sync(state=self._resting())
                return
            self._hand_over(kit, pairing)
        except FieldKitError as error:
            if self._kit is kit:  # Else it was locked meanwhile, which is no failure.
                self._tell(error)
        else:
            self._pause_s = LOOK_S

    def _resting(self) -> Literal["locked", "not_set_up", "paused"]:
        try:
            return "locked" if load_pairing(self.state) is not None else "not_set_up"
        except FieldKitError:
            return "paused"

    def _hand_over(self, kit: _Kit, pairing: Pairing) -> None:
        def may_go_on() -> bool:
            return not self._stop and self._kit is kit and not self.writing()

        self._view = structs.replace(self._view, workshop=pairing.address, kit=pairing.name)
        if not may_go_on():
            self._view = structs.replace(self._view, state="waiting")
            return
        outbox = kit.outbox()
        without_medium = outbox.freeze()
        waiting = len(outbox.items())
        self._view = structs.replace(self._view, state="sending", waiting=waiting)
        with pairing.client(kit.unlocked.kit_key) as hub:
            free = shutil.disk_usage(self.state).free
            hub.hello(version("fieldkit"), free, waiting)
            done = hand_over(outbox, hub, pairing.signers(), kit.open_blob, may_go_on)
            inbox = self._inbox(kit, pairing)
            inbox.fetch(hub.changes, may_go_on)
        left = outbox.items()
        what = next((item.why for item in left if item.why), "")
        if without_medium and not what:
            what = f"{len(without_medium)} jobs wait for a medium with their backup."
        waiting = len(left) + len(without_medium)
        self._view = Sync(
            workshop=pairing.address,
            kit=pairing.name,
            state="waiting" if waiting else "idle",
            waiting=waiting,
            put_aside=len(outbox.items(("QUARANTINED",))),
            changes_put_aside=[aside.why for aside in inbox.put_aside()],
            handed_over=moment().wall if done.handed_over else self._view.handed_over,
            what=what,
            next_step="Insert the medium." if what else "",
        )

    def _inbox(self, kit: _Kit, pairing: Pairing) -> Inbox:
        this = kit_id(kit.unlocked.kit_key.public_key())
        return Inbox(kit.book.store, self.state, this, pairing.signers(), self.people)

    def _tell(self, error: FieldKitError) -> None:
        """Say what keeps it, once for each reason, and take a longer pause."""
        if self._view.what != error.what:
            log.info("Records are not handed over now: %s", error)
        paused = isinstance(error, Paused)
        self._view = structs.replace(
            self._view,
            state="paused" if paused else "waiting",
            what=error.what,
            next_step=error.next_step,
        )
        if paused:
            self._pause_s = REFUSED_PAUSE_S
        elif isinstance(error, ComeAgain):
            before = self._pause_s if self._pause_s != LOOK_S else FIRST_PAUSE_S / 2
            self._pause_s = min(2 * before, LONGEST_PAUSE_S)
        else:
            self._pause_s = LOOK_S
