"""An export, read back: its list of files is proven, and `Check` looks through the rest."""

from __future__ import annotations

import hashlib
import io
import re
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any, BinaryIO

import msgspec
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from appliance.identity.trust import WORKSHOP
from appliance.sync.record import Signed
from appliance.workshop.checking import Finding
from appliance.workshop.export import layout
from appliance.workshop.kept import KeptRecord, workshop_signers
from hw.errors import UNDECODABLE, BadInputError
from hw.sshsig import AllowedSigners, SignatureError, parse_public_line, verify

_SUM_LINE = re.compile(r"([0-9a-f]{64})  (blobs/[0-9a-f]{2}/[0-9a-f]{64}|[A-Za-z0-9._-]+)\n")
_PART_BYTES = 1 << 20
_END = b"-----END SSH SIGNATURE-----\n"
_EXPORT_AGAIN = "Use another copy of the export, or export again."


class ExportFolder:
    """See the module; a `Kept`.

    Args:
        folder: an export.

    Raises:
        BadInputError: it is none, or was never finished.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        try:
            signers = AllowedSigners.load(folder / layout.SIGNERS).signers
        except BadInputError as error:
            raise BadInputError(
                f"{folder} is no export of a workshop: {error.what}", _EXPORT_AGAIN
            ) from error
        keys = {name: one.key for one in signers for name in one.principals}
        if WORKSHOP not in keys:
            raise BadInputError(f"{folder} does not name the workshop's key.", _EXPORT_AGAIN)
        self.workshop = Ed25519PublicKey.from_public_bytes(keys[WORKSHOP])

    def findings(self) -> Iterator[Finding]:
        """What is wrong with the files beside the blobs, which `Check` looks at itself."""
        try:
            signature = (self._folder / layout.SUMS_SIGNATURE).read_bytes()
            sums = (self._folder / layout.SUMS).read_bytes()
            verify(sums, signature, layout.NAMESPACE_EXPORT, workshop_signers(self.workshop))
        except OSError as error:
            yield Finding(layout.SUMS, f"the export was not finished: {error.strerror}")
            return
        except SignatureError as error:
            yield Finding(layout.SUMS, error.what)
            return
        listed = {layout.SUMS, layout.SUMS_SIGNATURE, layout.BLOB_FOLDER}
        for line in io.BytesIO(sums):
            match = _SUM_LINE.fullmatch(line.decode(errors="replace"))
            if match is None:
                yield Finding(layout.SUMS, f"it has the line {line[:80]!r}")
            elif not match[2].startswith(f"{layout.BLOB_FOLDER}/"):
                listed.add(match[2])
                if self._hash(match[2]) != match[1]:
                    yield Finding(match[2], "it was changed or is missing")
        for name in sorted({path.name for path in self._folder.iterdir()} - listed):
            yield Finding(name, "it does not belong to the export")

    def kits(self) -> dict[str, Ed25519PublicKey]:
        """See `Kept`."""
        with self._open(layout.KITS) as lines:
            return {kit["id"]: parse_public_line(kit["key"]) for kit in map(_decoded, lines)}

    def records(self) -> Iterator[KeptRecord]:
        """See `Kept`."""
        names = (
            layout.RECORDS,
            layout.RECORD_SIGNATURES,
            layout.RECEIPTS,
            layout.RECEIPT_SIGNATURES,
        )
        with ExitStack() as stack:
            records, signatures, receipts, of_receipts = (
                stack.enter_context(self._open(name)) for name in names
            )
            for number, document in enumerate(records, start=1):
                yield KeptRecord(
                    f"record {number}",
                    _signed(document, _next_signature(signatures)),
                    _signed(receipts.readline(), _next_signature(of_receipts)),
                )

    def blobs(self) -> Iterator[tuple[str, int]]:
        """See `Kept`."""
        with self._open(layout.BLOBS) as lines:
            for blob in map(_decoded, lines):
                yield blob["sha256"], blob["size"]

    def size(self, sha256: str) -> int | None:
        """See `Kept`."""
        path = self._folder / layout.blob_path(sha256)
        return path.stat().st_size if path.is_file() else None

    def read(self, sha256: str) -> Iterator[bytes]:
        """See `Kept`."""
        with self._open(str(layout.blob_path(sha256))) as file:
            while part := file.read(_PART_BYTES):
                yield part

    def _open(self, name: str) -> BinaryIO:
        try:
            return (self._folder / name).open("rb")
        except OSError as error:
            raise BadInputError(
                f"{name} cannot be read: {error.strerror}.", _EXPORT_AGAIN
            ) from error

    def _hash(self, name: str) -> str:
        try:
            with (self._folder / name).open("rb") as file:
                return hashlib.file_digest(file, "sha256").hexdigest()
        except OSError:
            return ""


def _decoded(line: bytes) -> dict[str, Any]:
    try:
        return msgspec.json.decode(line, type=dict[str, Any])
    except UNDECODABLE as error:
        raise BadInputError(f"A line cannot be read: {error}.", _EXPORT_AGAIN) from error


def _signed(document: bytes, signature: bytes) -> bytes:
    """JSON of `Signed`, as a kit sent it; damaged text becomes text that no signature fits."""
    return msgspec.json.encode(
        Signed(
            document=document.rstrip(b"\n").decode(errors="replace"),
            signature=signature.decode(errors="replace"),
        )
    )


def _next_signature(lines: BinaryIO) -> bytes:
    found = b""
    for line in lines:
        found += line
        if line == _END:
            break
    return found
