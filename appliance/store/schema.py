"""The tables, and the steps that bring an older database to them.

A migration that was ever released is never edited: a change is a new one at the end.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from peewee import Table
from playhouse.apsw_ext import APSWDatabase

MIGRATIONS: tuple[tuple[str, tuple[str, ...]], ...] = (
    (
        "jobs, events, blobs, settings",
        (
            "CREATE TABLE settings (name TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID",
            "CREATE TABLE blobs (sha256 TEXT PRIMARY KEY, data BLOB NOT NULL)",
            (
                "CREATE TABLE events (job TEXT NOT NULL, seq INTEGER NOT NULL, kind TEXT NOT NULL,"
                " run TEXT NOT NULL, run_seq INTEGER NOT NULL, hash TEXT NOT NULL,"
                " document BLOB NOT NULL, signature BLOB NOT NULL, PRIMARY KEY (job, seq))"
            ),
            "CREATE INDEX events_by_kind ON events (job, kind, seq)",
            # hw numbers the events of a run from 1: each is recorded once.
            "CREATE UNIQUE INDEX events_of_run ON events (run, run_seq) WHERE run_seq > 0",
            "CREATE INDEX events_by_run ON events (run, kind) WHERE run <> ''",
            (
                "CREATE TRIGGER events_never_change BEFORE UPDATE ON events"
                " BEGIN SELECT RAISE(ABORT, 'events are append-only'); END"
            ),
            (
                "CREATE TRIGGER events_never_go BEFORE DELETE ON events"
                " BEGIN SELECT RAISE(ABORT, 'events are append-only'); END"
            ),
            (
                "CREATE TABLE heads (job TEXT PRIMARY KEY, document BLOB NOT NULL,"
                " signature BLOB NOT NULL) WITHOUT ROWID"
            ),
            # Views of the events, made again from them at any time.
            (
                "CREATE TABLE jobs (job TEXT PRIMARY KEY, state TEXT NOT NULL, vin TEXT NOT NULL,"
                " made TEXT NOT NULL, search TEXT NOT NULL, view BLOB NOT NULL) WITHOUT ROWID"
            ),
            "CREATE INDEX jobs_by_state ON jobs (state, job)",
            "CREATE INDEX jobs_by_vin ON jobs (vin, job)",
            (
                "CREATE TABLE subjects (kind TEXT NOT NULL, subject TEXT NOT NULL,"
                " job TEXT NOT NULL, PRIMARY KEY (kind, subject, job)) WITHOUT ROWID"
            ),
        ),
    ),
    (
        "outbox",
        (
            # What is on its way to the workshop: frozen bytes, each under a number of its own.
            (
                "CREATE TABLE outbox (sequence INTEGER PRIMARY KEY, record TEXT NOT NULL UNIQUE,"
                " job TEXT NOT NULL, last INTEGER NOT NULL, sha256 TEXT NOT NULL,"
                " body BLOB NOT NULL, state TEXT NOT NULL, why TEXT NOT NULL,"
                " receipt BLOB NOT NULL)"
            ),
            "CREATE INDEX outbox_by_job ON outbox (job, last)",
            "CREATE INDEX outbox_by_state ON outbox (state, sequence)",
        ),
    ),
    (
        "what came down from the workshop",
        (
            # The version that is known of each subject; nothing older of it is ever applied.
            (
                "CREATE TABLE changes (kind TEXT NOT NULL, subject TEXT NOT NULL,"
                " version INTEGER NOT NULL, sha256 TEXT NOT NULL, PRIMARY KEY (kind, subject))"
                " WITHOUT ROWID"
            ),
            (
                "CREATE TABLE changes_aside (number INTEGER PRIMARY KEY, kind TEXT NOT NULL,"
                " subject TEXT NOT NULL, why TEXT NOT NULL)"
            ),
            (
                "CREATE TABLE orders (id TEXT PRIMARY KEY, reference TEXT NOT NULL UNIQUE,"
                " document BLOB NOT NULL)"
            ),
            (
                "CREATE TABLE texts (name TEXT NOT NULL, language TEXT NOT NULL,"
                " version INTEGER NOT NULL, sha256 TEXT NOT NULL, text TEXT NOT NULL,"
                " PRIMARY KEY (name, language)) WITHOUT ROWID"
            ),
        ),
    ),
    (
        "what was let go",
        (
            # Jobs whose files the workshop has instead, up to which event.
            "CREATE TABLE retired (job TEXT PRIMARY KEY, last INTEGER NOT NULL) WITHOUT ROWID",
        ),
    ),
)
"""`(name, statements)`, in order; the version of a database is how many were applied."""


@dataclass(frozen=True)
class Tables:
    """The tables, bound to one open database.

    They are `peewee.Table`s whose columns are attributes made at run time, which no static type
    can name; hence `Any`.
    """

    settings: Any
    blobs: Any
    events: Any
    heads: Any
    jobs: Any
    subjects: Any
    outbox: Any
    changes: Any
    changes_aside: Any
    orders: Any
    texts: Any
    retired: Any

    @classmethod
    def bound(cls, database: APSWDatabase) -> Tables:
        """Bind every table to a database, without any state shared between databases."""
        return cls(
            **{name: Table(name, columns).bind(database) for name, columns in _COLUMNS.items()}
        )


_COLUMNS = {
    "settings": ("name", "value"),
    "blobs": ("sha256", "data"),
    "events": ("job", "seq", "kind", "run", "run_seq", "hash", "document", "signature"),
    "heads": ("job", "document", "signature"),
    "jobs": ("job", "state", "vin", "made", "search", "view"),
    "subjects": ("kind", "subject", "job"),
    "outbox": (
        "sequence",
        "record",
        "job",
        "last",
        "sha256",
        "body",
        "state",
        "why",
        "receipt",
    ),
    "changes": ("kind", "subject", "version", "sha256"),
    "changes_aside": ("number", "kind", "subject", "why"),
    "orders": ("id", "reference", "document"),
    "texts": ("name", "language", "version", "sha256", "text"),
    "retired": ("job", "last"),
}
