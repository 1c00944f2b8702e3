"""The journal: whatever happens to its files, a run never looks better than it was."""

from __future__ import annotations

import os
import resource
import threading
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from hw.errors import UnavailableError
from hw.journal import (
    UNFINISHED,
    About,
    Journal,
    Logged,
    Record,
    Resumed,
    RunHeader,
    RunJournal,
    RunRecords,
    sync_folder,
)
from hw.messages import Outcome, Progress, RunInfo, StepStarted, Voltage


def header(run: str = "00000001-aa", **changes: Any) -> RunHeader:
    made = RunHeader(
        run=run,
        job="job",
        plan_digest="1" * 64,
        recovers="",
        backup_manifest_sha256="2" * 64,
        acknowledgment="3" * 64,
        profile="sim-engine",
        ecu="engine",
        total_bytes=100,
        boot_id="boot",
    )
    return msgspec.structs.replace(made, **changes)


def outcome(name: Any = "verified", what: str = "It is as it is.") -> Outcome:
    return Outcome(at=3.0, outcome=name, code="c", what=what, next_step="", step=1)


def progress(done: int) -> Progress:
    return Progress(
        at=2.0, block=1, blocks=2, done_bytes=done, total_bytes=100, rate=1.0, remaining_s=None
    )


def write_run(
    kit: Journal, ends: Any = "verified", run: str = "00000001-aa", **changes: Any
) -> Path:
    """A run as the executor leaves it; `ends` None: it was interrupted."""
    book = kit.begin(header(run, **changes))
    book.log(StepStarted(at=1.0, index=0, total=2, step="download"))
    book.about(1, 0x36, 1, 0)
    book.log(progress(40))
    book.about(1, 0x36, 2, 40)
    if ends is not None:
        book.log(outcome(ends), durable=True)
    book.close()
    return kit.folder / f"{run}.journal"


@pytest.fixture
def kit(tmp_path: Path) -> Journal:
    return Journal(tmp_path / "hw" / "journal")


def state(kit: Journal, active: str = "") -> str:
    (info,) = kit.runs(active)
    return info.state


# What a whole file says ---------------------------------------------------------------------------


def test_a_new_kit_has_no_runs(kit: Journal) -> None:
    assert kit.runs() == []
    assert kit.next_number() == 1
    assert not kit.used_acknowledgment("3" * 64)


@pytest.mark.parametrize(
    ("ends", "wanted"),
    [
        ("verified", "verified"),
        ("aborted_recoverable", "aborted_recoverable"),
        ("refused", "aborted_recoverable"),
        (None, "interrupted"),
    ],
)
def test_a_runs_state_is_its_outcome(kit: Journal, ends: Any, wanted: str) -> None:
    write_run(kit, ends)
    (info,) = kit.runs()
    assert (info.state, info.step, info.done_bytes) == (wanted, 1, 40)
    assert (info.run, info.job, info.ecu, info.total_bytes) == ("00000001-aa", "job", "engine", 100)
    assert info.what
    (again,) = Journal(kit.folder).runs()
    assert again == info


def test_refused_is_believed_only_where_nothing_was_about_to_be_sent(kit: Journal) -> None:
    book = kit.begin(header())
    book.log(outcome("refused"), durable=True)
    book.close()
    assert state(kit) == "refused"


def test_the_active_run_is_running_whatever_its_file_says(kit: Journal) -> None:
    write_run(kit, None)
    assert state(kit, "00000001-aa") == "running"
    assert state(kit) == "interrupted"


def test_the_last_outcome_counts(kit: Journal) -> None:
    book = kit.begin(header())
    book.log(outcome("verified"))
    book.log(outcome("aborted_recoverable"), durable=True)
    book.close()
    assert state(kit) == "aborted_recoverable"


def test_records_come_back_as_they_were_written(kit: Journal) -> None:
    write_run(kit)
    records = kit.read("00000001-aa")
    assert records is not None
    assert records.header == header()
    assert records.about == About(step=1, service=0x36, block=2, done_bytes=40)
    assert [entry.seq for entry in records.events] == [1, 2, 3]
    assert records.outcome == outcome()
    assert not records.damaged


