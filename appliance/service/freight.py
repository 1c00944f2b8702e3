"""What an unlocked kit has to hand over: its outbox, and the files that belong to records."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from hashlib import sha256
from io import BytesIO
from pathlib import Path
from typing import BinaryIO

from appliance.backups.layout import MANIFEST, SIGNATURE
from appliance.backups.media import media_of
from appliance.identity import Unlocked
from appliance.service.book import Book
from appliance.sync.handover import BlobAway
from appliance.sync.outbox import Outbox
from appliance.sync.record import BlobKind, BlobRef
from appliance.sync.rest import Rested
from appliance.sync.silence import Silence
from hw import clock
from hw.config import MediaConfig, SyncConfig


@dataclass(frozen=True)
class Freight:
    """Exists only while the kit is unlocked.

    Attributes:
        opened: when that began, in seconds since boot.
    """

    unlocked: Unlocked
    book: Book
    media: MediaConfig
    config: SyncConfig
    opened: float = field(default_factory=clock.now)

    @property
    def outbox(self) -> Outbox:
        """What is on its way."""
        return Outbox(self.book.records, self._backup_files)

    @property
    def silence(self) -> Silence:
        """How long the workshop was not heard."""
        return Silence(self.book.store)

    @property
    def at_rest(self) -> Rested:
        """Says which jobs nobody works on now."""
        return Rested(self.opened, self.config.quiet_s)

    def open_blob(self, blob: BlobRef) -> BinaryIO:
        """A file that belongs to a record.

        Raises:
            BlobAway: no medium that is there has it.
        """
        if blob.kind in ("plan", "payload", "container"):
            return BytesIO(self.book.store.blob(blob.sha256))
        for medium in media_of(self.media):
            with suppress(OSError):  # It was pulled, or is failing; the other one has a copy.
                for path in medium.store.glob(f"*/{_name(blob)}"):
                    if path.stat().st_size == blob.size and _is(path, blob):
                        return path.open("rb")
        raise BlobAway(
            f"No medium that is there has the file {blob.sha256[:16]}… of a backup.",
            "Insert a medium with the backup; the rest is handed over meanwhile.",
        )

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


def _name(blob: BlobRef) -> str:
    """Of its file in a backup's folder."""
    names = {"manifest": MANIFEST, "manifest_signature": SIGNATURE}
    return names.get(blob.kind, f"{blob.sha256}.age")


def _is(path: Path, blob: BlobRef) -> bool:
    """Is this the file? An encrypted one is named by its content; the hub computes it again."""
    return path.stem == blob.sha256 or sha256(path.read_bytes()).hexdigest() == blob.sha256
