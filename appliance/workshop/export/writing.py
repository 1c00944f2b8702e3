"""Writing an export: whole, or not signed and to be gone on with.

A list that is half written never has its name, a blob has it only once its content was right, and
the signature over all comes last. So what was cut off is seen, and done again it goes on: blobs
that are there and right are not copied twice.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from appliance.durable import sync_folder, write_durably
from appliance.identity.trust import WORKSHOP
from appliance.sync.receipt import NAMESPACE_RECEIPT
from appliance.sync.record import Signed, open_record, record_signers
from appliance.workshop.blobs import Blobs
from appliance.workshop.errors import HubError
from appliance.workshop.export import layout
from appliance.workshop.export.guide import SCRIPT, Example, guide
from appliance.workshop.hub import Hub
from appliance.workshop.kept import KeptRecord, LiveHub
from appliance.workshop.keptbackups import KeptBackup, backups_of
from appliance.workshop.rows import each_row
from hw.errors import BadInputError, FieldKitError, UsageError
from hw.sshsig import fingerprint, public_line, sign
from hw.statements import NAMESPACE_BACKUP, NAMESPACE_RECORD

TABLES = {
    "audit": ("number",),
    "changes": ("number",),
    "conflicts": ("sha256",),
    "jobs": ("job",),
    "kits": ("id",),
    "notes": ("id",),
    "openings": ("id",),
    "orders": ("id",),
    "technicians": ("name",),
}
"""Tables that are written down as they are, each with its key."""
_JSON = ("view", "document")
LEFT_OUT = {
    "counters": "numbers of this database",
    "nonces": "of requests, for minutes",
    "words": "made of the jobs",
    "backups": "made of the records, and listed beside them",
    **dict.fromkeys(("tokens", "people", "passkeys", "sessions", "challenges", "tries"), "secret"),
}
"""The others but records and blobs, each with the reason."""


@dataclass(frozen=True)
class Exported:
    """What an export came to; `damaged` names what is not whole at the hub, and why."""

    records: int
    blobs: int
    bytes: int
    damaged: tuple[tuple[str, str], ...]


def export_workshop(hub: Hub, authority: str, folder: Path) -> Exported:
    """Write all that a hub has to a folder; the hub may go on serving meanwhile.

    Args:
        hub: the workshop's.
        authority: certificate of its authority, PEM.
        folder: new, empty, or with an earlier export of this workshop, which is brought up to now.

    Raises:
        UsageError: the folder holds something else.
        BadInputError: it cannot be written; done again, it goes on where it was.
        HubError: database or store do not answer.
    """
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        if any(folder.iterdir()) and not (folder / layout.GUIDE).is_file():
            raise UsageError(
                f"The folder {folder} holds something else.", "Name a new folder, or an export."
            )
        return _Export(hub, folder).write(authority)
    except OSError as error:
        raise BadInputError(
            f"The export cannot be written to {folder}: {error.strerror}.",
            "Make room or name another medium, and export to the same folder again: it goes on.",
        ) from error


class _Export:
    def __init__(self, hub: Hub, folder: Path) -> None:
        self._hub, self._folder, self._live = hub, folder, LiveHub(hub)
        self._sums: list[str] = []
        self._damaged: list[tuple[str, str]] = []
        self._example: Example | None = None
        self._records = self._blobs = self._bytes = 0

    def write(self, authority: str) -> Exported:
        (self._folder / layout.SUMS_SIGNATURE).unlink(missing_ok=True)
        key = self._hub.key.public_key()
        # From here on the folder is known as an export; the words are written again at the end.
        write_durably(self._folder / layout.GUIDE, guide(fingerprint(key), None).encode())
        self._write_keys(authority)
        # Records before blobs: all that belongs to a record was there before it.
        self._write_records()
        for name, keys in TABLES.items():
            self._write_table(name, keys)
        self._small(layout.SCRIPT, SCRIPT)
        self._small(layout.GUIDE, guide(fingerprint(key), self._example))
        with _Lines(self._folder / layout.SUMS) as sums:
            for line in self._sums:
                sums.line(line.encode())
            self._write_blobs(sums)
        _sign_sums(self._folder, self._hub.key)
        return Exported(self._records, self._blobs, self._bytes, tuple(self._damaged))

    def _write_keys(self, authority: str) -> None:
        namespaces = f"{NAMESPACE_RECEIPT},{layout.NAMESPACE_EXPORT}"
        signers = f'{WORKSHOP} namespaces="{namespaces}" {public_line(self._hub.key)}\n'
        of_kits = f"{NAMESPACE_RECORD},{NAMESPACE_BACKUP}"
        for kit, key in self._live.kits().items():
            signers += f'{kit} namespaces="{of_kits}" {public_line(key)}\n'
        self._small(layout.SIGNERS, signers)
        self._small(layout.AUTHORITY, authority)

    def _write_records(self) -> None:
        at, kits = self._folder, self._live.kits()
        with (
            _Lines(at / layout.RECORDS) as records,
            _Lines(at / layout.RECORD_SIGNATURES) as signatures,
            _Lines(at / layout.RECEIPTS) as receipts,
            _Lines(at / layout.RECEIPT_SIGNATURES) as receipt_signatures,
            _Lines(at / layout.BACKUPS) as backups,
        ):
            for kept in self._live.records():
                self._records += 1
                for body, documents, signed in (
                    (kept.body, records, signatures),
                    (kept.receipt, receipts, receipt_signatures),
                ):
                    pair = msgspec.json.decode(body, type=Signed)
                    documents.line(pair.document.encode())
                    signed.write(pair.signature.encode())
                for backup in self._backups(kept, kits):
                    self._example = self._example or _example(backup)
                    backups.line(_backup_line(backup))
        for lines in (records, signatures, receipts, receipt_signatures, backups):
            self._sums.append(lines.sum_line(self._folder))

    def _backups(self, kept: KeptRecord, kits: dict[str, Any]) -> Iterator[KeptBackup]:
        if kept.listed is None or b"backup_made" not in kept.body:
            return
        try:
            sealed = open_record(kept.body, record_signers(kits[kept.listed[0]]))
            yield from backups_of(sealed.record)
        except FieldKitError as error:
            self._damaged.append((kept.name, error.what))

    def _write_table(self, name: str, keys: tuple[str, ...]) -> None:
        with _Lines(self._folder / f"{name}.jsonl") as lines:
            for row in each_row(self._hub.database, lambda tables: getattr(tables, name), keys):
                lines.line(_row_line(row.__data__))
        self._sums.append(lines.sum_line(self._folder))

    def _write_blobs(self, sums: _Lines) -> None:
        with _Lines(self._folder / layout.BLOBS) as lines:
            for sha256, size in self._live.blobs():
                path = self._folder / layout.blob_path(sha256)
                if not _is_whole(path, sha256, size):
                    try:
                        _copy_blob(self._hub.blobs, sha256, path)
                    except (HubError, BadInputError) as error:
                        self._damaged.append((f"file {sha256}", error.what))
                        continue
                self._blobs += 1
                self._bytes += size
                lines.line(msgspec.json.encode({"sha256": sha256, "size": size}))
                sums.line(f"{sha256}  {layout.blob_path(sha256)}".encode())
        sums.line(lines.sum_line(self._folder).encode())

    def _small(self, name: str, text: str) -> None:
        write_durably(self._folder / name, text.encode())
        self._sums.append(f"{hashlib.sha256(text.encode()).hexdigest()}  {name}")


class _Lines:
    """A file that gets its name when all of it was written; keeps its SHA-256 meanwhile."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._stage = path.with_name(f".{path.name}.new")
        self._sum = hashlib.sha256()

    def __enter__(self) -> _Lines:
        self._file = self._stage.open("wb")
        return self

    def line(self, text: bytes) -> None:
        self.write(text + b"\n")

    def write(self, data: bytes) -> None:
        self._sum.update(data)
        self._file.write(data)

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        with self._file:
            if kind is None:
                self._file.flush()
                os.fsync(self._file.fileno())
        if kind is None:
            self._stage.replace(self.path)
            sync_folder(self.path.parent)
        else:
            self._stage.unlink()

    def sum_line(self, folder: Path) -> str:
        return f"{self._sum.hexdigest()}  {self.path.relative_to(folder)}"


