"""The rules of the hub: who may send, what is taken, and what the workshop signs for.

A record is taken once and never changed. It is taken only if the kit signed it, its events follow
those that are here, and everything that belongs to it lies whole in the store; then the workshop
signs for it, and only on that receipt a kit may ever delete anything. What contradicts something
that was taken before is refused, and kept for the office to look at.
"""

from __future__ import annotations

import hashlib
import secrets
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from msgspec import Struct
from peewee import IntegrityError, fn

from appliance.identity.wallclock import rfc3339
from appliance.records.errors import ChainBroken
from appliance.records.events import Event, OrderTaken
from appliance.sync.change import Change, Changes
from appliance.sync.receipt import sign_receipt
from appliance.sync.record import (
    BlobRef,
    RecordDamaged,
    SealedRecord,
    open_record,
    record_signers,
    verify_events,
)
from appliance.sync.requests import MAX_AGE_S, Caller, kit_id
from appliance.sync.silence import LIMIT_DAYS
from appliance.workshop.audit import CONSOLE, note
from appliance.workshop.blobs import PIECE_BYTES, Blobs
from appliance.workshop.errors import (
    BlobsMissing,
    Conflict,
    Malformed,
    NotThere,
    Revoked,
    TooLarge,
    Unsigned,
)
from appliance.workshop.feed import changes_for, publish
from appliance.workshop.joblist import note_job
from appliance.workshop.orders import Orders
from appliance.workshop.statements import given, written
from appliance.workshop.tables import HubDatabase, Models
from appliance.workshop.wire import Greeted
from hw.errors import BadInputError
from hw.sshsig import parse_public_line, public_line

TOKEN_BYTES = 24
TOKEN_DAYS = 7
MOST_RECORD_BYTES = 32 << 20
FORGET_ONE_IN = 50
"""So many requests pass until those that are too old to be sent again are forgotten."""
_DAY_S = 86_400
_ASK_OFFICE = "Ask the office to look at it; the kit keeps what it has."


@dataclass(frozen=True)
class Taken:
    """A record that lies here, and the workshop's receipt for it."""

    new: bool
    receipt: bytes


@dataclass(frozen=True)
class Greeting:
    """What a kit tells of itself in passing; -1 for what it does not know."""

    version: str
    free_bytes: int
    waiting: int


