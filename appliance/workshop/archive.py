"""A job out of its records again: its events, in order, and the plans that they name."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from appliance.records import reading
from appliance.records.chain import read_event
from appliance.records.events import Event, PlanCompiled
from appliance.sync.record import Record, Signed
from appliance.workshop.errors import NotThere
from appliance.workshop.hub import Hub


def events_of(hub: Hub, job: str) -> list[Event]:
    """All events of a job. Each was proven when its record was taken.

    Raises:
        NotThere: there is no such job.
        ChainBroken: one cannot be read.
    """
    with hub.database.reading() as tables:
        records = tables.records
        query = records.select(records.body).where(records.job == job).order_by(records.first)
        bodies = [bytes(row.body) for row in query]
    if not bodies:
        raise NotThere(f"There is no job {job}.", "Look at the list of jobs.")
    return [
        read_event(job, seq, signed.document.encode(), signed.signature.encode())
        for record in map(record_of, bodies)
        for seq, signed in enumerate(record.events, start=record.first)
    ]


def record_of(body: bytes) -> Record:
    """A record that the hub has taken or kept aside, as it was sent."""
    signed = msgspec.json.decode(body, type=Signed)
    return msgspec.json.decode(signed.document, type=Record)


def plans_of(hub: Hub, chain: Sequence[Event]) -> dict[str, bytes]:
    """The plans of a job by their digests; those that the kit did not keep are missing.

    Raises:
        HubUnavailable: the store does not answer.
    """
    digests = {body.plan_digest for body in reading.bodies(chain, PlanCompiled)}
    return {
        digest: b"".join(hub.blobs.read(digest))
        for digest in digests
        if hub.blobs.size(digest) is not None
    }
