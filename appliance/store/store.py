"""The kit's database: SQLite, encrypted at rest, owned by one thread.

Every page is encrypted and authenticated with ChaCha20-Poly1305 (SQLite3 Multiple Ciphers) under a
key that only an opened kit has, in the write-ahead log too. `synchronous=FULL` means: what a call
has returned is on the medium, as far as the medium tells the truth about its flushes.

What it cannot promise: that nobody put an older copy of the whole file in its place. A job's chain
shows that only to who kept a later head of it (`appliance.records`).
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from concurrent.futures import TimeoutError as NotInTime
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from types import TracebackType
from typing import TypeVar

import apsw
from peewee import DatabaseError, OperationalError, PeeweeException
from playhouse.apsw_ext import APSWDatabase

from appliance.store.errors import KEEP_IT, StoreDamaged, StoreUnavailable
from appliance.store.schema import MIGRATIONS, Tables
from hw.errors import UsageError

KEY_BYTES = 32
CHECK_AT_OPEN_BYTES = 64 << 20
"""Up to this size every page is read when the database is opened, in well under a second on a desk
and a few on a kit's card. Of a larger one a damaged page is found when it is read: every page is
authenticated."""
CALL_LIMIT_S = 120.0
"""No caller waits longer, whatever the medium does."""
_BUSY_S = 2.0
_PLAIN_HEADER = b"SQLite format 3\x00"
_SEE_MEDIUM = "Check that the card has room and is not read-only, then try again."

# peewee translates apsw's errors where it runs a statement, not where rows are fetched.
_UNAVAILABLE = (
    OperationalError,
    apsw.BusyError,
    apsw.LockedError,
    apsw.IOError,
    apsw.FullError,
    apsw.ReadOnlyError,
    apsw.CantOpenError,
)
_DAMAGED = (DatabaseError, apsw.CorruptError, apsw.NotADBError)

_Result = TypeVar("_Result")


class Store:
    """An open database. Every call runs on its one owning thread, in one transaction.

    Args:
        path: the database file; made when it does not exist.
        key: 32 bytes, `Unlocked.database_key`.

    Raises:
        StoreDamaged: the key does not open it, it is damaged, not encrypted, or newer than this
            program.
        StoreUnavailable: it cannot be reached, or another process has it open.
    """

    def __init__(self, path: Path, key: bytes) -> None:
        if len(key) != KEY_BYTES:
            raise ValueError("the database key has 32 bytes")
        self._path = path
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="store")
        self._closed = False
        try:
            self._database, self._tables = self._wait(self._thread.submit(self._open, key))
        except BaseException:
            self._thread.shutdown(wait=True)
            raise

    def __enter__(self) -> Store:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        """Close the database and end its thread. May be called twice."""
        if self._closed:
            return
        self._closed = True
        try:
            self._wait(self._thread.submit(_close_quietly, self._database))
        finally:
            self._thread.shutdown(wait=True)

    def run(self, work: Callable[[Tables], _Result]) -> _Result:
        """Do something with the tables on the owning thread: all of it or, on any error, nothing.

        Args:
            work: takes the tables; must not call the store again and must not keep them.

        Raises:
            StoreUnavailable: the medium failed or did not answer in time, or the store is closed.
            StoreDamaged: a page that was read is damaged.
        """
        if self._closed:
            raise StoreUnavailable("The kit's database is closed.", "Unlock the kit again.")
        return self._wait(self._thread.submit(self._transact, work))

    # Blobs ------------------------------------------------------------------------------------

    def put_blob(self, data: bytes) -> str:
        """Keep bytes under their SHA-256, once; returns it in lower-case hex."""
        name = hashlib.sha256(data).hexdigest()
        row = {"sha256": name, "data": data}
        self.run(lambda tables: tables.blobs.insert(row).on_conflict_ignore().execute())
        return name

    def blob(self, sha256: str) -> bytes:
        """Bytes that were kept, compared with their name again.

        Raises:
            UsageError: nothing is kept under that name.
            StoreDamaged: they are not what was kept.
        """
        rows = self.run(lambda t: list(t.blobs.select().where(t.blobs.sha256 == sha256)))
        if not rows:
            raise UsageError(
                f"Nothing is kept under {sha256}.", "Make the plan or read the file again."
            )
        data = bytes(rows[0]["data"])
        if hashlib.sha256(data).hexdigest() != sha256:
            raise self._damaged(f"what is kept under {sha256} was changed")
        return data

    def has_blob(self, sha256: str) -> bool:
        """Whether something is kept under that name."""
        return self.run(lambda t: bool(t.blobs.select().where(t.blobs.sha256 == sha256).count()))

    # Settings ---------------------------------------------------------------------------------

    def setting(self, name: str) -> str | None:
        """A setting, None where it was never set."""
        rows = self.run(lambda t: list(t.settings.select().where(t.settings.name == name)))
        return str(rows[0]["value"]) if rows else None

    def set_setting(self, name: str, value: str) -> None:
        """Set a setting, for ever or until it is set again."""
        row = {"name": name, "value": value}
        self.run(lambda t: t.settings.insert(row).on_conflict_replace().execute())

    # The owning thread ------------------------------------------------------------------------

    def _wait(self, future: Future[_Result]) -> _Result:
        try:
            return future.result(CALL_LIMIT_S)
        except NotInTime as error:
            future.cancel()
            raise StoreUnavailable(
                f"The card with {self._path} did not answer within {CALL_LIMIT_S:.0f} s.",
                "Take the job up again when it answers; look whether the last entry is there.",
            ) from error

    def _transact(self, work: Callable[[Tables], _Result]) -> _Result:
        try:
            with self._database.atomic("IMMEDIATE"):
                return work(self._tables)
        except _UNAVAILABLE as error:
            raise self._unavailable(error) from error
        except _DAMAGED as error:
            # The subclasses of peewee's are mistakes in a statement, not pages that fail.
            if isinstance(error, DatabaseError) and type(error) is not DatabaseError:
                raise
            raise self._damaged(str(error)) from error

    def _open(self, key: bytes) -> tuple[APSWDatabase, Tables]:
        self._check_file()
        database = APSWDatabase(
            str(self._path),
            timeout=_BUSY_S,
            pragmas=(
                # The cipher and its key come before anything that touches a page. 'raw:' is a key
                # as it is: it has all its 256 bits already, so no passphrase hashing is wanted.
                ("cipher", "'chacha20'"),
                ("key", f"'raw:{key.hex()}'"),
                # One process at a time; it also keeps the index of the log off the disk.
                ("locking_mode", "EXCLUSIVE"),
                ("journal_mode", "WAL"),
                ("synchronous", "FULL"),
                ("temp_store", "MEMORY"),
            ),
        )
        try:
            database.connect()
            self._check_content(database)
            _migrate(database)
            return database, Tables.bound(database)
        except _UNAVAILABLE as error:
            _close_quietly(database)
            raise self._unavailable(error) from error
        except _DAMAGED as error:
            _close_quietly(database)
            raise self._not_ours(error) from error
        except BaseException:
            _close_quietly(database)
            raise

    def _check_file(self) -> None:
        try:
            # Made here so that it never exists with more rights than these.
            descriptor = os.open(self._path, os.O_RDONLY | os.O_CREAT | os.O_CLOEXEC, 0o600)
            with os.fdopen(descriptor, "rb") as file:
                beginning = file.read(len(_PLAIN_HEADER))
        except OSError as error:
            raise StoreUnavailable(
                f"The kit's database {self._path} cannot be opened: {error.strerror}.",
                "Check the state folder and its owner.",
            ) from error
        if beginning == _PLAIN_HEADER:
            raise self._damaged("it is not encrypted, so it is not a field kit's")

    def _check_content(self, database: APSWDatabase) -> None:
        # A large one: only one small table, which also reads the first pages.
        what = "3" if self._path.stat().st_size <= CHECK_AT_OPEN_BYTES else "settings"
        rows = database.execute_sql(f"PRAGMA quick_check({what})").fetchall()
        found = [row[0] for row in rows]
        if found != ["ok"]:
            lines = [line for one in found for line in str(one).splitlines()]
            raise self._damaged("; ".join(line for line in lines if not line.startswith("***")))
        version = _version(database)
        if version > len(MIGRATIONS):
            raise StoreDamaged(
                f"The kit's database has version {version}; this program knows {len(MIGRATIONS)}.",
                "Start the newer program that wrote it; an older one would lose what it does not "
                "understand.",
            )

    def _unavailable(self, error: Exception) -> StoreUnavailable:
        if "locked" in str(error):
            return StoreUnavailable(
                f"Another process has the kit's database {self._path} open.",
                "Stop the other fieldkit-appliance, then try again.",
            )
        return StoreUnavailable(f"The kit's database {self._path} failed: {error}.", _SEE_MEDIUM)

    def _damaged(self, reason: str) -> StoreDamaged:
        return StoreDamaged(f"The kit's database {self._path} is damaged: {reason}.", KEEP_IT)

    def _not_ours(self, error: Exception) -> StoreDamaged:
        # A wrong key and a damaged first page look alike: both fail authentication.
        return StoreDamaged(
            f"The kit's database {self._path} cannot be read with this kit's key: it belongs to "
            f"another kit or is damaged ({error}).",
            KEEP_IT,
        )


def _version(database: APSWDatabase) -> int:
    if "schema_migrations" not in database.get_tables():
        return 0
    row = database.execute_sql("SELECT max(version) FROM schema_migrations").fetchone()
    return int(row[0] or 0)


def _migrate(database: APSWDatabase) -> None:
    """Apply what is missing, each migration in a transaction of its own."""
    for version, (name, statements) in enumerate(MIGRATIONS, start=1):
        if version <= _version(database):
            continue
        with database.atomic("IMMEDIATE"):
            if version == 1:
                database.execute_sql(
                    "CREATE TABLE schema_migrations (version INTEGER PRIMARY KEY,"
                    " name TEXT NOT NULL, applied TEXT NOT NULL)"
                )
            for statement in statements:
                database.execute_sql(statement)
            applied = datetime.now(UTC).isoformat(timespec="seconds")
            row = (version, name, applied)
            database.execute_sql("INSERT INTO schema_migrations VALUES (?, ?, ?)", row)


def _close_quietly(database: APSWDatabase) -> None:
    """Close. It may fail for a reason that was told before; what was committed is on the disk."""
    with suppress(PeeweeException, apsw.Error):
        database.close()
