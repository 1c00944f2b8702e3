"""What is on its way from this kit to the workshop.

A record is frozen before it is sent for the first time and never changes afterwards; it goes
`QUEUED -> SENDING -> STORED -> RETIRABLE`. SENDING may have reached the workshop or not: sending it
again is harmless. STORED is the workshop's answer, RETIRABLE its signed receipt: only then may what
the record holds ever be deleted here. What the workshop refuses is QUARANTINED with its reason, and
the rest goes on; it is sent again, as it was frozen, when somebody asks for it.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

import msgspec
from peewee import fn

from appliance import ids
from appliance.records.chain import make_head
from appliance.records.events import BackupMade, Event, PlanCompiled
from appliance.records.records import Records
from appliance.records.view import JobState
from appliance.store.schema import Tables
from appliance.sync.record import (
    NO_RECORD,
    BlobKind,
    BlobRef,
    Record,
    SealedRecord,
    Signed,
    seal_record,
    signed_pairs,
)
from appliance.sync.requests import kit_id
from appliance.sync.rest import Rest, in_any_case
from hw.statements import Moment

State = Literal["QUEUED", "SENDING", "STORED", "RETIRABLE", "QUARANTINED"]
MOST_AT_ONCE = 5_000
"""Events of one record: an hour of voltage would be more than the workshop takes in one piece."""
UNSENT: tuple[State, ...] = ("QUEUED", "SENDING", "STORED")


@dataclass(frozen=True)
class Item:
    """A record in the outbox; `why` says what kept it there, in words."""

    sequence: int
    record: str
    job: str
    state: State
    why: str
    sha256: str


@dataclass(frozen=True)
class Unfrozen:
    """Jobs with events that are in no record yet.

    Attributes:
        in_work: they are not at rest, or a write of them runs.
        without_medium: no medium has the backup that belongs to them.
    """

    in_work: list[str] = field(default_factory=list)
    without_medium: list[str] = field(default_factory=list)


@dataclass(frozen=True)
class Lost:
    """Records that the workshop lost: those that are sent again, and those that this kit has let go
    of, whose jobs it still has the events of.
    """

    again: int
    gone: int


@dataclass(frozen=True)
class _Grown:
    """A job with events that are in no record; `sent` is the last one that is."""

    job: str
    state: JobState
    sent: int
    last: int


BackupFiles = Callable[[str], "Sequence[tuple[BlobKind, bytes]] | None"]
"""`manifest.json` and its signature of a backup, by its id; None while no medium has them."""


@dataclass(frozen=True)
class Outbox:
    """See the module.

    Attributes:
        records: the kit's jobs.
        backup_files: reads what the chain does not name the hash of.
    """

    records: Records
    backup_files: BackupFiles

    def freeze(self, at_rest: Rest = in_any_case) -> Unfrozen:
        """Make a record of every job at rest that has events which are in none.

        Args:
            at_rest: decides; a job that a write changes never is.

        Returns:
            What was left.
        """
        left = Unfrozen()
        for grown in self._grown():
            if grown.state == "writing" or not at_rest(grown.state, self._last_moment(grown)):
                left.in_work.append(grown.job)
            elif not self._freeze_job(grown):
                left.without_medium.append(grown.job)
        return left

    def items(self, states: Sequence[State] = UNSENT) -> list[Item]:
        """Records in these states, in the order of their numbers."""

        def work(tables: Tables) -> list[dict[str, Any]]:
            box = tables.outbox
            columns = (box.sequence, box.record, box.job, box.state, box.why, box.sha256)
            query = box.select(*columns).where(box.state.in_(list(states)))
            return list(query.order_by(box.sequence))

        return [Item(**row) for row in self.records.store.run(work)]

    def try_again(self) -> None:
        """Put what the workshop refused back among what is sent: the reason may have gone away."""

        def work(tables: Tables) -> None:
            box = tables.outbox
            # SENDING: the workshop may have its files, and is asked before they are sent again.
            again = {box.state: "SENDING", box.why: ""}
            box.update(again).where(box.state == "QUARANTINED").execute()

        self.records.store.run(work)

    def send_again_after(self, last: int) -> Lost:
        """Put back what the workshop signed for and no longer has, because it was set back.

        Args:
            last: the highest number of this kit's records that the workshop has.
        """

        def work(tables: Tables) -> Lost:
            box = tables.outbox
            lost = (box.state == "RETIRABLE") & (box.sequence > last)
            gone = box.select().where(lost & (box.body == b"")).count()
            here = lost & (box.body != b"")
            again = box.update({box.state: "SENDING", box.why: ""}).where(here).execute()
            return Lost(again=again, gone=gone)

        return self.records.store.run(work)

    def sealed(self, item: Item) -> SealedRecord:
        """A record as it was frozen, while it is kept (`appliance.service.retiring`)."""
        rows = self.records.store.run(
            lambda t: list(t.outbox.select().where(t.outbox.sequence == item.sequence))
        )
        body = bytes(rows[0]["body"])
        document = msgspec.json.decode(body, type=Signed).document
        return SealedRecord(msgspec.json.decode(document, type=Record), body, item.sha256)

    def move(self, item: Item, state: State, why: str = "", receipt: bytes = b"") -> None:
        """Take a record to another state; with a receipt, keep it."""

        def work(tables: Tables) -> None:
            box = tables.outbox
            values: dict[Any, Any] = {box.state: state, box.why: why}
            if receipt:
                values[box.receipt] = receipt
            box.update(values).where(box.sequence == item.sequence).execute()

        self.records.store.run(work)

    # Freezing ---------------------------------------------------------------------------------

    def _grown(self) -> list[_Grown]:
        def work(tables: Tables) -> list[_Grown]:
            box, events, jobs = tables.outbox, tables.events, tables.jobs
            sent = {
                str(row["job"]): int(row["last"])
                for row in box.select(box.job, fn.MAX(box.last).alias("last")).group_by(box.job)
            }
            states = {str(row["job"]): row["state"] for row in jobs.select(jobs.job, jobs.state)}
            ends = events.select(events.job, fn.MAX(events.seq).alias("last"))
            return [
                _Grown(row["job"], states[row["job"]], sent.get(row["job"], 0), row["last"])
                for row in ends.group_by(events.job).order_by(events.job)
                if row["last"] > sent.get(row["job"], 0)
            ]

        return self.records.store.run(work)

    def _last_moment(self, grown: _Grown) -> Moment:
        (last,) = self.records.events(grown.job, grown.last - 1, 1)
        return last.at

    def _freeze_job(self, grown: _Grown) -> bool:
        """Freeze all that is in no record yet; False where no medium has what belongs to it."""
        after = grown.sent
        while after < grown.last:
            part = min(grown.last - after, MOST_AT_ONCE)
            events = self.records.events(grown.job, after, part)
            blobs = list(self._blobs(events))
            if None in blobs:
                return False
            self._freeze(events, [blob for blob in dict.fromkeys(blobs) if blob is not None])
            after = events[-1].seq
        return True

    def _freeze(self, events: Sequence[Event], blobs: list[BlobRef]) -> None:
        head = make_head(events[-1], self.records.kit_key)
        record = Record(
            format="fieldkit-record/1",
            record=ids.uuid7(),
            kit=kit_id(self.records.kit_key.public_key()),
            sequence=1,
            prev_sha256=NO_RECORD,
            job=events[0].job,
            first=events[0].seq,
            prev_hash=events[0].prev_hash,
            events=signed_pairs([(event.document, event.signature) for event in events]),
            head=signed_pairs([(head.document, head.signature)])[0],
            blobs=blobs,
        )
        self.records.store.run(lambda tables: self._queue(tables, record, events[-1].seq))

    def _queue(self, tables: Tables, record: Record, last: int) -> None:
        """Give the record its number, sign it, and keep it, in one transaction."""
        box = tables.outbox
        before = list(box.select(box.sequence, box.sha256).order_by(box.sequence.desc()).limit(1))
        sequence = int(before[0]["sequence"]) + 1 if before else 1
        previous = str(before[0]["sha256"]) if before else NO_RECORD
        numbered = msgspec.structs.replace(record, sequence=sequence, prev_sha256=previous)
        sealed = seal_record(numbered, self.records.kit_key)
        row = {
            "sequence": sequence,
            "record": record.record,
            "job": record.job,
            "last": last,
            "sha256": sealed.sha256,
            "body": sealed.body,
            "state": "QUEUED",
            "why": "",
            "receipt": b"",
        }
        box.insert(row).execute()

    def _blobs(self, events: Sequence[Event]) -> Iterator[BlobRef | None]:
        """What belongs to these events; None stands for what cannot be named yet."""
        for event in events:
            match event.body:
                case PlanCompiled() as plan:
                    yield from self._of_plan(plan)
                case BackupMade() as made:
                    yield from self._of_backup(made)

    def _of_plan(self, plan: PlanCompiled) -> Iterator[BlobRef]:
        names: tuple[tuple[BlobKind, str], ...] = (
            ("plan", plan.plan_digest),
            ("payload", plan.payload_sha256),
            ("container", plan.container_sha256),
        )
        store = self.records.store
        for kind, sha256 in names:
            if sha256 and store.has_blob(sha256):
                yield BlobRef(kind=kind, sha256=sha256, size=len(store.blob(sha256)))

    def _of_backup(self, made: BackupMade) -> Iterator[BlobRef | None]:
        files = self.backup_files(made.backup)
        if files is None:
            yield None
            return
        for kind, content in files:
            sha256 = hashlib.sha256(content).hexdigest()
            yield BlobRef(kind=kind, sha256=sha256, size=len(content))
        for item in made.objects:
            yield BlobRef(kind="backup", sha256=item.sha256, size=item.size)
