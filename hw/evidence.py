"""The gates' evidence, checked by hw from the media, the sensor, the car and signed files.

Nothing here believes the caller: signatures are verified against the kit's allowed signers, backup
copies are read again from both media, the target's identity is what the ECU answered just now.
What is missing, stale, unreadable or unknown is a refusal that names the gate, the reason and the
next step. Ages are counted in boot time; evidence of another boot is stale.
"""

from __future__ import annotations

import errno
import hashlib
import io
import itertools
import os
import stat
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from hw import clock
from hw.agreement import check_agreement, needed_texts
from hw.config import KitConfig
from hw.errors import FieldKitError, RefusedError
from hw.journal import UNFINISHED, Journal
from hw.messages import Acknowledgment, BackupCopies, Evidence, GateName, GateResult
from hw.plan import Download, IdentityValue, VoltageWindow, WritePlan
from hw.sshsig import AllowedSigners
from hw.statements import (
    NAMESPACE_ACKNOWLEDGMENT,
    NAMESPACE_BACKUP,
    NAMESPACE_CHECKS,
    AcknowledgmentStatement,
    BackupManifest,
    ChecksStatement,
    Moment,
    ReadoutRefused,
    TextName,
    identity_digest,
)
from hw.texts import kept_texts
from hw.trust import SignedProfile, load_signers, read_profile, read_statement
from hw.voltage.sampler import Sample

ACKNOWLEDGMENT_MAX_AGE_S = 300.0
CHECKS_MAX_AGE_S = 1800.0
BACKUP_MAX_AGE_S = 4 * 3600.0
INA219_MAX_V = 26.0
SETTLE_MARGIN_S = 1.0
SETTLE_POLL_S = 0.05

Facts = dict[str, str]


class VoltageHistory(Protocol):
    """What the voltage gate asks the sampler."""

    def history(self, since: float) -> list[Sample]:
        """All samples since that boot time (s), oldest first."""


class ArmButton(Protocol):
    """The physical arm button, where fitted."""

    def arm_pressed(self) -> bool | None:
        """None where no button is fitted."""


@dataclass(frozen=True)
class Case:
    """All that the gates look at for one plan.

    `live` holds the identification values that the ECU answered just now, or the error that kept
    them from being read.
    """

    plan: WritePlan
    digest: str
    payload: bytes
    evidence: Evidence
    live: Sequence[IdentityValue] | FieldKitError


