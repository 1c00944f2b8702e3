"""Getting at what a backup holds: decrypted to a folder, or in memory for a restore."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

from appliance.age import decrypt
from appliance.backups.check import examine
from appliance.backups.contents import (
    CODING,
    KNOWN_GOOD,
    ContentsError,
    Kind,
    identity_of,
    regions_of,
    unpack,
)
from appliance.backups.layout import TrustedManifest
from appliance.backups.make import kit_signers
from appliance.durable import create_durably, sync_folder
from appliance.identity.unlocking import Unlocked
from hw.config import MediaConfig
from hw.errors import UsageError
from hw.plan import IdentityValue
from hw.statements import BackupManifest, identity_digest


@dataclass(frozen=True)
class BackupContent:
    """A backup in the clear. Keep it in memory only.

    Attributes:
        manifest: as signed by the kit.
        manifest_sha256: its name.
        identity: the identification values of the ECU that it was made of.
        coding: the coding snapshot, JSON.
        images: bytes of each memory region, by region name; empty where readout was refused.
        known_good: the file that stands in for a refused image, else None.
    """

    manifest: BackupManifest
    manifest_sha256: str
    identity: list[IdentityValue] = field(repr=False)
    coding: bytes = field(repr=False)
    images: dict[str, bytes] = field(repr=False)
    known_good: bytes | None = field(repr=False)


def read_backup(unlocked: Unlocked, media: MediaConfig, backup: str) -> BackupContent:
    """Verify a backup and decrypt it in memory, each file from a copy that is whole.

    One medium is enough.

    Raises:
        UsageError: no medium knows that backup.
        BackupDamagedError: a file is bad on both media.
        BadInputError: it was not made for this kit's identity, or its content is damaged.
    """
    trusted, opened = _open(unlocked, media, backup)
    manifest, coding = trusted.manifest, opened.get("coding", {})
    identity = identity_of(coding)
    if identity_digest(bytes.fromhex(manifest.identity_salt), identity) != manifest.identity_sha256:
        raise ContentsError(
            "The identity inside the backup is not the one that its manifest was signed for.",
            "Do not restore this backup.",
        )
    return BackupContent(
        manifest=manifest,
        manifest_sha256=trusted.sha256,
        identity=identity,
        coding=coding[CODING],
        images=regions_of(opened["image"]) if "image" in opened else {},
        known_good=opened["known_good"][KNOWN_GOOD] if "known_good" in opened else None,
    )


def open_backup(unlocked: Unlocked, media: MediaConfig, backup: str, folder: Path) -> list[Path]:
    """Decrypt a backup to a folder, as the stock commands would; the folder is for the owner only.

    The folder then holds the vehicle's data in the clear: removing it is up to the person.

    Args:
        unlocked: the opened kit.
        media: the two mount points; one medium is enough.
        backup: the backup's id.
        folder: a folder that is empty or not there yet.

    Returns:
        The files that were written.

    Raises:
        UsageError: the folder is not empty or cannot be written; or as `read_backup`.
        BackupDamagedError, BadInputError: as `read_backup`.
    """
    _, opened = _open(unlocked, media, backup)
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        if any(folder.iterdir()):
            raise UsageError(
                f"The folder {folder} is not empty.", "Name a folder that is empty or new."
            )
        folder.chmod(0o700)
        return [path for kind, files in opened.items() for path in _write(folder / kind, files)]
    except OSError as error:
        raise UsageError(
            f"The backup cannot be opened to {folder}: {error.strerror}.", "Name another folder."
        ) from error


def _open(
    unlocked: Unlocked, media: MediaConfig, backup: str
) -> tuple[TrustedManifest, dict[Kind, dict[str, bytes]]]:
    trusted, objects = examine(media, backup, kit_signers(unlocked)).whole()
    opened: dict[Kind, dict[str, bytes]] = {
        item.kind: unpack(item.kind, decrypt(objects[name], unlocked.kit_identity))
        for name, item in trusted.objects.items()
    }
    return trusted, opened


def _write(folder: Path, files: dict[str, bytes]) -> list[Path]:
    folder.mkdir(mode=0o700)
    for name, data in files.items():
        create_durably(folder / name, data)
    sync_folder(folder)
    return [folder / name for name in files]
