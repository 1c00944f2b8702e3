"""What the office does while somebody else changes the same, on a database that takes one of two
back: both are there afterwards, and each once.

PostgreSQL does that to what contradicts under SERIALIZABLE, with the code that CockroachDB uses,
and to one of two that wait for each other.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from functools import partial
from typing import Any

import msgspec
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from msgspec import structs

from appliance.ids import uuid7
from appliance.sync.change import EVERY_KIT, Change
from appliance.sync.order import Booking, Order
from appliance.sync.record import NO_RECORD, Record, Signed, seal_record
from appliance.workshop import tables as hub_tables
from appliance.workshop.audit import entries
from appliance.workshop.conflicts import conflicts_of_job, settle
from appliance.workshop.errors import HubUnavailable, Malformed
from appliance.workshop.orders import Orders
from appliance.workshop.people import People
from appliance.workshop.tables import HubDatabase, Models
from hw.errors import UsageError
from tests.appliance.workshop.conftest import backends
from tests.appliance.workshop.test_database import LIMIT_S, SERIALIZABLE

BOOKING = Booking(way="visit", customer="Zoë Müller", phone="1", make="VW", symptoms="Stalls.")
JOB = "01a20000-0000-7000-8000-00000000000b"
BY = "Oskar"


@pytest.fixture(scope="module")
def where() -> Iterator[str]:
    with backends("PostgreSQL") as (database, _):
        yield database


@contextmanager
def opened(where: str) -> Iterator[HubDatabase]:
    database = HubDatabase(where)
    yield database
    database.close()


@pytest.fixture
def database(where: str) -> Iterator[HubDatabase]:
    """Of a hub whose every transaction is as strict as CockroachDB's."""
    with opened(where + SERIALIZABLE) as database:
        yield database


def wait_for_waiting(database: HubDatabase, count: int) -> None:
    """Until so many transactions wait for what another one holds."""
    until = time.monotonic() + LIMIT_S
    waiting = -1
    while waiting != count:
        assert time.monotonic() < until
        with database.reading() as tables:
            own = tables.kits._meta.database
            cursor = own.execute_sql("SELECT count(*) FROM pg_locks WHERE NOT granted")
            ((waiting,),) = cursor.fetchall()


def done_during(
    where: str, hold: Callable[[Models], Any], works: list[Callable[[], Any]]
) -> list[Future[Any]]:
    """Begin some works while another hub has done something that it has not committed yet."""
    held, go = threading.Event(), threading.Event()

    def do_and_wait(tables: Models) -> None:
        hold(tables)
        held.set()
        assert go.wait(LIMIT_S)

    with opened(where) as other, ThreadPoolExecutor(1 + len(works)) as threads:
        holding = threads.submit(other.write, do_and_wait)
        try:
            assert held.wait(LIMIT_S)
            begun = [threads.submit(work) for work in works]
            wait_for_waiting(other, len(works))
        finally:
            go.set()
        holding.result(LIMIT_S)
    return begun


def test_an_order_that_a_kit_opens_while_the_office_corrects_it_has_both(
    where: str, database: HubDatabase, monkeypatch: pytest.MonkeyPatch
) -> None:
    orders = Orders(database, Ed25519PrivateKey.generate(), time.time)

    def corrected(tries: int) -> tuple[str, Future[Any]]:
        monkeypatch.setattr(hub_tables, "MOST_TRIES", tries)
        order = orders.book(BOOKING, f"once {tries}").order.order
        booking = structs.replace(BOOKING, phone="+49 30 1234567")
        (change,) = done_during(
            where,
            lambda tables: orders.note_job(tables, order, JOB, "kit"),
            [lambda: orders.change(order, booking, by=f"{BY} {tries}")],
        )
        return order, change

    order, change = corrected(1)
    with pytest.raises(HubUnavailable, match="could not serialize"):
        change.result()
    assert orders.get(order).order.phone == "1", "the two did contradict each other"

    order, change = corrected(10)
    assert change.result() == orders.get(order)
    kept = orders.get(order)
    assert (kept.order.phone, kept.order.state, kept.job) == ("+49 30 1234567", "at_the_bench", JOB)
    with database.reading() as tables:
        told = [row for row in tables.changes.select() if row.subject == order]
    newest = max(told, key=lambda row: row.number)
    assert newest.version == 3, "booked, opened, corrected: each is told once"
    assert newest.kit == EVERY_KIT
    body = msgspec.json.decode(newest.document, type=Change).body
    assert msgspec.convert(body, Order) == kept.order
    did = [(one.did, one.who) for one in entries(database)]
    assert did == [("changed an order", f"{BY} 10")]


