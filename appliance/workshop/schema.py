"""Bringing a hub's database to the form that this version uses, whichever version made it.

Tables, columns and indexes that are missing are made, which is all that most changes need; a new
column must have a default. What needs more is a step with a number. Lists that are made of the
records (`jobs`, `words`, `backups`) are never converted but made again. All of it is one
transaction: a hub that is stopped meanwhile begins anew.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import msgspec
from peewee import Database, PostgresqlDatabase
from playhouse.cockroachdb import CockroachDatabase
from playhouse.migrate import SchemaMigrator, migrate

from appliance.records.chain import read_event
from appliance.sync.record import Record, Signed
from appliance.workshop.conflicts import name_jobs
from appliance.workshop.feed import forget_replaced
from appliance.workshop.joblist import note_job
from appliance.workshop.listedbackups import mark_damaged
from appliance.workshop.tables import Models
from hw.errors import UsageError

VERSION = 5
"""1: the first; jobs had no numbers. 2: jobs are numbered, and their words lie in a table. 3: so do
backups. 4: damaged ones are marked, and what was replaced of an order is no longer in the feed.
5: conflicts name their job."""
_NAME = "schema"
_ONE_AT_A_TIME = 0x6669656C646B6974
"""By this number several processes on one PostgreSQL wait for each other."""


def bring_up(database: Database, tables: Models, models: Sequence[Any]) -> None:
    """Make the database fit.

    Args:
        database: open, in a transaction.
        tables, models: as they are to be.

    Raises:
        UsageError: a newer version made it.
    """
    if isinstance(database, PostgresqlDatabase) and not isinstance(database, CockroachDatabase):
        tables.kits.raw("SELECT pg_advisory_xact_lock(%s) AS id", _ONE_AT_A_TIME).execute()
    found = _version(database, tables)
    if found == VERSION and _is_complete(database, models):
        return
    if found > VERSION:
        raise UsageError(
            f"The workshop's database was made by a newer version ({found}; this one knows "
            f"{VERSION}).",
            "Install that version again; nothing was changed.",
        )
    if 0 < found < 3:
        database.drop_tables([tables.words, tables.jobs, tables.backups], safe=True)
    _add_columns(database, models)
    database.create_tables(models)
    if 0 < found < 3:
        _list_jobs_again(tables)
    if 0 < found < 4:
        forget_replaced(tables, "order")
        mark_damaged(tables)
    if 0 < found < 5:
        name_jobs(tables)
    counters = tables.counters
    counters.delete().where(counters.name == _NAME).execute()
    counters.create(name=_NAME, value=VERSION)


def _version(database: Database, tables: Models) -> int:
    """0 for an empty database; 1 for one from before versions were written down."""
    there = set(database.get_tables())
    if tables.kits._meta.table_name not in there:
        return 0
    if tables.counters._meta.table_name not in there:
        return 1
    row = tables.counters.get_or_none(tables.counters.name == _NAME)
    return int(row.value) if row is not None else 1


def _missing(database: Database, model: Any) -> list[Any]:
    """Fields of a table that is there, for which it has no column."""
    columns = {column.name for column in database.get_columns(model._meta.table_name)}
    return [field for field in model._meta.sorted_fields if field.column_name not in columns]


def _is_complete(database: Database, models: Sequence[Any]) -> bool:
    there = set(database.get_tables())
    return all(
        model._meta.table_name in there and not _missing(database, model) for model in models
    )


def _add_columns(database: Database, models: Sequence[Any]) -> None:
    there, migrator = set(database.get_tables()), SchemaMigrator.from_database(database)
    for model in models:
        name = model._meta.table_name
        if name not in there:
            continue
        # Their indexes come with the rest, in create_tables.
        for field in _missing(database, model):
            bare = field.clone()
            bare.index = bare.unique = False
            migrate(migrator.add_column(name, field.column_name, bare))


def _list_jobs_again(tables: Models) -> None:
    records = tables.records
    rows = records.select(records.id).order_by(records.received, records.id).tuples()
    for (name,) in list(rows):
        row = records.get_by_id(name)
        document = msgspec.json.decode(bytes(row.body), type=Signed).document
        record = msgspec.json.decode(document, type=Record)
        events = [
            read_event(record.job, seq, one.document.encode(), one.signature.encode())
            for seq, one in enumerate(record.events, start=record.first)
        ]
        note_job(tables, record, events, row.received)
