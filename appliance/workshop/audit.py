"""Who did what at the workshop: one line for each, in the transaction that did it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from appliance.workshop.tables import HubDatabase, Models

CONSOLE = "at the workshop's machine"
"""Who uses the command line there."""
_LONGEST = 200


@dataclass(frozen=True)
class Entry:
    """One line: when (seconds since 1970), who, what, to whom or what."""

    number: int
    at: int
    who: str
    did: str
    about: str


def note(tables: Models, at: float, who: str, did: str, about: str = "") -> None:
    """Write a line."""
    tables.audit.create(at=int(at), who=who[:_LONGEST], did=did, about=about[:_LONGEST])


def entries(database: HubDatabase, before: int = 0, limit: int = 100) -> Sequence[Entry]:
    """The newest lines, those before a number where one is given."""
    with database.reading() as tables:
        audit = tables.audit
        query = audit.select().order_by(audit.number.desc()).limit(limit)
        if before:
            query = query.where(audit.number < before)
        return [Entry(row.number, row.at, row.who, row.did, row.about) for row in query]
