"""The journal: what hw was about to do to an ECU and what the ECU confirmed, fsynced.

One file per run, `<state>/hw/journal/<run>.journal`, one record per line: CRC-32 of the JSON
text in eight hex digits, a blank, the JSON text. Only appended to. Record kinds:

    run      what is being written to which ECU; durable before the first request
    about    the request that goes out next, and so: everything before it was confirmed
    resumed  the acknowledgment with which the technician let a cut write go on
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
from hw.messages import EventBody, Outcome, Progress, RunInfo, RunState
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


class Resumed(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True, tag="resumed"):
    """A cut write goes on; `acknowledgment` is the SHA-256 of the statement that was used up."""

    acknowledgment: str


class Logged(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True, tag="event"):
    """An event and its number in the run, from 1."""

    seq: int
    body: EventBody


UNFINISHED = ("aborted_recoverable", "interrupted", "damaged")
"""States of a run (`hw.messages.RunInfo`) that a recovery may finish."""

Record = RunHeader | About | Resumed | Logged
_decode = msgspec.json.Decoder(Record).decode
_encode = msgspec.json.Encoder().encode


@dataclass(frozen=True)
class RunRecords:
    """All that a journal file holds."""

    header: RunHeader
    about: About | None = None
    resumed: list[Resumed] = field(default_factory=list)
    events: list[Logged] = field(default_factory=list)
    damaged: bool = False

    @property
    def outcome(self) -> Outcome | None:
        """The last outcome, None for a run that has not ended."""
        bodies = [entry.body for entry in self.events if isinstance(entry.body, Outcome)]
        return bodies[-1] if bodies else None


@dataclass(frozen=True)
class _Summary:
    """What the list of runs needs to know of one."""

    header: RunHeader
    about: About | None
    outcome: Outcome | None
    done_bytes: int
    acknowledgments: frozenset[str]
    damaged: bool

    @property
    def verified(self) -> bool:
        return self.outcome is not None and self.outcome.outcome == "verified" and not self.damaged


class RunJournal:
    """The open journal of the run under way. Thread-safe.

    Once a record could not be written, nothing more is: what a medium kept that failed once is not
    known, so a later success would prove nothing. The run then stays unfinished.

    Args:
        path: the file; it must not exist.
        header: written and made durable, file and folder entry, before the constructor returns.

    Raises:
        UnavailableError: the state folder cannot be written (full, read-only).
    """

    def __init__(self, path: Path, header: RunHeader) -> None:
        self._lock = threading.Lock()
        self._seq = 0
        self._failure: UnavailableError | None = None
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

    def resumed(self, acknowledgment: str) -> None:
        """Make durable that this acknowledgment was used up to let a cut write go on."""
        with self._lock:
            self._append(Resumed(acknowledgment=acknowledgment), durable=True)

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
        if self._failure is not None:
            raise self._failure
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
            self._failure = _unwritable(error)
            raise self._failure from error


class Journal:
    """All runs of this kit.

    A file is read again only when its size is another one: files are only appended to.

    Args:
        folder: created if missing.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._known: dict[Path, tuple[int, _Summary | None]] = {}
        if not folder.is_dir():
            folder.mkdir(parents=True, exist_ok=True)
            sync_folder(folder.parent)
            sync_folder(folder.parent.parent)

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
        summaries = self._summaries()
        recovered_by: dict[str, str] = {}
        for found in summaries:
            if found.verified and found.header.recovers:
                newest = recovered_by.get(found.header.recovers, "")
                recovered_by[found.header.recovers] = max(newest, found.header.run)
        infos = [_info(found, active, recovered_by) for found in summaries]
        first = ("running", *UNFINISHED)
        return sorted(infos, key=lambda info: (info.state in first, info.run), reverse=True)

    def next_number(self) -> int:
        """One more than the highest number that a run of this kit has: runs sort by it."""
        numbers = [path.name.partition("-")[0] for path in self._files()]
        return 1 + max((int(number) for number in numbers if number.isdigit()), default=0)

    def used_acknowledgment(self, digest: str) -> bool:
        """Was the acknowledgment with this SHA-256 used to start or to resume a run?"""
        return any(digest in found.acknowledgments for found in self._summaries())

    def _summaries(self) -> list[_Summary]:
        known = {}
        for path in self._files():
            size = path.stat().st_size
            before = self._known.get(path)
            known[path] = before if before and before[0] == size else (size, _summary(path))
        self._known = known
        return [summary for _size, summary in known.values() if summary is not None]

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
            yield _decode(text) if checksum == b"%08x" % zlib.crc32(text) else None
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
        elif isinstance(record, Resumed):
            found.resumed.append(record)
        elif isinstance(record, Logged):
            found.events.append(record)
        else:
            found = replace(found, damaged=True)
    return found


def _summary(path: Path) -> _Summary | None:
    found = _read(path)
    if found is None:
        return None
    done = [entry.body.done_bytes for entry in found.events if isinstance(entry.body, Progress)]
    resumed = [record.acknowledgment for record in found.resumed]
    return _Summary(
        header=found.header,
        about=found.about,
        outcome=found.outcome,
        done_bytes=max([*done, found.about.done_bytes if found.about else 0]),
        acknowledgments=frozenset([found.header.acknowledgment, *resumed]),
        damaged=found.damaged,
    )


def _info(found: _Summary, active: str, recovered_by: dict[str, str]) -> RunInfo:
    header, outcome = found.header, found.outcome
    info = RunInfo(
        run=header.run,
        job=header.job,
        plan_digest=header.plan_digest,
        backup_manifest_sha256=header.backup_manifest_sha256,
        profile=header.profile,
        ecu=header.ecu,
        state="interrupted",
        step=found.about.step if found.about else 0,
        done_bytes=found.done_bytes,
        total_bytes=header.total_bytes,
        what="The write was interrupted: the kit stopped while it ran.",
    )
    if header.run == active:
        return msgspec.structs.replace(info, state="running", what="The write runs.")
    if outcome is not None and found.verified:
        return msgspec.structs.replace(info, state="verified", what=outcome.what)
    # A later run that recovers the same plan and ended verified.
    if recovered_by.get(header.recovers or header.plan_digest, "") > header.run:
        return msgspec.structs.replace(
            info, state="recovered", what="A later run recovered this one to verified."
        )
    if found.damaged:
        what = "The journal of this write is damaged: how far it came is not known."
        return msgspec.structs.replace(info, state="damaged", what=what)
    if outcome is not None:
        # Refused is believed only where the journal itself says that nothing was about to be sent.
        refused = outcome.outcome == "refused" and found.about is None
        state: RunState = "refused" if refused else "aborted_recoverable"
        return msgspec.structs.replace(info, state=state, what=outcome.what)
    return info
