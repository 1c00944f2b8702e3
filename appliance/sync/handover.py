"""One pass through the outbox: everything that can be handed over now is."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import BinaryIO

from msgspec import Struct

from appliance.sync.hubclient import HubClient, MissingBlobs, PutAside
from appliance.sync.outbox import Item, Outbox
from appliance.sync.pace import Pace
from appliance.sync.receipt import ReceiptDamaged, check_receipt
from appliance.sync.record import BlobRef, SealedRecord
from hw.errors import UnavailableError
from hw.sshsig import AllowedSigners

PIECE_BYTES = 64 << 10
"""A cut costs at most one piece: small enough for a link that is cut every two megabytes."""
STRAIGHT_BYTES = 16 << 10
"""A file of no more is sent before the record at its first try: to be told that it is missing, and
to ask how much of it is there, takes longer than to send it, and the workshop checks the record
only once."""


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


class Sent(Struct, frozen=True, kw_only=True):
    """How far one record is, in bytes of it and of the files that the workshop wants with it."""

    job: str
    done: int
    total: int


@dataclass(frozen=True)
class Way:
    """How a pass goes.

    Attributes:
        hub: where to.
        workshop: whose receipts count.
        open_blob: reads the files that belong to records.
        go_on: asked before each record and each piece; False ends the pass.
        pace: holds it back.
        told: is told how far the present record is.
    """

    hub: HubClient
    workshop: AllowedSigners
    open_blob: OpenBlob
    go_on: Callable[[], bool]
    pace: Pace = field(default_factory=Pace)
    told: Callable[[Sent], None] = lambda _sent: None


def hand_over(outbox: Outbox, way: Way) -> Handover:
    """Send what is in the outbox, in the order of its numbers.

    Raises:
        ComeAgain: the hub is away or cannot take anything now; what was handed over stays so.
        Paused: the hub does not serve this kit.
    """
    done = aside = waiting = 0
    for item in outbox.items():
        if not way.go_on():
            waiting += 1
            continue
        try:
            ended = _Sending(way, outbox.sealed(item)).send(outbox, item)
        except PutAside as error:
            outbox.move(item, "QUARANTINED", error.what)
            aside += 1
        except (BlobAway, ReceiptDamaged, MissingBlobs) as error:
            outbox.move(item, item.state, f"{error.what} {error.next_step}")
            waiting += 1
        else:
            done, waiting = (done + 1, waiting) if ended else (done, waiting + 1)
    return Handover(handed_over=done, put_aside=aside, waiting=waiting)


class _Sending:
    def __init__(self, way: Way, sealed: SealedRecord) -> None:
        self._way, self._sealed = way, sealed
        self._done, self._total = 0, len(sealed.body)

    def send(self, outbox: Outbox, item: Item) -> bool:
        """Send one record with what belongs to it; False where the pass ended meanwhile."""
        outbox.move(item, "SENDING")
        # After a cut it may be there already, with all its files.
        straight = self._straight() if item.state == "QUEUED" else []
        self._total += sum(blob.size for blob in straight)
        self._tell()
        if not all(self._send_straight(blob) for blob in straight):
            return False
        try:
            receipt = self._put()
        except MissingBlobs as error:
            wanted = set(error.missing)
            missing = [blob for blob in self._sealed.record.blobs if blob.sha256 in wanted]
            self._total += sum(blob.size for blob in missing)
            if not all(self._send_blob(blob) for blob in missing):
                return False
            receipt = self._put()
        if receipt is None:
            return False
        outbox.move(item, "STORED")
        check_receipt(receipt, self._sealed.record, self._sealed.sha256, self._way.workshop)
        outbox.move(item, "RETIRABLE", receipt=receipt)
        return True

    def _straight(self) -> list[BlobRef]:
        return [blob for blob in self._sealed.record.blobs if blob.size <= STRAIGHT_BYTES]

    def _send_straight(self, blob: BlobRef) -> bool:
        try:
            return self._send_blob(blob, 0)
        except BlobAway:
            return True  # The workshop may have it.

    def _put(self) -> bytes | None:
        """The receipt; None where the pass is to end."""
        body = self._sealed.body
        if not self._way.pace.take(len(body), self._way.go_on):
            return None
        return self._way.hub.put_record(self._sealed.record.record, body)

    def _send_blob(self, blob: BlobRef, offset: int | None = None) -> bool:
        """Send a file from an offset on, the hub's where none is given; False as `send`."""
        hub, pace = self._way.hub, self._way.pace
        whole = False
        if offset is None:
            offset, whole = hub.blob_offset(blob.sha256)
        before = self._done
        with self._way.open_blob(blob) as file:
            while not whole:
                piece = _piece(file, offset, blob, pace.piece(PIECE_BYTES))
                if not pace.take(len(piece), self._way.go_on):
                    return False
                try:
                    offset, whole = hub.blob_add(blob.sha256, offset, blob.size, piece)
                except PutAside:
                    # A piece that came although its answer was lost: the hub has got further.
                    at, whole = hub.blob_offset(blob.sha256)
                    if at == offset and not whole:
                        raise
                    offset = at
                self._done = before + offset
                self._tell()
        self._done = before + blob.size
        return True

    def _tell(self) -> None:
        record = self._sealed.record
        self._way.told(Sent(job=record.job, done=self._done, total=self._total))


def _piece(file: BinaryIO, offset: int, blob: BlobRef, size: int) -> bytes:
    try:
        file.seek(offset)
        return file.read(size)
    except OSError as error:
        raise BlobAway(
            f"The file {blob.sha256[:16]}… cannot be read: {error.strerror}.",
            "Insert the medium again; the rest is handed over meanwhile.",
        ) from error
