"""Making a backup: encrypted once, written to both media, read back, opened, and only then named.

What happens when the power goes: before the last step there are only folders whose names begin
with `.tmp-`, which never count and are removed by the next backup. Between the two renames one
medium has a whole copy and the other none; that is not a dual backup, the gate refuses it, and
`repair_backup` completes it.
"""

from __future__ import annotations

import contextlib
import hashlib
import secrets
import shutil
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

from msgspec import Struct

from appliance.age import DecryptionError, decrypts_to, encrypt
from appliance.backups.contents import Kind, pack_coding, pack_image, pack_known_good
from appliance.backups.layout import (
    TrustedManifest,
    object_name,
    trust_manifest,
)
from appliance.backups.media import (
    Medium,
    check_media,
    demand_space,
    holds_past_cache,
    medium_errors,
    store_locked,
)
from appliance.durable import create_durably, sync_folder
from appliance.errors import MediumError
from appliance.identity.signing import canonical
from appliance.identity.trust import Recipients
from appliance.identity.unlocking import Unlocked
from appliance.identity.wallclock import moment
from appliance.ids import uuid7
from hw.config import MediaConfig
from hw.errors import BadInputError, RefusedError
from hw.plan import IdentityValue
from hw.sshsig import AllowedSigners, sign
from hw.statements import (
    NAMESPACE_BACKUP,
    BackupManifest,
    BackupObject,
    HeldRegion,
    ReadoutRefused,
    identity_digest,
)

_UNFINISHED = ".tmp-"
_ROOM_FOR_FOLDER = 128 * 1024


