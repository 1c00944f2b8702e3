"""Opening backups at the workshop: with its own age identity, and never without a trace.

Who did it, when, why and what is in the database before the first file has its name. The folder
then holds a vehicle's data in the clear: removing it is up to the person.
"""

from __future__ import annotations

import os
import pwd
import secrets
import shutil
from dataclasses import dataclass
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from appliance import ids
from appliance.age import Identity, decrypt, parse_identity
from appliance.backups.contents import unpack
from appliance.backups.layout import BackupDamagedError, object_name, trust_manifest
from appliance.durable import create_durably, sync_folder
from appliance.identity.trust import KIT
from appliance.sync.record import open_record, record_signers
from appliance.workshop.hub import Hub
from appliance.workshop.keptbackups import KeptBackup, backups_of
from appliance.workshop.keys import IDENTITY
from hw.errors import BadInputError, UsageError
from hw.sshsig import AllowedSigners, Signer, parse_public_line
from hw.statements import NAMESPACE_BACKUP


@dataclass(frozen=True)
class Opened:
    """What was decrypted: the backups, and the files that were written."""

    backups: tuple[KeptBackup, ...]
    files: tuple[Path, ...]


@dataclass(frozen=True)
class Opener:
    """Decrypts what lies at a hub.

    Attributes:
        hub: the workshop's.
        keys: the folder of its keys.
        who: the person, as the database will name them.
    """

    hub: Hub
    keys: Path
    who: str

    def open(self, wanted: str, folder: Path, reason: str) -> Opened:
        """Decrypt one backup, or all of a job; a folder for each, and in it one for each kind.

        Args:
            wanted: id of a job or of a backup.
            folder: empty or not there yet.
            reason: why, in the person's words.

        Raises:
            UsageError: no reason was given, the folder is not empty or cannot be written, or there
                is no such job or backup.
            BackupDamagedError, SignatureError: it is not what the kit signed.
            BadInputError: it was not made for this workshop's identity, or is damaged.
            HubError: database or store do not answer.
        """
        if not reason.strip():
            raise UsageError("A reason is needed.", "Say with --reason why it is opened.")
        found = self._find(wanted)
        identity = self._identity()
        stage = folder.with_name(f".{folder.name}.{secrets.token_hex(4)}.opening")
        try:
            if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
                raise UsageError(
                    f"{folder} is not an empty folder.", "Name a folder that is empty or new."
                )
            folder.parent.mkdir(parents=True, exist_ok=True)
            stage.mkdir(mode=0o700)
            files = [path for one in found for path in self._decrypt(one, identity, stage)]
            self._note(found, reason.strip())
            stage.rename(folder)
            sync_folder(folder.parent)
        except OSError as error:
            raise UsageError(
                f"The backup cannot be opened to {folder}: {error.strerror}.",
                "Name another folder.",
            ) from error
        finally:
            shutil.rmtree(stage, ignore_errors=True)
        return Opened(tuple(found), tuple(folder / path.relative_to(stage) for path in files))

    def _find(self, wanted: str) -> list[KeptBackup]:
        of_job = self._of_job(wanted)
        if not of_job and (job := self._job_of(wanted)):
            of_job = [one for one in self._of_job(job) if one.backup == wanted]
        if not of_job:
            raise UsageError(
                f"No backup of a job {wanted}, and no backup of that id, is here.",
                "Look for the job at the office; its backups have ids of their own.",
            )
        return of_job

    def _of_job(self, job: str) -> list[KeptBackup]:
        with self.hub.database.reading() as tables:
            records = tables.records
            rows = list(records.select().where(records.job == job).order_by(records.first))
        return [
            backup
            for row in rows
            for backup in backups_of(
                open_record(bytes(row.body), record_signers(self._key(row.kit))).record
            )
        ]

    def _job_of(self, backup: str) -> str:
        with self.hub.database.reading() as tables:
            row = tables.backups.get_or_none(tables.backups.backup == backup)
        return str(row.job) if row is not None else ""

    def _key(self, kit: str) -> Ed25519PublicKey:
        with self.hub.database.reading() as tables:
            return parse_public_line(tables.kits.get_by_id(kit).key)

    def _identity(self) -> Identity:
        path = self.keys / IDENTITY
        try:
            lines = path.read_text().splitlines()
        except OSError as error:
            raise BadInputError(
                f"The workshop's age identity {path} cannot be read: {error.strerror}.",
                "Run it as who runs the workshop; or open the files with the recovery identity.",
            ) from error
        return parse_identity(next((one for one in lines if not one.startswith("#")), ""))

    def _decrypt(self, backup: KeptBackup, identity: Identity, stage: Path) -> list[Path]:
        key = self._key(backup.kit).public_bytes_raw()
        signers = AllowedSigners((Signer((KIT,), frozenset({NAMESPACE_BACKUP}), key),))
        trusted = trust_manifest(
            self._read(backup.manifest), self._read(backup.signature), signers, backup.backup
        )
        place = stage / backup.backup
        place.mkdir(mode=0o700)
        written = []
        for item in trusted.manifest.objects:
            content = self._read(item.sha256)
            if not trusted.is_good(object_name(item), content):
                raise BackupDamagedError(
                    f"The file {item.sha256} of backup {backup.backup} is damaged in the store.",
                    "Put it back from an export, or open the backup on a medium of the kit.",
                )
            target = place / item.kind
            target.mkdir(mode=0o700)
            for name, data in unpack(item.kind, decrypt(content, identity)).items():
                create_durably(target / name, data)
                written.append(target / name)
            sync_folder(target)
        return written

    def _read(self, sha256: str) -> bytes:
        return b"".join(self.hub.blobs.read(sha256))

    def _note(self, backups: list[KeptBackup], reason: str) -> None:
        opened = int(self.hub.now())
        rows = [
            {
                "id": ids.uuid7(),
                "opened": opened,
                "who": self.who,
                "reason": reason,
                "kit": one.kit,
                "job": one.job,
                "backup": one.backup,
            }
            for one in backups
        ]
        self.hub.database.write(lambda tables: tables.openings.insert_many(rows).execute())


def person() -> str:
    """Who is at the machine: the operating system's name, and whose it was before sudo."""
    user = os.getuid()
    try:
        name = pwd.getpwuid(user).pw_name
    except KeyError:
        name = str(user)
    before = os.environ.get("SUDO_USER", "")
    return f"{name} (sudo by {before})" if before else name
