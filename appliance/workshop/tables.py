"""The hub's database: SQLite, PostgreSQL or CockroachDB, all through peewee.

The models are made for one open database, so that no state is shared between two. Times are whole
seconds since 1970 of the hub's clock; no decision but that about a token's or a nonce's age uses
them.
"""

from __future__ import annotations

import random
import time
import weakref
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, fields
from typing import Any, TypeVar

from peewee import (
    BigAutoField,
    BigIntegerField,
    BlobField,
    CompositeKey,
    Database,
    DatabaseError,
    DataError,
    IntegerField,
    Model,
    OperationalError,
    PostgresqlDatabase,
    SqliteDatabase,
    TextField,
)
from playhouse.cockroachdb import CockroachDatabase
from playhouse.db_url import connect
from playhouse.pool import MaxConnectionsExceeded, PooledPostgresqlDatabase, PooledSqliteDatabase

from appliance.workshop.errors import HubFull, HubUnavailable, Malformed
from appliance.workshop.turns import Turns
from hw.errors import UsageError

BUSY_S = 20
CONNECTIONS = 20
"""Of one process: a PostgreSQL that nobody tuned takes a hundred."""
MOST_TRIES, RETRY_WITHIN_S = 10, 0.1
Result = TypeVar("Result")
_FULL = ("disk is full", "no space left", "could not extend")


