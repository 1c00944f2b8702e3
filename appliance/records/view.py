"""What a job looks like in a list: computed from its events, one after the other."""

from __future__ import annotations

import unicodedata
from functools import singledispatch
from typing import Literal

import msgspec
from msgspec import Struct

from appliance.records.events import (
    BackupMade,
    Body,
    Event,
    GatesChecked,
    HwEvent,
    Identified,
    JobCreated,
    PlanCompiled,
    Recovered,
    Refused,
    WriteEnded,
    WriteStarted,
)
from appliance.records.vehicle import Customer, Vehicle

JobState = Literal["draft", "ready", "writing", "verified", "refused", "aborted_recoverable"]
_UNFINISHED = ("writing", "aborted_recoverable")


class JobView(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """A job in one glance.

    Attributes:
        made: wall time of its first event (RFC 3339); for people only.
        state: `draft` until there is a plan, `ready`, `writing`, then the outcome.
        what, next_step: the sentences of the last refusal or outcome.
        run: the run that is under way or unfinished, empty for none.
        ended_runs: runs whose outcome is recorded.
        plans: digests, in the order of their making.
        backups: ids, in the order of their making.
        length, head: the chain's.
    """

    job: str
    customer: Customer
    vehicle: Vehicle
    complaint: str
    technician: str
    made: str
    length: int
    head: str
    state: JobState = "draft"
    what: str = ""
    next_step: str = ""
    run: str = ""
    ended_runs: list[str] = []
    plans: list[str] = []
    backups: list[str] = []
    ecus: list[str] = []


def begin(event: Event, body: JobCreated) -> JobView:
    """The view after a job's first event."""
    return JobView(
        job=event.job,
        customer=body.customer,
        vehicle=body.vehicle,
        complaint=body.complaint,
        technician=body.technician,
        made=event.at.wall,
        length=event.seq,
        head=event.hash,
    )


def advance(view: JobView | None, event: Event) -> JobView:
    """The view after one more event.

    Raises:
        ValueError: the first event is not the job's creation.
    """
    if view is None:
        if not isinstance(event.body, JobCreated):
            raise ValueError("a job begins with its creation")
        return begin(event, event.body)
    changed = _apply(event.body, view)
    return msgspec.structs.replace(changed, length=event.seq, head=event.hash)


def search_text(view: JobView) -> str:
    """What a search looks through: everything about customer and car, without case and accents."""
    customer, vehicle = view.customer, view.vehicle
    parts = (customer.name, customer.phone, customer.email, vehicle.description)
    return folded(" ".join((*parts, vehicle.vin, vehicle.plate, view.complaint, view.job)))


def folded(text: str) -> str:
    """Text as it is compared in a search: 'MÜLLER', 'Müller' and 'muller' are one."""
    plain = unicodedata.normalize("NFKD", text.casefold())
    return "".join(letter for letter in plain if not unicodedata.combining(letter))


@singledispatch
def _apply(body: Body, view: JobView) -> JobView:
    """Most events change nothing that a list shows."""
    del body
    return view


@_apply.register
def _(body: Identified, view: JobView) -> JobView:
    return msgspec.structs.replace(view, ecus=_with(view.ecus, body.ecu))


@_apply.register
def _(body: BackupMade, view: JobView) -> JobView:
    return msgspec.structs.replace(view, backups=_with(view.backups, body.backup))


@_apply.register
def _(body: PlanCompiled, view: JobView) -> JobView:
    view = msgspec.structs.replace(view, plans=_with(view.plans, body.plan_digest))
    return view if view.state in _UNFINISHED else _state(view, "ready")


@_apply.register
def _(body: GatesChecked, view: JobView) -> JobView:
    closed = next((result for result in body.results if not result.passed), None)
    # A refused try changes nothing about a write that is unfinished: that stays what matters.
    if body.dry or body.permit or closed is None or view.state in _UNFINISHED:
        return view
    return _state(view, "refused", f"{closed.gate}: {closed.reason}", closed.next_step)


@_apply.register
def _(body: Refused, view: JobView) -> JobView:
    if view.state in (*_UNFINISHED, "verified"):
        return view
    state: JobState = "refused" if body.gate else view.state
    return _state(view, state, body.what, body.next_step)


@_apply.register
def _(body: WriteStarted, view: JobView) -> JobView:
    return _writing(view, body.run)


@_apply.register
def _(body: HwEvent, view: JobView) -> JobView:
    return _writing(view, body.run)


@_apply.register
def _(body: WriteEnded, view: JobView) -> JobView:
    view = msgspec.structs.replace(view, ended_runs=_with(view.ended_runs, body.run))
    run = body.run if body.outcome == "aborted_recoverable" else ""
    return _state(view, body.outcome, body.what, body.next_step, run)


@_apply.register
def _(body: Recovered, view: JobView) -> JobView:
    return msgspec.structs.replace(view, run="") if view.run == body.run else view


def _writing(view: JobView, run: str) -> JobView:
    if run in view.ended_runs or (view.state == "writing" and view.run == run):
        return view
    return _state(view, "writing", run=run)


def _state(
    view: JobView, state: JobState, what: str = "", next_step: str = "", run: str = ""
) -> JobView:
    return msgspec.structs.replace(view, state=state, what=what, next_step=next_step, run=run)


def _with(known: list[str], one: str) -> list[str]:
    return known if one in known else [*known, one]
