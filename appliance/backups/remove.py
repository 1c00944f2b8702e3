"""Taking a backup off a medium: it is there whole, or it is gone, whenever the medium is pulled."""

from __future__ import annotations

import shutil

from appliance.backups.media import Medium, medium_errors, store_locked
from appliance.durable import sync_folder

_GOING = ".going-"


def remove_backup(medium: Medium, backup: str) -> None:
    """Remove a medium's copy of a backup; the other medium's is not touched.

    Raises:
        MediumError: the medium failed, or a backup is being written to it. The copy is there as it
            was, or it is gone and `finish_removals` frees its room.
    """
    with store_locked(medium), medium_errors(medium):
        medium.folder(backup).rename(medium.store / f"{_GOING}{backup}")
        # Only once nobody finds it any more may its files go: half of it would be a damaged one.
        sync_folder(medium.store)
    finish_removals(medium)


def finish_removals(medium: Medium) -> None:
    """Free the room of copies that were removed.

    Raises:
        MediumError: the medium failed, or a backup is being written to it.
    """
    with medium_errors(medium):
        going = list(medium.store.glob(f"{_GOING}*"))
    if not going:
        return
    with store_locked(medium), medium_errors(medium):
        for folder in going:
            shutil.rmtree(folder)
        sync_folder(medium.store)