class EvidenceChecker:
    """Checks evidence; has no state but the kit's own files.

    Args:
        state: the kit's state folder (`trust/` is read at every check).
        config: media and sensor wiring.
        voltage: the sampler.
        button: the outputs.
        journal: knows used acknowledgments and what is being recovered.
    """

    def __init__(
        self,
        state: Path,
        config: KitConfig,
        voltage: VoltageHistory,
        button: ArmButton,
        journal: Journal,
    ) -> None:
        self._state = state
        self._config = config
        self._voltage = voltage
        self._button = button
        self._journal = journal

    def check(self, case: Case) -> list[GateResult]:
        """All gates, in order; every one is checked even when an earlier one refused.

        The four of every write, then `CUSTOMER_AGREEMENT` where this plan needs one.
        """
        profile = self._read_profile(case)
        results = [
            _result("VOLTAGE_CHECK", lambda: self._voltage_gate(case, profile)),
            _result("DUAL_BACKUP", lambda: self._backup_gate(case)),
            _result("CHECKSUM_MATCH", lambda: self._checksum_gate(case)),
            _result("USER_ACKNOWLEDGMENT", lambda: self._acknowledgment_gate(case)),
        ]
        # Without the profile nobody knows; the first gate refuses over that same error then.
        if isinstance(profile, SignedProfile):
            texts = needed_texts(case.plan, profile, self._config.agreements)
            if texts:
                results.append(
                    _result(
                        "CUSTOMER_AGREEMENT", lambda: self._agreement_gate(case, profile, texts)
                    )
                )
        return results

    def _read_profile(self, case: Case) -> SignedProfile | FieldKitError:
        try:
            return read_profile(
                Path(case.evidence.profile_file), case.plan.profile_sha256, self._signers()
            )
        except FieldKitError as error:
            return error

    # VOLTAGE_CHECK ----------------------------------------------------------------------------

    def _voltage_gate(self, case: Case, profile: SignedProfile | FieldKitError) -> Facts:
        if isinstance(profile, FieldKitError):
            raise profile
        window = profile.voltage
        if profile.name != case.plan.profile:
            raise _voltage(
                f"The plan names the profile {case.plan.profile} and was made from {profile.name}.",
                "Make the plan again.",
            )
        if window != case.plan.window:
            raise _voltage(
                "The plan's voltage window is not the profile's.", "Make the plan again."
            )
        self._check_divider(window)
        lowest, highest = self.wait_for_voltage(
            window.start_min_v, window.start_max_v, window.settle_s, window.stale_s
        )
        return {"lowest_v": f"{lowest:.2f}", "highest_v": f"{highest:.2f}"}

    def _check_divider(self, window: VoltageWindow) -> None:
        if window.divider != self._config.voltage.divider:
            raise _voltage(
                f"The profile wants a voltage divider of {window.divider:g}, the kit is configured "
                f"for {self._config.voltage.divider:g}.",
                "Fit the divider that the profile names and correct kit.toml.",
            )
        if window.over_v / window.divider > INA219_MAX_V:
            raise _voltage(
                f"The sensor ends at {INA219_MAX_V:g} V and the window at {window.over_v:g} V.",
                "Use a profile that names a divider.",
            )

    def wait_for_voltage(
        self, low_v: float, high_v: float, settle_s: float, stale_s: float
    ) -> tuple[float, float]:
        """`check_voltage`, but while the voltage is inside wait until it has settled.

        Raises:
            RefusedError: as `check_voltage`, when it is outside now or does not settle in time.
        """
        until = clock.now() + settle_s + SETTLE_MARGIN_S
        while True:
            try:
                return self.check_voltage(low_v, high_v, settle_s, stale_s)
            except RefusedError:
                latest = self._voltage.history(clock.now() - stale_s)[-1:]
                inside = [s for s in latest if s.volts is not None and low_v <= s.volts <= high_v]
                if not inside or clock.now() > until:
                    raise
            time.sleep(SETTLE_POLL_S)

    def check_voltage(
        self, low_v: float, high_v: float, settle_s: float, stale_s: float
    ) -> tuple[float, float]:
        """Lowest and highest voltage of the last `settle_s`, which must all lie in the range.

        Raises:
            RefusedError: a sample is missing or outside, or the samples do not cover the time.
        """
        now = clock.now()
        settle_s = max(settle_s, stale_s)
        samples = self._voltage.history(now - settle_s - 2 * stale_s)
        if not samples or now - samples[-1].at > stale_s:
            raise _voltage("There is no vehicle voltage.", "Check the sensor and its clamps.")
        recent = [sample for sample in samples if sample.at >= now - settle_s]
        volts = [sample.volts for sample in recent if sample.volts is not None]
        outside = [value for value in volts if not low_v <= value <= high_v]
        if outside:
            raise _voltage(
                f"The voltage was {outside[-1]:.2f} V within the last {settle_s:g} s; "
                f"{low_v:.2f} to {high_v:.2f} V is demanded.",
                "Connect a charger and wait until the voltage has settled.",
            )
        if len(volts) < len(recent):
            fault = next(sample.reason for sample in recent if sample.volts is None)
            raise _voltage(
                f"The voltage was not readable within the last {settle_s:g} s: {fault}.",
                "Check the sensor and its clamps, then wait until it has settled.",
            )
        edges = [now - settle_s, *(sample.at for sample in recent)]
        gaps = (after - before for before, after in itertools.pairwise(edges))
        if samples[0].at > now - settle_s or max(gaps) > 2 * stale_s:
            raise _voltage(
                f"The voltage has not been watched for {settle_s:g} s without a gap.",
                "Wait a moment and check the gates again.",
            )
        return min(volts), max(volts)

    # DUAL_BACKUP ------------------------------------------------------------------------------

    def _backup_gate(self, case: Case) -> Facts:
        if case.evidence.backup is None:
            raise _backup("There is no backup for this job.", "Back the ECU up.")
        first, second = map(self._read_copy, self._check_media(case.evidence.backup))
        if first[0] != second[0]:
            raise _backup("The two copies are not of the same backup.", "Have the backup verified.")
        document, manifest = first
        manifest_sha256 = hashlib.sha256(document).hexdigest()
        self._check_target(case, manifest)
        self._check_age(case, manifest, manifest_sha256)
        kinds = {item.kind for item in manifest.objects}
        if "coding" not in kinds:
            raise _backup("The backup has no coding snapshot.", "Make the backup again.")
        refused = manifest.refused and all(map(_is_negative_response, manifest.refused))
        if "image" not in kinds and not (refused and "known_good" in kinds):
            raise _backup(
                "The backup has neither a memory image nor a refused readout with a known-good "
                "file for this software number.",
                "Make the backup again, with --known-good if the ECU refuses memory readout.",
            )
        _check_coverage(case.plan, manifest)
        return {
            "backup": manifest.backup,
            "manifest_sha256": manifest_sha256,
            "objects": ", ".join(f"{item.kind} {item.sha256}" for item in manifest.objects),
            "media": "simulated" if self._config.media.simulated else "two filesystems",
        }

    def _check_media(self, copies: BackupCopies) -> list[Path]:
        """The folders of the two copies, each on its own medium."""
        media = [_resolve(self._config.media.a), _resolve(self._config.media.b)]
        folders = [_resolve(folder) for folder in copies.folders]
        for name, medium, folder in zip("AB", media, folders, strict=True):
            if not folder.is_relative_to(medium):
                raise _backup(f"A copy does not lie on medium {name}.", "Make the backup again.")
            if not medium.is_dir():
                raise _backup(f"Medium {name} is not there.", f"Insert medium {name}.")
        one_filesystem = _device(media[0]) == _device(media[1])
        if folders[0] == folders[1] or (one_filesystem and not self._config.media.simulated):
            raise _backup(
                "Media A and B are one filesystem, so there is only one copy.",
                "Insert two media and correct kit.toml.",
            )
        return folders

    def _read_copy(self, folder: Path) -> tuple[bytes, BackupManifest]:
        """Manifest of one copy, as bytes and decoded; signature and objects were checked."""
        document = _read_from_medium(folder / "manifest.json")
        signature = _read_from_medium(folder / "manifest.json.sig")
        manifest, principal = read_statement(
            document, signature, BackupManifest, NAMESPACE_BACKUP, self._signers()
        )
        if principal != "kit":
            raise _backup("The backup is not signed by this kit.", "Make the backup again.")
        for item in manifest.objects:
            path = folder / f"{item.sha256}.age"
            size, sha256 = _hash_from_medium(path)
            if size != item.size or sha256 != item.sha256:
                raise _backup(
                    f"A copy is damaged: {path} is not what its manifest says.",
                    "Have the backup verified: it is repaired from the other copy.",
                )
        return document, manifest

    def _check_target(self, case: Case, manifest: BackupManifest) -> None:
        plan = case.plan
        live = _live(case)
        for item in identity_to_read(plan):
            if item not in live:
                raise _backup(
                    "The ECU on the cable is not the one that the plan is for: DID "
                    f"0x{item.did:04X} reads differently.",
                    "Connect the right ECU, or identify this one and make a new plan.",
                )
        if manifest.ecu != plan.target.ecu or manifest.profile != plan.profile:
            raise _backup("The backup is of another ECU.", "Make a backup of this one.")
        salt = bytes.fromhex(manifest.identity_salt)
        if identity_digest(salt, plan.target.identity) != manifest.identity_sha256:
            raise _backup(
                "The backup is of another ECU: its identity differs from the plan's.",
                "Make a backup of this ECU.",
            )

    def _check_age(self, case: Case, manifest: BackupManifest, manifest_sha256: str) -> None:
        if case.plan.recovers:
            # The ECU cannot be read any more: it is the backup made before the interrupted write.
            known = {
                run.backup_manifest_sha256
                for run in self._journal.runs()
                if run.plan_digest == case.plan.recovers and run.state in UNFINISHED
            }
            if manifest_sha256 not in known:
                raise _backup(
                    "The backup is not the one made before an unfinished write that this plan "
                    "recovers.",
                    "Recover with the job's own backup.",
                )
            return
        if manifest.job != case.plan.job:
            raise _backup("The backup belongs to another job.", "Make one for this job.")
        _fresh("DUAL_BACKUP", "backup", manifest.made, BACKUP_MAX_AGE_S)

    # CHECKSUM_MATCH ---------------------------------------------------------------------------

    def _checksum_gate(self, case: Case) -> Facts:
        plan, evidence = case.plan, case.evidence
        _check_payload(plan, case.payload)
        if evidence.checks_document is None or evidence.checks_signature is None:
            raise _checksum("The container's checksums were not stated.", "Make the plan again.")
        checks, principal = read_statement(
            evidence.checks_document,
            evidence.checks_signature,
            ChecksStatement,
            NAMESPACE_CHECKS,
            self._signers(),
        )
        if principal != "kit" or checks.plan_digest != case.digest:
            raise _checksum("The checksums were stated for another plan.", "Make the plan again.")
        _fresh("CHECKSUM_MATCH", "statement on the checksums", checks.made, CHECKS_MAX_AGE_S)
        if not plan.recovers:
            values = {item.did: item.value for item in _live(case)}
            for item in checks.compatibility:
                if values.get(item.did) != item.value:
                    raise _checksum(
                        f"The file is for another variant: DID 0x{item.did:04X} is not what it "
                        "demands.",
                        "Choose the file for this ECU's hardware and software numbers.",
                    )
        return {"container": checks.container, "checks": ", ".join(checks.checks)}

    # USER_ACKNOWLEDGMENT ----------------------------------------------------------------------

    def _acknowledgment_gate(self, case: Case) -> Facts:
        facts = self.check_acknowledgment(case.plan, case.digest, case.evidence.acknowledgment)
        pressed = self._button.arm_pressed()
        if pressed is False:
            raise _acknowledgment("The arm button is not pressed.", "Hold the arm button.")
        return facts | {"arm_button": "not fitted" if pressed is None else "pressed"}

    def check_acknowledgment(
        self, plan: WritePlan, digest: str, given: Acknowledgment | None
    ) -> Facts:
        """Check a technician's signed acknowledgment of exactly this plan and risk text.

        Raises:
            FieldKitError: it is missing, not theirs, of another plan or text, stale or used.
        """
        if given is None:
            raise _acknowledgment(
                "Nobody has acknowledged the risk.", "Read the risk text and acknowledge it."
            )
        statement, principal = read_statement(
            given.document,
            given.signature,
            AcknowledgmentStatement,
            NAMESPACE_ACKNOWLEDGMENT,
            self._signers(),
        )
        if principal != f"technician:{statement.technician}":
            raise _acknowledgment(
                "The acknowledgment is signed by somebody else.", "Acknowledge it yourself."
            )
        if statement.plan_digest != digest or statement.risk_digest != plan.risk.digest:
            raise _acknowledgment(
                "The acknowledgment is for another plan or another risk text.",
                "Read the risk text of this plan and acknowledge it.",
            )
        _fresh("USER_ACKNOWLEDGMENT", "acknowledgment", statement.made, ACKNOWLEDGMENT_MAX_AGE_S)
        used = acknowledgment_digest(given)
        if self._journal.used_acknowledgment(used):
            raise _acknowledgment("The acknowledgment was used before.", "Acknowledge it again.")
        return {"technician": statement.technician, "role": statement.role, "digest": used}

    # CUSTOMER_AGREEMENT -----------------------------------------------------------------------

    def _agreement_gate(
        self, case: Case, profile: SignedProfile, texts: Sequence[TextName]
    ) -> Facts:
        given, signers = case.evidence.agreements, self._signers()
        return {
            name: check_agreement(
                case.plan, profile, given.get(name), kept_texts(self._state, name), name, signers
            )
            for name in texts
        }

    def _signers(self) -> AllowedSigners:
        return load_signers(self._state)


