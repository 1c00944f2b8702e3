"""A write from the plan's file to the start in hw: evidence, gates, permit, and its record.

The order is fixed: the plan must be this job's and made by this kit; its payload comes from the
encrypted store; the ECU is read live; the backup made for this job is named; the checks are signed;
the technician's passphrase signs the acknowledgment; hw checks all of it itself. Every refusal goes
on the job's record before it is told.
"""

from __future__ import annotations

from dataclasses import dataclass

from appliance.api.messages import Acknowledge, GateView, RunPlan, Started
from appliance.errors import PassphraseError
from appliance.identity import Unlocked, failed_tries, sign_acknowledgment, sign_checks
from appliance.identity import unlock as unlock_kit
from appliance.plans.compiled import CompiledPlan
from appliance.plans.compiler import compile_recovery
from appliance.profiles.loader import LoadedProfile, load_profile
from appliance.records.events import (
    AbortAsked,
    Acknowledged,
    GatesChecked,
    Refused,
    Resumed,
    WrongPassphrase,
)
from appliance.service.backing import BackupDesk
from appliance.service.book import Book
from appliance.service.car import Ecu
from appliance.service.plans import KeptPlan
from appliance.sync.silence import Silence
from hw.client import HwClient
from hw.errors import BadInputError, FieldKitError, RefusedError, UnavailableError
from hw.messages import (
    Acknowledgment,
    Agreement,
    BackupCopies,
    Evidence,
    GateReport,
    RunInfo,
)
from hw.plan import decode_plan, digest_of

UNFINISHED = ("aborted_recoverable", "interrupted", "damaged")


