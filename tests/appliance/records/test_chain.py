"""A job's chain: any byte that is changed, anything taken out, put in or cut off, is found."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from pathlib import Path
from typing import get_args

import apsw
import msgspec
import pytest
import rfc8785
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from appliance.identity.trust import signer_line
from appliance.records import ChainBroken, Records, Verified, verify_chain
from appliance.records import events as e
from appliance.records.chain import make_event, make_head
from hw.errors import UsageError
from hw.sshsig import AllowedSigners
from tests.appliance.records.sample import (
    DATABASE_KEY,
    KIT_KEY,
    new_job,
    open_records,
    whole_job,
)

Rows = list[tuple[bytes, bytes]]


def small_job(records: Records) -> str:
    job = new_job(records)
    records.append(job, e.Note(author="anna", text="Battery is old."))
    records.append(job, e.Note(author="anna", text="Charger connected."))
    return job


def rows_of(records: Records, job: str) -> Rows:
    return [(event.document, event.signature) for event in records.all_events(job)]


def test_a_whole_chain_verifies_and_says_who_signed_it(records: Records) -> None:
    job = whole_job(records)
    verified = records.verify_job(job)
    assert verified.signer == "kit"
    assert verified.head.length == len(verified.events) == records.job(job).length
    assert verified.head.head == verified.events[-1].hash == records.job(job).head


def test_each_event_is_canonical_json_that_names_the_one_before(records: Records) -> None:
    previous = "0" * 64
    for seq, event in enumerate(records.all_events(small_job(records)), start=1):
        raw = json.loads(event.document)
        assert event.document == rfc8785.dumps(raw)
        assert raw.keys() == {"format", "job", "seq", "prev_hash", "kind", "at", "body"}
        assert (raw["format"], raw["seq"], raw["prev_hash"]) == ("fieldkit-event/1", seq, previous)
        assert raw["kind"] == event.kind
        previous = hashlib.sha256(event.document).hexdigest()


def test_any_changed_bit_of_any_event_or_signature_is_found(records: Records) -> None:
    """Every byte, each with another of its bits flipped."""
    job = small_job(records)
    rows, head = rows_of(records, job), records.signed_head(job)
    for index, row in enumerate(rows):
        for part in (0, 1):
            for at in range(len(row[part])):
                changed = [list(one) for one in rows]
                changed[index][part] = flipped(row[part], at, at % 8)
                broken = [(one[0], one[1]) for one in changed]
                with pytest.raises(ChainBroken):
                    verify_chain(job, broken, head, records.signers)


def test_any_changed_byte_of_the_head_is_found(records: Records) -> None:
    job = small_job(records)
    rows, head = rows_of(records, job), records.signed_head(job)
    for field in ("document", "signature"):
        content: bytes = getattr(head, field)
        for at in range(len(content)):
            changed = {"head": head.head, "document": head.document, "signature": head.signature}
            changed[field] = flipped(content, at, at % 8)
            with pytest.raises(ChainBroken):
                verify_chain(job, rows, type(head)(**changed), records.signers)  # type: ignore[arg-type]  # the fields of the same class


def flipped(content: bytes, at: int, bit: int) -> bytes:
    changed = bytearray(content)
    changed[at] ^= 1 << bit
    return bytes(changed)


CUTS: dict[str, Callable[[Rows], Rows]] = {
    "the last": lambda rows: rows[:-1],
    "the first": lambda rows: rows[1:],
    "one in the middle": lambda rows: [rows[0], *rows[2:]],
    "all": lambda _: [],
    "two swapped": lambda rows: [rows[0], rows[2], rows[1]],
    "one twice": lambda rows: [*rows, rows[-1]],
}


@pytest.mark.parametrize("cut", CUTS)
def test_events_taken_out_moved_or_doubled_are_found(records: Records, cut: str) -> None:
    job = small_job(records)
    head = records.signed_head(job)
    with pytest.raises(ChainBroken):
        verify_chain(job, CUTS[cut](rows_of(records, job)), head, records.signers)


def test_an_event_of_another_job_is_found(records: Records) -> None:
    one, other = small_job(records), small_job(records)
    rows = [*rows_of(records, one)[:2], rows_of(records, other)[2]]
    with pytest.raises(ChainBroken, match="of job"):
        verify_chain(one, rows, records.signed_head(one), records.signers)


def test_a_chain_by_a_key_that_may_not_sign_records_is_found(
    records: Records, tmp_path: Path
) -> None:
    job = small_job(records)
    events = list(records.all_events(job))
    stranger = Ed25519PrivateKey.generate()
    (tmp_path / "strange").write_text(
        signer_line("workshop", stranger.public_key()) + signer_line("kit", KIT_KEY.public_key())
    )
    signers = AllowedSigners.load(tmp_path / "strange")
    forged = [make_event(job, one.seq, one.prev_hash, one.at, one.body, stranger) for one in events]
    rows = [(one.document, one.signature) for one in forged]
    with pytest.raises(ChainBroken, match="may not sign"):
        verify_chain(job, rows, make_head(forged[-1], stranger), signers)
    with pytest.raises(ChainBroken, match="event 1"):
        verify_chain(job, rows, records.signed_head(job), signers)


def test_an_end_cut_off_together_with_its_head_shows_only_against_a_head_kept_elsewhere(
    records: Records,
) -> None:
    """What cannot be found is held by a test as well: nobody should believe more of a chain."""
    job = new_job(records)
    old_head, old_rows = records.signed_head(job), rows_of(records, job)
    records.append(job, e.Note(author="anna", text="I dropped the tester."))
    kept_elsewhere = records.signed_head(job).head
    verified: Verified = verify_chain(job, old_rows, old_head, records.signers)
    assert verified.head.length == 1
    with pytest.raises(ChainBroken, match="cut off"):
        verify_chain(job, old_rows, old_head, records.signers, [kept_elsewhere])
    records.append(job, e.Note(author="anna", text="It still works."))
    assert records.verify_job(job, [old_head.head, kept_elsewhere]).head.length == 3


def test_a_chain_that_was_written_anew_shows_against_a_head_kept_elsewhere(
    records: Records,
) -> None:
    job = small_job(records)
    known = records.signed_head(job).head
    events = list(records.all_events(job))
    last = make_event(
        job, 3, events[1].hash, events[2].at, e.Note(author="anna", text="All is well."), KIT_KEY
    )
    rows = [*rows_of(records, job)[:2], (last.document, last.signature)]
    with pytest.raises(ChainBroken, match="another event"):
        verify_chain(job, rows, make_head(last, KIT_KEY), records.signers, [known])


# In the database ----------------------------------------------------------------------------------


TAMPERED = [
    ("events", "document"),
    ("events", "signature"),
    ("events", "hash"),
    ("events", "kind"),
    ("events", "run"),
    ("events", "run_seq"),
    ("events", "seq"),
    ("heads", "document"),
    ("heads", "signature"),
    ("jobs", "view"),
]


@pytest.mark.parametrize(("table", "column"), TAMPERED)
def test_a_change_of_any_column_of_the_decrypted_database_is_found(
    tmp_path: Path, table: str, column: str
) -> None:
    with open_records(tmp_path) as records:
        job = whole_job(records)
        records.verify_job(job)
    where = "WHERE seq = (SELECT max(seq) FROM events) - 1" if table == "events" else ""
    raw = opened_raw(tmp_path / "appliance.db")
    raw.execute("DROP TRIGGER events_never_change")
    value = raw.execute(f"SELECT {column} FROM {table} {where}").fetchall()[0][0]  # noqa: S608 - names of this test
    raw.execute(f"UPDATE {table} SET {column} = ? {where}", (other(value),))  # noqa: S608 - names of this test
    raw.close()
    with open_records(tmp_path) as records, pytest.raises(ChainBroken):
        records.verify_job(job)


def other(value: object) -> bytes | str | int:
    if isinstance(value, bytes):
        return flipped(value, len(value) // 2, 0)
    return value + 1000 if isinstance(value, int) else f"{value}x"


def test_the_database_itself_refuses_to_change_or_delete_events(tmp_path: Path) -> None:
    with open_records(tmp_path) as records:
        small_job(records)
    raw = opened_raw(tmp_path / "appliance.db")
    for statement in ("UPDATE events SET kind = 'note'", "DELETE FROM events"):
        with pytest.raises(apsw.ConstraintError, match="append-only"):
            raw.execute(statement)
    raw.close()


def opened_raw(path: Path) -> apsw.Connection:
    connection = apsw.Connection(str(path))
    connection.execute("PRAGMA cipher = 'chacha20'")
    connection.execute(f"PRAGMA key = 'raw:{DATABASE_KEY.hex()}'")
    return connection


def test_views_are_made_again_from_the_events(tmp_path: Path) -> None:
    with open_records(tmp_path) as records:
        job = whole_job(records)
        before = records.job(job)
    raw = opened_raw(tmp_path / "appliance.db")
    raw.execute("UPDATE jobs SET view = '{}', state = 'draft'")
    raw.execute("DELETE FROM subjects")
    raw.close()
    with open_records(tmp_path) as records:
        assert records.rebuild_views() == 1
        assert records.job(job) == before
        assert records.jobs_of("run", "run-1") == [job]
        records.verify_job(job)


# Events -------------------------------------------------------------------------------------------


def test_the_kinds_are_a_closed_set() -> None:
    assert len(e.KINDS) == len(set(e.KINDS)) == len(get_args(e.Body))
    assert {"job_created", "hw_event", "write_ended", "wrong_passphrase"} <= set(e.KINDS)


@pytest.mark.parametrize(
    ("kind", "fields"),
    [
        ("written", {}),
        ("note", {"author": "anna"}),
        ("note", {"author": "anna", "text": "a", "more": 1}),
        ("note", {"author": "anna", "text": ""}),
        ("exported", {"length": 1, "head": "zz", "files_sha256": "0" * 64}),
        ("hw_event", {"run": "r", "seq": -1, "event": {"event": "voltage", "at": 1.0}}),
    ],
)
def test_an_event_that_is_not_of_the_set_is_refused(
    records: Records, kind: str, fields: dict[str, object]
) -> None:
    job = new_job(records)
    with pytest.raises(UsageError, match=f"'{kind}'"):
        records.append_kind(job, kind, fields)
    assert records.job(job).length == 1


def test_an_event_of_a_newer_program_is_not_half_understood(records: Records) -> None:
    job = small_job(records)
    rows = rows_of(records, job)
    raw = json.loads(rows[1][0])
    raw["body"]["mood"] = "good"
    with pytest.raises(ChainBroken, match="mood"):
        verify_chain(
            job, [rows[0], (rfc8785.dumps(raw), rows[1][1])], records.signed_head(job),
            records.signers,
        )  # fmt: skip


def test_every_kind_survives_the_way_through_the_database(records: Records) -> None:
    job = whole_job(records)
    more: list[e.Body] = [
        e.BackupOpened(backup="b", technician="anna"),
        e.OrderTaken(order="o", reference="W-7K3F2"),
        e.AgreementSigned(text="Keys", statement="{}", signature="s"),
        e.Resumed(run="run-1", plan_digest="1" * 64),
        e.AbortAsked(run="run-1", technician="anna"),
        e.Recovered(run="run-0", by_run="run-1"),
        e.Refused(doing="run", code="refused", what="No.", next_step="Wait.", gate="PERMIT"),
        e.WrongPassphrase(technician="anna", tries=2),
        e.Exported(length=1, head="2" * 64, files_sha256="3" * 64),
        e.Note(author="Zoë", text="Ω — 漢字 \U0001f697"),
    ]
    made = records.append_all(job, more)
    assert [event.body for event in made] == more
    verified = records.verify_job(job)
    assert [event.body for event in verified.events[-len(more) :]] == more
    assert {event.kind for event in verified.events} == set(e.KINDS)
    encoded = msgspec.json.encode(verified.events[-1].body)
    assert msgspec.json.decode(encoded, type=e.Body) == more[-1]
