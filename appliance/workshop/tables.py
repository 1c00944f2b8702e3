"""The hub's database: SQLite, PostgreSQL or CockroachDB, all through peewee.

The models are made for one open database, so that no state is shared between two. Times are whole
seconds since 1970 of the hub's clock; no decision but that about a token's or a nonce's age uses
them.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, fields
from typing import Any

from peewee import (
    BigAutoField,
    BigIntegerField,
    BlobField,
    CompositeKey,
    Database,
    DatabaseError,
    IntegerField,
    Model,
    OperationalError,
    PostgresqlDatabase,
    SqliteDatabase,
    TextField,
)
from playhouse.db_url import connect

from appliance.workshop.errors import HubFull, HubUnavailable
from hw.errors import UsageError

BUSY_S = 20
_FULL = ("disk is full", "no space left", "could not extend")


@dataclass(frozen=True)
class Models:
    """Every table, as a peewee model of one database.

    Attributes:
        kits: who may send; `revoked` is 0 for one that may.
        tokens: one-time words for enrolment, by their SHA-256.
        nonces: of requests that were taken, for as long as they could be sent again.
        records: what was taken, in the bytes that came.
        conflicts: what was refused because something else was taken before; for the office.
        jobs: what a list shows of a job, made of its records; `number` is the order in which
            they arrived first.
        blobs: what lies whole in the store.
        counters: numbers that are given once, each by its name.
        changes: what kits are told, in the words that were signed.
        openings: who decrypted which backup here, when and what for.
        words: what a search finds jobs by.
        people: who may use the office's pages; `word` is the SHA-256 of a one-time word.
        passkeys: of people.
        sessions: who is logged in, by the SHA-256 of the cookie.
        challenges: for passkeys, by their SHA-256; each is answered once.
        tries: to log in, for as long as they count.
        audit: who did what at the workshop.
        orders: work orders; `kit` is empty for whoever comes first.
    """

    kits: Any
    tokens: Any
    nonces: Any
    records: Any
    conflicts: Any
    jobs: Any
    blobs: Any
    counters: Any
    changes: Any
    openings: Any
    words: Any
    people: Any
    passkeys: Any
    sessions: Any
    challenges: Any
    tries: Any
    audit: Any
    orders: Any


class HubDatabase:
    """An open database with its tables; those that it does not have are made.

    Args:
        where: the file of an SQLite database, or a URL `postgresql://` or `cockroachdb://`.

    Raises:
        UsageError: there is no such kind of database.
        HubUnavailable: it cannot be reached.
    """

    def __init__(self, where: str) -> None:
        self._database = _database(where)
        self.tables = _models(self._database)
        models = [getattr(self.tables, field.name) for field in fields(self.tables)]
        with _told_in_words(), self._database.connection_context():
            self._database.create_tables(models)

    @contextmanager
    def transaction(self) -> Iterator[Models]:
        """All of it or, on any error, nothing; what this returned from is on the disk.

        Raises:
            HubFull: the disk is.
            HubUnavailable: the database does not answer.
        """
        words = ("IMMEDIATE",) if isinstance(self._database, SqliteDatabase) else ()
        with (
            _told_in_words(),
            self._database.connection_context(),
            self._database.atomic(*words),
        ):
            yield self.tables

    @contextmanager
    def reading(self) -> Iterator[Models]:
        """To look only, which keeps nobody from writing.

        Raises:
            HubUnavailable: the database does not answer.
        """
        with (
            _told_in_words(),
            self._database.connection_context(),
            self._database.atomic(),
        ):
            yield self.tables

    def lock(self, query: Any) -> Any:
        """A query whose rows nobody else changes until the transaction ends."""
        return query if isinstance(self._database, SqliteDatabase) else query.for_update()


@contextmanager
def _told_in_words() -> Iterator[None]:
    try:
        yield
    except (OperationalError, DatabaseError) as error:
        # Subclasses are mistakes in a statement, and conflicts that the caller looks for.
        if type(error) not in (OperationalError, DatabaseError):
            raise
        if any(word in str(error).lower() for word in _FULL):
            raise HubFull from error
        raise HubUnavailable(
            f"The workshop's database failed: {error}.",
            "Look at the workshop's machine; kits keep everything and come again.",
        ) from error


def _database(where: str) -> Database:
    if "://" not in where:
        return SqliteDatabase(
            where,
            timeout=BUSY_S,
            pragmas=(("journal_mode", "WAL"), ("synchronous", "FULL")),
        )
    if not where.startswith(("postgresql://", "cockroachdb://")):
        raise UsageError(
            f"'{where}' is no database that the workshop can use.",
            "Give the path of an SQLite file, or a URL postgresql:// or cockroachdb://.",
        )
    database: Database = connect(where)
    return database


def _models(of: Database) -> Models:
    class Table(Model):
        class Meta:
            database = of

    class Kit(Table):
        id = TextField(primary_key=True)
        name = TextField()
        key = TextField()
        enrolled = BigIntegerField()
        revoked = BigIntegerField(default=0)
        hello = BigIntegerField(default=0)
        version = TextField(default="")
        free_bytes = BigIntegerField(default=-1)
        waiting = IntegerField(default=0)

    class Token(Table):
        sha256 = TextField(primary_key=True)
        name = TextField()
        expires = BigIntegerField()
        used_by = TextField(default="")

    class Nonce(Table):
        kit = TextField()
        nonce = TextField()
        expires = BigIntegerField(index=True)

        class Meta:
            primary_key = CompositeKey("kit", "nonce")

    class Record(Table):
        id = TextField(primary_key=True)
        kit = TextField()
        sequence = BigIntegerField()
        sha256 = TextField()
        job = TextField()
        first = IntegerField()
        last = IntegerField()
        head = TextField()
        received = BigIntegerField()
        body = BlobField()
        receipt = BlobField()

        class Meta:
            indexes = ((("kit", "sequence"), True), (("job", "first"), True))

    class Conflict(Table):
        sha256 = TextField(primary_key=True)
        kit = TextField()
        record = TextField()
        sequence = BigIntegerField()
        why = TextField()
        received = BigIntegerField()
        body = BlobField()

    class Job(Table):
        number = BigAutoField()
        job = TextField(unique=True)
        kit = TextField()
        state = TextField()
        vin = TextField(index=True)
        made = TextField()
        search = TextField()
        received = BigIntegerField(index=True)
        view = BlobField()

        class Meta:
            indexes = ((("kit", "number"), False), (("state", "number"), False))

    class Blob(Table):
        sha256 = TextField(primary_key=True)
        size = BigIntegerField()
        stored = BigIntegerField()

    class Counter(Table):
        name = TextField(primary_key=True)
        value = BigIntegerField()

    class Change(Table):
        number = BigIntegerField(primary_key=True)
        kit = TextField(index=True)
        kind = TextField()
        subject = TextField()
        version = BigIntegerField()
        document = TextField()
        signature = TextField()

        class Meta:
            indexes = ((("kind", "subject", "version"), True),)

    class Opening(Table):
        id = TextField(primary_key=True)
        opened = BigIntegerField(index=True)
        who = TextField()
        reason = TextField()
        kit = TextField()
        job = TextField()
        backup = TextField()

    class Word(Table):
        # Beginnings are looked up as ranges: the order must be that of the letters' numbers.
        word = TextField(collation='"C"' if isinstance(of, PostgresqlDatabase) else "BINARY")
        number = BigIntegerField()

        class Meta:
            primary_key = CompositeKey("word", "number")
            without_rowid = isinstance(of, SqliteDatabase)

    class Order(Table):
        id = TextField(primary_key=True)
        reference = TextField(unique=True)
        once = TextField(unique=True)
        token = TextField(unique=True)
        state = TextField(index=True)
        kit = TextField()
        job = TextField()
        search = TextField()
        changed = BigIntegerField()
        document = BlobField()

    return Models(
        kits=Kit,
        tokens=Token,
        nonces=Nonce,
        records=Record,
        conflicts=Conflict,
        jobs=Job,
        blobs=Blob,
        counters=Counter,
        changes=Change,
        orders=Order,
        openings=Opening,
        words=Word,
        **_of_the_office(of),
    )


def _of_the_office(of: Database) -> dict[str, type[Model]]:
    class Table(Model):
        class Meta:
            database = of

    class Person(Table):
        id = TextField(primary_key=True)
        name = TextField(unique=True)
        role = TextField()
        password = TextField(default="")
        totp = TextField(default="")
        totp_step = BigIntegerField(default=0)
        word = TextField(default="")
        word_expires = BigIntegerField(default=0)

    class Passkey(Table):
        id = TextField(primary_key=True)
        person = TextField(index=True)
        name = TextField()
        key = BlobField()
        uses = BigIntegerField()
        made = BigIntegerField()

    class Session(Table):
        sha256 = TextField(primary_key=True)
        person = TextField(index=True)
        stage = TextField()
        csrf = TextField()
        expires = BigIntegerField(index=True)

    class Challenge(Table):
        sha256 = TextField(primary_key=True)
        person = TextField()
        expires = BigIntegerField(index=True)

    class Try(Table):
        number = BigAutoField()
        who = TextField(index=True)
        expires = BigIntegerField(index=True)

    class Audit(Table):
        number = BigAutoField()
        at = BigIntegerField()
        who = TextField()
        did = TextField()
        about = TextField()

    return {
        "people": Person,
        "passkeys": Passkey,
        "sessions": Session,
        "challenges": Challenge,
        "tries": Try,
        "audit": Audit,
    }
