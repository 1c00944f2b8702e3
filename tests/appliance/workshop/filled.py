"""A workshop that has something: two kits, jobs that grew, a real backup, and a contradiction."""

from __future__ import annotations

import hashlib
import io
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import BinaryIO

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from appliance.age import new_identity
from appliance.backups import BackupRef, make_backup
from appliance.backups.layout import MANIFEST, SIGNATURE
from appliance.identity import Unlocked, init_kit, unlock
from appliance.records.events import BackupMade, StoredObject
from appliance.sync.handover import Handover, hand_over
from appliance.sync.outbox import Outbox
from appliance.sync.record import BlobKind, BlobRef
from appliance.workshop.keys import WorkshopKeys
from hw.config import MediaConfig
from hw.plan import IdentityValue
from tests.appliance.records.sample import identified, new_job, open_records
from tests.appliance.workshop.conftest import Workshop, serving
from tests.appliance.workshop.test_handover import Kit

OWNER, PASSPHRASE = "maria", "correct horse battery"
EEPROM = b"immobiliser secret" + bytes(range(256)) * 40


@dataclass
class Filled:
    """The workshop, and what was put into it."""

    workshop: Workshop
    job: str
    backup: str
    records: int
    media: MediaConfig


@contextmanager
def filled(folder: Path) -> Iterator[Filled]:
    """The workshop serves as long as this is open."""
    with serving(folder / "workshop") as workshop:
        unlocked, media = _kit(folder, workshop.keys)
        job, backup = _real_backup(folder, workshop, unlocked, media)
        (folder / "other").mkdir()
        key = Ed25519PrivateKey.generate()
        with (
            open_records(folder / "other", key) as records,
            workshop.enrolled(key, "Van 2") as hub,
        ):
            kit = Kit(records, workshop, hub)
            grows = new_job(records)
            for version in ("1.0.8", "1.0.9"):
                kit.outbox.freeze()
                kit.hand_over()
                records.append(grows, identified(version))
            (folder / "set-back").mkdir()
            with open_records(folder / "set-back", key) as older:
                new_job(older)
                back = Kit(older, workshop, hub)
                back.outbox.freeze()
                assert back.hand_over() == Handover(put_aside=1)
        yield Filled(workshop, job, backup.id, 3, media)


def _kit(folder: Path, keys: WorkshopKeys) -> tuple[Unlocked, MediaConfig]:
    media = MediaConfig(str(folder / "a"), str(folder / "b"), simulated=True)
    for place in (folder / "a", folder / "b"):
        place.mkdir()
    init_kit(
        folder / "kit",
        technicians=[(OWNER, "owner", PASSPHRASE)],
        workshop_recipient=keys.workshop_recipient,
        recovery_recipient=new_identity()[1],
        config={
            "voltage": {"sensor": "ina219:///dev/i2c-1/0x40"},
            "media": {"a": media.a, "b": media.b, "simulated": True},
        },
    )
    return unlock(folder / "kit", OWNER, PASSPHRASE), media


def _real_backup(
    folder: Path, workshop: Workshop, unlocked: Unlocked, media: MediaConfig
) -> tuple[str, BackupRef]:
    """A job with a backup that really opens, handed over."""
    (folder / "records").mkdir()
    with (
        open_records(folder / "records", unlocked.kit_key) as records,
        workshop.enrolled(unlocked.kit_key) as hub,
    ):
        job = new_job(records)
        made = make_backup(
            unlocked,
            media,
            job=job,
            ecu="engine",
            profile="sim-engine",
            identity=[IdentityValue(did=0xF190, value=b"WFKZZZ8K9FA000001".hex())],
            coding=b'{"0x0600":"0131000a"}',
            images={"eeprom": EEPROM},
        )
        place = Path(made.folders[0])
        records.append(job, _event(made, place))

        def backup_files(_backup: str) -> list[tuple[BlobKind, bytes]]:
            return [
                ("manifest", (place / MANIFEST).read_bytes()),
                ("manifest_signature", (place / SIGNATURE).read_bytes()),
            ]

        def open_blob(blob: BlobRef) -> BinaryIO:
            contents = [path.read_bytes() for path in place.iterdir()]
            (content,) = (one for one in contents if _sha256(one) == blob.sha256)
            return io.BytesIO(content)

        outbox = Outbox(records, backup_files)
        outbox.freeze()
        way = replace(Kit(records, workshop, hub).way(), open_blob=open_blob)
        done = hand_over(outbox, way)
        assert done == Handover(handed_over=1)
        return job, made


def _event(made: BackupRef, place: Path) -> BackupMade:
    objects = [
        StoredObject(kind=kind, sha256=path.stem, size=path.stat().st_size)
        for kind, path in zip(("coding", "image"), sorted(place.glob("*.age")), strict=True)
    ]
    return BackupMade(
        backup=made.id,
        ecu="engine",
        manifest_sha256=made.manifest_sha256,
        objects=objects,
        refused=[],
        folders=list(made.folders),
        simulated=True,
    )


def _sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()
