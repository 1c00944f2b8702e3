"""The jobs' book of an opened kit: records, plans with their payloads, and who waits for news."""

from __future__ import annotations

import logging
import sys
import threading
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

import msgspec

from appliance.api.messages import ChainVerified, File, JobEvent, Jobs, JobView
from appliance.identity import Unlocked, moment
from appliance.records import Body, Event, JobFilter, Records
from appliance.records.events import (
    AgreementSigned,
    BackupMade,
    HwEvent,
    Identified,
    OrderTaken,
    PlanCompiled,
    Recovered,
    WriteStarted,
)
from appliance.records.export import export_files, note_export, report_of
from appliance.records.reading import vins_read
from appliance.records.vehicle import Customer, Vehicle
from appliance.records.view import JobView as RecordView
from appliance.service.plans import KeptChecks, KeptPlan, decode_checks, encode_checks
from appliance.store import Store
from hw.errors import UsageError
from hw.messages import EventBody, Outcome, RunInfo
from hw.sshsig import AllowedSigners
from hw.statements import TextName

log = logging.getLogger("fieldkit.book")
R = TypeVar("R")

DATABASE = "appliance.db"
JOBS_AT_ONCE = 500
"""Jobs in one answer at most; the rest comes with the next page."""
_NOT_MADE_HERE = "Make the plan again on this kit: it keeps the payload that belongs to a plan."