@dataclass(frozen=True)
class Writer:
    """Carries one technician's writes.

    Args:
        unlocked: the opened kit.
        book: the jobs' records.
        hw: the connection to hw.
        backups: finds copies.
        silence: says whether the workshop was heard lately enough.
    """

    unlocked: Unlocked
    book: Book
    hw: HwClient
    backups: BackupDesk
    silence: Silence

    # Run --------------------------------------------------------------------------------------

    def check(self, job: str, document: bytes) -> GateView:
        """Ask all gates about a plan, without a permit.

        Raises:
            FieldKitError: the plan is not this job's, or hw does not answer.
        """
        with self._recorded(job, "check of the gates"):
            kept = self._plan_of(job, document)
            self.silence.demand_heard(kept.plan)
            self._check_preconditions(kept)
            report = self._arm(job, kept, None, dry=True)
        self.book.append(job, _checked(report, dry=True))
        return GateView(
            plan_digest=kept.digest,
            passed=all(result.passed for result in report.results),
            results=report.results,
        )

    def run(self, job: str, asked: RunPlan) -> Started:
        """Acknowledge, pass the gates, start the write.

        Raises:
            FieldKitError: refused before or by a gate; it is on the job's record.
        """
        with self._recorded(job, "write"):
            kept = self._plan_of(job, asked.plan)
            self.silence.demand_heard(kept.plan)
            technician = self._technician(job, asked.passphrase)
            _check_risk(kept, asked.risk_digest)
            self._check_preconditions(kept)
            acknowledgment = sign_acknowledgment(technician, kept.digest, asked.risk_digest)
            self._record_acknowledgment(job, kept, acknowledgment)
            report = self._arm(job, kept, acknowledgment, dry=False)
            after = self.book.last(job)
            self.book.append(job, _checked(report, dry=False))
            if not report.permit:
                return Started(
                    run="", job=job, plan_digest=kept.digest, after=after, gates=report.results
                )
            before = {info.run for info in self.hw.journal()}
            self.hw.start(report.permit)
            run = self._new_run(kept.digest, before)
        return Started(run=run, job=job, plan_digest=kept.digest, after=after, gates=report.results)

    def _new_run(self, digest: str, before: set[str]) -> str:
        for info in self.hw.journal():
            if info.run not in before and info.plan_digest == digest:
                return info.run
        raise UnavailableError(
            "The write was started, but hw does not tell of it.", "Look at the kit's status."
        )

    # Resume, abort, recover -------------------------------------------------------------------

    def resume(self, job: str, asked: Acknowledge) -> Started:
        """Acknowledge again and resume the write of this job that was cut.

        Raises:
            FieldKitError: nothing is cut, or a gate refused.
        """
        with self._recorded(job, "resume"):
            info = self.running(job)
            kept = self.book.plan(info.plan_digest)
            technician = self._technician(job, asked.passphrase)
            _check_risk(kept, asked.risk_digest)
            acknowledgment = sign_acknowledgment(technician, kept.digest, asked.risk_digest)
            self._record_acknowledgment(job, kept, acknowledgment)
            after = self.book.last(job)
            self.hw.resume(acknowledgment)
            self.book.append(job, Resumed(run=info.run, plan_digest=kept.digest))
        return Started(run=info.run, job=job, plan_digest=kept.digest, after=after, gates=[])

    def abort(self, job: str) -> None:
        """End the write of this job at its next safe point."""
        info = self.running(job)
        self.book.append(job, AbortAsked(run=info.run, technician=self.unlocked.technician.name))
        self.hw.abort()

    def running(self, job: str) -> RunInfo:
        """The run of this job that is under way.

        Raises:
            RefusedError: there is none.
        """
        for info in self.hw.journal():
            if info.job == job and info.state == "running":
                return info
        raise RefusedError("PERMIT", "No write of this job is under way.", "Look at the job.")

    def unfinished(self, job: str) -> RunInfo:
        """The run of this job that must be recovered.

        Raises:
            RefusedError: nothing is left unfinished, or it still runs.
        """
        runs = [info for info in self.hw.journal() if info.job == job]
        if any(info.state == "running" for info in runs):
            raise RefusedError(
                "PERMIT",
                "A write of this job is still under way.",
                "Resume it, or end it and recover it then.",
            )
        if found := [info for info in runs if info.state in UNFINISHED]:
            return max(found, key=lambda info: info.run)
        raise RefusedError(
            "PERMIT",
            "Nothing of this job is left unfinished, so there is nothing to recover.",
            "Look at the job.",
        )

    def recovery(self, job: str, link: str) -> CompiledPlan:
        """Compile the plan that finishes the unfinished write of this job.

        Raises:
            FieldKitError: there is none, or another ECU is on the cable.
        """
        info = self.unfinished(job)
        original = self.book.plan(info.plan_digest)
        plan = original.plan
        loaded = load_profile(plan.profile, self.unlocked.state)
        ecu = Ecu(self.hw, loaded, link or plan.target.link)
        live = ecu.values(item.did for item in plan.target.boot_identity)
        return compile_recovery(loaded, original.document, original.payload, live, link)

    # Evidence ---------------------------------------------------------------------------------

    def _plan_of(self, job: str, document: bytes) -> KeptPlan:
        plan = decode_plan(document)
        if plan.job != job:
            raise RefusedError(
                "PERMIT",
                f"The plan belongs to job {plan.job}, not to {job}.",
                "Make a plan for this job.",
            )
        return self.book.plan(digest_of(document))

    def _profile_of(self, kept: KeptPlan) -> LoadedProfile:
        loaded = load_profile(kept.plan.profile, self.unlocked.state)
        if loaded.sha256 != kept.plan.profile_sha256:
            raise BadInputError(
                "The profile was changed since the plan was made.", "Make the plan again."
            )
        return loaded

    def _check_preconditions(self, kept: KeptPlan) -> None:
        """What the plan rests on and hw does not compare, read again now."""
        wanted = kept.checks.preconditions
        if not wanted:
            return
        ecu = Ecu(self.hw, self._profile_of(kept), kept.plan.target.link)
        live = ecu.values(item.did for item in wanted)
        for item in wanted:
            if item not in live:
                raise RefusedError(
                    "CHECKSUM_MATCH",
                    f"DID 0x{item.did:04X} of the ECU is not what it was when the plan was made.",
                    "Identify the ECU and make the plan again.",
                )

    def _technician(self, job: str, passphrase: str) -> Unlocked:
        """The technician who has the kit, their passphrase given once more."""
        name, state = self.unlocked.technician.name, self.unlocked.state
        try:
            return unlock_kit(state, name, passphrase)
        except PassphraseError:
            tries = len(failed_tries(state))
            self.book.append(job, WrongPassphrase(technician=name, tries=tries))
            raise

    def _arm(
        self, job: str, kept: KeptPlan, acknowledgment: Acknowledgment | None, *, dry: bool
    ) -> GateReport:
        document, signature = sign_checks(
            self.unlocked,
            plan_digest=kept.digest,
            container=kept.checks.container,
            container_sha256=kept.checks.container_sha256,
            checks=kept.checks.checks,
            compatibility=kept.checks.compatibility,
        )
        evidence = Evidence(
            profile_file=str(self._profile_of(kept).path),
            backup=self._backup_for(job, kept),
            checks_document=document,
            checks_signature=signature,
            acknowledgment=acknowledgment,
            agreements={
                name: Agreement(
                    document=signed.statement.encode(), signature=signed.signature.encode()
                )
                for name, signed in self.book.agreements(job).items()
            },
        )
        return self.hw.arm(kept.document, kept.payload, evidence, dry=dry)

    def _backup_for(self, job: str, kept: KeptPlan) -> BackupCopies | None:
        """The newest backup of this ECU for this job; for a recovery the one it began with."""
        plan = kept.plan
        backup = self.book.backup_of(job, plan.target.ecu)
        if plan.recovers:
            manifests = [
                info.backup_manifest_sha256
                for info in self.hw.journal()
                if info.plan_digest == plan.recovers
            ]
            backup = self.book.backup_by_manifest(job, manifests[0]) if manifests else ""
        return BackupCopies(folders=self.backups.folders_of(backup)) if backup else None

    # Record -----------------------------------------------------------------------------------

    def _recorded(self, job: str, doing: str) -> _Recorded:
        return _Recorded(self.book, job, doing)

    def _record_acknowledgment(
        self, job: str, kept: KeptPlan, acknowledgment: Acknowledgment
    ) -> None:
        self.book.append(
            job,
            Acknowledged(
                plan_digest=kept.digest,
                risk_text=kept.plan.risk.text,
                statement=acknowledgment.document.decode(),
                signature=acknowledgment.signature.decode(),
            ),
        )


class _Recorded:
    """Puts an error that leaves the block on the job's record, and lets it go on."""

    def __init__(self, book: Book, job: str, doing: str) -> None:
        self._book, self._job, self._doing = book, job, doing

    def __enter__(self) -> None:
        return

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: object
    ) -> None:
        if isinstance(error, FieldKitError):
            refused = Refused(
                doing=self._doing,
                code=error.code,
                what=error.what,
                next_step=error.next_step,
                gate=getattr(error, "gate", ""),
            )
            self._book.append(self._job, refused)


def _check_risk(kept: KeptPlan, risk_digest: str) -> None:
    if risk_digest != kept.plan.risk.digest:
        raise RefusedError(
            "USER_ACKNOWLEDGMENT",
            "The risk that was accepted is not the risk of this plan.",
            f"Read the risk text of this plan; its digest is {kept.plan.risk.digest}.",
        )


def _checked(report: GateReport, *, dry: bool) -> GatesChecked:
    return GatesChecked(
        plan_digest=report.plan_digest,
        dry=dry,
        permit=bool(report.permit),
        results=list(report.results),
    )
