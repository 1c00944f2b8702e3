"""Going through a table of any size, a few rows at a time."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

from peewee import Tuple

from appliance.workshop.tables import HubDatabase, Models

PAGE = 8
"""A record may have 32 MiB: so few of them are held at once."""


def each_row(
    database: HubDatabase, choose: Callable[[Models], Any], keys: tuple[str, ...], page: int = PAGE
) -> Iterator[Any]:
    """Every row of a table, in the order of some of its columns; nothing is locked meanwhile.

    What is added meanwhile is seen where it comes after what was given out already.

    Args:
        database: the hub's.
        choose: names the table.
        keys: columns that together name one row.
        page: how many rows are held at once.
    """
    last: tuple[Any, ...] | None = None
    while True:
        with database.reading() as tables:
            table = choose(tables)
            columns = [getattr(table, key) for key in keys]
            query = table.select().order_by(*columns).limit(page)
            if last is not None:
                query = query.where(Tuple(*columns) > Tuple(*last))
            rows = list(query)
        yield from rows
        if len(rows) < page:
            return
        last = tuple(getattr(rows[-1], key) for key in keys)