def test_done_bytes_are_the_most_that_either_record_says(kit: Journal) -> None:
    book = kit.begin(header())
    assert kit.runs()[0].done_bytes == 0
    book.about(0, 0x36, 1, 30)
    assert kit.runs()[0].done_bytes == 30
    book.log(progress(50))
    assert kit.runs()[0].done_bytes == 50
    book.close()


@pytest.mark.parametrize(
    "run", ["", "../00000001-aa", "a/b", "no-such", ".", "00000001-aa.journal"]
)
def test_a_run_that_is_not_there_reads_as_none(kit: Journal, run: str) -> None:
    whole = write_run(kit).read_bytes()
    (kit.folder / ".journal").write_bytes(whole)
    (kit.folder.parent / "00000001-aa.journal").write_bytes(whole)
    assert kit.read(run) is None


def info_of_a_whole_run(**changes: Any) -> RunInfo:
    """What the list says of `write_run`."""
    made = RunInfo(
        run="00000001-aa",
        job="job",
        plan_digest="1" * 64,
        backup_manifest_sha256="2" * 64,
        profile="sim-engine",
        ecu="engine",
        state="verified",
        step=1,
        done_bytes=40,
        total_bytes=100,
        what="It is as it is.",
    )
    return msgspec.structs.replace(made, **changes)


@pytest.mark.parametrize(
    ("ends", "active", "changes"),
    [
        ("verified", "", {}),
        ("aborted_recoverable", "", {"state": "aborted_recoverable"}),
        (None, "00000001-aa", {"state": "running", "what": "The write runs."}),
        (
            None,
            "",
            {
                "state": "interrupted",
                "what": "The write was interrupted: the kit stopped while it ran.",
            },
        ),
    ],
)
def test_all_that_the_list_says_of_a_run(
    kit: Journal, ends: Any, active: str, changes: dict[str, Any]
) -> None:
    write_run(kit, ends)
    assert kit.runs(active) == [info_of_a_whole_run(**changes)]


def test_all_that_the_list_says_of_a_run_before_its_first_request(kit: Journal) -> None:
    kit.begin(header()).close()
    what = "The write was interrupted: the kit stopped while it ran."
    before = info_of_a_whole_run(state="interrupted", step=0, done_bytes=0, what=what)
    assert kit.runs() == [before]
    assert kit.read("00000001-aa") == RunRecords(header(), None, [], [], False)


def test_all_that_the_list_says_of_a_run_that_was_recovered(kit: Journal) -> None:
    write_run(kit, None)
    write_run(kit, "verified", B, plan_digest=RECOVERY, recovers=PLAN)
    what = "A later run recovered this one to verified."
    assert kit.runs()[1] == info_of_a_whole_run(state="recovered", what=what)


@pytest.mark.parametrize("active", [False, True])
def test_the_open_journal_names_its_run(kit: Journal, active: bool) -> None:
    book = kit.begin(header(total_bytes=7))
    if not active:
        book.close()
    assert book.header == header(total_bytes=7)
    book.close()


def test_a_logged_event_is_told_its_number(kit: Journal) -> None:
    book = kit.begin(header())
    assert [book.log(Voltage(at=1.0, volts=13.0)) for _ in range(3)] == [1, 2, 3]
    book.close()


# The file's format --------------------------------------------------------------------------------

RECORDS: list[tuple[bytes, Record]] = [
    (
        b'{"type":"run","run":"00000001-aa","job":"job","plan_digest":"' + b"1" * 64 + b'",'
        b'"recovers":"","backup_manifest_sha256":"' + b"2" * 64 + b'","acknowledgment":"'
        b"" + b"3" * 64 + b'","profile":"sim-engine","ecu":"engine","total_bytes":100,'
        b'"boot_id":"boot"}',
        header(),
    ),
    (
        b'{"type":"about","step":1,"service":54,"block":2,"done_bytes":9}',
        About(step=1, service=0x36, block=2, done_bytes=9),
    ),
    (b'{"type":"resumed","acknowledgment":"abc"}', Resumed(acknowledgment="abc")),
    (
        b'{"type":"event","seq":1,"body":{"event":"voltage","volts":13.0,"reason":"","at":1.0}}',
        Logged(seq=1, body=Voltage(at=1.0, volts=13.0)),
    ),
]


