"""The hub's database: many threads at once, transactions that contradict each other, updates."""

from __future__ import annotations

import re
import sqlite3
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from peewee import Database, IntegrityError, PostgresqlDatabase, SqliteDatabase
from playhouse.cockroachdb import CockroachDatabase

from appliance.workshop.errors import HubUnavailable
from appliance.workshop.search import JobQuery, search_jobs
from appliance.workshop.tables import MOST_TRIES, HubDatabase, Models, _models
from hw.errors import UsageError
from tests.appliance.workshop.conftest import backends
from tests.kit import ROOT

LIMIT_S = 60.0
THREADS = 8
SERIALIZABLE = "&options=-c%20default_transaction_isolation=serializable"


@pytest.fixture(scope="module", params=["SQLite", "PostgreSQL"])
def where(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[str]:
    with backends(request.param) as (database, _):
        yield database or str(tmp_path_factory.mktemp("database") / "hub.db")


@pytest.fixture
def database(where: str) -> Iterator[HubDatabase]:
    opened = HubDatabase(where)
    opened.write(lambda tables: tables.blobs.delete().execute())
    yield opened
    opened.close()


def stored(database: HubDatabase) -> dict[str, int]:
    with database.reading() as tables:
        return {row.sha256: row.size for row in tables.blobs.select()}


def note(name: str, size: int) -> Callable[[Models], Any]:
    return lambda tables: tables.blobs.create(sha256=name, size=size, stored=0)


def test_what_many_threads_write_is_all_there_and_what_fails_fails_alone(
    database: HubDatabase,
) -> None:
    wrong = f"number {THREADS + 1}"
    database.write(note(wrong, 7))

    def one(number: int) -> str:
        try:
            database.write(note(f"number {number}", number))
        except IntegrityError:
            return "there already"
        return "written"

    with ThreadPoolExecutor(THREADS) as threads:
        told = list(threads.map(one, range(20 * THREADS)))
    assert told.count("there already") == 1
    assert told[THREADS + 1] == "there already"
    assert stored(database)[wrong] == 7
    assert len(stored(database)) == 20 * THREADS


def test_what_was_begun_and_then_failed_leaves_nothing(database: HubDatabase) -> None:
    def begin_and_fail(tables: Models) -> None:
        note("half", 1)(tables)
        raise UsageError("No.", "Stop.")

    with pytest.raises(UsageError):
        database.write(begin_and_fail)
    assert stored(database) == {}
    database.write(note("whole", 1))
    assert stored(database) == {"whole": 1}


def test_on_sqlite_all_that_waits_for_the_turn_shares_the_next_commit(tmp_path: Path) -> None:
    database = HubDatabase(str(tmp_path / "hub.db"))
    commits = 0

    def count(tables: Models) -> None:
        nonlocal commits
        connection = tables.blobs._meta.database.connection()

        def trace(statement: str) -> None:
            nonlocal commits
            commits += statement.startswith("COMMIT")

        connection.set_trace_callback(trace)

    with ThreadPoolExecutor(THREADS) as threads:
        waiting: list[Future[Any]] = []

        def have_others_wait(tables: Models) -> None:
            count(tables)
            waiting.extend(threads.submit(database.write, note(f"{n}", n)) for n in range(THREADS))
            while len(database._turns._queue) < THREADS:
                threading.Event().wait(0.01)

        database.write(have_others_wait)
        for one in waiting:
            one.result(LIMIT_S)
    database.close()
    # That of the transaction itself, and one or two of those who waited.
    assert commits <= 3
    assert len(stored(database)) == THREADS
    database.close()


@pytest.fixture(scope="module")
def serializable() -> Iterator[str]:
    with backends("PostgreSQL") as (database, _):
        yield database + SERIALIZABLE


def test_transactions_that_contradict_each_other_are_done_again(serializable: str) -> None:
    """PostgreSQL takes them back with the code that CockroachDB uses, too."""
    database = HubDatabase(serializable)
    database.write(lambda tables: tables.counters.create(name="count", value=0))
    tries, together = 0, threading.Barrier(2, timeout=LIMIT_S)

    def add(tables: Models) -> None:
        nonlocal tries
        tries += 1
        counters = tables.counters
        before = counters.get_by_id("count").value
        if tries <= 2:
            together.wait()  # Both have read before either writes.
        counters.update(value=before + 1).where(counters.name == "count").execute()

    with ThreadPoolExecutor(2) as threads:
        for one in [threads.submit(database.write, add) for _ in range(2)]:
            one.result(LIMIT_S)
    with database.reading() as tables:
        assert tables.counters.get_by_id("count").value == 2
    assert tries > 2
    database.close()


def test_contradictions_that_do_not_end_are_told_after_some_tries(serializable: str) -> None:
    database = HubDatabase(serializable)
    tries = 0

    def never(tables: Models) -> None:
        nonlocal tries
        tries += 1
        tables.blobs.raw(
            "DO $$ BEGIN RAISE EXCEPTION 'no' USING ERRCODE = '40001'; END $$"
        ).execute()

    with pytest.raises(HubUnavailable, match="no"):
        database.write(never)
    assert tries == MOST_TRIES
    database.close()


def columns(database: HubDatabase) -> dict[str, set[str]]:
    with database.reading() as tables:
        own = tables.kits._meta.database
        return {name: {one.name for one in own.get_columns(name)} for name in own.get_tables()}


def test_a_database_without_a_table_and_a_column_gets_them(where: str) -> None:
    before = HubDatabase(where)
    wanted = columns(before)

    def take_away(tables: Models) -> None:
        own = tables.kits._meta.database
        tables.kits.create(id="k", name="Van 1", key="", enrolled=5)
        own.execute_sql("ALTER TABLE kit DROP COLUMN waiting")
        own.execute_sql("DROP TABLE opening")

    before.write(take_away)
    before.close()
    after = HubDatabase(where)
    assert columns(after) == wanted
    with after.reading() as tables:
        kit = tables.kits.get_by_id("k")
        assert (kit.name, kit.enrolled, kit.waiting) == ("Van 1", 5, 0)
    after.write(lambda tables: tables.kits.delete_by_id("k"))
    after.close()


@pytest.mark.parametrize(
    ("kind", "order"),
    [(SqliteDatabase, "BINARY"), (PostgresqlDatabase, '"C"'), (CockroachDatabase, "")],
)
def test_words_are_compared_by_the_numbers_of_their_letters(
    kind: type[Database], order: str
) -> None:
    """CockroachDB has no other order, and compares a text with a named one to no plain text."""
    (sql, _) = _models(kind("unopened")).words._schema._create_table().query()
    named = re.search(r'"word" TEXT NOT NULL(?: COLLATE (\S+))?,', sql)
    assert named is not None
    assert (named[1] or "") == order


def test_a_database_of_a_newer_version_is_left_alone(where: str) -> None:
    database = HubDatabase(where)
    counters = database.tables.counters

    def set_version(number: int) -> None:
        update = counters.update(value=number).where(counters.name == "schema")
        database.write(lambda _: update.execute())

    set_version(99)
    with pytest.raises(UsageError, match="newer version"):
        HubDatabase(where)
    set_version(2)
    database.close()


def test_the_first_versions_database_is_brought_up_with_its_jobs_found(tmp_path: Path) -> None:
    with sqlite3.connect(tmp_path / "hub.db") as old:
        old.executescript((ROOT / "tests" / "data" / "hub-1.sql").read_text())
    old.close()
    fresh = HubDatabase(str(tmp_path / "fresh.db"))
    database = HubDatabase(str(tmp_path / "hub.db"))
    assert columns(database) == columns(fresh)
    (second,) = search_jobs(database, JobQuery(words="lovelace petrol")).jobs
    assert second.view.customer.name == "Ada Lovelace"
    (first,) = search_jobs(database, JobQuery(words="muller")).jobs
    assert (first.view.length, first.number) == (2, 1)
    fresh.close()
    database.close()
