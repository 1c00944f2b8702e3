"""What the hub refused because something else was taken before, as the office looks at it.

Nothing of it is ever removed. The office says what was decided, and it leaves the list of those
that somebody must look at.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from appliance.workshop.archive import record_of
from appliance.workshop.audit import note
from appliance.workshop.errors import NotThere
from appliance.workshop.tables import HubDatabase, Models
from hw.errors import UsageError

LONGEST_DECISION = 500


@dataclass(frozen=True)
class Refused:
    """A record that was not taken.

    Attributes:
        sha256: of its content.
        sequence: its number among the kit's records.
        first, last: which events of the job it holds.
        received: when it came, in seconds since 1970.
        settled: when somebody said what was decided, 0 for not yet.
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
    settled: int
    settled_by: str
    decision: str


def conflicts(
    database: HubDatabase, *, settled: bool = False, limit: int = 200
) -> Sequence[Refused]:
    """The newest, of those that are settled or of those that are not."""
    with database.reading() as tables:
        refused = tables.conflicts
        fitting = refused.settled > 0 if settled else refused.settled == 0
        query = refused.select().where(fitting).order_by(refused.received.desc()).limit(limit)
        return [_refused(row) for row in query]


def count_conflicts(database: HubDatabase) -> int:
    """How many nobody has settled yet."""
    with database.reading() as tables:
        return int(tables.conflicts.select().where(tables.conflicts.settled == 0).count())


def conflicts_of_job(database: HubDatabase, job: str) -> Sequence[Refused]:
    """All that would have been a job's, settled or not, the newest first."""
    with database.reading() as tables:
        refused = tables.conflicts
        query = refused.select().where(refused.job == job).order_by(refused.received.desc())
        return [_refused(row) for row in query]


def settle(database: HubDatabase, sha256: str, decision: str, by: str, now: float) -> None:
    """Say what was decided of a refused record.

    Args:
        by: who says it.
        now: seconds since 1970.

    Raises:
        NotThere: there is none of this content.
        UsageError: it was settled already, or nothing is said, or too much.
    """
    words = " ".join(decision.split())
    if not words or len(words) > LONGEST_DECISION:
        raise UsageError(
            f"What was decided must be said, in {LONGEST_DECISION} letters at most.",
            "Go back and write down what was done, and by whom.",
        )

    def keep(tables: Models) -> None:
        refused = tables.conflicts
        said = refused.update(settled=int(now), settled_by=by, decision=words)
        first = said.where((refused.sha256 == sha256) & (refused.settled == 0)).execute()
        row = _get(tables, sha256)
        if not first:
            raise UsageError(
                f"{row.settled_by} has settled this already.", "Look at the settled conflicts."
            )
        note(tables, now, by, "settled a conflict", f"{row.job}: {words}")

    database.write(keep)


def refused_body(database: HubDatabase, sha256: str) -> bytes:
    """A refused record, exactly as it came.

    Raises:
        NotThere: there is none of this content.
    """
    with database.reading() as tables:
        return bytes(_get(tables, sha256).body)


def name_jobs(tables: Models) -> None:
    """Write down whose job each would have been, for a database that did not."""
    refused = tables.conflicts
    names = [name for (name,) in refused.select(refused.sha256).where(refused.job == "").tuples()]
    for name in names:
        job = record_of(bytes(_get(tables, name).body)).job
        refused.update(job=job).where(refused.sha256 == name).execute()


def _get(tables: Models, sha256: str) -> Any:
    row = tables.conflicts.get_or_none(tables.conflicts.sha256 == sha256)
    if row is None:
        raise NotThere("There is no such record.", "Look at the list of conflicts.")
    return row


def _refused(row: Any) -> Refused:
    record = record_of(bytes(row.body))
    return Refused(
        sha256=row.sha256,
        kit=row.kit,
        record=row.record,
        sequence=row.sequence,
        job=row.job,
        first=record.first,
        last=record.first + len(record.events) - 1,
        why=row.why,
        received=row.received,
        settled=row.settled,
        settled_by=row.settled_by,
        decision=row.decision,
    )
