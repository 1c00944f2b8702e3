"""What a workshop keeps, as it is looked through: by an export, and by whoever verifies it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Protocol

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from appliance.identity.trust import WORKSHOP
from appliance.sync.receipt import NAMESPACE_RECEIPT
from appliance.workshop.blobs import Blobs
from appliance.workshop.export.layout import NAMESPACE_EXPORT
from appliance.workshop.hub import Hub
from appliance.workshop.rows import each_row
from hw.sshsig import AllowedSigners, Signer, parse_public_line


@dataclass(frozen=True)
class KeptRecord:
    """A record that lies somewhere, unproven.

    Attributes:
        name: by what a person finds it.
        body, receipt: JSON of `Signed` each, as the hub answered and was answered.
        listed: kit, number, SHA-256, job, first and last event as a list beside it says; None where
            there is no list.
    """

    name: str
    body: bytes
    receipt: bytes
    listed: tuple[str, int, str, str, int, int] | None = None


class Kept(Protocol):
    """Where a workshop's records and files lie."""

    workshop: Ed25519PublicKey

    def kits(self) -> dict[str, Ed25519PublicKey]:
        """Every kit that was ever let in, by its id."""

    def records(self) -> Iterator[KeptRecord]:
        """All records, by kit and number."""

    def blobs(self) -> Iterator[tuple[str, int]]:
        """Name and size of every blob that should be there."""

    def size(self, sha256: str) -> int | None:
        """Bytes of a blob that is there, None where it is not."""

    def read(self, sha256: str) -> Iterator[bytes]:
        """A blob's bytes."""


class LiveHub:
    """What lies in a hub's database and store now."""

    def __init__(self, hub: Hub) -> None:
        self._hub = hub
        self._blobs: Blobs = hub.blobs
        self.workshop = hub.key.public_key()

    def kits(self) -> dict[str, Ed25519PublicKey]:
        """See `Kept`."""
        kits = each_row(self._hub.database, lambda tables: tables.kits, ("id",))
        return {kit.id: parse_public_line(kit.key) for kit in kits}

    def records(self) -> Iterator[KeptRecord]:
        """See `Kept`."""
        keys = ("kit", "sequence")
        for row in each_row(self._hub.database, lambda tables: tables.records, keys):
            listed = (row.kit, row.sequence, row.sha256, row.job, row.first, row.last)
            yield KeptRecord(f"record {row.id}", bytes(row.body), bytes(row.receipt), listed)

    def blobs(self) -> Iterator[tuple[str, int]]:
        """See `Kept`."""
        for row in each_row(self._hub.database, lambda tables: tables.blobs, ("sha256",), 500):
            yield row.sha256, row.size

    def size(self, sha256: str) -> int | None:
        """See `Kept`."""
        return self._blobs.size(sha256)

    def read(self, sha256: str) -> Iterator[bytes]:
        """See `Kept`."""
        return self._blobs.read(sha256)


def workshop_signers(key: Ed25519PublicKey) -> AllowedSigners:
    """What the workshop's key may sign: receipts and exports."""
    namespaces = frozenset({NAMESPACE_RECEIPT, NAMESPACE_EXPORT})
    return AllowedSigners((Signer((WORKSHOP,), namespaces, key.public_bytes_raw()),))
