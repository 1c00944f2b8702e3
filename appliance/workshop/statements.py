"""Statements that peewee writes once for each database, and that are run often.

To put a query together takes peewee ten times as long as SQLite needs to run it, which counts where
hundreds of records come in a second. Elsewhere queries are written where they are used.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any
from weakref import WeakKeyDictionary

from peewee import Value

_written: WeakKeyDictionary[Any, dict[str, Statement]] = WeakKeyDictionary()
"""By table: each open database has tables of its own."""


class _Given:
    """Stands in a statement for what is given when it is run."""

    def __init__(self, name: str) -> None:
        self.name = name


def given(name: str) -> Any:
    """A value that `Statement` gets by this name; goes to the database as it is."""
    return Value(_Given(name), converter=False)


class Statement:
    """A query, as text.

    Args:
        query: of one database, with `given` values.
    """

    def __init__(self, query: Any) -> None:
        self._database = query._database
        self._sql, self._values = query.sql()

    def rows(self, **values: Any) -> list[tuple[Any, ...]]:
        """Run it; the rows that it selects or returns, as tuples in the order of its columns."""
        cursor = self._run(values)
        return list(cursor.fetchall()) if cursor.description else []

    def count(self, **values: Any) -> int:
        """Run it; how many rows it changed."""
        return int(self._run(values).rowcount)

    def _run(self, values: dict[str, Any]) -> Any:
        return self._database.execute_sql(self._sql, self._filled(values))

    def _filled(self, values: dict[str, Any]) -> list[Any]:
        return [values[one.name] if isinstance(one, _Given) else one for one in self._values]


def written(table: Any, name: str, build: Callable[[], Any]) -> Statement:
    """The statement of this name; it is built when it is asked for first.

    Args:
        table: a model of the database, by which it is kept.
        name: its own among those of the table.
        build: makes the query.
    """
    known = _written.setdefault(table, {})
    if name not in known:
        known[name] = Statement(build())
    return known[name]
