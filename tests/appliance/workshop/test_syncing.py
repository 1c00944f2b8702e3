"""The kit's own thread: when it hands over by itself, what holds it, and any clock it may have."""

from __future__ import annotations

import sqlite3
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta, tzinfo
from pathlib import Path
from typing import Any

import pytest
from msgspec import structs

from appliance.age import new_identity
from appliance.api.messages import Sync
from appliance.cli.setup import simulated_config
from appliance.errors import NotPermittedError
from appliance.identity import Unlocked, init_kit, unlock, wallclock
from appliance.records import Customer, vehicle
from appliance.records.events import Note
from appliance.service.book import Book
from appliance.service.syncing import Syncing
from appliance.sync.enrolcode import enrol_code
from appliance.sync.hubclient import ComeAgain, HubClient
from appliance.sync.outbox import Outbox
from appliance.workshop.checking import Check
from appliance.workshop.kept import LiveHub
from appliance.workshop.tables import Models
from hw.config import load_config
from tests.appliance.records.sample import compiled, open_records, plan_document
from tests.appliance.workshop.conftest import Workshop, serving
from tests.appliance.workshop.test_handover import Kit as BareKit
from tests.appliance.workshop.test_handover import stored

OWNER, HAND, PASSPHRASE = "maria", "uwe", "correct horse battery staple"
LIMIT_S = 60.0
DAY_S = 86_400.0
TO_1970, TO_2038 = DAY_S - time.time(), 2.0**31 - time.time()


@dataclass
class Kit:
    """An enrolled kit with the thread, and nothing of hw but whether a write runs."""

    state: Path
    workshop: Workshop
    unlocked: Unlocked
    writes: bool = False
    syncing: Syncing = field(init=False)
    book: Book = field(init=False)

    def __post_init__(self) -> None:
        self.syncing = Syncing(self.state, lambda: self.writes, threading.Lock(), set)
        self.open()
        self.syncing.start()

    def open(self, who: Unlocked | None = None) -> None:
        """Unlock it."""
        self.book = Book.open(who or self.unlocked)
        self.syncing.open(who or self.unlocked, self.book, load_config(self.state))

    def shut(self) -> None:
        """Lock it."""
        self.syncing.shut()
        self.book.close()

    def enrol(self) -> None:
        host, _, port = self.workshop.address.removeprefix("https://").rpartition(":")
        token = self.workshop.hub.new_token("Van 1")
        code = enrol_code(host, int(port), token, self.workshop.keys.fingerprint)
        assert "'Van 1'" in self.syncing.enrol(code).what

    def new_job(self) -> str:
        car = vehicle("Volkswagen Golf IV", "WVWZZZ1JZXW000001", "", 184_300)
        return self.book.new_job(Customer("Zoë", "", ""), car, "Stalls")

    def until(self, holds: Callable[[Sync], bool]) -> Sync:
        """How it stands once it came to that by itself."""
        ends_at = time.monotonic() + LIMIT_S
        while not holds(view := self.syncing.view()):
            assert time.monotonic() < ends_at, view
            time.sleep(0.05)
        return view


@pytest.fixture(scope="module")
def workshop(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Workshop]:
    with serving(tmp_path_factory.mktemp("workshop")) as workshop:
        yield workshop


@pytest.fixture
def kit(tmp_path: Path, workshop: Workshop) -> Iterator[Kit]:
    state = tmp_path / "state"
    init_kit(
        state,
        technicians=[(OWNER, "owner", PASSPHRASE), (HAND, "technician", PASSPHRASE)],
        workshop_recipient=new_identity()[1],
        recovery_recipient=new_identity()[1],
        config=simulated_config(state, tmp_path),
    )
    kit = Kit(state, workshop, unlock(state, OWNER, PASSPHRASE))
    try:
        yield kit
    finally:
        kit.shut()
        kit.syncing.close()


def test_a_job_in_work_waits_until_it_is_asked_for_or_the_kit_was_locked(
    kit: Kit, workshop: Workshop
) -> None:
    kit.enrol()
    first = kit.new_job()
    view = kit.until(lambda view: view.in_work == 1 and view.state == "idle")
    assert view.silence is not None
    assert (view.silence.state, view.silence.days, view.kit) == ("fine", 0, "Van 1")
    assert stored(workshop, first) == []
    assert kit.syncing.now(wait=True).in_work == 0
    assert stored(workshop, first) == [(1, 1)]

    second = kit.new_job()
    kit.shut()
    assert kit.syncing.view().state == "locked"
    kit.open()
    kit.until(lambda view: bool(view.state == "idle" and stored(workshop, second)))


def test_nothing_is_handed_over_while_a_write_runs(kit: Kit, workshop: Workshop) -> None:
    kit.enrol()
    kit.writes = True
    job = kit.new_job()
    view = kit.syncing.now(wait=True)
    assert (view.state, view.what) == ("waiting", "Nothing is handed over while a write runs.")
    kit.writes = False
    assert kit.syncing.now(wait=True).state == "idle"
    assert stored(workshop, job) == [(1, 1)]