@dataclass(frozen=True)
class Models:
    """Every table, as a peewee model of one database.

    Attributes:
        kits: who may send; `revoked` is 0 for one that may.
        tokens: one-time words for enrolment, by their SHA-256.
        nonces: of requests that were taken, for as long as they could be sent again.
        records: what was taken, in the bytes that came.
        conflicts: what was refused because something else was taken before; for the office, who
            says what was decided. `settled` is 0 until then.
        jobs: what a list shows of a job, made of its records; `number` is the order in which
            they arrived first. Numbers have gaps; those that a CockroachDB gives have 63 bits,
            and their order is only as good as the clocks of its nodes agree (half a second).
        blobs: what lies whole in the store.
        counters: numbers that are given once, each by its name.
        changes: what kits are told, in the words that were signed.
        openings: who decrypted which backup here, when and what for.
        words: what a search finds jobs by.
        backups: of ECUs, each with its files (JSON); `checked` is when they were read last,
            `damaged` is 1 where something was found then, and `claimed` is when a hub began to read
            them, 0 for none that does.
        people: who may use the office's pages; `word` is the SHA-256 of a one-time word.
        passkeys: of people.
        sessions: who is logged in, by the SHA-256 of the cookie.
        challenges: for passkeys, by their SHA-256; each is answered once.
        tries: to log in, for as long as they count.
        audit: who did what at the workshop.
        technicians: of the kits, by name, with every public key that it had, one to a line, the
            newest last; `removed` is 0 for those who may use them.
        notes: what people of the office wrote down of a job.
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
    backups: Any
    people: Any
    passkeys: Any
    sessions: Any
    challenges: Any
    tries: Any
    audit: Any
    orders: Any
    technicians: Any
    notes: Any


class HubDatabase:
    """An open database; tables and columns that it does not have are made (`schema`).

    Connections are kept, and used by one thread at a time.

    Args:
        where: the file of an SQLite database, or a URL `postgresql://` or `cockroachdb://`.

    Raises:
        UsageError: there is no such kind of database, or a newer version made it.
        HubUnavailable: it cannot be reached.
    """

    def __init__(self, where: str) -> None:
        from appliance.workshop.schema import bring_up  # noqa: PLC0415 - it is made of the tables

        self._database = _database(where)
        self._is_sqlite = isinstance(self._database, SqliteDatabase)
        self.tables = _models(self._database)
        self._turns = Turns(self._database, self._opened)
        self.close = weakref.finalize(self, self._database.close_idle)
        models = [getattr(self.tables, field.name) for field in fields(self.tables)]
        self.write(lambda tables: bring_up(self._database, tables, models))

    def write(self, work: Callable[[Models], Result]) -> Result:
        """Do something, all of it or, on any error, nothing; what this returned is on the disk.

        This is the only way to write. On SQLite several threads share a transaction. Elsewhere it
        is done again where the database found that it contradicts another one under way, which
        CockroachDB may do to any: so `work` must touch the database only, and what else is to be
        done comes after this has returned. It may run in another thread; it must not write within.

        Raises:
            HubFull: the disk is.
            HubUnavailable: the database does not answer, or contradictions do not end.
        """
        if self._is_sqlite:
            return self._turns.do(lambda: work(self.tables))
        for tries_left in reversed(range(MOST_TRIES)):
            try:
                with self._opened():
                    return work(self.tables)
            except HubUnavailable as error:
                if not (tries_left and _may_be_tried_again(error.__cause__)):
                    raise
                time.sleep(random.uniform(0, RETRY_WITHIN_S))  # noqa: S311 - no secret
        raise AssertionError  # The last try returned or raised.

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

    @contextmanager
    def _opened(self) -> Iterator[None]:
        words = ("IMMEDIATE",) if self._is_sqlite else ()
        with (
            _told_in_words(),
            self._database.connection_context(),
            self._database.atomic(*words),
        ):
            yield

    def lock(self, query: Any) -> Any:
        """A query whose rows nobody else changes until the transaction ends."""
        return query if self._is_sqlite else query.for_update()


@contextmanager
def _told_in_words() -> Iterator[None]:
    try:
        yield
    except DataError as error:
        raise Malformed(
            "Something in this cannot be kept: a sign that is none, or a number that is too large.",
            "Type it again without what was pasted.",
        ) from error
    except (OperationalError, DatabaseError) as error:
        # Subclasses are mistakes in a statement, and conflicts that the caller looks for.
        if type(error) not in (OperationalError, DatabaseError):
            raise
        if _is_full(error):
            raise HubFull from error
        raise HubUnavailable(
            f"The workshop's database failed: {error}.",
            "Look at the workshop's machine; kits keep everything and come again.",
        ) from error
    except MaxConnectionsExceeded as error:
        raise HubUnavailable(
            "The workshop's database has too much to do.",
            "Kits keep everything and come again by themselves.",
        ) from error


def _is_full(error: BaseException | None) -> bool:
    """Is the disk full? SQLite then ends the transaction, and to take it back fails as well."""
    while error is not None:
        if any(word in str(error).lower() for word in _FULL):
            return True
        error = error.__context__
    return False


def _may_be_tried_again(error: BaseException | None) -> bool:
    """Did the database take it back because of another transaction (SQLSTATE class 40)?"""
    state = getattr(getattr(error, "orig", None), "sqlstate", None) or ""
    return state in ("40001", "40P01", "CR000")


def _database(where: str) -> PooledSqliteDatabase | PooledPostgresqlDatabase:
    if "://" not in where:
        return PooledSqliteDatabase(
            where,
            max_connections=CONNECTIONS,
            timeout=BUSY_S,
            check_same_thread=False,  # The pool sees to it that two never use one at a time.
            pragmas=(
                ("journal_mode", "WAL"),
                ("synchronous", "FULL"),
                ("busy_timeout", BUSY_S * 1000),
            ),
        )
    kind, _, place = where.partition("://")
    if kind not in ("postgresql", "cockroachdb"):
        raise UsageError(
            f"'{where}' is no database that the workshop can use.",
            "Give the path of an SQLite file, or a URL postgresql:// or cockroachdb://.",
        )
    # Nothing is prepared there: what it has prepared PostgreSQL plans, after some runs, without a
    # look at the values, and then reads the whole list of jobs for a slice of it.
    pooled: PooledPostgresqlDatabase = connect(
        f"{kind}+pool://{place}",
        max_connections=CONNECTIONS,
        timeout=BUSY_S,
        prepare_threshold=None,
    )
    return pooled


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
        job = TextField(default="", index=True)
        settled = BigIntegerField(default=0, index=True)
        settled_by = TextField(default="")
        decision = TextField(default="")

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
        word = TextField(collation=_by_letters_numbers(of))
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
        job = TextField(index=True)
        search = TextField()
        changed = BigIntegerField()
        document = BlobField()

    class Backup(Table):
        number = BigAutoField()
        backup = TextField(unique=True)
        job = TextField(index=True)
        kit = TextField()
        ecu = TextField()
        received = BigIntegerField()
        files = BlobField()
        checked = BigIntegerField(default=0, index=True)
        found = TextField(default="")
        damaged = IntegerField(default=0, index=True)
        claimed = BigIntegerField(default=0)

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
        backups=Backup,
        **_of_the_office(of),
    )


def _by_letters_numbers(of: Database) -> str | None:
    if isinstance(of, CockroachDatabase):
        return None  # It has no other order, and takes a text with a named one for another type.
    return '"C"' if isinstance(of, PostgresqlDatabase) else "BINARY"


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
        totp = TextField(default="")

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

    class Note(Table):
        id = TextField(primary_key=True)
        job = TextField(index=True)
        made = BigIntegerField()
        who = TextField()
        text = TextField()

    class Technician(Table):
        name = TextField(primary_key=True)
        role = TextField()
        keys = TextField()
        added = BigIntegerField()
        removed = BigIntegerField(default=0)

    return {
        "people": Person,
        "passkeys": Passkey,
        "sessions": Session,
        "challenges": Challenge,
        "tries": Try,
        "audit": Audit,
        "technicians": Technician,
        "notes": Note,
    }