def identity_to_read(plan: WritePlan) -> list[IdentityValue]:
    """What the target must answer before this plan: never nothing.

    A boot loader answers less than the application. Where the profile names nothing that it
    answers, a recovery demands the whole identity.
    """
    return (plan.recovers and plan.target.boot_identity) or plan.target.identity


def acknowledgment_digest(given: Acknowledgment) -> str:
    """The name under which an acknowledgment is used up: SHA-256 of the statement."""
    return hashlib.sha256(given.document).hexdigest()


def _result(gate: GateName, check: Callable[[], Facts]) -> GateResult:
    try:
        facts = check()
    except FieldKitError as refusal:
        return GateResult(gate=gate, passed=False, reason=refusal.what, next_step=refusal.next_step)
    return GateResult(gate=gate, passed=True, reason="Passed.", next_step="", facts=facts)


def _check_payload(plan: WritePlan, payload: bytes) -> None:
    if len(payload) != plan.payload_size:
        raise _checksum("The payload is not as long as the plan says.", "Make the plan again.")
    position, view = 0, memoryview(payload)
    for part in plan.payloads:
        if hashlib.sha256(view[position : position + part.size]).hexdigest() != part.sha256:
            raise _checksum(
                f"The payload {part.name} is not the plan's: its SHA-256 differs.",
                "Make the plan again from the original file.",
            )
        position += part.size
    for step in plan.steps:
        if isinstance(step, Download) and not step.data_format:
            size = plan.payloads[step.payload].size
            if step.uncompressed_size != size:
                raise _checksum(
                    f"The plan announces {step.uncompressed_size} bytes and would send {size}.",
                    "Make the plan again.",
                )


