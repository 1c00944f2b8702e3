"""Letting go of what the workshop has: records as sent, files of plans, backups on the two media.

A job's files go once all of this holds: every event of it lies in records that the workshop signed
for, the signatures are checked again; the workshop's clock (`appliance.sync.silence`) is past the
last of these receipts by the configured days, at least; no write of the job runs or is unfinished,
as the record and hw say; and the workshop, asked once more, signs that it still has it. What it was
set back behind is sent again instead. Its events, its plans and its report stay, and the job is
listed as before. What goes from the database leaves room there for what comes.

First the database says that a job was let go, in the transaction that takes its files out of it;
then its backups go from whichever medium is there. So a medium that comes back later is cleared
then, and whoever is killed in between has lost nothing that the workshop does not have.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import msgspec
from peewee import fn

from appliance.backups.check import names_on
from appliance.backups.media import Medium, check_medium, media_of
from appliance.backups.remove import finish_removals, remove_backup
from appliance.errors import MediumError
from appliance.records.events import BackupMade, PlanCompiled
from appliance.store import Store, Tables
from appliance.sync.hubclient import PutAside
from appliance.sync.outbox import Item, Outbox
from appliance.sync.receipt import Receipt, ReceiptDamaged, check_receipt
from appliance.sync.record import Signed
from hw.config import MediaConfig
from hw.errors import UNDECODABLE
from hw.sshsig import AllowedSigners

log = logging.getLogger("fieldkit.sync")

_OPEN = ("writing", "aborted_recoverable")


@dataclass(frozen=True)
class Kept:
    """What of the jobs that the workshop has is still here.

    Attributes:
        held: jobs whose files stay until they are old enough.
        gone: jobs whose files were let go.
    """

    held: int
    gone: int


@dataclass(frozen=True)
class Retiring:
    """See the module.

    Attributes:
        outbox: the kit's, with its records.
        media: where backups lie.
        workshop: whose receipts count.
        keep_s: so long everything stays after the receipt.
        ask: the workshop's receipt for a record, now; raises `PutAside` where it has none.
    """

    outbox: Outbox
    media: MediaConfig
    workshop: AllowedSigners
    keep_s: float
    ask: Callable[[str], bytes]

    def run(self, workshop_s: float, unfinished: Collection[str]) -> Kept:
        """Let go of everything that is old enough.

        Args:
            workshop_s: the workshop's clock, at least, in seconds since 1970; 0 for unknown.
            unfinished: jobs of which hw has a write that runs or is unfinished.
        """
        there = self._handed_over()
        old = {
            job: last
            for job, last in there.items()
            if job not in unfinished and self._is_old(job, workshop_s)
        }
        if old:
            self._let_go(old)
        self._store.run(_forget_records)
        for medium in media_of(self.media):
            try:
                self._clear(medium)
            except MediumError as error:
                log.info("Backups stay where they are for now: %s", error.what)
        return Kept(held=len(there) - len(old), gone=len(self._gone()))

    # Which ------------------------------------------------------------------------------------

    def _handed_over(self) -> dict[str, int]:
        """Jobs that the workshop has to their last event, which is given, and that are here."""

        def work(tables: Tables) -> dict[str, int]:
            box, jobs, events = tables.outbox, tables.jobs, tables.events
            sent: dict[str, int] = {}
            waiting: set[str] = set()
            for row in box.select(box.job, box.state, box.last).order_by(box.sequence):
                sent[row["job"]] = row["last"]
                if row["state"] != "RETIRABLE":
                    waiting.add(row["job"])
            gone = _last_events(tables)
            at_rest = {row["job"] for row in jobs.select(jobs.job).where(jobs.state.not_in(_OPEN))}
            ends = events.select(events.job, fn.MAX(events.seq).alias("last"))
            here = at_rest - waiting
            return {
                row["job"]: row["last"]
                for row in ends.group_by(events.job)
                if row["job"] in here
                and sent.get(row["job"]) == row["last"]
                and gone.get(row["job"]) != row["last"]
            }

        return self.outbox.records.store.run(work)

    def _is_old(self, job: str, workshop_s: float) -> bool:
        """Has the workshop had all of it for long enough, by receipts that are its own?"""

        def work(tables: Tables) -> list[dict[str, Any]]:
            box = tables.outbox
            columns = (box.sequence, box.record, box.job, box.state, box.why, box.sha256)
            # Of a job that was taken up again the older records went, proven, with their files.
            of_job = (box.job == job) & (box.body != b"")
            return list(box.select(*columns, box.receipt).where(of_job))

        receipts = [(bytes(row.pop("receipt")), Item(**row)) for row in self._store.run(work)]
        try:
            # Most are too young; what is not proven yet may say so, too.
            if workshop_s - max(_stored(receipt) for receipt, _ in receipts) < self.keep_s:
                return False
            return all(self._is_there(item, receipt) for receipt, item in receipts)
        except ReceiptDamaged as error:
            log.warning("The files of job %s stay: %s", job, error.what)
            return False

    def _is_there(self, item: Item, receipt: bytes) -> bool:
        """Did the workshop sign for a record, and does it still?

        Raises:
            ReceiptDamaged: a receipt is not its own, or for something else.
        """
        try:
            now = self.ask(item.record)
        except PutAside as error:
            log.warning("Record %d is sent again: %s", item.sequence, error.what)
            self.outbox.move(item, "SENDING")
            return False
        sealed = self.outbox.sealed(item)
        for one in (receipt, now):
            check_receipt(one, sealed.record, sealed.sha256, self.workshop)
        return True

    # Letting go -------------------------------------------------------------------------------

    def _let_go(self, old: dict[str, int]) -> None:
        """Take the files of plans out of the database, but for those that others need."""
        gone = self._gone() | old
        files = {file for job in old for file in self._files(job, 0)}
        needed = {file for job in self._planned() for file in self._files(job, gone.get(job, 0))}

        def work(tables: Tables) -> None:
            rows = [{"job": job, "last": last} for job, last in old.items()]
            tables.retired.insert(rows).on_conflict_replace().execute()
            for file in files - needed:
                tables.blobs.delete().where(tables.blobs.sha256 == file).execute()

        self._store.run(work)
        log.info("The workshop has %d jobs whose files are not kept here any longer.", len(old))

    def _planned(self) -> list[str]:
        """Jobs with plans."""

        def work(tables: Tables) -> list[str]:
            subjects = tables.subjects
            query = subjects.select(subjects.job).where(subjects.kind == "plan").distinct()
            return [row["job"] for row in query]

        return self._store.run(work)

    def _files(self, job: str, after: int) -> Iterator[str]:
        """Names of the files of plans that were made after an event."""
        for event in self.outbox.records.events_of_kind(job, "plan_compiled"):
            if isinstance(event.body, PlanCompiled) and event.seq > after:
                yield from (event.body.payload_sha256, event.body.container_sha256)

    # Media ------------------------------------------------------------------------------------

    def _clear(self, medium: Medium) -> None:
        check_medium(medium, self.media)
        gone = self._gone()
        for backup in names_on(medium):
            jobs = self.outbox.records.jobs_of("backup", backup)
            if jobs and all(self._is_gone(job, backup, gone) for job in jobs):
                remove_backup(medium, backup)
        finish_removals(medium)

    def _is_gone(self, job: str, backup: str, gone: dict[str, int]) -> bool:
        """Was the backup made before the job was let go? A job may be taken up again."""
        return any(
            event.seq <= gone.get(job, 0)
            for event in self.outbox.records.events_of_kind(job, "backup_made")
            if isinstance(event.body, BackupMade) and event.body.backup == backup
        )

    def _gone(self) -> dict[str, int]:
        return self._store.run(_last_events)

    @property
    def _store(self) -> Store:
        return self.outbox.records.store


def _forget_records(tables: Tables) -> None:
    """Of jobs that were let go each record's number, hash and receipt stay: the next follows it."""
    box, retired = tables.outbox, tables.retired
    gone = retired.select(retired.job).where((retired.job == box.job) & (retired.last >= box.last))
    box.update({box.body: b""}).where((box.body != b"") & fn.EXISTS(gone)).execute()


def _last_events(tables: Tables) -> dict[str, int]:
    """Jobs that were let go, and the last event that each had then."""
    return {row["job"]: row["last"] for row in tables.retired.select()}


def _stored(receipt: bytes) -> float:
    """When the workshop says that it stored the record, in seconds since 1970 of its clock."""
    try:
        document = msgspec.json.decode(receipt, type=Signed).document
        told = msgspec.json.decode(document, type=Receipt).stored
        return datetime.fromisoformat(told).timestamp()
    except (*UNDECODABLE, ValueError) as error:
        raise ReceiptDamaged(f"it cannot be read: {error}") from error
