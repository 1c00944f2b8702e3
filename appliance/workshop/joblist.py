"""The lists of jobs and of their backups, made of the records as they are taken."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from appliance.records.events import Event
from appliance.records.view import JobView, advance
from appliance.sync.record import Record
from appliance.workshop.listedbackups import list_backups
from appliance.workshop.search import index_job, words_of_job
from appliance.workshop.statements import given, written
from appliance.workshop.tables import Models


def note_job(tables: Models, record: Record, events: Sequence[Event], received: int) -> JobView:
    """Bring a job's line up to the end of a record, and list the backups that are in it.

    Args:
        tables: of the open transaction.
        record, events: one that follows those of the job that were noted before.
        received: when it came, in seconds since 1970.

    Returns:
        How the job stands then.

    Raises:
        ValueError: the record does not begin where the line ends.
    """
    jobs = tables.jobs
    known = written(
        jobs,
        "of record",
        lambda: jobs.select(jobs.number, jobs.search, jobs.view).where(jobs.job == given("job")),
    ).rows(job=record.job)
    number, words, kept = known[0] if known else (0, "", b"")
    before = msgspec.json.decode(bytes(kept), type=JobView) if known else None
    view = before
    for event in events:
        view = advance(view, event)
    if view is None or record.first != (before.length if before is not None else 0) + 1:
        raise ValueError("the job's list does not lead to where its records end")
    search = words_of_job(view, events, words)
    row = {
        "job": record.job,
        "kit": record.kit,
        "state": view.state,
        "vin": view.vehicle.vin,
        "made": view.made,
        "received": received,
        "view": msgspec.json.encode(view),
        "search": search,
    }
    values = {name: given(name) for name in row}
    if known:
        of_job = jobs.number == given("number")
        written(jobs, "change", lambda: jobs.update(values).where(of_job)).rows(
            **row, number=number
        )
    else:
        add = written(jobs, "add", lambda: jobs.insert(values).returning(jobs.number))
        ((number,),) = add.rows(**row)
    index_job(tables, number, search, words)
    list_backups(tables, record, received)
    return view
