"""Looking at backups: list them, verify both copies, repair one from the other."""

from __future__ import annotations

import uuid
from collections.abc import Iterator, Mapping
from contextlib import ExitStack
from dataclasses import dataclass, field
from itertools import product
from pathlib import Path
from typing import Literal

import msgspec
from msgspec import Struct

from appliance.age import decrypt
from appliance.backups.contents import unpack
from appliance.backups.layout import (
    MANIFEST,
    SIGNATURE,
    BackupDamagedError,
    TrustedManifest,
    trust_manifest,
)
from appliance.backups.make import name_folder, unfinished_folder, write_folder
from appliance.backups.media import (
    Medium,
    MediumName,
    check_media,
    check_medium,
    media_of,
    medium_errors,
    read_past_cache,
    store_locked,
)
from appliance.durable import write_durably
from appliance.errors import MediumError
from appliance.identity.unlocking import Unlocked
from hw.config import MediaConfig
from hw.errors import UNDECODABLE, BadInputError, UsageError
from hw.sshsig import AllowedSigners, SignatureError
from hw.statements import BackupManifest, Moment

Presence = Literal["there", "missing", "no_medium"]


class BackupInfo(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """One line of the list of backups, as its manifest says; nothing of it was verified.

    `problem` is set, and the fields from the manifest are empty, where no copy has a readable one.
    """

    id: str
    on_a: Presence
    on_b: Presence
    job: str = ""
    ecu: str = ""
    profile: str = ""
    kinds: list[str] = []
    made: Moment | None = None
    problem: str = ""


class FileProblem(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """What is wrong with one file of a copy; `file` is empty where it is the whole copy."""

    file: str
    what: str


class CopyReport(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """One copy: good when there is no problem. `opened` says whether it was decrypted too."""

    medium: MediumName
    folder: str
    problems: list[FileProblem]
    opened: bool

    @property
    def good(self) -> bool:
        """Whether this copy is whole."""
        return not self.problems


class BackupReport(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Both copies of a backup. `manifest_sha256` is empty where no signed manifest is left."""

    id: str
    manifest_sha256: str
    copies: tuple[CopyReport, CopyReport]
    repaired: list[str] = []

    @property
    def good(self) -> bool:
        """Whether both copies are whole."""
        return all(copy.good for copy in self.copies)


@dataclass(frozen=True)
class CopyOnMedium:
    """What one medium holds of a backup: files that could be read, and what went wrong."""

    medium: Medium
    folder: Path
    files: dict[str, bytes] = field(default_factory=dict)
    unreadable: dict[str, str] = field(default_factory=dict)
    missing: str = ""
    """Why there is no copy at all, else empty."""


@dataclass(frozen=True)
class Examined:
    """Both copies as read, and the manifest if one of them still has a signed one."""

    backup: str
    copies: tuple[CopyOnMedium, CopyOnMedium]
    trusted: TrustedManifest | None
    why_not: str
    """Why there is no trusted manifest, else empty."""

    def whole(self) -> tuple[TrustedManifest, dict[str, bytes]]:
        """The manifest, and every encrypted file from whichever copy has it intact.

        Raises:
            BackupDamagedError: something is bad on both media; says what can still be saved.
        """
        if self.trusted is None:
            raise self._without_manifest()
        objects = self.trusted.good_objects(copy.files for copy in self.copies)
        if len(objects) != len(self.trusted.objects):
            raise self._with_losses(self.trusted, objects)
        return self.trusted, objects

    def _without_manifest(self) -> BackupDamagedError:
        return BackupDamagedError(
            f"No copy of backup {self.backup} has a manifest signed by this kit: {self.why_not}",
            "Keep both media. Files whose name is still their SHA-256 ('sha256sum *.age') open "
            "with 'age -d' as OPEN-ME.txt says.",
        )

    def _with_losses(
        self, trusted: TrustedManifest, saved: Mapping[str, bytes]
    ) -> BackupDamagedError:
        lost: list[str] = []
        kept: list[str] = []
        for name, item in trusted.objects.items():
            (kept if name in saved else lost).append(item.kind)
        still = (
            f"Still whole, and opened by the commands in OPEN-ME.txt: {', '.join(kept)}."
            if kept
            else "None of its content is whole."
        )
        return BackupDamagedError(
            f"Backup {self.backup} is damaged on both media: {', '.join(lost)}.",
            f"{still} Keep both media, and make a new backup while the ECU still answers.",
        )


def list_backups(media: MediaConfig) -> list[BackupInfo]:
    """All backups on the two media, newest first. Quick: manifests are read, not verified.

    Raises:
        MediumError: neither medium is there, or one cannot be read.
    """
    present: list[Medium] = []
    problems: list[MediumError] = []
    for medium in media_of(media):
        try:
            check_medium(medium, media)
            present.append(medium)
        except MediumError as error:
            problems.append(error)
    if not present:
        raise problems[0]
    names = sorted({name for medium in present for name in names_on(medium)}, reverse=True)
    return [_info(name, media_of(media), present) for name in names]


def verify_backup(
    media: MediaConfig, backup: str, signers: AllowedSigners, unlocked: Unlocked | None = None
) -> BackupReport:
    """Read both copies again past the page cache and check every file of them.

    Args:
        media: the two mount points. A missing medium is a problem of its copy, not an error.
        backup: the backup's id.
        signers: the kit's allowed signers (`trust/allowed_signers`).
        unlocked: with it, every encrypted file is also opened and its content checked.

    Raises:
        UsageError: that is not a backup's id, or neither medium knows it.
        BackupDamagedError: both copies are signed but say different things.
    """
    examined = examine(media, backup, signers)
    first, second = (_report_copy(examined, copy, unlocked) for copy in examined.copies)
    return BackupReport(
        id=backup,
        manifest_sha256=examined.trusted.sha256 if examined.trusted else "",
        copies=(first, second),
    )


def repair_backup(
    media: MediaConfig, backup: str, signers: AllowedSigners, unlocked: Unlocked | None = None
) -> BackupReport:
    """Make both copies whole again, each damaged file from the other copy; then verify both.

    Files are repaired one by one, so two copies with different damage still heal each other.

    Returns:
        The report after the repair; `repaired` names what was written, by medium.

    Raises:
        MediumError: a medium is missing, full, read-only or failing.
        BackupDamagedError: a file is bad on both media; the sentence says what can still be saved.
            Nothing was changed.
    """
    both = check_media(media)
    with ExitStack() as locks:
        for medium in both:
            locks.enter_context(store_locked(medium))
        examined = examine(media, backup, signers)
        trusted, objects = examined.whole()
        repaired = [
            f"{copy.medium.name}: {name}"
            for copy in examined.copies
            for name in _repair_copy(copy, trusted.fixed | objects)
        ]
    report = verify_backup(media, backup, signers, unlocked)
    for copy_report in report.copies:
        if not copy_report.good:
            raise MediumError(
                copy_report.medium,
                f"Medium {copy_report.medium} does not keep what was repaired: "
                f"{copy_report.problems[0].what}.",
                f"Replace medium {copy_report.medium} and repair again.",
            )
    return msgspec.structs.replace(report, repaired=repaired)


def examine(media: MediaConfig, backup: str, signers: AllowedSigners) -> Examined:
    """Read all that both media hold of a backup, and find a manifest to trust.

    Raises:
        UsageError: that is not a backup's id, or no medium knows it.
        BackupDamagedError: both copies are signed but say different things.
    """
    if not _is_id(backup):
        raise UsageError(f"'{backup}' is not the id of a backup.", "Look at the list of backups.")
    first, second = (_read_copy(medium, media, backup) for medium in media_of(media))
    if first.missing and second.missing:
        raise UsageError(
            f"There is no backup {backup}. {first.missing} {second.missing}",
            "Look at the list of backups.",
        )
    trusted, why_not = _find_manifest((first, second), backup, signers)
    return Examined(backup, (first, second), trusted, why_not)


def names_on(medium: Medium) -> list[str]:
    """Ids of the backups that lie on a medium.

    Raises:
        MediumError: it cannot be read.
    """
    with medium_errors(medium):
        if not medium.store.is_dir():
            return []
        return [entry.name for entry in medium.store.iterdir() if _is_id(entry.name)]


def _info(name: str, both: tuple[Medium, Medium], present: list[Medium]) -> BackupInfo:
    on_a, on_b = (_presence(medium, name, present) for medium in both)
    problem = ""
    for medium in present:
        try:
            document = (medium.folder(name) / MANIFEST).read_bytes()
            manifest = msgspec.json.decode(document, type=BackupManifest)
        except (OSError, *UNDECODABLE) as error:
            problem = f"The manifest on medium {medium.name} cannot be read: {error}."
            continue
        return BackupInfo(
            id=name,
            on_a=on_a,
            on_b=on_b,
            job=manifest.job,
            ecu=manifest.ecu,
            profile=manifest.profile,
            kinds=[item.kind for item in manifest.objects],
            made=manifest.made,
        )
    return BackupInfo(id=name, on_a=on_a, on_b=on_b, problem=problem)


def _presence(medium: Medium, name: str, present: list[Medium]) -> Presence:
    if medium not in present:
        return "no_medium"
    return "there" if medium.folder(name).is_dir() else "missing"


def _read_copy(medium: Medium, media: MediaConfig, backup: str) -> CopyOnMedium:
    folder = medium.folder(backup)
    try:
        check_medium(medium, media)
        with medium_errors(medium):
            paths = sorted(folder.iterdir()) if folder.is_dir() else None
    except MediumError as error:
        return CopyOnMedium(medium, folder, missing=error.what)
    if paths is None:
        return CopyOnMedium(medium, folder, missing=f"{medium} has no copy of it.")
    files: dict[str, bytes] = {}
    unreadable: dict[str, str] = {}
    for path in paths:
        try:
            files[path.name] = read_past_cache(path)
        except OSError as error:
            unreadable[path.name] = f"cannot be read: {error.strerror}"
    return CopyOnMedium(medium, folder, files, unreadable)


def _find_manifest(
    copies: tuple[CopyOnMedium, CopyOnMedium], backup: str, signers: AllowedSigners
) -> tuple[TrustedManifest | None, str]:
    found: list[TrustedManifest] = []
    why_not = "manifest.json or its signature is missing."
    for document, signature in _pairs(copies):
        try:
            found.append(trust_manifest(document, signature, signers, backup))
        except (SignatureError, BackupDamagedError) as error:
            why_not = error.what
    if not found:
        return None, why_not
    if any(other.fixed != found[0].fixed for other in found):
        raise BackupDamagedError(
            f"The two copies of backup {backup} are both signed but not the same.",
            "Keep both media apart and open each with the commands in its OPEN-ME.txt.",
        )
    return found[0], ""


def _pairs(copies: tuple[CopyOnMedium, CopyOnMedium]) -> Iterator[tuple[bytes, bytes]]:
    """Every manifest with every signature: one may be whole on A and the other on B."""
    for first, second in product(copies, repeat=2):
        if MANIFEST in first.files and SIGNATURE in second.files:
            yield first.files[MANIFEST], second.files[SIGNATURE]


def _report_copy(examined: Examined, copy: CopyOnMedium, unlocked: Unlocked | None) -> CopyReport:
    problems = _problems(examined, copy)
    opened = False
    if not problems and unlocked is not None and examined.trusted is not None:
        problems = _open_all(examined.trusted, copy.files, unlocked)
        opened = not problems
    return CopyReport(
        medium=copy.medium.name, folder=str(copy.folder), problems=problems, opened=opened
    )


def _problems(examined: Examined, copy: CopyOnMedium) -> list[FileProblem]:
    if copy.missing:
        return [FileProblem(file="", what=copy.missing)]
    if examined.trusted is None:
        return [FileProblem(file=MANIFEST, what=examined.why_not)]
    return [
        FileProblem(file=name, what=what)
        for name in examined.trusted.names
        if (what := _file_problem(examined.trusted, copy, name))
    ]


def _file_problem(trusted: TrustedManifest, copy: CopyOnMedium, name: str) -> str:
    if name in copy.unreadable:
        return f"{name} {copy.unreadable[name]}"
    if name not in copy.files:
        return f"{name} is missing"
    return "" if trusted.is_good(name, copy.files[name]) else f"{name} was changed"


def _open_all(
    trusted: TrustedManifest, files: Mapping[str, bytes], unlocked: Unlocked
) -> list[FileProblem]:
    problems = []
    for name, item in trusted.objects.items():
        try:
            unpack(item.kind, decrypt(files[name], unlocked.kit_identity))
        except BadInputError as error:
            problems.append(FileProblem(file=name, what=error.what))
    return problems


def _repair_copy(copy: CopyOnMedium, whole: Mapping[str, bytes]) -> list[str]:
    """Write what is missing or wrong in one copy; the names of what was written."""
    if copy.missing:
        with unfinished_folder(copy.medium, copy.folder.name) as folder:
            write_folder(copy.medium, folder, whole)
            name_folder(copy.medium, folder, copy.folder.name)
        return sorted(whole)
    wrong = [name for name, data in whole.items() if copy.files.get(name) != data]
    with medium_errors(copy.medium):
        for name in copy.files:
            if name.startswith(".") and name.endswith(".tmp"):  # of a repair that lost its power
                (copy.folder / name).unlink()
        for name in wrong:
            write_durably(copy.folder / name, whole[name], mode=None)
    return wrong


def _is_id(name: str) -> bool:
    try:
        return str(uuid.UUID(name)) == name
    except ValueError:
        return False
