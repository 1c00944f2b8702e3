"""What people want to know of a job, looked up in its events: for the report and for the office."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import TypeVar

from appliance.records import events as e
from hw.messages import GateChanged

B = TypeVar("B")
_VIN_DID = 0xF190
"""VINDataIdentifier (ISO 14229-1:2020, annex C.1)."""


@dataclass(frozen=True)
class Compared:
    """One value of an ECU before a write and after it, in words; empty where it was not read."""

    did: int
    label: str
    was: str
    now: str
    changed: bool


def bodies(chain: Sequence[e.Event], kind: type[B]) -> Iterator[B]:
    """The bodies of one kind, in order."""
    return (event.body for event in chain if isinstance(event.body, kind))


def with_bodies(chain: Sequence[e.Event], kind: type[B]) -> Iterator[tuple[e.Event, B]]:
    """As `bodies`, each with its event."""
    return ((event, event.body) for event in chain if isinstance(event.body, kind))


def last(chain: Sequence[e.Event], kind: type[B]) -> B | None:
    """The last body of a kind, None where there is none."""
    return next(bodies(chain[::-1], kind), None)


def created(chain: Sequence[e.Event]) -> e.JobCreated:
    """What the job began with."""
    return next(bodies(chain, e.JobCreated))


def last_refusal(chain: Sequence[e.Event]) -> tuple[str, str] | None:
    """What was last refused and what to do then; None where nothing was."""
    for event in reversed(chain):
        body = event.body
        if isinstance(body, e.Refused) and body.gate:
            return f"{body.gate}: {body.what}", body.next_step
        if isinstance(body, e.GatesChecked) and not body.dry:
            for result in body.results:
                if not result.passed:
                    return f"{result.gate}: {result.reason}", result.next_step
    return None


def simulated(chain: Sequence[e.Event]) -> list[str]:
    """What was not real on this job; empty where all was."""
    named = [name for body in bodies(chain, e.WriteStarted) for name in body.simulated]
    if any(body.simulated for body in bodies(chain, e.BackupMade)):
        named = [name for name in named if name != "media"]
        named.append("media (both copies may lie on one filesystem)")
    return list(dict.fromkeys(named))


def before_and_after(chain: Sequence[e.Event]) -> tuple[e.Identified | None, e.Identified | None]:
    """The last identification before the first write, and the last one after a write."""
    before, after, written = None, None, False
    for event in chain:
        if isinstance(event.body, e.WriteStarted | e.HwEvent):
            written = True
        elif isinstance(event.body, e.Identified):
            if written:
                after = event.body
            else:
                before = event.body
    return before, after


def vins_read(identified: Iterable[e.Identified]) -> list[str]:
    """What ECUs said that their car is, each once."""
    values = (value for body in identified for value in body.values)
    return list(dict.fromkeys(one.text for one in values if one.did == _VIN_DID and one.text))


def shown(value: e.DidValue | None) -> str:
    """A value for people; why it was not read, where it was not."""
    return (value.refused or value.text or value.value) if value else ""


def compared(before: e.Identified | None, after: e.Identified | None) -> Iterator[Compared]:
    """What an ECU said of itself, before and after, value by value."""
    old = {value.did: value for value in before.values} if before else {}
    new = {value.did: value for value in after.values} if after else {}
    for did in dict.fromkeys((*old, *new)):
        was, now = shown(old.get(did)), shown(new.get(did))
        changed = did in old and did in new and was != now
        yield Compared(did, (old.get(did) or new[did]).label, was, now, changed)


def gates_that_counted(chain: Sequence[e.Event]) -> list[tuple[e.Event, e.GatesChecked]]:
    """Each time a permit was asked for; when it never was, the last dry run."""
    checked = list(with_bodies(chain, e.GatesChecked))
    return [pair for pair in checked if not pair[1].dry] or checked[-1:]


def told(event: e.Event) -> tuple[str, str] | None:
    """One line of the timeline; None for the samples and progress between."""
    body, kind = event.body, event.kind.replace("_", " ")
    if isinstance(body, e.HwEvent):
        change = body.event
        return (f"gate {change.state}", change.reason) if isinstance(change, GateChanged) else None
    if isinstance(body, e.Refused):
        return f"refused: {body.doing}", f"{body.gate} {body.what}".strip()
    if isinstance(body, e.GatesChecked):
        closed = [result.gate for result in body.results if not result.passed]
        said = f"closed: {', '.join(closed)}" if closed else "all open"
        return kind, f"{'dry run, ' if body.dry else ''}{said}"
    detail = _DETAILS.get(type(body))
    return kind, detail.format(body=body) if detail else ""


# What a line of the timeline says besides the kind of the event.
_DETAILS: dict[type, str] = {
    e.JobCreated: "by {body.technician}",
    e.OrderTaken: "{body.told}",
    e.Identified: "{body.ecu} over {body.link}",
    e.BackupMade: "{body.backup}",
    e.BackupVerified: "{body.backup}",
    e.BackupOpened: "{body.backup} by {body.technician}",
    e.PlanCompiled: "{body.title}",
    e.AgreementSigned: "{body.agreed.text} by {body.agreed.customer}",
    e.WriteStarted: "run {body.run}",
    e.WriteEnded: "{body.outcome}: {body.what}",
    e.Recovered: "run {body.run} by run {body.by_run}",
    e.Resumed: "run {body.run}",
    e.AbortAsked: "run {body.run}, by {body.technician}",
    e.Note: "{body.author}: {body.text}",
    e.WrongPassphrase: "for {body.technician}, {body.tries} in all",
    e.Exported: "{body.length} events",
}