def _live(case: Case) -> Sequence[IdentityValue]:
    if isinstance(case.live, FieldKitError):
        raise case.live
    return case.live


def _fresh(gate: GateName, name: str, made: Moment, max_age_s: float) -> None:
    age_s = clock.now() - made.boottime
    if made.boot_id != clock.boot_id() or not 0 <= age_s <= max_age_s:
        raise RefusedError(
            gate,
            f"The {name} is stale: it must be of this start of the kit and at most "
            f"{max_age_s / 60:.0f} minutes old.",
            "Make it again.",
        )


def _check_coverage(plan: WritePlan, manifest: BackupManifest) -> None:
    """Whatever the plan overwrites must be held by the backup, or have a known-good stand-in."""
    kinds = {item.kind for item in manifest.objects}
    held = [(region.address, region.address + region.size) for region in manifest.regions]
    if "image" not in kinds:
        held = []
    if "known_good" in kinds:
        refused = filter(_is_negative_response, manifest.refused)
        held += [(item.address, item.address + item.size) for item in refused]
    for step in plan.steps:
        if isinstance(step, Download):
            missing = _first_outside(step.address, step.address + step.uncompressed_size, held)
            if missing is not None:
                raise _backup(
                    f"The plan writes memory at 0x{missing:08X}, which the backup does not hold.",
                    "Make the backup again with a profile that backs this memory up.",
                )


