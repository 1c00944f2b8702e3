"""The backups that lie at the hub, as the office lists them and has them read again.

What is checked is that every encrypted file is there with the hash that the kit signed. What is
inside stays closed: only `fieldkit workshop open` decrypts, and that is written down.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Literal, Protocol

import msgspec
from msgspec import Struct

from appliance.sync.record import Record
from appliance.workshop.errors import HubUnavailable, NotThere
from appliance.workshop.keptbackups import KeptBackup, backups_of
from appliance.workshop.tables import HubDatabase, Models

CheckState = Literal["unchecked", "whole", "damaged"]


class Store(Protocol):
    """What a check needs of `appliance.workshop.blobs.Blobs`."""

    def size(self, sha256: str) -> int | None:
        """See there."""

    def read_again(self, sha256: str) -> Iterator[bytes]:
        """See there."""


class BackupFile(Struct, frozen=True, kw_only=True):
    """A file of a backup: what is in it, and its content's SHA-256; -1 for a size not named."""

    kind: str
    sha256: str
    size: int = -1


@dataclass(frozen=True)
class ListedBackup:
    """A backup in a list.

    Attributes:
        number: in the order of arrival.
        received, checked: when it came and when it was last read again, in seconds since 1970;
            0 for never.
        found: what was not right then, empty for nothing.
    """

    number: int
    backup: str
    job: str
    kit: str
    ecu: str
    received: int
    files: Sequence[BackupFile]
    checked: int
    found: str

    @property
    def state(self) -> CheckState:
        """What is known of its files."""
        if not self.checked:
            return "unchecked"
        return "damaged" if self.found else "whole"

    @property
    def size(self) -> int:
        """Bytes of its encrypted files."""
        return sum(file.size for file in self.files if file.size > 0)


def list_backups(tables: Models, record: Record, now: int) -> None:
    """Note the backups of a record that is being taken."""
    for one in backups_of(record):
        row = {
            "backup": one.backup,
            "job": one.job,
            "kit": one.kit,
            "ecu": one.ecu,
            "received": now,
            "files": msgspec.json.encode(list(_files(one))),
        }
        tables.backups.insert(row).on_conflict_ignore().execute()


def newest_backups(database: HubDatabase, before: int = 0, limit: int = 50) -> list[ListedBackup]:
    """The newest backups, those before a number where one is given."""
    with database.reading() as tables:
        backups = tables.backups
        query = backups.select().order_by(backups.number.desc()).limit(limit)
        return [_listed(row) for row in (query.where(backups.number < before) if before else query)]


def backups_of_job(database: HubDatabase, job: str) -> list[ListedBackup]:
    """The backups of a job, the oldest first."""
    with database.reading() as tables:
        backups = tables.backups
        return [
            _listed(row)
            for row in backups.select().where(backups.job == job).order_by(backups.number)
        ]


def damaged_backups(database: HubDatabase, limit: int = 50) -> list[ListedBackup]:
    """The backups in which something was not right when they were read last, the newest first."""
    with database.reading() as tables:
        backups = tables.backups
        query = backups.select().where(backups.damaged > 0).order_by(backups.number.desc())
        return [_listed(row) for row in query.limit(limit)]


def count_damaged(database: HubDatabase) -> int:
    """How many backups `damaged_backups` has without a limit."""
    with database.reading() as tables:
        return int(tables.backups.select().where(tables.backups.damaged > 0).count())


def check_backup(
    database: HubDatabase, blobs: Store, backup: str, now: Callable[[], float]
) -> ListedBackup:
    """Read every file of a backup again, and note what was found.

    Raises:
        NotThere: there is no such backup.
        HubUnavailable: the store or the database does not answer; nothing is noted.
    """
    listed = _get(database, backup)
    found = "; ".join(filter(None, (_wrong(blobs, file) for file in listed.files)))
    row = {"checked": int(now()), "found": found, "damaged": int(bool(found))}
    backups = database.tables.backups
    database.write(lambda _: backups.update(row).where(backups.backup == backup).execute())
    return _get(database, backup)


def mark_damaged(tables: Models) -> None:
    """Mark those in which something was found before there were marks."""
    tables.backups.update(damaged=1).where(tables.backups.found > "").execute()


def _get(database: HubDatabase, backup: str) -> ListedBackup:
    with database.reading() as tables:
        row = tables.backups.get_or_none(tables.backups.backup == backup)
    if row is None:
        raise NotThere(f"There is no backup {backup}.", "Look at the list of backups.")
    return _listed(row)


def _wrong(blobs: Store, file: BackupFile) -> str:
    """What is not right with a file, empty for nothing."""
    computed, size = hashlib.sha256(), 0
    try:
        for part in blobs.read_again(file.sha256):
            computed.update(part)
            size += len(part)
    except HubUnavailable as error:
        blobs.size(file.sha256)  # Fails as well where it is not the file but the store.
        return f"{file.kind}: {error.what.rstrip('.')}"
    if computed.hexdigest() == file.sha256:
        return ""
    return f"{file.kind}: {size} bytes with the hash {computed.hexdigest()[:16]}…"


def _files(backup: KeptBackup) -> Iterator[BackupFile]:
    yield BackupFile(kind="manifest", sha256=backup.manifest)
    if backup.signature:
        yield BackupFile(kind="signature of the manifest", sha256=backup.signature)
    for one in backup.objects:
        yield BackupFile(kind=one.kind, sha256=one.sha256, size=one.size)


def _listed(row: Any) -> ListedBackup:
    return ListedBackup(
        row.number,
        row.backup,
        row.job,
        row.kit,
        row.ecu,
        row.received,
        msgspec.json.decode(bytes(row.files), type=list[BackupFile]),
        row.checked,
        row.found,
    )
