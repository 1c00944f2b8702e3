"""Golden kits: the database of a kit as each version of the schema wrote it, kept in `tests/data/`.

Before a migration is added, `python -m tests.appliance.sync.golden` keeps one of the version that
goes: `kit-N.db`, with a job that was frozen for the workshop, and one that was not.
"""

from __future__ import annotations

import hashlib
import shutil
import tempfile
from pathlib import Path

from appliance.records import Records
from appliance.records.events import BackupMade, StoredObject
from appliance.store.schema import MIGRATIONS
from appliance.sync.outbox import Outbox
from hw.plan import digest_of
from tests.appliance.records.sample import (
    CONTAINER,
    backup,
    compiled,
    identified,
    new_job,
    open_records,
    plan_document,
)

DATA = Path(__file__).parents[2] / "data"
FILES = {
    "manifest": b'{"format":"fieldkit-backup/1"}',
    "manifest_signature": b"-----BEGIN SSH SIGNATURE-----\n",
    "image": bytes(range(256)),
}
"""Of the backup, which lies on the media and not in the database."""


def golden(version: int) -> Path:
    """The database of a version of the schema."""
    return DATA / f"kit-{version}.db"


def write_job(records: Records, name: str) -> str:
    """A job with a backup and a plan, whose files the kit kept."""
    job = new_job(records, name)
    document = plan_document(job)
    records.store.put_blob(document)
    records.store.put_blob(CONTAINER)
    sha256 = {kind: hashlib.sha256(content).hexdigest() for kind, content in FILES.items()}
    size = len(FILES["image"])
    known = backup(job)
    made = BackupMade(
        backup=known.backup,
        ecu=known.ecu,
        manifest_sha256=sha256["manifest"],
        objects=[StoredObject(kind="image", sha256=sha256["image"], size=size)],
        refused=[],
        folders=known.folders,
        simulated=True,
    )
    records.append_all(job, [identified("1.0.7"), made, compiled(digest_of(document))])
    return job


def outbox_of(records: Records) -> Outbox:
    """The outbox, with the backup's files at hand."""
    return Outbox(
        records,
        lambda _backup: [
            ("manifest", FILES["manifest"]),
            ("manifest_signature", FILES["manifest_signature"]),
        ],
    )


def main() -> None:
    """Keep one of the version at hand."""
    with tempfile.TemporaryDirectory() as folder:
        with open_records(Path(folder)) as records:
            write_job(records, "Zoë Müller")
            outbox_of(records).freeze()
            write_job(records, "Jan de Villiers")
        shutil.copyfile(Path(folder) / "appliance.db", golden(len(MIGRATIONS)))


if __name__ == "__main__":
    main()