@dataclass
class Book:
    """Everything about jobs that outlives a moment. Thread-safe.

    Args:
        store: the kit's encrypted database.
        records: the jobs' chains in it.
        technician: who has the kit.
    """

    store: Store
    records: Records
    technician: str
    _changed: threading.Condition = field(default_factory=threading.Condition)

    @classmethod
    def open(cls, unlocked: Unlocked) -> Book:
        """Open the database of an opened kit.

        Raises:
            FieldKitError: it is damaged, or another appliance has it.
        """
        signers = AllowedSigners.load(unlocked.state / "trust" / "allowed_signers")
        store = Store(unlocked.state / DATABASE, unlocked.database_key)
        return cls(store, Records(store, unlocked.kit_key, signers), unlocked.technician.name)

    def close(self) -> None:
        """Close the database; whoever waits for events is woken."""
        self.store.close()
        self._tell()

    # Jobs -------------------------------------------------------------------------------------

    def new_job(
        self, customer: Customer, car: Vehicle, complaint: str, order: OrderTaken | None = None
    ) -> str:
        """Open a job; for an order, the one that there is."""
        return self.records.create_job(customer, car, complaint, self.technician, order).job

    def find(self, word: str) -> str:
        """A job's id, from its id or the beginning or end of it."""
        return self.records.find(word)

    def jobs(self, words: str, before: str, limit: int) -> Jobs:
        """A page of jobs, the newest first (`appliance.records.JobFilter`)."""
        size = min(max(limit, 1), JOBS_AT_ONCE)
        found = self.records.list_jobs(JobFilter(words=words, before=before, limit=size + 1))
        return Jobs(jobs=[_job_shown(view) for view in found[:size]], more=len(found) > size)

    def all(self) -> list[RecordView]:
        """Every job of the kit."""
        return self.records.list_jobs(JobFilter(limit=sys.maxsize))

    def view(self, job: str) -> JobView:
        """A job as the API shows it."""
        return _job_shown(self.records.job(job))

    def append(self, job: str, body: Body) -> None:
        """Put an event on a job's chain."""
        self.records.append(job, body)
        self._tell()

    def verify(self, job: str) -> ChainVerified:
        """Compute a job's chain again.

        Raises:
            ChainBroken: somebody changed something.
        """
        head = self.records.verify_job(job).head
        return ChainVerified(job=job, events=head.length, head=head.head)

    def export(self, job: str) -> list[File]:
        """Every file of a job's export; that it was exported goes on the record.

        Raises:
            ChainBroken: nothing that is damaged is exported.
        """
        return self.export_by(job, lambda files: files)

    def export_by(self, job: str, deliver: Callable[[list[File]], R]) -> R:
        """Hand every file of a job's export to `deliver`; only if that goes well the export goes
        on the record.

        Raises:
            ChainBroken: nothing that is damaged is exported.
        """
        files = export_files(self.records, job)
        delivered = deliver([File(name=name, content=content) for name, content in files.items()])
        note_export(self.records, job, files, Path(job))
        self._tell()
        return delivered

    def report(self, job: str) -> File:
        """The report of a job as it is now, to be looked at: nothing goes on the record.

        Raises:
            ChainBroken: nothing that is damaged is shown.
        """
        return File(name="report.pdf", content=report_of(self.records, job))

    # Events -----------------------------------------------------------------------------------

    def last(self, job: str) -> int:
        """Number of the last event of a job."""
        return self.records.job(job).length

    def events(self, job: str, after: int, wait_s: float) -> list[JobEvent]:
        """Events after a number; waits up to `wait_s` for the first one."""
        until = time.monotonic() + wait_s
        with self._changed:
            while not (found := self.records.events(job, after)):
                left_s = until - time.monotonic()
                if left_s <= 0 or not self._changed.wait(left_s):
                    break
        return [_shown(event) for event in found]

    def _tell(self) -> None:
        with self._changed:
            self._changed.notify_all()

    # Runs of hw (see `appliance.service.ingest.RunRecord`) -----------------------------------

    def last_seq(self, run: str) -> int:
        """Number of the last event of this run that is recorded, 0 for none."""
        return self.records.last_seq(run)

    def has_outcome(self, run: str) -> bool:
        """Is the end of this run recorded?"""
        return self.records.has_outcome(run)

    def append_events(
        self, info: RunInfo, simulated: Sequence[str], events: Sequence[tuple[int, EventBody]]
    ) -> None:
        """Record events of a run; before its first one, that it was started."""
        if not self.records.jobs_of("run", info.run):
            started = WriteStarted(
                run=info.run, plan_digest=info.plan_digest, simulated=list(simulated)
            )
            self.records.append(info.job, started)
        self.records.append_events(info.job, info.run, events)
        ends = [body for _, body in events if isinstance(body, Outcome)]
        if any(end.outcome == "verified" for end in ends):
            self._mark_recovered(info)
        self._tell()

    def _mark_recovered(self, info: RunInfo) -> None:
        """Say of each run that this one finished that it is recovered."""
        recovers = self.plan(info.plan_digest).plan.recovers
        if not recovers:
            return
        for event in self.records.events_of_kind(info.job, "write_started"):
            body = event.body
            if isinstance(body, WriteStarted) and body.plan_digest == recovers:
                self.records.append(info.job, Recovered(run=body.run, by_run=info.run))

    # Plans ------------------------------------------------------------------------------------

    def keep_plan(self, job: str, kept: KeptPlan, description: Sequence[str]) -> None:
        """Keep a plan with its payload, and put it on the job's record."""
        plan, checks = kept.plan, kept.checks
        self.store.put_blob(kept.document)
        self.store.put_blob(kept.payload)
        self.store.set_setting(_plan_setting(kept.digest), encode_checks(checks).decode())
        self.append(
            job,
            PlanCompiled(
                plan_digest=kept.digest,
                title=plan.title,
                ecu=plan.target.ecu,
                risk_class=plan.risk.risk_class,
                risk_text=plan.risk.text,
                container=checks.container,
                container_sha256=checks.container_sha256,
                checks=checks.checks,
                payload_sha256=checks.payload_sha256,
                recovers=plan.recovers,
                description=list(description),
            ),
        )

    def keep_file(self, content: bytes) -> None:
        """Keep a file as it came, so that the record's export has it."""
        self.store.put_blob(content)

    def plan(self, digest: str) -> KeptPlan:
        """A plan that this kit made, with the payload that belongs to it.

        Raises:
            UsageError: this kit did not make it.
        """
        text = self.store.setting(_plan_setting(digest))
        if text is None:
            raise UsageError(f"This kit did not make the plan {digest}.", _NOT_MADE_HERE)
        checks: KeptChecks = decode_checks(text.encode())
        if not self.store.has_blob(checks.payload_sha256):
            raise UsageError(
                f"What the plan {digest} wrote is not on this kit any more: the workshop has it.",
                "Make a new plan from the file.",
            )
        document = self.store.blob(digest)
        return KeptPlan(
            document=document, payload=self.store.blob(checks.payload_sha256), checks=checks
        )

    # Agreements -------------------------------------------------------------------------------

    def agreements(self, job: str) -> dict[TextName, AgreementSigned]:
        """What the customer signed for this job, by the text's name: the newest of each."""
        events = self.records.events_of_kind(job, "agreement_signed")
        bodies = [event.body for event in events if isinstance(event.body, AgreementSigned)]
        return {body.agreed.text: body for body in bodies}

    def vin(self, job: str) -> str:
        """The car of a job: as it was entered, else as the ECU that was read last says it."""
        if entered := self.records.job(job).vehicle.vin:
            return entered
        events = self.records.events_of_kind(job, "identified")
        read = vins_read(event.body for event in events if isinstance(event.body, Identified))
        return read[-1] if read else ""

    # Backups ----------------------------------------------------------------------------------

    def backup_of(self, job: str, ecu: str) -> str:
        """The newest backup of an ECU that was made for this job, empty for none."""
        made = [body.backup for body in self._backups(job) if body.ecu == ecu]
        return made[-1] if made else ""

    def backup_by_manifest(self, job: str, manifest_sha256: str) -> str:
        """The backup of this job whose manifest has this digest, empty for none."""
        for body in self._backups(job):
            if body.manifest_sha256 == manifest_sha256:
                return body.backup
        return ""

    def jobs_of_backup(self, backup: str) -> list[str]:
        """Jobs that know a backup."""
        return self.records.jobs_of("backup", backup)

    def note_verified(self, media: Iterable[str], backup: str) -> None:
        """A backup was read back whole from these media (`A`, `B`), now."""
        wall = moment().wall
        for medium in media:
            self.store.set_setting(_verified_setting(medium), f"{wall} {backup}")

    def verified(self, medium: str) -> tuple[str, str]:
        """When a backup was last read back whole from a medium, and which; empty for never."""
        wall, _, backup = (self.store.setting(_verified_setting(medium)) or "").partition(" ")
        return wall, backup

    def _backups(self, job: str) -> list[BackupMade]:
        events = self.records.events_of_kind(job, "backup_made")
        return [event.body for event in events if isinstance(event.body, BackupMade)]


def _verified_setting(medium: str) -> str:
    return f"verified/{medium}"


def _plan_setting(digest: str) -> str:
    return f"plan/{digest}"


def _job_shown(view: RecordView) -> JobView:
    return JobView(
        job=view.job,
        customer=view.customer.name,
        vehicle=view.vehicle.name,
        complaint=view.complaint,
        phone=view.customer.phone,
        email=view.customer.email,
        vin=view.vehicle.vin,
        plate=view.vehicle.plate,
        made=view.made,
        state=view.state,
        what=view.what,
        next_step=view.next_step,
        run=view.run,
        plans=view.plans,
        backups=view.backups,
        events=view.length,
        head=view.head,
    )


def _shown(event: Event) -> JobEvent:
    """An event as the stream tells it: what hw told stands under hw's own word for it."""
    body = event.body
    inner = body.event if isinstance(body, HwEvent) else body
    fields: dict[str, Any] = msgspec.to_builtins(inner)
    tag = fields.pop(str(inner.__struct_config__.tag_field))
    return JobEvent(
        seq=event.seq,
        kind=str(tag),
        wall=event.at.wall,
        run=str(getattr(body, "run", "")),
        body=fields,
    )
