"""The journal: what hw was about to do to an ECU and what the ECU confirmed, fsynced.

One file per run, `<state>/hw/journal/<run>.journal`, one record per line: CRC-32 of the JSON
text in eight hex digits, a blank, the JSON text. Only appended to. Record kinds:

    run      what is being written to which ECU; durable before the first request
    about    the request that goes out next, and so: everything before it was confirmed
    event    an event for the job's record (`hw.messages.EventBody`) with its sequence number

`about` is fsynced before the request is sent. The confirmation of request n is the `about` of
request n + 1 or the outcome: one fsync per request that changes the ECU says both.

A torn last line is what a power cut leaves and is dropped. A damaged line before the end is kept
as `damaged`: the run is then unfinished, whatever else the file says.

What this cannot promise: a medium that reports a flush and has not done it.
"""

from __future__ import annotations

import os
import threading
import zlib
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path

import msgspec
from msgspec import Struct

from hw.errors import UnavailableError
from hw.messages import EventBody, Outcome, Progress, RunInfo
from hw.plan import Sha256


class RunHeader(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True, tag="run"):
    """First record of a run. `acknowledgment` is the SHA-256 of the statement that was used up."""

    run: str
    job: str
    plan_digest: Sha256
    recovers: str
    backup_manifest_sha256: str
    acknowledgment: str
    profile: str
    ecu: str
    total_bytes: int
    boot_id: str


class About(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True, tag="about"):
    """The request that goes out next. `done_bytes` are confirmed."""

    step: int
    service: int
    block: int
    done_bytes: int


class Logged(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True, tag="event"):
    """An event and its number in the run, from 1."""

    seq: int
    body: EventBody


Record = RunHeader | About | Logged
_decode = msgspec.json.Decoder(Record).decode
_encode = msgspec.json.Encoder().encode


@dataclass(frozen=True)
class RunRecords:
    """All that a journal file holds."""

    header: RunHeader
    about: About | None = None
    events: list[Logged] = field(default_factory=list)
    damaged: bool = False

    @property
    def outcome(self) -> Outcome | None:
        """The last outcome, None for a run that has not ended."""
        bodies = [entry.body for entry in self.events if isinstance(entry.body, Outcome)]
        return bodies[-1] if bodies else None


class RunJournal:
    """The open journal of the run under way. Thread-safe.

    Args:
        path: the file; it must not exist.
        header: written and made durable, file and folder entry, before the constructor returns.

    Raises:
        UnavailableError: the state folder cannot be written (full, read-only).
    """

    def __init__(self, path: Path, header: RunHeader) -> None:
        self._lock = threading.Lock()
        self._seq = 0
        self.header = header
        try:
            self._fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_APPEND, 0o600)
        except OSError as error:
            raise _unwritable(error) from error
        try:
            self._append(header, durable=True)
            sync_folder(path.parent)
        except BaseException:
            self.close()
            raise

    def about(self, step: int, service: int, block: int, done_bytes: int) -> None:
        """Make durable that this request goes out next; send it only after this returns."""
        record = About(step=step, service=service, block=block, done_bytes=done_bytes)
        with self._lock:
            self._append(record, durable=True)

    def log(self, body: EventBody, *, durable: bool = False) -> int:
        """Append an event; returns its number. What is not `durable` rides with the next fsync."""
        with self._lock:
            self._seq += 1
            self._append(Logged(seq=self._seq, body=body), durable=durable)
            return self._seq

    def close(self) -> None:
        """Close the file."""
        with self._lock:
            if self._fd >= 0:
                os.close(self._fd)
                self._fd = -1

    def _append(self, record: Record, *, durable: bool) -> None:
        text = _encode(record)
        line = b"%08x %s\n" % (zlib.crc32(text), text)
        try:
            written = os.write(self._fd, line)
            if written != len(line):
                raise OSError("the disk took only a part of the record")
            if durable:
                # fdatasync also flushes the new file size, which is all that is needed to read it.
                os.fdatasync(self._fd)
        except OSError as error:
            raise _unwritable(error) from error