def line(text: bytes) -> bytes:
    """A record as it stands in the file."""
    return b"%08x %s\n" % (zlib.crc32(text), text)


def test_a_file_of_today_is_read_by_every_later_version(kit: Journal) -> None:
    (kit.folder / "00000001-aa.journal").write_bytes(b"".join(line(text) for text, _ in RECORDS))
    found = kit.read("00000001-aa")
    assert found is not None
    assert [found.header, found.about, *found.resumed, *found.events] == [r for _, r in RECORDS]
    assert not found.damaged


def test_a_file_is_written_as_it_is_read(kit: Journal) -> None:
    book = kit.begin(header())
    book.about(1, 0x36, 2, 9)
    book.resumed("abc")
    book.log(Voltage(at=1.0, volts=13.0))
    book.close()
    written = (kit.folder / "00000001-aa.journal").read_bytes()
    assert written == b"".join(line(text) for text, _ in RECORDS)


@pytest.mark.parametrize(("text", "record"), RECORDS)
def test_a_record_with_a_field_of_a_later_version_is_damage_not_a_guess(
    kit: Journal, text: bytes, record: Record
) -> None:
    first = b"" if isinstance(record, RunHeader) else line(RECORDS[0][0])
    path = kit.folder / "00000001-aa.journal"
    path.write_bytes(first + line(text))
    assert state(kit) == "interrupted"
    path.write_bytes(first + line(text[:-1] + b',"new":1}'))
    assert state(kit) == "damaged"


@pytest.mark.parametrize(("_text", "record"), RECORDS)
def test_a_record_is_made_by_names_and_never_changed(_text: bytes, record: Record) -> None:
    kind: Any = type(record)
    values = msgspec.structs.astuple(record)
    with pytest.raises(TypeError):
        kind(*values)
    with pytest.raises(AttributeError):
        setattr(record, record.__struct_fields__[0], values[0])


# Unfinished first, numbers, acknowledgments -------------------------------------------------------


def test_unfinished_runs_come_first_and_newest_first(kit: Journal) -> None:
    for number, ends in enumerate(("verified", None, "verified", "aborted_recoverable"), 1):
        write_run(kit, ends, f"{number:08d}-aa", plan_digest=f"{number}" * 64)
    assert [info.run[:8].lstrip("0") for info in kit.runs()] == ["4", "2", "3", "1"]
    assert [info.run[:8].lstrip("0") for info in kit.runs("00000002-aa")] == ["4", "2", "3", "1"]
    damaged = kit.folder / "00000001-aa.journal"
    damaged.write_bytes(damaged.read_bytes() + b"rubbish\n")
    assert [info.run[:8].lstrip("0") for info in kit.runs()] == ["4", "2", "1", "3"]


def test_states_that_a_recovery_may_finish() -> None:
    assert UNFINISHED == ("aborted_recoverable", "interrupted", "damaged")


def test_numbers_go_on_from_the_highest(kit: Journal) -> None:
    write_run(kit, run="00000007-aa")
    write_run(kit, run="00000003-bb")
    (kit.folder / "foreign.journal").write_bytes(b"")
    (kit.folder / "00000099-x.txt").write_bytes(b"")
    assert kit.next_number() == 8
    (kit.folder / "00000012-torn.journal").write_bytes(b"")
    assert kit.next_number() == 13
    write_run(kit, run="00000014-with-more")
    assert kit.next_number() == 15


