"""Backups as a record names them: which of its files belong to which."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise

from appliance.records.chain import read_event
from appliance.records.events import BackupMade, StoredObject
from appliance.sync.record import BlobRef, Record


@dataclass(frozen=True)
class KeptBackup:
    """A backup of an ECU at the workshop.

    Attributes:
        job, kit: of which job, and who made it.
        manifest, signature: SHA-256 of the two files; empty where the record does not name it.
        objects: its encrypted files.
    """

    backup: str
    ecu: str
    job: str
    kit: str
    manifest: str
    signature: str
    objects: tuple[StoredObject, ...]


def backups_of(record: Record) -> Iterator[KeptBackup]:
    """The backups that were made in a record's stretch of its job.

    Raises:
        ChainBroken: an event cannot be read.
    """
    signatures = _signatures(record.blobs)
    for seq, event in enumerate(record.events, start=record.first):
        if '"kind":"backup_made"' not in event.document:
            continue  # Most events are not, and reading one takes its time.
        body = read_event(record.job, seq, event.document.encode(), event.signature.encode()).body
        if isinstance(body, BackupMade):
            yield KeptBackup(
                backup=body.backup,
                ecu=body.ecu,
                job=record.job,
                kit=record.kit,
                manifest=body.manifest_sha256,
                signature=signatures.get(body.manifest_sha256, ""),
                objects=tuple(body.objects),
            )


def _signatures(blobs: list[BlobRef]) -> dict[str, str]:
    """Manifests and their signatures, which a kit names right behind them."""
    pairs = pairwise(blobs)
    return {
        one.sha256: other.sha256
        for one, other in pairs
        if (one.kind, other.kind) == ("manifest", "manifest_signature")
    }