class BackupRef(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """A backup that counts: `folders` hold its copies on medium A and medium B."""

    id: str
    folders: tuple[str, str]
    manifest_sha256: str


@dataclass(frozen=True)
class _Prepared:
    """Everything that goes to the media, before any of it is there."""

    trusted: TrustedManifest
    plain: dict[str, bytes]
    files: dict[str, bytes]


def make_backup(  # noqa: PLR0913 - what belongs to one backup, all by name
    unlocked: Unlocked,
    media: MediaConfig,
    *,
    job: str,
    ecu: str,
    profile: str,
    identity: Sequence[IdentityValue],
    coding: bytes,
    images: Mapping[str, bytes],
    regions: Sequence[HeldRegion] = (),
    refused: Sequence[ReadoutRefused] = (),
    known_good: bytes | None = None,
) -> BackupRef:
    """Store a backup on both media.

    It counts once it was opened with the kit's identity, and both copies were written durably,
    read again past the page cache and found equal.

    Args:
        unlocked: the opened kit; signs, and opens what was written.
        media: the two mount points.
        job: the job's id.
        ecu: the ECU, as the plan's target names it.
        profile: the profile, as the plan names it.
        identity: the identification values read just now; only their salted hash stays readable.
        coding: the coding snapshot, JSON.
        images: bytes of each memory region that could be read, by region name.
        regions: where each of them lies; a plan may overwrite only what is named here.
        refused: what the ECU answered for each region that could not.
        known_good: a file for this software number; demanded where no region could be read.

    Raises:
        MediumError: a medium is missing, full, read-only, failing or the same as the other one.
        RefusedError: the ECU refused readout and there is no known-good file.
        BadInputError: an argument is unusable, or the list of recipients is damaged.
    """
    if refused and not images and known_good is None:
        raise RefusedError(
            "DUAL_BACKUP",
            "The ECU refuses memory readout and there is no known-good file for its software.",
            "Choose a known-good file for this software number; by command: --known-good FILE.",
        )
    both = check_media(media)
    manifest_of = _Describer(job, ecu, profile, identity, regions, refused)
    prepared = _prepare(unlocked, _pack_all(identity, coding, images, known_good), manifest_of)
    size = sum(map(len, prepared.files.values())) + _ROOM_FOR_FOLDER
    with ExitStack() as locks:
        for medium in both:
            locks.enter_context(store_locked(medium))
            _remove_unfinished(medium)
            demand_space(medium, size)
        _write_both(unlocked, both, prepared)
    backup = prepared.trusted.manifest.backup
    first, second = (str(medium.folder(backup)) for medium in both)
    return BackupRef(id=backup, folders=(first, second), manifest_sha256=prepared.trusted.sha256)


@contextmanager
def unfinished_folder(medium: Medium, backup: str) -> Iterator[Path]:
    """A folder to fill on a medium; the caller renames it when it is whole, else it is removed.

    Raises:
        MediumError: it cannot be made.
    """
    folder = medium.store / f"{_UNFINISHED}{backup}"
    with medium_errors(medium):
        if folder.exists():
            shutil.rmtree(folder)
        folder.mkdir()
    try:
        yield folder
    finally:
        # It is gone when it was renamed. What a failing medium keeps never counts by its name and
        # the next backup removes it; the error that led here is the one to be told.
        with contextlib.suppress(OSError):
            shutil.rmtree(folder)


def write_folder(medium: Medium, folder: Path, files: Mapping[str, bytes]) -> None:
    """Fill a folder durably.

    Raises:
        MediumError: the medium is full, read-only or failing.
    """
    with medium_errors(medium):
        for name, data in files.items():
            create_durably(folder / name, data, mode=None)
        sync_folder(folder)


def name_folder(medium: Medium, folder: Path, backup: str) -> None:
    """Give a whole folder its name, for good.

    Raises:
        MediumError: the medium failed.
    """
    with medium_errors(medium):
        folder.rename(medium.folder(backup))
        sync_folder(medium.store)


@dataclass(frozen=True)
class _Describer:
    """Makes the manifest once the encrypted objects are known."""

    job: str
    ecu: str
    profile: str
    identity: Sequence[IdentityValue]
    regions: Sequence[HeldRegion]
    refused: Sequence[ReadoutRefused]

    def manifest(self, objects: list[BackupObject]) -> BackupManifest:
        salt = secrets.token_bytes(16)
        return BackupManifest(
            format="fieldkit-backup/1",
            backup=uuid7(),
            job=self.job,
            ecu=self.ecu,
            profile=self.profile,
            identity_salt=salt.hex(),
            identity_sha256=identity_digest(salt, self.identity),
            objects=objects,
            regions=list(self.regions),
            refused=list(self.refused),
            made=moment(),
        )


def _pack_all(
    identity: Sequence[IdentityValue],
    coding: bytes,
    images: Mapping[str, bytes],
    known_good: bytes | None,
) -> dict[Kind, bytes]:
    plain: dict[Kind, bytes] = {"coding": pack_coding(coding, identity)}
    if images:
        plain["image"] = pack_image(images)
    if known_good is not None:
        plain["known_good"] = pack_known_good(known_good)
    return plain


def _prepare(unlocked: Unlocked, plain: Mapping[Kind, bytes], describer: _Describer) -> _Prepared:
    recipients = Recipients.load(unlocked.state)
    if recipients.kit != str(unlocked.kit_identity.to_public()):
        raise BadInputError(
            "The kit's own line among the backup recipients is another key.",
            "Restore trust/recipients; somebody changed it.",
        )
    keys = recipients.parsed()
    encrypted = {kind: encrypt(data, keys) for kind, data in plain.items()}
    objects = [
        BackupObject(kind=kind, sha256=hashlib.sha256(data).hexdigest(), size=len(data))
        for kind, data in encrypted.items()
    ]
    manifest = describer.manifest(objects)
    document = canonical(manifest)
    signature = sign(document, unlocked.kit_key, NAMESPACE_BACKUP)
    trusted = trust_manifest(document, signature, kit_signers(unlocked), manifest.backup)
    names = {item.kind: object_name(item) for item in objects}
    return _Prepared(
        trusted=trusted,
        plain={names[kind]: data for kind, data in plain.items()},
        files=trusted.fixed | {names[kind]: data for kind, data in encrypted.items()},
    )


def kit_signers(unlocked: Unlocked) -> AllowedSigners:
    """The allowed signers of the opened kit.

    Raises:
        BadInputError: the list is missing or damaged.
    """
    return AllowedSigners.load(unlocked.state / "trust" / "allowed_signers")


def _write_both(unlocked: Unlocked, both: tuple[Medium, Medium], prepared: _Prepared) -> None:
    backup = prepared.trusted.manifest.backup
    # Two media are two devices: neither waits for the other.
    with ExitStack() as stack, ThreadPoolExecutor(len(both)) as at_once:
        folders = [stack.enter_context(unfinished_folder(medium, backup)) for medium in both]
        pairs = list(zip(both, folders, strict=True))
        copies = [at_once.submit(_write_and_prove, *pair, prepared.files) for pair in pairs]
        _open(unlocked, prepared)
        for copy in copies:
            copy.result()
        for medium, folder in pairs:
            name_folder(medium, folder, backup)


def _open(unlocked: Unlocked, prepared: _Prepared) -> None:
    """Open what was encrypted and compare; both media must then give back exactly these bytes."""
    for name, plain in prepared.plain.items():
        if not decrypts_to(prepared.files[name], unlocked.kit_identity, plain):
            raise DecryptionError(
                "What was encrypted opens to something else; the backup does not count.",
                "Make the backup again. If it fails again, this kit's memory is faulty.",
            )


def _write_and_prove(medium: Medium, folder: Path, files: Mapping[str, bytes]) -> None:
    """Write a copy, then read it again and compare, before it counts."""
    write_folder(medium, folder, files)
    for name, data in files.items():
        with medium_errors(medium):
            if not holds_past_cache(folder / name, data):
                raise _unreliable(medium)


def _remove_unfinished(medium: Medium) -> None:
    with medium_errors(medium):
        for folder in medium.store.glob(f"{_UNFINISHED}*"):
            shutil.rmtree(folder)


def _unreliable(medium: Medium) -> MediumError:
    return MediumError(
        medium.name,
        f"{medium} gave back other bytes than were written to it; the backup does not count.",
        f"Replace medium {medium.name} and make the backup again.",
    )