@dataclass(frozen=True)
class Hub:
    """See the module. Thread-safe; several processes may share database and store.

    Attributes:
        database: where records are.
        blobs: where files are.
        key: signs receipts.
        now: the hub's clock, in seconds since 1970.
    """

    database: HubDatabase
    blobs: Blobs
    key: Ed25519PrivateKey
    now: Callable[[], float] = time.time
    _keys: dict[str, Ed25519PublicKey] = field(default_factory=dict, repr=False)

    # Kits -------------------------------------------------------------------------------------

    def new_token(self, name: str, by: str = CONSOLE) -> str:
        """A one-time word with which a kit of this name can be enrolled within a week.

        Args:
            by: who lets it in.
        """
        token = secrets.token_urlsafe(TOKEN_BYTES)
        now = int(self.now())

        def keep(tables: Models) -> None:
            tables.tokens.create(sha256=_hash(token), name=name, expires=now + TOKEN_DAYS * _DAY_S)
            note(tables, now, by, "made a word to enrol the kit", name)

        self.database.write(keep)
        return token

    def enrol(self, token: str, key: Ed25519PublicKey, caller: Caller) -> str:
        """Let a kit in; returns the name that the office gave it.

        Raises:
            Unsigned: the token is unknown, too old or was used by another kit.
            Revoked: this kit was shut out before; the office lets it in again, not a token.
        """
        name = kit_id(key)

        def let_in(tables: Models) -> str:
            self._use_up(tables, caller)
            row = tables.tokens.get_or_none(tables.tokens.sha256 == _hash(token))
            if row is None or row.expires < self.now() or row.used_by not in ("", name):
                raise Unsigned(
                    "The word for enrolment is unknown, too old or used up.",
                    "Ask the office for a new one.",
                )
            known = tables.kits.get_or_none(tables.kits.id == name)
            if known is not None and known.revoked:
                raise _revoked(known.name)
            tables.tokens.update(used_by=name).where(tables.tokens.sha256 == row.sha256).execute()
            if known is None:
                tables.kits.create(
                    id=name, name=row.name, key=public_line(key), enrolled=int(self.now())
                )
                note(tables, self.now(), f"the kit '{row.name}'", "was enrolled", name)
            return str(row.name)

        return self.database.write(let_in)

    def kits(self) -> list[dict[str, Any]]:
        """Every kit that was let in, by its name; times in RFC 3339, empty for never.

        One that is `silent` for `LIMIT_DAYS` takes no new programming jobs.
        """
        quiet = self.now() - LIMIT_DAYS * _DAY_S
        with self.database.reading() as tables:
            rows = list(tables.kits.select().order_by(tables.kits.name, tables.kits.id))
        return [
            {
                "id": row.id,
                "name": row.name,
                "enrolled": rfc3339(row.enrolled),
                "hello": rfc3339(row.hello),
                "revoked": rfc3339(row.revoked),
                "silent": not row.revoked and max(row.hello, row.enrolled) < quiet,
                "version": row.version,
                "free_bytes": row.free_bytes,
                "waiting": row.waiting,
            }
            for row in rows
        ]

    def key_of(self, kit: str) -> Ed25519PublicKey | None:
        """The key of an enrolled kit, whether it was revoked or not; None for an unknown one."""
        if (known := self._keys.get(kit)) is not None:
            return known
        with self.database.reading() as tables:
            row = tables.kits.get_or_none(tables.kits.id == kit)
        if row is None:
            return None
        # A kit's name is its key's fingerprint, so this never becomes untrue.
        return self._keys.setdefault(kit, parse_public_line(row.key))

    def revoke(self, kit: str, by: str = CONSOLE) -> None:
        """Shut a kit out, from now on.

        Args:
            kit: its id.
            by: who does it.

        Raises:
            NotThere: there is none.
        """

        def shut_out(tables: Models) -> None:
            kits = tables.kits
            row = kits.get_or_none(kits.id == kit)
            if row is None:
                raise NotThere(f"There is no kit {kit}.", "Look at the list of kits.")
            if not row.revoked:
                kits.update(revoked=int(self.now())).where(kits.id == kit).execute()
                note(tables, self.now(), by, "shut out the kit", row.name)

        self.database.write(shut_out)

    def hello(self, kit: str, greeting: Greeting) -> Greeted:
        """Note that a kit is there; returns what it is told.

        Raises:
            Revoked: it was shut out.
        """
        now = int(self.now())

        def note(tables: Models) -> int:
            self._admit(tables, kit)
            records = tables.records
            tables.kits.update(
                hello=now,
                version=greeting.version,
                free_bytes=greeting.free_bytes,
                waiting=greeting.waiting,
            ).where(tables.kits.id == kit).execute()
            last = records.select(fn.MAX(records.sequence)).where(records.kit == kit).scalar()
            return int(last or 0)

        return Greeted(time=now, last=self.database.write(note))

    def _admit(self, tables: Models, kit: str) -> None:
        """May this kit send? Its row is held until the transaction ends."""
        kits = tables.kits
        found = written(
            kits,
            "admit",
            lambda: self.database.lock(
                kits.select(kits.name, kits.revoked).where(kits.id == given("kit"))
            ),
        ).rows(kit=kit)
        if not found:
            raise Unsigned("This kit is not enrolled here.", "Enrol it.")
        ((name, revoked),) = found
        if revoked:
            raise _revoked(name)

    def _use_up(self, tables: Models, caller: Caller) -> None:
        """A request is taken once. Those that are too old to be taken at all are forgotten."""
        nonces = tables.nonces
        if secrets.randbelow(FORGET_ONE_IN) == 0:
            nonces.delete().where(nonces.expires < int(self.now())).execute()
        use_up = written(
            nonces,
            "use up",
            lambda: nonces.insert(
                kit=given("kit"), nonce=given("nonce"), expires=given("expires")
            ).on_conflict_ignore(),
        )
        expires = caller.created + MAX_AGE_S + 1
        if use_up.count(kit=caller.kit, nonce=caller.nonce, expires=expires) != 1:
            raise Unsigned("This request was sent before.", "Sign a new one for every try.")

    def changes(self, kit: str, after: int) -> Changes:
        """What the workshop has for a kit after a number, a page at a time.

        Raises:
            Revoked: the kit was shut out.
        """
        with self.database.reading() as tables:
            self._admit(tables, kit)
            return changes_for(tables, kit, after)

    @property
    def orders(self) -> Orders:
        """The workshop's work orders."""
        return Orders(self.database, self.key, self.now)

    def publish(self, kind: str, subject: str, body: Struct) -> Change:
        """Tell every kit something (`appliance.workshop.feed`)."""
        return self.database.write(
            lambda tables: publish(self.database, tables, self.key, kind, subject, body)
        )

    # Blobs ------------------------------------------------------------------------------------

    def blob_offset(self, kit: str, sha256: str) -> tuple[int, bool]:
        """How many bytes of a blob are here, and whether it is whole."""
        with self.database.reading() as tables:
            self._admit(tables, kit)
        size = self.blobs.size(sha256)
        if size is None:
            return self.blobs.offset(sha256), False
        self._note_blob(sha256, size)
        return size, True

    def blob_add(
        self, caller: Caller, sha256: str, offset: int, total: int, piece: bytes
    ) -> tuple[int, bool]:
        """Take a piece of a blob; returns what `blob_offset` does.

        Raises:
            HubError: as `Blobs.add`, and for a kit that may not send.
        """

        def admit(tables: Models) -> None:
            self._use_up(tables, caller)
            self._admit(tables, caller.kit)

        self.database.write(admit)
        end = self.blobs.add(sha256, offset, total, piece)
        if end == total:
            self._note_blob(sha256, total)
        return end, end == total

    def keep_blob(self, content: bytes) -> str:
        """Keep what the workshop itself took in; returns its SHA-256.

        Raises:
            HubError: as `Blobs.add`.
        """
        name = hashlib.sha256(content).hexdigest()
        if self.blobs.size(name) is None:
            at = self.blobs.offset(name)
            while at < len(content):
                piece = content[at : at + PIECE_BYTES]
                at = self.blobs.add(name, at, len(content), piece)
        self._note_blob(name, len(content))
        return name

    def _note_blob(self, sha256: str, size: int) -> None:
        row = {"sha256": sha256, "size": size, "stored": int(self.now())}

        def note(tables: Models) -> None:
            blobs = tables.blobs
            written(
                blobs,
                "note",
                lambda: blobs.insert({name: given(name) for name in row}).on_conflict_ignore(),
            ).rows(**row)

        self.database.write(note)

    # Records ----------------------------------------------------------------------------------

    def put_record(self, caller: Caller, name: str, body: bytes) -> Taken:
        """Take a record.

        Raises:
            Malformed: it is no record of this kit.
            Conflict: something else was taken before under its id, its number or its place in the
                job; it is kept for the office.
            BlobsMissing: files of it are not here.
            TooLarge: no kit makes such.
            Revoked: the kit was shut out.
        """
        sealed, events = self._checked(caller.kit, name, body)

        def take(tables: Models) -> Taken:
            self._use_up(tables, caller)
            self._admit(tables, caller.kit)
            if (there := _same(tables, sealed)) is not None:
                return Taken(new=False, receipt=there)
            _check_place(tables, sealed)
            _check_blobs(tables, sealed.record.blobs)
            receipt = self._keep(tables, sealed, events)
            for event in events:
                if isinstance(event.body, OrderTaken):
                    self.orders.note_job(tables, event.body.order, event.job, caller.kit)
            return Taken(new=True, receipt=receipt)

        try:
            return self.database.write(take)
        except IntegrityError as error:  # Two hubs took something at the same moment.
            raise self._refused(
                sealed, f"another record was taken at this moment: {error}"
            ) from error
        except _Contradiction as error:
            raise self._refused(sealed, error.why) from error

    def receipt(self, kit: str, name: str) -> bytes:
        """The receipt for a record of this kit.

        Raises:
            NotThere: it was never taken.
        """
        with self.database.reading() as tables:
            self._admit(tables, kit)
            records = tables.records
            row = records.get_or_none((records.id == name) & (records.kit == kit))
        if row is None:
            raise NotThere(f"There is no record {name} of this kit here.", "Send it.")
        return bytes(row.receipt)

    def _checked(self, kit: str, name: str, body: bytes) -> tuple[SealedRecord, Sequence[Event]]:
        if len(body) > MOST_RECORD_BYTES:
            raise TooLarge(f"A record has at most {MOST_RECORD_BYTES} bytes.", _ASK_OFFICE)
        key = self.key_of(kit)
        if key is None:
            raise Unsigned("This kit is not enrolled here.", "Enrol it.")
        signers = record_signers(key)
        try:
            sealed = open_record(body, signers)
            if (sealed.record.kit, sealed.record.record) != (kit, name):
                raise RecordDamaged("it is another kit's, or has another id than its address")
            events = verify_events(sealed.record, signers).events
        except (RecordDamaged, ChainBroken) as error:
            raise Malformed(error.what, error.next_step) from error

        return sealed, events

    def _keep(self, tables: Models, sealed: SealedRecord, events: Sequence[Event]) -> bytes:
        record, now = sealed.record, int(self.now())
        receipt = sign_receipt(sealed, rfc3339(now), self.key)
        try:
            view = note_job(tables, record, events, now)
        except ValueError as error:
            raise _Contradiction(str(error)) from error
        records = tables.records
        row = {
            "id": record.record,
            "kit": record.kit,
            "sequence": record.sequence,
            "sha256": sealed.sha256,
            "job": record.job,
            "first": record.first,
            "last": view.length,
            "head": view.head,
            "received": now,
            "body": sealed.body,
            "receipt": receipt,
        }
        written(records, "keep", lambda: records.insert({name: given(name) for name in row})).rows(
            **row
        )
        return receipt

    def _refused(self, sealed: SealedRecord, why: str) -> Conflict:
        record = sealed.record
        row = {
            "sha256": sealed.sha256,
            "kit": record.kit,
            "record": record.record,
            "sequence": record.sequence,
            "why": why,
            "received": int(self.now()),
            "body": sealed.body,
            "job": record.job,
        }
        self.database.write(
            lambda tables: tables.conflicts.insert(row).on_conflict_ignore().execute()
        )
        return Conflict(f"The record {record.record} contradicts another: {why}.", _ASK_OFFICE)


