"""Writing to SQLite from many threads: one after the other, and many requests in one commit.

SQLite lets one write at a time, and with durability on a commit waits for the disk. So who comes
while another one commits puts what is to be done into a queue, and whoever gets the turn next does
all that is in it in one transaction. Each is answered only after that was committed. What fails by
itself is taken back by itself; where the database fails, all of it is.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import Generic, TypeVar

from peewee import Database, DatabaseError, OperationalError

from appliance.workshop.errors import HubUnavailable

MOST_AT_ONCE = 64
WAIT_S = 20.0
Result = TypeVar("Result")
Open = Callable[[], AbstractContextManager[None]]


class _Asked(Generic[Result]):
    """Something to be done, and then what came of it."""

    def __init__(self, work: Callable[[], Result]) -> None:
        self._work = work
        self._result: Result | None = None
        self._error: BaseException | None = None
        self.done = False

    def attempt(self, database: Database) -> None:
        try:
            with database.savepoint():
                self._result = self._work()
        except Exception as error:
            # Subclasses are conflicts and mistakes of this one; else the database itself failed.
            if type(error) in (DatabaseError, OperationalError):
                raise
            self._error = error

    def fail(self, error: BaseException) -> None:
        self._error, self.done = error, True

    def result(self) -> Result:
        if self._error is not None:
            raise self._error
        return self._result  # type: ignore[return-value]  # set, or `_error` is


class Turns:
    """See the module.

    Args:
        database: whose turns they are.
        transaction: opens one; what it was left from is on the disk.
    """

    def __init__(self, database: Database, transaction: Open) -> None:
        self._database, self._transaction = database, transaction
        self._turn = threading.Lock()
        self._queue: list[_Asked[object]] = []
        self._lock = threading.Lock()

    @contextmanager
    def _taken(self) -> Iterator[None]:
        """Have the turn.

        Raises:
            HubUnavailable: others do not end.
        """
        if not self._turn.acquire(timeout=WAIT_S):
            raise HubUnavailable(
                "The workshop's database is busy.",
                "Kits keep everything and come again by themselves.",
            )
        try:
            yield
        finally:
            self._turn.release()

    def do(self, work: Callable[[], Result]) -> Result:
        """Do something in a transaction that may be shared with others; returns what it returned.

        Raises:
            Exception: what it raised; nothing that it did stays then.
            HubError: the database failed, or others do not end: then it may be done still.
        """
        asked = _Asked(work)
        with self._lock:
            self._queue.append(asked)  # type: ignore[arg-type]  # only `asked` gets the result
        with self._taken():
            while not asked.done:
                self._commit()
        return asked.result()

    def _commit(self) -> None:
        with self._lock:
            batch, self._queue = self._queue[:MOST_AT_ONCE], self._queue[MOST_AT_ONCE:]
        try:
            with self._transaction():
                for asked in batch:
                    asked.attempt(self._database)
        except BaseException as error:  # noqa: BLE001 - each of them is told by its own thread
            for asked in batch:
                asked.fail(error)
        for asked in batch:
            asked.done = True
