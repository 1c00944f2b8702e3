"""The signed documents that gates look at: backup manifest, checks, acknowledgment, agreement.

Each is JSON in RFC 8785 canonical form, signed with SSHSIG (Ed25519) in its own namespace, so that
a signature made for one purpose is worthless for another. `hw` verifies over the bytes that it was
given and decodes them strictly; whoever signs, encodes.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from typing import Annotated, Literal, get_args

from msgspec import Meta, Struct

from hw.plan import Hex, IdentityValue, Sha256

NAMESPACE_BACKUP = "fieldkit-backup"
NAMESPACE_CHECKS = "fieldkit-checks"
NAMESPACE_ACKNOWLEDGMENT = "fieldkit-acknowledgment"
NAMESPACE_AGREEMENT = "fieldkit-agreement"
NAMESPACE_PROFILE = "fieldkit-profile"
NAMESPACE_RECORD = "fieldkit-record"

TextName = Literal["terms", "immobiliser", "dtc_modification"]
"""The texts that a customer can be asked to sign."""
TEXT_NAMES: tuple[TextName, ...] = get_args(TextName)
PAD_WIDTH = 1000
"""Width of the signature pad in units of its points; one unit is as long upwards."""
MAX_POINTS = 800
"""Points of one signature at most: the agreements of a plan travel in one message to `hw`."""

Coordinate = Annotated[int, Meta(ge=0, le=PAD_WIDTH)]
Point = tuple[Coordinate, Coordinate, Annotated[int, Meta(ge=0)]]
"""x to the right and y downwards in units of the pad, and milliseconds since the first touch."""
Stroke = Annotated[list[Point], Meta(min_length=1)]
"""What a finger drew between touching the pad and leaving it."""


class _Strict(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    pass


class Moment(_Strict, frozen=True):
    """When: `boot_id` and `boottime` (s) decide; `wall` (RFC 3339) and its quality inform."""

    boot_id: str
    boottime: float
    wall: str
    wall_quality: Literal["synchronised", "unsynchronised"]


class BackupObject(_Strict, frozen=True):
    """One encrypted file of a backup, named `<sha256>.age`; both values are of the ciphertext."""

    kind: Literal["coding", "image", "known_good"]
    sha256: Sha256
    size: Annotated[int, Meta(gt=0)]


class HeldRegion(_Strict, frozen=True):
    """A run of memory whose bytes lie in the `image` object."""

    region: str
    address: Annotated[int, Meta(ge=0)]
    size: Annotated[int, Meta(gt=0)]


class ReadoutRefused(_Strict, frozen=True):
    """The ECU would not give its memory: what was asked and the negative response, as recorded.

    `address` and `size` say which memory; a `size` of 0, of a backup made before they were kept,
    stands for none.
    """

    region: str
    request: Hex
    response: Hex
    address: Annotated[int, Meta(ge=0)] = 0
    size: Annotated[int, Meta(ge=0)] = 0


class BackupManifest(_Strict, frozen=True):
    """`manifest.json` of a backup; the same bytes on both media.

    `identity_sha256` is `identity_digest` over the identification DIDs, salted, so that the VIN is
    not readable on the medium. An `image` object is there, or every refused region is listed in
    `refused` and a `known_good` object (a file for this software number) is there. `regions` lists
    what the `image` holds: no other memory may be written under this backup.
    """

    format: Literal["fieldkit-backup/1"]
    backup: str
    job: str
    ecu: str
    profile: str
    identity_salt: Hex
    identity_sha256: Sha256
    objects: Annotated[list[BackupObject], Meta(min_length=1)]
    refused: list[ReadoutRefused]
    made: Moment
    regions: list[HeldRegion] = []


class ChecksStatement(_Strict, frozen=True):
    """The kit's statement that the container behind a plan is whole and fits this ECU.

    `checks` lists each checksum that the container carried and that was computed and compared, by
    name; `compatibility` names the identification values that the container or profile demands.
    For coding and restore without a container, `container` is `none` and `checks` names the source.
    """

    format: Literal["fieldkit-checks/1"]
    plan_digest: Sha256
    container: str
    container_sha256: str
    checks: Annotated[list[str], Meta(min_length=1)]
    compatibility: list[IdentityValue]
    made: Moment


class AcknowledgmentStatement(_Strict, frozen=True):
    """The technician's statement: they read this risk text for this plan and accept it."""

    format: Literal["fieldkit-acknowledgment/1"]
    plan_digest: Sha256
    risk_digest: Sha256
    technician: str
    role: Literal["technician", "owner"]
    made: Moment


class AgreementStatement(_Strict, frozen=True):
    """The customer agreed to a text for one job and car, and signed it before this technician.

    `strokes` is what the customer's finger drew; the signature over all of it is the witness's.
    """

    format: Literal["fieldkit-agreement/1"]
    text: TextName
    version: Annotated[int, Meta(ge=1)]
    language: Annotated[str, Meta(min_length=1)]
    text_sha256: Sha256
    customer: Annotated[str, Meta(min_length=1, max_length=100)]
    strokes: Annotated[list[Stroke], Meta(min_length=1)]
    job: Annotated[str, Meta(min_length=1)]
    vin: Annotated[str, Meta(min_length=1)]
    technician: str
    role: Literal["technician", "owner"]
    made: Moment

    def __post_init__(self) -> None:
        if sum(map(len, self.strokes)) > MAX_POINTS:
            raise ValueError(f"a signature has at most {MAX_POINTS} points")


def identity_digest(salt: bytes, identity: Sequence[IdentityValue]) -> str:
    """Salted SHA-256 over identification values, in DID order: DID (2), length (2), value, each."""
    digest = hashlib.sha256(salt)
    for item in sorted(identity, key=lambda value: value.did):
        raw = bytes.fromhex(item.value)
        digest.update(item.did.to_bytes(2, "big") + len(raw).to_bytes(2, "big") + raw)
    return digest.hexdigest()
