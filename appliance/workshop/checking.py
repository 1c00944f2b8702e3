"""Proving again all that a workshop keeps: every signature, chain, receipt and file.

Nothing that was taken before is believed: each record is opened as it was when it came. Of each
thing that is wrong the first reason is told.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass, field

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from appliance.records.chain import NO_EVENT
from appliance.sync.receipt import check_receipt
from appliance.sync.record import (
    NO_RECORD,
    SealedRecord,
    open_record,
    record_signers,
    signer_of,
    verify_events,
)
from appliance.sync.requests import kit_id
from appliance.workshop.kept import Kept, KeptRecord, workshop_signers
from hw.errors import BadInputError, FieldKitError
from hw.sshsig import AllowedSigners


@dataclass(frozen=True)
class Finding:
    """Something that is wrong: what it is about, and why, in words."""

    item: str
    what: str


@dataclass
class _Kit:
    """Where a kit's records have got to; `jobs` has last event and head of each job."""

    id: str = ""
    sequence: int = 0
    sha256: str = NO_RECORD
    jobs: dict[str, tuple[int, str]] = field(default_factory=dict)


class Check:
    """One look through everything.

    Attributes:
        records, blobs: how many were looked at so far.
    """

    def __init__(self, kept: Kept) -> None:
        self._kept = kept
        self._workshop: AllowedSigners = workshop_signers(kept.workshop)
        self._keys: dict[str, Ed25519PublicKey] = {}
        self._kit = _Kit()
        self.records = self.blobs = 0

    def findings(self) -> Iterator[Finding]:
        """Everything that is wrong, as it is found.

        Raises:
            HubError: database or store do not answer.
        """
        for kit, key in self._kept.kits().items():
            if kit_id(key) == kit:
                self._keys[kit] = key
            else:
                yield Finding(f"kit {kit}", "its key has another fingerprint than its name")
        for record in self._kept.records():
            self.records += 1
            if (why := self._wrong_with(record)) is not None:
                yield Finding(record.name, why)
        for sha256, size in self._kept.blobs():
            self.blobs += 1
            if (why := self._wrong_with_blob(sha256, size)) is not None:
                yield Finding(f"file {sha256}", why)

    def _wrong_with(self, kept: KeptRecord) -> str | None:
        try:
            sealed = self._opened(kept)
            check_receipt(kept.receipt, sealed.record, sealed.sha256, self._workshop)
            return self._wrong_place(sealed) or self._missing(sealed)
        except FieldKitError as error:
            return error.what

    def _opened(self, kept: KeptRecord) -> SealedRecord:
        """The record, signed by a kit that was let in, with every event proven."""
        kit = signer_of(kept.body)
        if kit not in self._keys:
            raise BadInputError(f"It is signed by {kit}, who was never let in.", "Restore it.")
        signers = record_signers(self._keys[kit])
        sealed = open_record(kept.body, signers)
        record = sealed.record
        if record.kit != kit:
            raise BadInputError(f"It says that it is of {record.kit}.", "Restore it.")
        verify_events(record, signers)
        last = record.first + len(record.events) - 1
        facts = (record.kit, record.sequence, sealed.sha256, record.job, record.first, last)
        if kept.listed not in (None, facts):
            raise BadInputError("The list of records says something else of it.", "Restore it.")
        return sealed

    def _wrong_place(self, sealed: SealedRecord) -> str | None:
        """Does it follow the kit's record before it, and the job's events before it?"""
        record = sealed.record
        if record.kit != self._kit.id:
            self._kit = _Kit(record.kit)
        before, kit = self._kit.sequence, self._kit
        follows = record.sequence != before + 1 or record.prev_sha256 == kit.sha256
        again = record.sequence <= before
        place = kit.jobs.get(record.job, (0, NO_EVENT))
        kit.sequence, kit.sha256 = record.sequence, sealed.sha256
        kit.jobs[record.job] = (
            record.first + len(record.events) - 1,
            hashlib.sha256(record.events[-1].document.encode()).hexdigest(),
        )
        if again:
            return f"the kit's record {record.sequence} is here twice, or out of its order"
        if not follows:
            return f"it does not follow the kit's record {before}"
        if (record.first, record.prev_hash) != (place[0] + 1, place[1]):
            return f"its job has {place[0]} events before it, and it goes on from {record.first}"
        return None

    def _missing(self, sealed: SealedRecord) -> str | None:
        for blob in sealed.record.blobs:
            size = self._kept.size(blob.sha256)
            if size != blob.size:
                there = "is not there" if size is None else f"has {size} bytes"
                return f"its file {blob.sha256} of {blob.size} bytes {there}"
        return None

    def _wrong_with_blob(self, sha256: str, size: int) -> str | None:
        computed, length = hashlib.sha256(), 0
        try:
            for part in self._kept.read(sha256):
                computed.update(part)
                length += len(part)
        except FieldKitError as error:
            return error.what
        if computed.hexdigest() != sha256:
            return f"its content has the SHA-256 {computed.hexdigest()}"
        return None if length == size else f"it has {length} bytes and not {size}"