def test_a_person_who_is_renamed_while_they_get_another_role_has_both(
    where: str, database: HubDatabase
) -> None:
    people = People(database, time.time)
    people.add("Olga", "technician", BY)
    (olga,) = people.all()

    def rename(tables: Models) -> None:
        tables.people.update(name="Olga K.").where(tables.people.id == olga.id).execute()

    (change,) = done_during(where, rename, [lambda: people.change_role(olga.id, "office", BY)])
    change.result()
    (now,) = people.all()
    assert (now.name, now.role) == ("Olga K.", "office")
    assert [one.about for one in entries(database) if one.did == "made office"] == ["Olga K."]
    people.remove(olga.id, BY)


@pytest.mark.parametrize("isolation", ["", SERIALIZABLE], ids=["usual", "serializable"])
def test_two_owners_who_remove_each_other_at_the_same_moment_leave_one(
    where: str, isolation: str
) -> None:
    with opened(where + isolation) as database:
        people = People(database, time.time)
        for name in ("Anna", "Bea"):
            people.add(name, "owner", BY)
        both = people.all()

        def touch(tables: Models) -> None:
            tables.people.update(word="").where(tables.people.role == "owner").execute()

        begun = done_during(where, touch, [partial(people.remove, one.id, BY) for one in both])
        failed = [one.exception() for one in begun]
        assert sorted(map(type, failed), key=str) == sorted([type(None), UsageError], key=str)
        (left,) = people.all()
        assert left.role == "owner"
        database.write(lambda tables: tables.people.delete().execute())


def test_of_two_who_settle_a_conflict_at_the_same_moment_one_has_said_it(where: str) -> None:
    sealed = seal_record(
        Record(
            format="fieldkit-record/1",
            record=uuid7(),
            kit="k",
            sequence=1,
            prev_sha256=NO_RECORD,
            job=JOB,
            first=1,
            prev_hash=NO_RECORD,
            events=[Signed(document="{}", signature="")],
            head=Signed(document="{}", signature=""),
            blobs=[],
        ),
        Ed25519PrivateKey.generate(),
    )
    row = {"kit": "k", "record": "r", "sequence": 1, "why": "w", "received": 1}

    def keep(tables: Models) -> None:
        tables.conflicts.create(sha256=sealed.sha256, body=sealed.body, job=JOB, **row)

    with opened(where) as database:
        database.write(keep)

        def settled_by_oskar(tables: Models) -> None:
            refused = tables.conflicts
            refused.update(settled=5, settled_by=BY, decision="Mine.").where(
                (refused.sha256 == sealed.sha256) & (refused.settled == 0)
            ).execute()

        late = partial(settle, database, sealed.sha256, "Hers.", "Olga", 6.0)
        (told,) = done_during(where, settled_by_oskar, [late])
        with pytest.raises(UsageError, match="Oskar has settled this already"):
            told.result()
        (kept,) = conflicts_of_job(database, JOB)
        assert (kept.settled_by, kept.decision) == (BY, "Mine.")


def test_what_postgresql_cannot_keep_is_told_and_nothing_is_kept(where: str) -> None:
    with opened(where) as database:
        orders = Orders(database, Ed25519PrivateKey.generate(), time.time)
        people = People(database, time.time)
        with pytest.raises(Malformed, match="cannot be kept"):
            people.add("Ute\x00", "office", BY)
        assert [one for one in people.all() if one.name.startswith("Ute")] == []
        with pytest.raises(Malformed, match="cannot be kept"):
            orders.of_job("\x00")


def test_two_that_wait_for_each_other_are_both_done(where: str) -> None:
    tries, both = 0, threading.Barrier(2, timeout=LIMIT_S)
    with opened(where) as database:

        def count(first: str, second: str, tables: Models) -> None:
            nonlocal tries
            tries += 1
            counters = tables.counters
            add = {"value": counters.value + 1}
            counters.update(add).where(counters.name == first).execute()
            if tries <= 2:
                both.wait()  # Each has what the other one wants.
            counters.update(add).where(counters.name == second).execute()

        rows = [{"name": name, "value": 0} for name in "ab"]
        database.write(lambda tables: tables.counters.insert_many(rows).execute())
        with ThreadPoolExecutor(2) as threads:
            begun = [
                threads.submit(database.write, partial(count, first, second))
                for first, second in ("ab", "ba")
            ]
            for one in begun:
                one.result(LIMIT_S)
        with database.reading() as tables:
            assert {tables.counters.get_by_id(name).value for name in "ab"} == {2}
    assert tries > 2