def _first_outside(start: int, end: int, held: Sequence[tuple[int, int]]) -> int | None:
    """The first address of a range that no held range contains; None where all are."""
    for first, behind in sorted(held):
        if first <= start < behind:
            start = behind
    return start if start < end else None


def _is_negative_response(refused: ReadoutRefused) -> bool:
    """Is this the ECU's own refusal of that request (0x7F, service, code)?"""
    return len(refused.response) == 6 and refused.response[:4] == "7f" + refused.request[:2]


def _resolve(path: str) -> Path:
    try:
        return Path(path).resolve()
    except (OSError, RuntimeError, ValueError) as error:
        raise _backup(f"A medium cannot be read: {error}.", "Insert both media.") from error


def _device(path: Path) -> int:
    try:
        return path.stat().st_dev
    except OSError as error:
        raise _backup(f"A medium cannot be read: {error}.", "Insert both media.") from error


def _read_from_medium(path: Path) -> bytes:
    with _open_uncached(path) as stream:
        return stream.read()


def _hash_from_medium(path: Path) -> tuple[int, str]:
    with _open_uncached(path) as stream:
        digest = hashlib.file_digest(stream, "sha256")
        return stream.tell(), digest.hexdigest()


@contextmanager
def _open_uncached(path: Path) -> Iterator[io.FileIO]:
    """A file of a copy, read from the medium and not from memory; what fails is a refusal."""
    try:
        with open(path, "rb", buffering=0, opener=_open_file_only) as stream:
            # Ask the kernel to drop what it cached. It keeps dirty or mapped pages; the backup
            # itself was fsynced when it was made.
            os.posix_fadvise(stream.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)
            yield stream
    except OSError as error:
        raise _backup(
            f"A copy cannot be read: {error}.", "Insert both media and verify the backup."
        ) from error


def _open_file_only(path: str, flags: int) -> int:
    """A link could lead to the other copy, and to open a pipe or device could wait for ever."""
    if not stat.S_ISREG(os.lstat(path).st_mode):
        raise OSError(errno.EINVAL, "It is not a file", path)
    return os.open(path, flags | os.O_NOFOLLOW | os.O_NONBLOCK)


def _voltage(what: str, next_step: str) -> RefusedError:
    return RefusedError("VOLTAGE_CHECK", what, next_step)


def _backup(what: str, next_step: str) -> RefusedError:
    return RefusedError("DUAL_BACKUP", what, next_step)


def _checksum(what: str, next_step: str) -> RefusedError:
    return RefusedError("CHECKSUM_MATCH", what, next_step)


def _acknowledgment(what: str, next_step: str) -> RefusedError:
    return RefusedError("USER_ACKNOWLEDGMENT", what, next_step)
