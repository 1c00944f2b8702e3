"""Wrong passphrases: counted before they are tried, slowed down, and kept for the record.

The file `keys/tries.json` is durable, so neither a restart nor a power cut gives free tries. It is
not secret and not sealed: whoever can write to the state folder can also copy the slots and try
elsewhere, where only argon2id slows them down.
"""

from __future__ import annotations

import fcntl
import math
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import msgspec
from msgspec import Struct, structs

from appliance.durable import write_durably
from appliance.errors import TooManyTriesError
from appliance.identity.wallclock import moment
from hw import clock
from hw.errors import UNDECODABLE, UnavailableError
from hw.statements import Moment

FREE_TRIES = 3
MAX_DELAY_S = 300
_KEPT = 1000
UNKNOWN = ""


class FailedTry(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """One wrong try. `technician` is empty where no technician has the name that was given.

    The name itself is not kept then: people type their passphrase into the wrong field.
    """

    number: int
    technician: str
    at: Moment


class _Count(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    failures: int
    boot_id: str
    boottime: float


class _Tries(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    format: str = "fieldkit-tries/1"
    counts: dict[str, _Count] = {}
    last_number: int = 0
    unrecorded: list[FailedTry] = []


@contextmanager
def one_try(keys: Path, technician: str) -> Iterator[None]:
    """Around one try: counts it as wrong beforehand and takes that back when it went well.

    Args:
        keys: the kit's `keys/` folder.
        technician: whose slot it is; `UNKNOWN` where there is none. All unknown names share one
            count, so that inventing names gives no free tries.

    Raises:
        TooManyTriesError: the last wrong try is too recent; nothing was tried.
        UnavailableError: another try is being looked at right now, or the state folder cannot be
            written: a try that cannot be counted is not looked at.
    """
    with _locked(keys):
        before = _load(keys)
        _demand_pause(before.counts.get(technician))
        _store(keys, _with_failure(before, technician))
        yield
        counts = {name: count for name, count in before.counts.items() if name != technician}
        _store(keys, structs.replace(before, counts=counts))


def failed_tries(state: Path) -> list[FailedTry]:
    """Wrong tries that are not in the record yet, oldest first (at most the last 1000).

    Raises:
        UnavailableError: a try is being looked at right now; ask again.
    """
    with _locked(state / "keys"):
        return _load(state / "keys").unrecorded


def forget_failed_tries(state: Path, up_to: int) -> None:
    """Drop wrong tries up to and including `number`, once they are in the record for good.

    Raises:
        UnavailableError: a try is being looked at right now; ask again.
    """
    with _locked(state / "keys"):
        tries = _load(state / "keys")
        kept = [item for item in tries.unrecorded if item.number > up_to]
        _store(state / "keys", structs.replace(tries, unrecorded=kept))


def delay_s(failures: int) -> int:
    """Seconds that must pass after so many wrong tries in a row: 0, 0, 2, 4, 8 … 300."""
    if failures < FREE_TRIES:
        return 0
    return int(min(2 ** (failures - FREE_TRIES + 1), MAX_DELAY_S))


def waits_s(state: Path) -> dict[str, int]:
    """Seconds, rounded up, for which no passphrase of a technician is looked at; only those who
    must wait are named.

    While a passphrase is being looked at it counts as a wrong one already.

    Raises:
        UnavailableError: the list of wrong tries is damaged, so that no passphrase is looked at.
    """
    # Without the lock: whoever only asks must not stand in the way of who unlocks, and the file is
    # replaced as a whole.
    waits = {name: _wait_s(count) for name, count in _load(state / "keys").counts.items()}
    return {name: wait_s for name, wait_s in waits.items() if wait_s and name != UNKNOWN}


def _demand_pause(count: _Count | None) -> None:
    if count is not None and (wait_s := _wait_s(count)):
        raise TooManyTriesError(wait_s)


def _wait_s(count: _Count) -> int:
    # After a restart the boot's own age is what has passed at least.
    same_boot = count.boot_id == clock.boot_id()
    passed_s = clock.now() - (count.boottime if same_boot else 0.0)
    return max(math.ceil(delay_s(count.failures) - passed_s), 0)


def _with_failure(tries: _Tries, technician: str) -> _Tries:
    at = moment()
    before = tries.counts.get(technician)
    count = _Count(
        failures=(before.failures if before else 0) + 1, boot_id=at.boot_id, boottime=at.boottime
    )
    number = tries.last_number + 1
    failed = FailedTry(number=number, technician=technician, at=at)
    return structs.replace(
        tries,
        counts=tries.counts | {technician: count},
        last_number=number,
        unrecorded=[*tries.unrecorded, failed][-_KEPT:],
    )


def _load(keys: Path) -> _Tries:
    path = keys / "tries.json"
    try:
        return msgspec.json.decode(path.read_bytes(), type=_Tries)
    except FileNotFoundError:
        return _Tries()
    except (OSError, *UNDECODABLE) as error:
        # Starting from zero here would turn a damaged file into free tries.
        raise UnavailableError(
            f"The list of wrong tries {path} is damaged, so no passphrase is looked at.",
            "Whoever looks after the kit removes that file and notes it in the record.",
        ) from error


def _store(keys: Path, tries: _Tries) -> None:
    try:
        write_durably(keys / "tries.json", msgspec.json.encode(tries))
    except OSError as error:
        raise UnavailableError(
            f"The kit cannot count tries of a passphrase: {error.strerror}.",
            "Free space in the state folder or mend its medium, then try again.",
        ) from error


@contextmanager
def _locked(keys: Path) -> Iterator[None]:
    try:
        descriptor = os.open(keys, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    except OSError as error:
        raise UnavailableError(
            f"The kit has no keys: {keys} cannot be opened.", "Run 'fieldkit init' first."
        ) from error
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        yield
    except BlockingIOError as error:
        raise UnavailableError(
            "Another passphrase is being looked at right now.", "Try again in a few seconds."
        ) from error
    finally:
        os.close(descriptor)
