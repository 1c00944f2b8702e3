"""Backups for the service: what is read from the ECU, stored on both media, and shown."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory

import msgspec
from msgspec import Struct

from appliance.api.messages import (
    BackupMake,
    BackupVerified,
    BackupView,
    CopyState,
    File,
)
from appliance.backups import (
    BackupInfo,
    BackupRef,
    BackupReport,
    list_backups,
    make_backup,
    open_backup,
    read_backup,
    repair_backup,
    verify_backup,
)
from appliance.backups.media import media_of
from appliance.identity import Unlocked
from appliance.plans.compiler import writable_regions
from appliance.profiles.loader import LoadedProfile
from appliance.profiles.schema import Profile, Region
from appliance.records.events import BackupMade, StoredObject
from appliance.service.car import DidAnswer, Ecu, UnreadableEcu
from appliance.service.plans import memory_folder
from hw.config import MediaConfig
from hw.errors import UNDECODABLE, BadInputError, RefusedError
from hw.plan import IdentityValue
from hw.sshsig import AllowedSigners
from hw.statements import BackupManifest, HeldRegion, ReadoutRefused


class SnapshotValue(Struct, frozen=True, kw_only=True):
    """One DID of a coding snapshot; `refused` is the negative response in words."""

    did: int
    name: str
    value: str
    refused: str = ""


class Snapshot(Struct, frozen=True, kw_only=True):
    """`coding.json` of a backup: every DID that the profile names as coding or identification."""

    ecu: str
    profile: str
    identification: list[SnapshotValue]
    coding: list[SnapshotValue]


@dataclass(frozen=True)
class Restorable:
    """What a restore can give back: coding values, and whole regions by name."""

    coding: dict[int, bytes]
    memory: dict[str, bytes]


@dataclass(frozen=True)
class Made:
    """A backup that was just made: where it lies, and what its manifest says."""

    ref: BackupRef
    manifest: BackupManifest


@dataclass(frozen=True)
class BackupDesk:
    """Backups of an opened kit.

    Args:
        unlocked: the opened kit.
        media: the two mount points.
    """

    unlocked: Unlocked
    media: MediaConfig

    def make(self, job: str, loaded: LoadedProfile, ecu: Ecu, asked: BackupMake) -> Made:
        """Read coding and memory, the memory twice, and store them on both media.

        Raises:
            FieldKitError: the ECU gives too little, gives different bytes twice, or a medium fails.
        """
        profile = loaded.profile
        identification, coding = ecu.identification(), ecu.coding()
        snapshot = Snapshot(
            ecu=profile.ecu,
            profile=profile.name,
            identification=_snapshot(
                [entry.name for entry in profile.identification], identification
            ),
            coding=_snapshot([entry.name for entry in profile.coding], coding),
        )
        memory = _read_memory(profile, ecu)
        ref = make_backup(
            self.unlocked,
            self.media,
            job=job,
            ecu=profile.ecu,
            profile=profile.name,
            identity=_identifying(profile, identification),
            coding=msgspec.json.encode(snapshot),
            images=memory.images,
            regions=memory.regions,
            refused=memory.refused,
            known_good=asked.known_good,
        )
        content = read_backup(self.unlocked, self.media, ref.id)
        return Made(ref, content.manifest)

    def all(self) -> list[BackupView]:
        """All backups on the two media, the newest first."""
        return [self._listed(info) for info in list_backups(self.media)]

    def _listed(self, info: BackupInfo) -> BackupView:
        return BackupView(
            backup=info.id,
            job=info.job,
            ecu=info.ecu,
            profile=info.profile,
            made=info.made.wall if info.made is not None else "",
            objects=[info.problem] if info.problem else list(info.kinds),
            refused=[],
            folders=list(self.folders_of(info.id)),
            simulated=self.media.simulated,
        )

    def view(self, made: Made) -> BackupView:
        """How a backup is shown."""
        manifest = made.manifest
        return BackupView(
            backup=made.ref.id,
            job=manifest.job,
            ecu=manifest.ecu,
            profile=manifest.profile,
            made=manifest.made.wall,
            objects=[f"{item.kind}, {item.size} bytes, {item.sha256}" for item in manifest.objects],
            refused=[
                f"{item.region}: {item.request} -> {item.response}" for item in manifest.refused
            ],
            folders=list(made.ref.folders),
            simulated=self.media.simulated,
        )

    def recorded(self, made: Made) -> BackupMade:
        """How a backup stands on the job's record."""
        return BackupMade(
            backup=made.ref.id,
            ecu=made.manifest.ecu,
            manifest_sha256=made.ref.manifest_sha256,
            objects=[
                StoredObject(kind=item.kind, sha256=item.sha256, size=item.size)
                for item in made.manifest.objects
            ],
            refused=list(made.manifest.refused),
            folders=list(made.ref.folders),
            simulated=self.media.simulated,
        )

    def verify(self, backup: str) -> BackupVerified:
        """Read both copies again, decrypt them, and repair one from the other.

        Raises:
            FieldKitError: no medium knows it, or a file is bad on both.
        """
        signers = AllowedSigners.load(self.unlocked.state / "trust" / "allowed_signers")
        before = verify_backup(self.media, backup, signers, self.unlocked)
        after = before
        if not before.good:
            after = repair_backup(self.media, backup, signers, self.unlocked)
        return _verified(before, after)

    def open(self, backup: str) -> list[File]:
        """Every file of a backup in the clear."""
        with TemporaryDirectory(prefix="fieldkit-", dir=memory_folder()) as scratch:
            folder = Path(scratch) / "opened"
            paths = open_backup(self.unlocked, self.media, backup, folder)
            return [
                File(name=path.relative_to(folder).as_posix(), content=path.read_bytes())
                for path in paths
            ]

    def content_for_restore(
        self, backup: str, loaded: LoadedProfile, live: Sequence[IdentityValue]
    ) -> Restorable:
        """What can be given back to the ECU on the cable, once it is the one that was backed up.

        Raises:
            RefusedError: the backup is of another ECU.
            FieldKitError: the backup cannot be read.
        """
        content = read_backup(self.unlocked, self.media, backup)
        profile = loaded.profile
        same = all(item in live for item in content.identity)
        if content.manifest.profile != profile.name or not same:
            raise RefusedError(
                "DUAL_BACKUP",
                "The backup is of another ECU than the one on the cable.",
                "Connect the ECU that was backed up, or choose its own backup.",
            )
        snapshot = _decode_snapshot(content.coding)
        writable = set(writable_regions(profile))
        return Restorable(
            coding={item.did: bytes.fromhex(item.value) for item in snapshot.coding if item.value},
            memory={name: data for name, data in content.images.items() if name in writable},
        )

    def folders_of(self, backup: str) -> tuple[str, str]:
        """Folder of the backup on each medium, whether it is there or not."""
        first, second = media_of(self.media)
        return str(first.folder(backup)), str(second.folder(backup))