def test_an_acknowledgment_is_used_by_the_start_and_by_each_resume(kit: Journal) -> None:
    book = kit.begin(header(acknowledgment="a" * 64))
    assert kit.used_acknowledgment("a" * 64)
    assert not kit.used_acknowledgment("b" * 64)
    book.resumed("b" * 64)
    assert kit.used_acknowledgment("b" * 64)
    book.close()
    assert Journal(kit.folder).used_acknowledgment("b" * 64)
    assert not Journal(kit.folder).used_acknowledgment("c" * 64)


# Recovery -----------------------------------------------------------------------------------------

A, B, C = "00000001-aa", "00000002-aa", "00000003-aa"
PLAN, RECOVERY = "1" * 64, "4" * 64


def states(kit: Journal) -> dict[str, str]:
    return {info.run: info.state for info in kit.runs()}


@pytest.mark.parametrize("ends", ["aborted_recoverable", None])
def test_a_later_verified_run_that_recovers_it_finishes_a_run(kit: Journal, ends: Any) -> None:
    write_run(kit, ends, A)
    write_run(kit, "verified", B, plan_digest=RECOVERY, recovers=PLAN)
    assert states(kit) == {A: "recovered", B: "verified"}


def test_a_chain_of_recoveries_ends_with_the_verified_one(kit: Journal) -> None:
    write_run(kit, None, A)
    write_run(kit, "aborted_recoverable", B, plan_digest=RECOVERY, recovers=PLAN)
    write_run(kit, "verified", C, plan_digest="5" * 64, recovers=PLAN)
    assert states(kit) == {A: "recovered", B: "recovered", C: "verified"}


@pytest.mark.parametrize("ends", ["aborted_recoverable", None])
def test_a_recovery_that_was_not_verified_finishes_nothing(kit: Journal, ends: Any) -> None:
    write_run(kit, None, A)
    write_run(kit, ends, B, plan_digest=RECOVERY, recovers=PLAN)
    assert set(states(kit).values()) <= set(UNFINISHED)


def test_a_recovery_of_another_plan_or_an_earlier_one_finishes_nothing(kit: Journal) -> None:
    write_run(kit, "verified", A, plan_digest=RECOVERY, recovers=PLAN)
    write_run(kit, None, B, plan_digest=PLAN)
    write_run(kit, "verified", C, plan_digest="5" * 64, recovers="6" * 64)
    assert states(kit)[B] == "interrupted"


def test_a_verified_run_that_recovers_nothing_finishes_no_other(kit: Journal) -> None:
    write_run(kit, None, A)
    write_run(kit, "verified", B)
    assert states(kit)[A] == "interrupted"


def test_a_damaged_recovery_finishes_nothing(kit: Journal) -> None:
    write_run(kit, None, A)
    path = write_run(kit, "verified", B, plan_digest=RECOVERY, recovers=PLAN)
    lines = path.read_bytes().splitlines(keepends=True)
    lines[2] = lines[2].replace(b"about", b"abous")
    path.write_bytes(b"".join(lines))
    assert states(kit) == {A: "interrupted", B: "damaged"}


def test_a_damaged_run_can_be_recovered(kit: Journal) -> None:
    path = write_run(kit, None, A)
    path.write_bytes(path.read_bytes() + b"rubbish\n")
    assert states(kit) == {A: "damaged"}
    write_run(kit, "verified", B, plan_digest=RECOVERY, recovers=PLAN)
    assert states(kit) == {A: "recovered", B: "verified"}


# Power cuts and bad media -------------------------------------------------------------------------


def test_torn_at_every_byte_the_run_is_unfinished_until_its_outcome_is_whole(
    kit: Journal, tmp_path: Path
) -> None:
    whole = write_run(kit).read_bytes()
    full = kit.read("00000001-aa")
    assert full is not None
    torn = kit.folder / "00000001-aa.journal"
    for length in range(len(whole)):
        torn.write_bytes(whole[:length])
        fresh = Journal(kit.folder)
        found = fresh.read("00000001-aa")
        if found is None:
            assert b"\n" not in whole[:length]
            assert fresh.runs() == []
            continue
        assert found.header == full.header
        assert found.events == full.events[: len(found.events)]
        assert not found.damaged
        assert state(fresh) == "interrupted"
    torn.write_bytes(whole)
    assert state(Journal(kit.folder)) == "verified"


