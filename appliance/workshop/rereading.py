"""Reading all backups again, one after the other and slowly, for as long as the hub serves.

A disk forgets silently, and a backup is wanted when it is too late to make another one. So each is
read again a day after it arrived and then once a month, the one that was read longest ago first.
Between two pieces nothing is read for several times as long as the piece took, so that kits do not
notice; a store that is too large for a month at this pace takes longer. Of several hubs on one
database only one reads a backup at a time. What is damaged is on the office's pages until it was
found whole again, which is looked at every day.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from appliance.workshop.blobs import Blobs
from appliance.workshop.errors import HubError
from appliance.workshop.hub import Hub
from appliance.workshop.listedbackups import check_backup
from appliance.workshop.tables import HubDatabase, Models

SOON_S, EVERY_S = 86_400, 30 * 86_400
"""When a backup is read first, and again where it was damaged; and how often each is read."""
RESTS = 9
"""So many times as long as reading took, nothing is read: a tenth of the time at most."""
BETWEEN_S = 1.0
"""From one backup to the next at least; small ones are read in no time."""
LOOK_S = 60.0
"""When nothing was to be done, or database or store did not answer, it is looked again."""
STOP_WITHIN_S = 5.0
"""A store that does not answer holds up nobody who stops the hub."""
CLAIM_S = 6 * 3600
"""After so long another hub takes a backup whose reader never said what it found."""
Wait = Callable[[float], bool]
"""Waits for so many seconds; True at once where it is time to stop."""


class Stopped(Exception):
    """The hub stops serving; nothing was found."""


class Unhurried:
    """A store that is read with rests.

    Args:
        blobs: the store.
        wait: waits between two pieces.
    """

    def __init__(self, blobs: Blobs, wait: Wait) -> None:
        self._blobs, self._wait = blobs, wait
        self.size = blobs.size

    def read_again(self, sha256: str) -> Iterator[bytes]:
        """See `Blobs.read_again`."""
        begun = time.monotonic()
        for part in self._blobs.read_again(sha256):
            yield part
            if self._wait(RESTS * (time.monotonic() - begun)):
                raise Stopped
            begun = time.monotonic()


@contextmanager
def rereading(hub: Hub) -> Iterator[None]:
    """Read backups again in a thread of its own, until it is left."""
    stop = threading.Event()
    thread = threading.Thread(target=_reread, args=(hub, stop.wait), name="rereading", daemon=True)
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join(STOP_WITHIN_S)


def _reread(hub: Hub, wait: Wait) -> None:
    pause = BETWEEN_S
    while not wait(pause):
        try:
            pause = BETWEEN_S if reread_one(hub, wait) else LOOK_S
        except Stopped:
            return
        except HubError:
            pause = LOOK_S  # Kits and people who ask are told what it is; nothing is noted.


def reread_one(hub: Hub, wait: Wait) -> bool:
    """Read the backup again whose turn it is; False where it is no backup's.

    Raises:
        HubError: database or store do not answer.
        Stopped: `wait` said so.
    """
    backup = claim(hub.database, int(hub.now()))
    if not backup:
        return False
    try:
        check_backup(hub.database, Unhurried(hub.blobs, wait), backup, hub.now)
    finally:
        _give_back(hub.database, backup)
    return True


def claim(database: HubDatabase, now: int) -> str:
    """Take the backup that was read longest ago, so that nobody else reads it meanwhile.

    Returns:
        Its id; empty where none has to be read yet.
    """

    def work(tables: Models) -> str:
        backups = tables.backups

        def is_over(column: Any, lasting_s: int) -> Any:
            # What lies in the future was written while the clock was wrong, and holds nothing up.
            return ~column.between(now - lasting_s, now)

        due = is_over(backups.checked, EVERY_S)
        due |= (backups.damaged > 0) & is_over(backups.checked, SOON_S)
        due &= is_over(backups.received, SOON_S) & is_over(backups.claimed, CLAIM_S)
        oldest = backups.select().where(due).order_by(backups.checked, backups.number).limit(1)
        row = next(iter(database.lock(oldest)), None)
        if row is None:
            return ""
        backups.update(claimed=now).where(backups.number == row.number).execute()
        return str(row.backup)

    return database.write(work)


def _give_back(database: HubDatabase, backup: str) -> None:
    def work(tables: Models) -> None:
        tables.backups.update(claimed=0).where(tables.backups.backup == backup).execute()

    database.write(work)