def _row_line(row: dict[str, Any]) -> bytes:
    """A row as JSON; what is JSON already stays readable."""
    plain = {
        name: msgspec.Raw(value) if name in _JSON and isinstance(value, bytes) else value
        for name, value in row.items()
    }
    return msgspec.json.encode(plain)


def _copy_blob(blobs: Blobs, sha256: str, path: Path) -> None:
    """Copy a blob; what is not itself gets no name.

    Raises:
        BadInputError: the store holds something else under this name.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    with _Lines(path) as file:
        for part in blobs.read(sha256):
            file.write(part)
        computed = file.sum_line(path.parent).split()[0]
        if computed != sha256:
            raise BadInputError(f"Its content has the SHA-256 {computed}.", "Restore it.")


def _is_whole(path: Path, sha256: str, size: int) -> bool:
    """Is it there from an export before, and as it must be?"""
    if not path.is_file() or path.stat().st_size != size:
        return False
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest() == sha256


def _backup_line(backup: KeptBackup) -> bytes:
    return msgspec.json.encode(
        {
            "backup": backup.backup,
            "ecu": backup.ecu,
            "job": backup.job,
            "kit": backup.kit,
            "manifest": str(layout.blob_path(backup.manifest)),
            "signature": str(layout.blob_path(backup.signature)),
            "files": [
                {"kind": one.kind, "file": str(layout.blob_path(one.sha256)), "size": one.size}
                for one in backup.objects
            ],
        }
    )


def _example(backup: KeptBackup) -> Example:
    return Example(
        kit=backup.kit,
        manifest=str(layout.blob_path(backup.manifest)),
        signature=str(layout.blob_path(backup.signature)),
        files=tuple(str(layout.blob_path(one.sha256)) for one in backup.objects),
    )


def _sign_sums(folder: Path, key: Ed25519PrivateKey) -> None:
    signature = sign((folder / layout.SUMS).read_bytes(), key, layout.NAMESPACE_EXPORT)
    write_durably(folder / layout.SUMS_SIGNATURE, signature)