@pytest.mark.parametrize("ends", ["verified", None])
def test_one_flipped_bit_anywhere_never_makes_a_run_look_better(kit: Journal, ends: Any) -> None:
    path = write_run(kit, ends)
    whole = path.read_bytes()
    with path.open("r+b", buffering=0) as file:
        for bit in range(8 * len(whole)):
            byte = bit // 8
            os.pwrite(file.fileno(), bytes([whole[byte] ^ 1 << bit % 8]), byte)
            # A flip in the last line feed is what a torn last line looks like.
            wanted = "interrupted" if byte == len(whole) - 1 else "damaged"
            assert state(Journal(kit.folder)) == wanted, bit
            os.pwrite(file.fileno(), whole[byte : byte + 1], byte)


def test_a_damaged_header_still_shows_a_run_that_is_unfinished(kit: Journal) -> None:
    path = write_run(kit)
    path.write_bytes(b"x" + path.read_bytes()[1:])
    (info,) = kit.runs()
    assert (info.run, info.state) == ("00000001-aa", "damaged")
    unknown = RunHeader(
        run="00000001-aa",
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
    assert kit.read("00000001-aa") == RunRecords(unknown, damaged=True)
    what = "The journal of this write is damaged: how far it came is not known."
    assert info == RunInfo(
        run="00000001-aa",
        job="",
        plan_digest="0" * 64,
        backup_manifest_sha256="",
        profile="",
        ecu="",
        state="damaged",
        step=0,
        done_bytes=0,
        total_bytes=0,
        what=what,
    )


def test_what_can_be_read_of_a_damaged_run_is_kept(kit: Journal) -> None:
    path = write_run(kit)
    path.write_bytes(path.read_bytes() + b"rubbish\n")
    what = "The journal of this write is damaged: how far it came is not known."
    assert kit.runs() == [info_of_a_whole_run(state="damaged", what=what)]
    records = kit.read("00000001-aa")
    assert records is not None
    assert records.damaged
    assert records.outcome == outcome()


def test_a_second_header_in_a_file_is_damage(kit: Journal) -> None:
    path = write_run(kit)
    lines = path.read_bytes().splitlines(keepends=True)
    path.write_bytes(b"".join([*lines, lines[0]]))
    assert state(kit) == "damaged"


@settings(max_examples=200, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(rubbish=st.binary(max_size=200))
def test_rubbish_as_a_file_is_no_verified_run(kit: Journal, rubbish: bytes) -> None:
    (kit.folder / "00000001-aa.journal").write_bytes(rubbish)
    assert [info.state for info in kit.runs()] in ([], ["damaged"])


# Writing ------------------------------------------------------------------------------------------


class Syncs:
    """What was in the file at each flush."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, path: Path) -> None:
        self.path = path
        self.seen: list[bytes] = []
        real = os.fdatasync

        def fdatasync(descriptor: int) -> None:
            real(descriptor)
            self.seen.append(path.read_bytes())

        monkeypatch.setattr(os, "fdatasync", fdatasync)


def test_what_must_be_durable_is_flushed_before_the_call_returns(
    kit: Journal, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = kit.folder / "00000001-aa.journal"
    syncs = Syncs(monkeypatch, path)
    book = kit.begin(header())
    assert syncs.seen[-1] == path.read_bytes() != b""
    book.log(Voltage(at=1.0, volts=13.0))
    assert len(syncs.seen) == 1
    book.about(1, 0x36, 1, 0)
    assert len(syncs.seen) == 2
    assert syncs.seen[-1] == path.read_bytes()
    book.resumed("5" * 64)
    assert syncs.seen[-1] == path.read_bytes()
    book.log(outcome(), durable=True)
    assert syncs.seen[-1] == path.read_bytes()
    assert len(syncs.seen) == 4
    book.close()


@pytest.fixture
def synced(monkeypatch: pytest.MonkeyPatch) -> list[tuple[Path, int]]:
    """Each folder that was flushed, and how many names it then held."""
    seen: list[tuple[Path, int]] = []
    real = os.fsync

    def fsync(descriptor: int) -> None:
        real(descriptor)
        folder = Path(f"/proc/self/fd/{descriptor}").readlink()
        seen.append((folder, len(list(folder.iterdir()))))

    monkeypatch.setattr(os, "fsync", fsync)
    return seen


def test_a_new_runs_name_is_flushed_before_it_may_begin(
    kit: Journal, synced: list[tuple[Path, int]]
) -> None:
    book = kit.begin(header())
    assert synced == [(kit.folder, 1)]
    book.close()


def test_a_new_kits_folders_are_flushed_once(
    tmp_path: Path, synced: list[tuple[Path, int]]
) -> None:
    folder = tmp_path / "state" / "hw" / "journal"
    Journal(folder)
    assert synced == [(folder.parent, 1), (folder.parent.parent, 1)]
    Journal(folder)
    assert len(synced) == 2


def test_a_folder_that_another_process_makes_just_now_is_taken(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "hw" / "journal"
    folder.mkdir(parents=True)
    looks = iter([False])
    really = Path.is_dir
    with monkeypatch.context() as before:
        before.setattr(Path, "is_dir", lambda path: next(looks, True) and really(path))
        Journal(folder)
    assert folder.is_dir()


def test_only_a_folder_is_flushed_as_one(tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.touch()
    with pytest.raises(NotADirectoryError):
        sync_folder(file)


def test_only_the_kit_itself_reads_a_journal(kit: Journal) -> None:
    mask = os.umask(0)
    try:
        kit.begin(header()).close()
    finally:
        os.umask(mask)
    assert (kit.folder / "00000001-aa.journal").stat().st_mode & 0o777 == 0o600


def open_files() -> int:
    return len(os.listdir("/proc/self/fd"))


def test_no_file_stays_open_behind_a_run(kit: Journal) -> None:
    before = open_files()
    kit.begin(header()).close()
    assert open_files() == before
    with files_end_at(0), pytest.raises(UnavailableError):
        kit.begin(header("00000002-aa"))
    assert open_files() == before


def test_a_journal_whose_descriptor_is_0_is_closed_too(kit: Journal) -> None:
    standard_input = os.dup(0)
    try:
        os.close(0)
        book = kit.begin(header())
        os.fstat(0)
        book.close()
        with pytest.raises(OSError, match="Bad file descriptor"):
            os.fstat(0)
    finally:
        os.dup2(standard_input, 0)
        os.close(standard_input)


def test_a_run_is_never_begun_twice(kit: Journal) -> None:
    write_run(kit)
    before = (kit.folder / "00000001-aa.journal").read_bytes()
    with pytest.raises(UnavailableError, match=r"journal: .*File exists"):
        kit.begin(header())
    assert (kit.folder / "00000001-aa.journal").read_bytes() == before


def test_without_its_folder_no_run_begins(kit: Journal) -> None:
    with pytest.raises(UnavailableError) as refused:
        RunJournal(kit.folder / "gone" / "1.journal", header())
    assert "nothing is written" in refused.value.next_step


def test_after_close_nothing_can_be_written(kit: Journal) -> None:
    book = kit.begin(header())
    book.close()
    book.close()
    with pytest.raises(UnavailableError):
        book.about(1, 0x36, 1, 0)
    with pytest.raises(UnavailableError):
        book.log(outcome(), durable=True)
    assert state(kit) == "interrupted"


@contextmanager
def files_end_at(size: int) -> Iterator[None]:
    """A medium on which no file grows beyond `size`; a record may be taken in part."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


@pytest.mark.parametrize("room", [0, 1, 10, 60])
def test_a_full_medium_fails_the_record_and_everything_after_it(kit: Journal, room: int) -> None:
    book = kit.begin(header())
    path = kit.folder / "00000001-aa.journal"
    with files_end_at(path.stat().st_size + room), pytest.raises(UnavailableError) as full:
        book.about(1, 0x36, 1, 0)
    reason = "only a part of the record" if room else "File too large"
    assert reason in full.value.what
    assert "Free space" in full.value.next_step
    size = path.stat().st_size
    # There is room again. What was taken in part must not become the head of another line.
    for write in (lambda: book.about(1, 0x36, 1, 0), lambda: book.log(outcome(), durable=True)):
        with pytest.raises(UnavailableError) as again:
            write()
        assert again.value.what == full.value.what
    assert path.stat().st_size == size
    book.close()
    assert state(kit) == "interrupted"


@pytest.mark.parametrize("room", [0, 20])
def test_on_a_full_medium_no_run_begins(kit: Journal, room: int) -> None:
    with files_end_at(room), pytest.raises(UnavailableError):
        kit.begin(header())
    assert kit.runs() == []


def test_a_failed_flush_is_a_failed_record_for_good(
    kit: Journal, monkeypatch: pytest.MonkeyPatch
) -> None:
    book = kit.begin(header())

    def fails(_descriptor: int) -> None:
        raise OSError(5, "Input/output error")

    with monkeypatch.context() as broken:
        broken.setattr(os, "fdatasync", fails)
        with pytest.raises(UnavailableError, match="Input/output"):
            book.about(1, 0x36, 1, 0)
    with pytest.raises(UnavailableError, match="Input/output"):
        book.log(outcome(), durable=True)
    book.close()
    assert state(kit) == "interrupted"


def test_threads_that_log_at_once_leave_whole_lines_with_rising_numbers(kit: Journal) -> None:
    book = kit.begin(header())

    def log_many() -> None:
        for _ in range(200):
            book.log(Voltage(at=1.0, volts=13.0))

    threads = [threading.Thread(target=log_many) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    book.close()
    records = kit.read("00000001-aa")
    assert records is not None
    assert [entry.seq for entry in records.events] == list(range(1, 801))
    assert not records.damaged


# Many runs ----------------------------------------------------------------------------------------


def test_finished_runs_are_read_once_however_many_there_are(
    kit: Journal, monkeypatch: pytest.MonkeyPatch
) -> None:
    template = write_run(kit).read_bytes()
    for number in range(2, 1001):
        run = f"{number:08d}-aa"
        text = msgspec.json.encode(header(run, acknowledgment=f"{number:064x}"))
        lines = [b"%08x %s\n" % (zlib.crc32(text), text)]
        lines += template.splitlines(keepends=True)[1:]
        (kit.folder / f"{run}.journal").write_bytes(b"".join(lines))
    read: list[str] = []
    real = Path.read_bytes

    def read_bytes(path: Path) -> bytes:
        read.append(path.stem)
        return real(path)

    monkeypatch.setattr(Path, "read_bytes", read_bytes)
    fresh = Journal(kit.folder)
    assert len(fresh.runs()) == 1000
    assert len(read) == 1000
    read.clear()
    assert len(fresh.runs()) == 1000
    assert fresh.used_acknowledgment(f"{1000:064x}")
    assert not fresh.used_acknowledgment("f" * 64)
    assert fresh.next_number() == 1001
    assert read == []
    book = fresh.begin(header("00001001-aa"))
    assert fresh.runs("00001001-aa")[0].state == "running"
    book.log(outcome(), durable=True)
    assert {info.state for info in fresh.runs()} == {"verified"}
    book.close()
    assert set(read) == {"00001001-aa"}


def test_a_file_that_grew_or_vanished_is_noticed(kit: Journal) -> None:
    path = write_run(kit, None)
    assert state(kit) == "interrupted"
    with path.open("ab") as stream:
        stream.write(b"rubbish\n")
    assert state(kit) == "damaged"
    path.unlink()
    assert kit.runs() == []