def test_whatever_the_clock_says_all_is_handed_over_and_the_hub_keeps_the_order(
    kit: Kit, workshop: Workshop, monkeypatch: pytest.MonkeyPatch
) -> None:
    kit.enrol()
    ahead = [0.0]

    class Shifted(datetime):
        @classmethod
        def now(cls, tz: tzinfo | None = None) -> Any:
            return datetime.now(tz) + timedelta(seconds=ahead[0])

    monkeypatch.setattr(wallclock, "datetime", Shifted)
    jobs = []
    for ahead[0] in (TO_1970, 0.0, TO_2038, TO_1970):
        job = kit.new_job()
        kit.book.append(job, Note(author=OWNER, text="Read."))
        view = kit.syncing.now(wait=True)
        assert (view.state, view.what) == ("idle", "")
        assert view.silence is not None
        assert view.silence.state == "fine"
        assert stored(workshop, job) == [(1, 2)]
        jobs.append(job)
    walls = [kit.book.view(job).made[:4] for job in jobs]
    assert walls == ["1970", str(datetime.now(UTC).year), "2038", "1970"]
    with workshop.hub.database.reading() as tables:
        records = tables.records
        rows = records.select().where(records.job.in_(jobs)).order_by(records.sequence)
        assert [(row.job, row.sequence) for row in rows] == list(
            zip(jobs, range(1, 5), strict=True)
        )
        received = [row.received for row in rows]
    assert received == sorted(received)
    # The clock jumps while nothing is handed over: that is told, and nobody is locked out.
    ahead[0], kit.writes = TO_2038, True
    silence = kit.syncing.now(wait=True).silence
    assert silence is not None
    assert silence.state == "doubted"
    assert "By its clock" in silence.what
    kit.writes = False
    silence = kit.syncing.now(wait=True).silence
    assert silence is not None
    assert silence.state == "fine"


