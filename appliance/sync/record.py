"""What a kit hands over of a job: a stretch of its chain, frozen, under a number of the kit's own.

A record holds the events of one job from where the record before it ended, the signed head that
they lead to, and the names of all blobs that belong to them. Records of a kit are numbered and each
names the hash of the one before it, so a kit that was cloned, or whose database was rolled back,
shows: the same number comes again with other content.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated, Literal

import msgspec
import rfc8785
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from msgspec import Meta, Struct

from appliance.identity.trust import KIT
from appliance.records.chain import SignedHead, Verified, read_head, verify_part
from hw.errors import UNDECODABLE, BadInputError
from hw.plan import Sha256
from hw.sshsig import (
    AllowedSigners,
    SignatureError,
    Signer,
    fingerprint,
    public_key_of,
    sign,
    verify,
)
from hw.statements import NAMESPACE_RECORD

NO_RECORD = "0" * 64
"""`prev_sha256` of a kit's first record."""
MOST_EVENTS = 100_000
Uuid7 = Annotated[
    str, Meta(pattern="^[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$")
]
BlobKind = Literal["plan", "payload", "container", "backup", "manifest", "manifest_signature"]


class RecordDamaged(BadInputError):
    """A record is not what a kit writes, or not signed by the kit that it names."""

    code = "record_damaged"

    def __init__(self, reason: str) -> None:
        super().__init__(
            f"The record is damaged: {reason}.",
            "The kit keeps it; export the job there, and compare both.",
        )


class _Strict(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    pass


class Signed(_Strict, frozen=True):
    """A document, exactly as it was signed, and its armoured SSHSIG."""

    document: str
    signature: str


class BlobRef(_Strict, frozen=True):
    """A file that belongs to a record, by its content."""

    kind: BlobKind
    sha256: Sha256
    size: Annotated[int, Meta(ge=0)]


class Record(_Strict, frozen=True):
    """See the module.

    Attributes:
        record: its id.
        kit: fingerprint of the kit's key.
        sequence: its number among the kit's records, from 1.
        prev_sha256: `sha256` of the kit's record before it.
        job: whose events they are.
        first: number of the first of them.
        prev_hash: hash of the event before it.
        events: they, in order.
        head: the job's head, up to the last of them.
        blobs: what else belongs to them.
    """

    format: Literal["fieldkit-record/1"]
    record: Uuid7
    kit: str
    sequence: Annotated[int, Meta(ge=1)]
    prev_sha256: Sha256
    job: Uuid7
    first: Annotated[int, Meta(ge=1)]
    prev_hash: Sha256
    events: Annotated[list[Signed], Meta(min_length=1, max_length=MOST_EVENTS)]
    head: Signed
    blobs: list[BlobRef]


@dataclass(frozen=True)
class SealedRecord:
    """A record as it goes over the wire.

    Attributes:
        body: the JSON of `Signed`: the record's canonical document and the kit's signature.
        sha256: of the document, lower-case hex; what numbers and receipts name.
    """

    record: Record
    body: bytes
    sha256: str


def seal_record(record: Record, key: Ed25519PrivateKey) -> SealedRecord:
    """Sign a record; from here on it never changes."""
    document = rfc8785.dumps(msgspec.to_builtins(record))
    signature = sign(document, key, NAMESPACE_RECORD)
    body = msgspec.json.encode(Signed(document=document.decode(), signature=signature.decode()))
    return SealedRecord(record, body, hashlib.sha256(document).hexdigest())


def open_record(body: bytes, signers: AllowedSigners) -> SealedRecord:
    """Decode a record and check who signed it; its events are `verify_events`' business.

    Args:
        body: as it came.
        signers: the key of the kit that sent it, and of no other.

    Raises:
        RecordDamaged: it is no record, or another kit signed it.
    """
    try:
        signed = msgspec.json.decode(body, type=Signed)
        document = signed.document.encode()
        record = msgspec.json.decode(document, type=Record)
    except UNDECODABLE as error:
        raise RecordDamaged(f"it cannot be read: {error}") from error
    try:
        verify(document, signed.signature.encode(), NAMESPACE_RECORD, signers)
    except SignatureError as error:
        raise RecordDamaged(error.what.rstrip(".")) from error
    return SealedRecord(record, body, hashlib.sha256(document).hexdigest())


def record_signers(key: Ed25519PublicKey) -> AllowedSigners:
    """Who may sign a kit's records: that kit alone."""
    return AllowedSigners((Signer((KIT,), frozenset({NAMESPACE_RECORD}), key.public_bytes_raw()),))


def signer_of(body: bytes) -> str:
    """Which kit's key a record names. It proves nothing before `open_record` accepted that key.

    Raises:
        RecordDamaged: it is no record.
    """
    try:
        signature = msgspec.json.decode(body, type=Signed).signature
        return fingerprint(public_key_of(signature.encode()))
    except UNDECODABLE as error:
        raise RecordDamaged(f"it cannot be read: {error}") from error
    except SignatureError as error:
        raise RecordDamaged(error.what.rstrip(".")) from error


def verify_events(record: Record, signers: AllowedSigners) -> Verified:
    """Compute the record's stretch of the chain again.

    Raises:
        ChainBroken: anything does not fit; names the first event.
    """
    rows = [(event.document.encode(), event.signature.encode()) for event in record.events]
    return verify_part(record.job, record.first, record.prev_hash, rows, head_of(record), signers)


def head_of(record: Record) -> SignedHead:
    """The head that a record leads to.

    Raises:
        ChainBroken: it cannot be read, or is another job's.
    """
    head = record.head
    return read_head(record.job, head.document.encode(), head.signature.encode())


def signed_pairs(pairs: Sequence[tuple[bytes, bytes]]) -> list[Signed]:
    """Documents and their signatures as a record holds them."""
    return [
        Signed(document=document.decode(), signature=signature.decode())
        for document, signature in pairs
    ]