class Journal:
    """All runs of this kit.

    Args:
        folder: created if missing.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        folder.mkdir(parents=True, exist_ok=True)

    def begin(self, header: RunHeader) -> RunJournal:
        """Open the journal of a new run (see `RunJournal`)."""
        return RunJournal(self._path(header.run), header)

    def read(self, run: str) -> RunRecords | None:
        """All records of a run; None if there is no such run or it never began."""
        path = self._path(run)
        return _read(path) if path.is_file() else None

    def runs(self, active: str = "") -> list[RunInfo]:
        """All runs, unfinished ones first, each group newest first.

        Args:
            active: the run that is under way in this process, "" for none.
        """
        records = [found for path in self._files() if (found := _read(path)) is not None]
        infos = [_info(found, active, records) for found in records]
        unfinished = ("running", "aborted_recoverable", "interrupted", "damaged")
        return sorted(infos, key=lambda info: (info.state in unfinished, info.run), reverse=True)

    def next_number(self) -> int:
        """One more than the highest number that a run of this kit has: runs sort by it."""
        numbers = [path.name.partition("-")[0] for path in self._files()]
        return 1 + max((int(number) for number in numbers if number.isdigit()), default=0)

    def used_acknowledgment(self, digest: str) -> bool:
        """Was the acknowledgment with this SHA-256 used by a run?"""
        return any(
            found.header.acknowledgment == digest
            for path in self._files()
            if (found := _read(path)) is not None
        )

    def _files(self) -> list[Path]:
        return sorted(self.folder.glob("*.journal"))

    def _path(self, run: str) -> Path:
        if not run or not all(char.isalnum() or char == "-" for char in run):
            return self.folder / "no-such-run"
        return self.folder / f"{run}.journal"


def sync_folder(folder: Path) -> None:
    """fsync a folder, so that a new name in it survives a power cut."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _unwritable(error: OSError) -> UnavailableError:
    return UnavailableError(
        f"The kit cannot write its journal: {error}.",
        "Free space in the state folder or mend its medium; without a journal nothing is written.",
    )


def _lines(path: Path) -> Iterator[Record | None]:
    """Each record of a file; None for a damaged line. A torn last line is left out."""
    for line in path.read_bytes().split(b"\n")[:-1]:
        checksum, _, text = line.partition(b" ")
        try:
            intact = int(checksum, 16) == zlib.crc32(text)
            yield _decode(text) if intact else None
        except (ValueError, msgspec.MsgspecError):
            yield None


def _read(path: Path) -> RunRecords | None:
    lines = list(_lines(path))
    if not lines:
        return None  # Torn before its header was durable: nothing was sent.
    header = lines[0]
    if not isinstance(header, RunHeader):
        header = RunHeader(
            run=path.stem,
            job="",
            plan_digest="0" * 64,
            recovers="",
            backup_manifest_sha256="",
            acknowledgment="",
            profile="",
            ecu="",
            total_bytes=0,
            boot_id="",
        )
        return RunRecords(header, damaged=True)
    found = RunRecords(header)
    for record in lines[1:]:
        if isinstance(record, About):
            found = replace(found, about=record)
        elif isinstance(record, Logged):
            found.events.append(record)
        else:
            found = replace(found, damaged=True)
    return found


def _info(found: RunRecords, active: str, everything: list[RunRecords]) -> RunInfo:
    header, outcome = found.header, found.outcome
    progress = [entry.body for entry in found.events if isinstance(entry.body, Progress)]
    done = max(
        [body.done_bytes for body in progress] + [found.about.done_bytes if found.about else 0]
    )
    info = RunInfo(
        run=header.run,
        job=header.job,
        plan_digest=header.plan_digest,
        backup_manifest_sha256=header.backup_manifest_sha256,
        profile=header.profile,
        ecu=header.ecu,
        state="interrupted",
        step=found.about.step if found.about else 0,
        done_bytes=done,
        total_bytes=header.total_bytes,
        what="The write was interrupted: the kit stopped while it ran.",
    )
    if header.run == active:
        return msgspec.structs.replace(info, state="running", what="The write runs.")
    if outcome is not None and outcome.outcome == "verified" and not found.damaged:
        return msgspec.structs.replace(info, state="verified", what=outcome.what)
    if _recovered(found, everything):
        return msgspec.structs.replace(
            info, state="recovered", what="A later run recovered this one to verified."
        )
    if found.damaged:
        what = "The journal of this write is damaged: how far it came is not known."
        return msgspec.structs.replace(info, state="damaged", what=what)
    if outcome is not None:
        return msgspec.structs.replace(info, state="aborted_recoverable", what=outcome.what)
    return info


def _recovered(found: RunRecords, everything: list[RunRecords]) -> bool:
    """Has a later run, recovering the same plan, ended verified?"""
    wanted = found.header.recovers or found.header.plan_digest
    return any(
        other.header.recovers == wanted
        and other.header.run > found.header.run
        and other.outcome is not None
        and other.outcome.outcome == "verified"
        for other in everything
    )