def test_what_the_workshop_refused_is_taken_once_its_reason_has_gone_and_somebody_asks(
    kit: Kit, workshop: Workshop, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A hub that does not take such records yet, as an older one would not."""
    kit.enrol()
    job = kit.new_job()
    with monkeypatch.context() as older:
        older.setattr("appliance.workshop.api.MOST_RECORD_BYTES", 500)
        assert kit.syncing.now(wait=True).put_aside == 1
        kit.book.append(job, Note(author=OWNER, text="It goes on."))
        view = kit.syncing.now(wait=True)
    assert [(one.job, "No kit sends more" in one.why) for one in view.aside] == [(job, True)] * 2
    assert stored(workshop, job) == []

    kit.syncing._pass(everything=False)
    assert kit.syncing.view().put_aside == 2, "by itself it does not ask again and again"
    view = kit.syncing.now(wait=True)
    assert (view.state, view.put_aside, view.aside) == ("idle", 0, [])
    assert stored(workshop, job) == [(1, 1), (2, 2)]


def test_what_follows_a_record_that_was_refused_is_taken_after_it(
    kit: Kit, workshop: Workshop, monkeypatch: pytest.MonkeyPatch
) -> None:
    kit.enrol()
    job = kit.new_job()
    with monkeypatch.context() as older:
        older.setattr("appliance.workshop.api.MOST_RECORD_BYTES", 500)
        kit.syncing.now(wait=True)
    kit.book.append(job, Note(author=OWNER, text="It goes on."))
    other = kit.new_job()
    with monkeypatch.context() as tired:
        tired.setattr(Outbox, "try_again", lambda _outbox: None)
        view = kit.syncing.now(wait=True)
    assert view.put_aside == 2
    assert "0 events of the job are here" in view.aside[1].why
    assert stored(workshop, other) == [(1, 1)]
    view = kit.syncing.now(wait=True)
    assert (view.state, view.put_aside) == ("idle", 0)
    assert stored(workshop, job) == [(1, 1), (2, 2)]


def test_what_the_workshop_refuses_is_told_with_its_reason(
    kit: Kit, workshop: Workshop, tmp_path: Path
) -> None:
    """A copy of this kit was here before."""
    kit.enrol()
    (tmp_path / "copy").mkdir()
    key = kit.unlocked.kit_key
    with open_records(tmp_path / "copy", key) as records, workshop.client(key) as hub:
        copy = BareKit(records, workshop, hub)
        car = vehicle("Volkswagen Golf IV", "WVWZZZ1JZXW000001", "", 184_300)
        records.create_job(Customer("Jan", "", ""), car, "", OWNER)
        copy.outbox.freeze()
        assert copy.hand_over().handed_over == 1
    job = kit.new_job()
    view = kit.syncing.now(wait=True)
    assert view.put_aside == 1
    assert view.aside[0].job == job
    assert "cloned or set back" in view.aside[0].why
    again = kit.syncing.now(wait=True)
    assert (again.put_aside, again.aside) == (1, view.aside), "tried again, refused again, kept"


def set_back(workshop: Workshop, copy: Path) -> None:
    """Put an older copy of the hub's database in its place, while it serves."""
    with closing(sqlite3.connect(copy)) as old, closing(connected(workshop)) as now:
        old.backup(now)


def connected(workshop: Workshop) -> sqlite3.Connection:
    return sqlite3.connect(workshop.folder / "hub.db")


@pytest.fixture
def older(tmp_path: Path, workshop: Workshop, kit: Kit) -> Path:
    """A copy of the hub's database in which the kit is enrolled and one job lies."""
    kit.enrol()
    kit.new_job()
    kit.syncing.now(wait=True)
    with closing(connected(workshop)) as now, closing(sqlite3.connect(tmp_path / "old")) as old:
        now.backup(old)
    return tmp_path / "old"


def test_a_workshop_that_was_set_back_is_sent_again_what_it_signed_for_and_lost(
    kit: Kit, workshop: Workshop, older: Path
) -> None:
    job = kit.new_job()
    assert kit.syncing.now(wait=True).state == "idle"
    set_back(workshop, older)
    assert stored(workshop, job) == []
    kit.book.append(job, Note(author=OWNER, text="It goes on."))
    other = kit.new_job()
    view = kit.syncing.now(wait=True)
    assert (view.state, view.put_aside, view.what) == ("idle", 0, "")
    assert stored(workshop, job) == [(1, 1), (2, 2)]
    assert stored(workshop, other) == [(1, 1)]
    assert list(Check(LiveHub(workshop.hub)).findings()) == []


def test_what_the_workshop_lost_and_the_kit_let_go_of_is_told(
    kit: Kit, workshop: Workshop, older: Path
) -> None:
    job = kit.new_job()
    kit.syncing.now(wait=True)
    workshop.clock[0] += 91 * DAY_S
    try:
        assert kit.syncing.now(wait=True).retired >= 1
        set_back(workshop, older)
        view = kit.syncing.now(wait=True)
    finally:
        workshop.clock[0] -= 91 * DAY_S
    assert "The workshop lost 1 of the records" in view.what
    assert "can be exported" in view.next_step
    assert kit.book.records.job(job).length == 1


def test_nothing_goes_from_a_kit_that_the_workshop_does_not_sign_for_once_more(
    kit: Kit, workshop: Workshop
) -> None:
    """A single record is lost, of which the numbers say nothing."""
    kit.enrol()
    job = kit.new_job()
    kit.syncing.now(wait=True)
    kit.new_job()
    kit.syncing.now(wait=True)

    def lose(tables: Models) -> None:
        for table in (tables.records, tables.jobs):
            table.delete().where(table.job == job).execute()

    workshop.hub.database.write(lose)
    workshop.clock[0] += 91 * DAY_S
    try:
        assert kit.syncing.now(wait=True).retired == 1
        assert stored(workshop, job) == [], "it comes with the next pass"
        assert kit.syncing.now(wait=True).retired == 1
        assert stored(workshop, job) == [(1, 1)]
    finally:
        workshop.clock[0] -= 91 * DAY_S


def test_what_is_tried_again_keeps_its_reason_until_the_workshop_answers(
    kit: Kit, workshop: Workshop, monkeypatch: pytest.MonkeyPatch
) -> None:
    kit.enrol()
    job = kit.new_job()
    with monkeypatch.context() as smaller:
        smaller.setattr("appliance.workshop.api.MOST_RECORD_BYTES", 500)
        before = kit.syncing.now(wait=True)
    assert [one.job for one in before.aside] == [job]

    def away(*_: object) -> None:
        raise ComeAgain("The hub is away.", "Wait.")

    with monkeypatch.context() as gone:
        gone.setattr(HubClient, "hello", away)
        view = kit.syncing.now(wait=True)
    assert (view.put_aside, view.aside) == (1, before.aside)
    assert kit.syncing.now(wait=True).put_aside == 0


def test_what_the_workshop_had_for_long_is_let_go_by_its_clock(
    kit: Kit, workshop: Workshop
) -> None:
    kit.enrol()
    job = kit.new_job()
    digest = kit.book.store.put_blob(plan_document(job))
    payload = kit.book.store.put_blob(b"payload")
    kit.book.append(job, structs.replace(compiled(digest), payload_sha256=payload))
    view = kit.syncing.now(wait=True)
    assert (view.retirable, view.retired) == (1, 0)
    workshop.clock[0] += 91 * DAY_S
    try:
        view = kit.syncing.now(wait=True)
    finally:
        workshop.clock[0] -= 91 * DAY_S
    assert (view.retirable, view.retired) == (0, 1)
    assert not kit.book.store.has_blob(payload)
    assert kit.book.view(job).events == 2


def test_only_an_owner_enrols_a_kit(kit: Kit) -> None:
    kit.shut()
    kit.open(unlock(kit.state, HAND, PASSPHRASE))
    with pytest.raises(NotPermittedError, match="Only an owner"):
        kit.syncing.enrol("FKENROL")
    assert kit.syncing.now(wait=True).state == "not_set_up"