class _Contradiction(Exception):
    """Something else was taken before; ends the transaction."""

    def __init__(self, why: str) -> None:
        super().__init__(why)
        self.why = why


def _same(tables: Models, sealed: SealedRecord) -> bytes | None:
    """The receipt of exactly this record, None where there is no record of its id."""
    records = tables.records
    found = written(
        records,
        "same",
        lambda: records.select(records.sha256, records.receipt).where(records.id == given("id")),
    ).rows(id=sealed.record.record)
    if not found:
        return None
    ((sha256, receipt),) = found
    if sha256 != sealed.sha256:
        raise _Contradiction("under its id another content was taken")
    return bytes(receipt)


def _check_place(tables: Models, sealed: SealedRecord) -> None:
    """Does it follow what is here, among the kit's records and among the job's?"""
    record, records = sealed.record, tables.records
    of_kit = records.kit == given("kit")
    of_kit &= records.sequence.in_([given("number"), given("before")])
    beside = dict(
        written(
            records,
            "beside",
            lambda: records.select(records.sequence, records.sha256).where(of_kit),
        ).rows(kit=record.kit, number=record.sequence, before=record.sequence - 1)
    )
    if record.sequence in beside:
        raise _Contradiction(
            f"the kit's record {record.sequence} was taken with another content: the kit was "
            "cloned or set back"
        )
    if beside.get(record.sequence - 1, record.prev_sha256) != record.prev_sha256:
        raise _Contradiction(
            f"it does not follow the kit's record {record.sequence - 1}: the kit was cloned or set "
            "back"
        )
    ends = written(
        records,
        "end of job",
        lambda: (
            records.select(records.last, records.head)
            .where(records.job == given("job"))
            .order_by(records.first.desc())
            .limit(1)
        ),
    ).rows(job=record.job)
    length, head = ends[0] if ends else (0, record.prev_hash)
    if (record.first, record.prev_hash) != (length + 1, head):
        raise _Contradiction(
            f"{length} events of the job are here, and it goes on from event {record.first - 1}"
        )


def _check_blobs(tables: Models, wanted: list[BlobRef]) -> None:
    blobs = tables.blobs
    size = written(
        blobs, "size", lambda: blobs.select(blobs.size).where(blobs.sha256 == given("sha256"))
    )
    there = {blob.sha256: size.rows(sha256=blob.sha256) for blob in wanted}
    if missing := sorted(name for name, found in there.items() if not found):
        raise BlobsMissing(missing)
    for blob in wanted:
        if there[blob.sha256] != [(blob.size,)]:
            raise Malformed(
                f"The record says that {blob.sha256} has {blob.size} bytes; it has "
                f"{there[blob.sha256][0][0]}.",
                _ASK_OFFICE,
            )


def _hash(token: str) -> str:
    return hashlib.sha256(token.encode()).hexdigest()


def _revoked(name: str) -> Revoked:
    return Revoked(
        f"The workshop has shut out the kit '{name}'.",
        "It keeps everything; speak with the workshop.",
    )


def parsed_key(line: str) -> Ed25519PublicKey:
    """A kit's public key from its OpenSSH line.

    Raises:
        Malformed: it is none.
    """
    try:
        return parse_public_line(line)
    except BadInputError as error:
        raise Malformed(error.what, error.next_step) from error
