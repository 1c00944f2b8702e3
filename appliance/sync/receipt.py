"""The workshop's word that it has a record and all that belongs to it, for good."""

from __future__ import annotations

from typing import Annotated, Literal

import msgspec
import rfc8785
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from msgspec import Meta, Struct

from appliance.sync.record import BlobRef, Record, SealedRecord, Signed, Uuid7
from hw.errors import UNDECODABLE, BadInputError
from hw.plan import Sha256
from hw.sshsig import AllowedSigners, SignatureError, sign, verify

NAMESPACE_RECEIPT = "fieldkit-receipt"


class ReceiptDamaged(BadInputError):
    """What the workshop sent is no receipt for this record; nothing is deleted because of it."""

    code = "receipt_damaged"

    def __init__(self, reason: str) -> None:
        super().__init__(
            f"The workshop's receipt is not one for this record: {reason}.",
            "The kit keeps the record; ask the workshop whether its key was changed.",
        )


class Receipt(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Names what was stored; `stored` is the hub's wall time (RFC 3339), for people only."""

    format: Literal["fieldkit-receipt/1"]
    record: Uuid7
    kit: str
    sequence: Annotated[int, Meta(ge=1)]
    sha256: Sha256
    blobs: list[BlobRef]
    stored: str


def sign_receipt(sealed: SealedRecord, stored: str, key: Ed25519PrivateKey) -> bytes:
    """The receipt for a record that was stored, as JSON of `Signed`."""
    record = sealed.record
    receipt = Receipt(
        format="fieldkit-receipt/1",
        record=record.record,
        kit=record.kit,
        sequence=record.sequence,
        sha256=sealed.sha256,
        blobs=record.blobs,
        stored=stored,
    )
    document = rfc8785.dumps(msgspec.to_builtins(receipt))
    signature = sign(document, key, NAMESPACE_RECEIPT)
    return msgspec.json.encode(Signed(document=document.decode(), signature=signature.decode()))


def check_receipt(body: bytes, record: Record, sha256: str, signers: AllowedSigners) -> Receipt:
    """Does the workshop say that it has exactly this record with everything that belongs to it?

    Args:
        body: what the workshop answered.
        record, sha256: what was sent.
        signers: the workshop's signing key, for `NAMESPACE_RECEIPT`.

    Raises:
        ReceiptDamaged: it does not.
    """
    try:
        signed = msgspec.json.decode(body, type=Signed)
        document = signed.document.encode()
        receipt = msgspec.json.decode(document, type=Receipt)
        verify(document, signed.signature.encode(), NAMESPACE_RECEIPT, signers)
    except SignatureError as error:
        raise ReceiptDamaged(error.what.rstrip(".")) from error
    except UNDECODABLE as error:
        raise ReceiptDamaged(f"it cannot be read: {error}") from error
    told = (receipt.record, receipt.kit, receipt.sequence, receipt.sha256, receipt.blobs)
    if told != (record.record, record.kit, record.sequence, sha256, record.blobs):
        raise ReceiptDamaged(f"it is for record {receipt.record}, or for other content")
    return receipt
