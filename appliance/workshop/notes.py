"""What people of the office write down of a job, beside the record that the kit signed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from appliance.ids import uuid7
from appliance.workshop.audit import note
from appliance.workshop.errors import NotThere
from appliance.workshop.tables import HubDatabase, Models
from hw.errors import UsageError

LONGEST = 5_000


@dataclass(frozen=True)
class JobNote:
    """A note; `made` in seconds since 1970."""

    made: int
    who: str
    text: str


def add_note(database: HubDatabase, job: str, text: str, by: str, now: float) -> None:
    """Write something down. It is never changed, and is part of the export.

    Args:
        by: who writes.
        now: seconds since 1970.

    Raises:
        NotThere: there is no such job.
        UsageError: nothing is said, or too much.
    """
    words = text.strip().replace("\r\n", "\n")
    if not words or len(words) > LONGEST:
        raise UsageError(
            f"A note has 1 to {LONGEST} letters; this one has {len(words)}.",
            "Write something, or make it shorter; what you wrote is still in the form.",
        )

    def keep(tables: Models) -> None:
        if tables.jobs.get_or_none(tables.jobs.job == job) is None:
            raise NotThere("There is no such job.", "Look at the list of jobs.")
        tables.notes.create(id=uuid7(), job=job, made=int(now), who=by, text=words)
        note(tables, now, by, "wrote a note on the job", job)

    database.write(keep)


def notes_of_job(database: HubDatabase, job: str) -> Sequence[JobNote]:
    """The notes on a job, the oldest first."""
    with database.reading() as tables:
        notes = tables.notes
        query = notes.select().where(notes.job == job).order_by(notes.made, notes.id)
        return [JobNote(row.made, row.who, row.text) for row in query]
