"""The files of an export, `fieldkit-workshop/1`."""

from __future__ import annotations

from pathlib import PurePosixPath

FORMAT = "fieldkit-workshop/1"
NAMESPACE_EXPORT = "fieldkit-export"
GUIDE, SCRIPT = "OPEN-ME.txt", "check.sh"
KITS, BACKUPS, BLOBS = "kits.jsonl", "backups.jsonl", "blobs.jsonl"
RECORDS, RECORD_SIGNATURES = "records.jsonl", "records.sigs"
RECEIPTS, RECEIPT_SIGNATURES = "receipts.jsonl", "receipts.sigs"
SIGNERS, AUTHORITY = "allowed_signers", "authority.pem"
SUMS, SUMS_SIGNATURE = "SHA256SUMS", "SHA256SUMS.sig"
BLOB_FOLDER = "blobs"


def blob_path(sha256: str) -> PurePosixPath:
    """Where a blob lies in the folder."""
    return PurePosixPath(BLOB_FOLDER) / sha256[:2] / sha256