@dataclass(frozen=True)
class _Memory:
    """What the ECU gave of its memory, where it lies, and what it refused."""

    images: dict[str, bytes] = field(default_factory=dict)
    regions: list[HeldRegion] = field(default_factory=list)
    refused: list[ReadoutRefused] = field(default_factory=list)


def _read_memory(profile: Profile, ecu: Ecu) -> _Memory:
    memory = _Memory()
    for region in profile.memory:
        if not region.backup:
            continue
        first = ecu.region(region)
        if first.response:
            memory.refused.append(
                ReadoutRefused(
                    region=region.name,
                    request=first.request,
                    response=first.response,
                    address=region.address,
                    size=region.size,
                )
            )
        else:
            memory.images[region.name] = _read_again(ecu, region, first.data)
            memory.regions.append(
                HeldRegion(region=region.name, address=region.address, size=region.size)
            )
    return memory


def _read_again(ecu: Ecu, region: Region, first: bytes) -> bytes:
    """The second reading of an image; only two equal ones count."""
    second = ecu.region(region)
    if second.response or second.data != first:
        raise UnreadableEcu(
            f"The region {region.name} read differently the second time.",
            "Check the connection and that nothing else talks to the ECU, then try again.",
        )
    return first


def _snapshot(names: Sequence[str], answers: Sequence[DidAnswer]) -> list[SnapshotValue]:
    return [
        SnapshotValue(did=answer.did, name=name, value=answer.value.hex(), refused=answer.refused)
        for name, answer in zip(names, answers, strict=True)
    ]


def _decode_snapshot(document: bytes) -> Snapshot:
    try:
        return msgspec.json.decode(document, type=Snapshot)
    except UNDECODABLE as error:
        raise BadInputError(
            f"The coding snapshot of the backup cannot be read: {error}.",
            "Open the backup and look at its coding.json.",
        ) from error


def _identifying(profile: Profile, answers: Sequence[DidAnswer]) -> list[IdentityValue]:
    """What hw compares with a plan's target: exactly the profile's identifying DIDs.

    Raises:
        UnreadableEcu: the ECU refused one of them, so nobody could tell later whose backup it is.
    """
    by_did = {answer.did: answer for answer in answers}
    values = []
    for entry in profile.identifying:
        answer = by_did[entry.did]
        if answer.refused:
            raise UnreadableEcu(
                f"The ECU does not tell its {entry.label} (0x{entry.did:04X}): {answer.refused}",
                "Switch the ignition on and try again; without it a backup cannot be told apart.",
            )
        values.append(IdentityValue(did=entry.did, value=answer.value.hex()))
    return sorted(values, key=lambda value: value.did)


def _verified(before: BackupReport, after: BackupReport) -> BackupVerified:
    copies = []
    for old, new in zip(before.copies, after.copies, strict=True):
        problems = [f"{item.file or 'copy'}: {item.what}" for item in old.problems]
        copies.append(
            CopyState(
                folder=old.folder,
                state="damaged" if not new.good else "whole" if old.good else "repaired",
                found=problems,
            )
        )
    return BackupVerified(backup=after.id, whole=after.good, copies=copies)
