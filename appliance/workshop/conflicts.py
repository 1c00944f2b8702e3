"""What the hub refused because something else was taken before, as the office looks at it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from appliance.workshop.archive import record_of
from appliance.workshop.errors import NotThere
from appliance.workshop.tables import HubDatabase


@dataclass(frozen=True)
class Refused:
    """A record that was not taken.

    Attributes:
        sha256: of its content.
        sequence: its number among the kit's records.
        first, last: which events of the job it holds.
        received: when it came, in seconds since 1970.
    """

    sha256: str
    kit: str
    record: str
    sequence: int
    job: str
    first: int
    last: int
    why: str
    received: int


def conflicts(database: HubDatabase, limit: int = 200) -> Sequence[Refused]:
    """The newest."""
    with database.reading() as tables:
        query = tables.conflicts.select().order_by(tables.conflicts.received.desc()).limit(limit)
        return [_refused(row) for row in query]


def conflicts_of_job(database: HubDatabase, job: str) -> Sequence[Refused]:
    """Those that would have been a job's, among the newest."""
    return [one for one in conflicts(database) if one.job == job]


def refused_body(database: HubDatabase, sha256: str) -> bytes:
    """A refused record, exactly as it came.

    Raises:
        NotThere: there is none of this content.
    """
    with database.reading() as tables:
        row = tables.conflicts.get_or_none(tables.conflicts.sha256 == sha256)
    if row is None:
        raise NotThere("There is no such record.", "Look at the list of conflicts.")
    return bytes(row.body)


def _refused(row: Any) -> Refused:
    record = record_of(bytes(row.body))
    return Refused(
        sha256=row.sha256,
        kit=row.kit,
        record=row.record,
        sequence=row.sequence,
        job=record.job,
        first=record.first,
        last=record.first + len(record.events) - 1,
        why=row.why,
        received=row.received,
    )
