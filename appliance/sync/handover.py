"""One pass through the outbox: everything that can be handed over now is."""

from __future__ import annotations

from collections.abc import Callable
from typing import BinaryIO

from msgspec import Struct

from appliance.sync.hubclient import HubClient, MissingBlobs, PutAside
from appliance.sync.outbox import Item, Outbox
from appliance.sync.receipt import ReceiptDamaged, check_receipt
from appliance.sync.record import BlobRef, SealedRecord
from hw.errors import UnavailableError
from hw.sshsig import AllowedSigners

PIECE_BYTES = 128 << 10
"""A cut costs at most one piece: small enough for a link that is cut every two megabytes."""


class BlobAway(UnavailableError):
    """A file that belongs to a record is on no medium that is there now."""

    code = "blob_away"


OpenBlob = Callable[[BlobRef], BinaryIO]
"""Opens a file by its content; raises `BlobAway`."""


class Handover(Struct, frozen=True, kw_only=True):
    """What a pass came to, in records."""

    handed_over: int = 0
    put_aside: int = 0
    waiting: int = 0


def hand_over(
    outbox: Outbox,
    hub: HubClient,
    workshop: AllowedSigners,
    open_blob: OpenBlob,
    go_on: Callable[[], bool],
) -> Handover:
    """Send what is in the outbox, in the order of its numbers.

    Args:
        outbox: the kit's.
        hub: where to.
        workshop: whose receipts count.
        open_blob: reads the files that belong to records.
        go_on: asked before each record and each piece; False ends the pass.

    Raises:
        ComeAgain: the hub is away or cannot take anything now; what was handed over stays so.
        Paused: the hub does not serve this kit.
    """
    done = aside = waiting = 0
    for item in outbox.items():
        if not go_on():
            waiting += 1
            continue
        try:
            ended = _Sending(hub, outbox.sealed(item), open_blob, go_on).send(
                outbox, item, workshop
            )
        except PutAside as error:
            outbox.move(item, "QUARANTINED", error.what)
            aside += 1
        except (BlobAway, ReceiptDamaged, MissingBlobs) as error:
            outbox.move(item, item.state, error.what)
            waiting += 1
        else:
            done, waiting = (done + 1, waiting) if ended else (done, waiting + 1)
    return Handover(handed_over=done, put_aside=aside, waiting=waiting)


class _Sending:
    def __init__(
        self,
        hub: HubClient,
        sealed: SealedRecord,
        open_blob: OpenBlob,
        go_on: Callable[[], bool],
    ) -> None:
        self._hub, self._sealed = hub, sealed
        self._open_blob, self._go_on = open_blob, go_on

    def send(self, outbox: Outbox, item: Item, workshop: AllowedSigners) -> bool:
        """Send one record with what belongs to it; False where the pass ended meanwhile."""
        outbox.move(item, "SENDING")
        try:
            receipt = self._put()
        except MissingBlobs as error:
            wanted = set(error.missing)
            for blob in self._sealed.record.blobs:
                if blob.sha256 in wanted and not self._send_blob(blob):
                    return False
            receipt = self._put()
        outbox.move(item, "STORED")
        check_receipt(receipt, self._sealed.record, self._sealed.sha256, workshop)
        outbox.move(item, "RETIRABLE", receipt=receipt)
        return True

    def _put(self) -> bytes:
        return self._hub.put_record(self._sealed.record.record, self._sealed.body)

    def _send_blob(self, blob: BlobRef) -> bool:
        offset, whole = self._hub.blob_offset(blob.sha256)
        with self._open_blob(blob) as file:
            while not whole:
                if not self._go_on():
                    return False
                piece = _piece(file, offset, blob)
                try:
                    offset, whole = self._hub.blob_add(blob.sha256, offset, blob.size, piece)
                except PutAside:
                    # A piece that came although its answer was lost: the hub has got further.
                    at, whole = self._hub.blob_offset(blob.sha256)
                    if at == offset and not whole:
                        raise
                    offset = at
        return True


def _piece(file: BinaryIO, offset: int, blob: BlobRef) -> bytes:
    try:
        file.seek(offset)
        return file.read(PIECE_BYTES)
    except OSError as error:
        raise BlobAway(
            f"The file {blob.sha256[:16]}… cannot be read: {error.strerror}.",
            "Insert the medium again; the rest is handed over meanwhile.",
        ) from error
