"""The jobs of a kit: their chains in the database, and the views that lists are made of."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import msgspec
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from appliance.identity.wallclock import moment
from appliance.ids import uuid7
from appliance.records.chain import (
    NO_EVENT,
    Head,
    SignedHead,
    Verified,
    make_event,
    make_head,
    read_event,
    read_head,
    verify_chain,
)
from appliance.records.errors import ChainBroken, JobNotThere
from appliance.records.events import (
    BackupMade,
    Body,
    Event,
    HwEvent,
    JobCreated,
    OrderTaken,
    PlanCompiled,
    WriteEnded,
    WriteStarted,
    body_of,
)
from appliance.records.vehicle import Customer, Vehicle
from appliance.records.view import JobState, JobView, advance, folded, search_text
from appliance.store import Store, Tables
from hw.errors import UNDECODABLE
from hw.messages import EventBody, Outcome
from hw.sshsig import AllowedSigners

PAGE = 500
"""Events read from the database at a time."""
_SHORTEST_PART = 4


@dataclass(frozen=True)
class JobFilter:
    """Which jobs a list shows; what is empty does not filter.

    Attributes:
        words: each must occur in customer, vehicle, complaint or id; case and accents aside.
        states: any of these.
        vin: exactly this one.
        before: only jobs made before this one (its id): the next page.
        limit: at most so many.
    """

    words: str = ""
    states: tuple[JobState, ...] = ()
    vin: str = ""
    before: str = ""
    limit: int = 100


@dataclass(frozen=True)
class Records:
    """All jobs of one kit.

    Everything that changes a job is one event on its chain, signed and on the disk when the call
    returns. Calls may come from any thread; the store puts them in order.

    Args:
        store: the kit's database.
        kit_key: signs every event.
        signers: who may sign records; what `verify_job` believes.
    """

    store: Store
    kit_key: Ed25519PrivateKey = field(repr=False)
    signers: AllowedSigners

    # Writing ----------------------------------------------------------------------------------

    def create_job(
        self,
        customer: Customer,
        vehicle: Vehicle,
        complaint: str,
        technician: str,
        order: OrderTaken | None = None,
    ) -> JobView:
        """Open a job. `vehicle` comes from `parse_vehicle` or `vehicle`, which check the VIN.

        For an `order` a job is opened once: where there is one, that is returned.
        """
        body = JobCreated(
            customer=customer, vehicle=vehicle, complaint=complaint, technician=technician
        )
        job = uuid7()

        def work(tables: Tables) -> str:
            if order is not None and (there := _jobs_of(tables, "order", order.order)):
                return there[0]
            self._extend(tables, job, None, [body] if order is None else [body, order])
            return job

        return self.job(self.store.run(work))

    def append(self, job: str, body: Body) -> Event:
        """Put one event on a job's chain.

        Raises:
            JobNotThere: there is no such job.
        """
        return self.append_all(job, [body])[0]

    def append_kind(self, job: str, kind: str, fields: Mapping[str, Any]) -> Event:
        """As `append`, from an event's kind and plain fields.

        Raises:
            UsageError: there is no such kind, or the fields are not its own.
        """
        return self.append(job, body_of(kind, fields))

    def append_all(self, job: str, bodies: Sequence[Body]) -> list[Event]:
        """Put events on a job's chain, all of them or none."""
        return self.store.run(lambda tables: self._extend(tables, job, _view(tables, job), bodies))

    def append_events(self, job: str, run: str, events: Sequence[tuple[int, EventBody]]) -> None:
        """Record what hw told of a run, each event once however often it comes.

        Args:
            job: whose run it is.
            run: hw's name of the run.
            events: `(number, event)`; number 0 is an outcome that hw could not number, and counts
                only while the run has no outcome.
        """

        def work(tables: Tables) -> None:
            bodies = list(_fresh(tables, run, events))
            if bodies:
                self._extend(tables, job, _view(tables, job), bodies)

        self.store.run(work)

    def _extend(
        self, tables: Tables, job: str, view: JobView | None, bodies: Sequence[Body]
    ) -> list[Event]:
        made: list[Event] = []
        previous, seq = (view.head, view.length) if view else (NO_EVENT, 0)
        for body in bodies:
            event = make_event(job, seq + 1, previous, moment(), body, self.kit_key)
            view = advance(view, event)
            previous, seq = event.hash, event.seq
            made.append(event)
        if not made or view is None:
            return made
        tables.events.insert([_row(event) for event in made]).execute()
        head = make_head(made[-1], self.kit_key)
        row = {"job": job, "document": head.document, "signature": head.signature}
        tables.heads.insert(row).on_conflict_replace().execute()
        _put_view(tables, view)
        for event in made:
            _put_subject(tables, event)
        return made

    # Reading ----------------------------------------------------------------------------------

    def job(self, job: str) -> JobView:
        """A job's view.

        Raises:
            JobNotThere: there is no such job.
        """
        return self.store.run(lambda tables: _view(tables, job))

    def find(self, word: str) -> str:
        """A job by its id, or by the beginning or end of it (at least 4 characters).

        Raises:
            JobNotThere: none, or more than one, fits.
        """
        wanted = word.strip().lower()
        if len(wanted) < _SHORTEST_PART or not set(wanted) <= set("0123456789abcdef-"):
            raise _not_there(word)

        def work(tables: Tables) -> list[str]:
            name = tables.jobs.job
            # A whole id, as programs give it, needs no look at every job.
            if list(tables.jobs.select(name).where(name == wanted)):
                return [wanted]
            query = tables.jobs.select(name).where((name ** f"{wanted}%") | (name ** f"%{wanted}"))
            return [str(row["job"]) for row in query.limit(2)]

        found = self.store.run(work)
        if len(found) > 1:
            raise JobNotThere(f"More than one job fits '{word}'.", "Give more of its id.")
        if not found:
            raise _not_there(word)
        return found[0]

    def list_jobs(self, wanted: JobFilter | None = None) -> list[JobView]:
        """Jobs, the newest first; the next page is asked for with `before` the last one's id."""
        asked = wanted or JobFilter()

        def work(tables: Tables) -> list[bytes]:
            query = tables.jobs.select(tables.jobs.view).order_by(tables.jobs.job.desc())
            for condition in _conditions(tables, asked):
                query = query.where(condition)
            return [bytes(row["view"]) for row in query.limit(asked.limit)]

        return [_decode_view(raw) for raw in self.store.run(work)]

    def events(self, job: str, after: int = 0, limit: int = PAGE) -> list[Event]:
        """At most `limit` events of a job after number `after`, in order, as they were written.

        Raises:
            ChainBroken: one cannot be read.
        """
        rows = self.store.run(lambda tables: _rows(tables, job, after, limit))
        return [read_event(job, row["seq"], row["document"], row["signature"]) for row in rows]

    def all_events(self, job: str) -> Iterator[Event]:
        """Every event of a job, in order, page by page."""
        after = 0
        while page := self.events(job, after):
            yield from page
            after = page[-1].seq

    def events_of_kind(self, job: str, kind: str) -> list[Event]:
        """Every event of one kind of a job, in order."""

        def work(tables: Tables) -> list[dict[str, Any]]:
            table = tables.events
            query = table.select().where((table.job == job) & (table.kind == kind))
            return list(query.order_by(table.seq))

        rows = self.store.run(work)
        return [read_event(job, row["seq"], row["document"], row["signature"]) for row in rows]

    def jobs_of(self, kind: str, subject: str) -> list[str]:
        """Jobs that know a `backup`, `plan` (digest), `run` or `order` by its name, the oldest
        first.
        """
        return self.store.run(lambda tables: _jobs_of(tables, kind, subject))

    def last_seq(self, run: str) -> int:
        """Number of the last event of a run that is recorded, 0 for none."""
        return self.store.run(lambda tables: _last_seq(tables, run))

    def has_outcome(self, run: str) -> bool:
        """Whether the end of a run is recorded."""
        return self.store.run(lambda tables: _has_outcome(tables, run))

    def signed_head(self, job: str) -> SignedHead:
        """The head of a job's chain, as the kit signed it.

        Raises:
            JobNotThere: there is no such job.
            ChainBroken: it cannot be read.
        """
        row = self.store.run(lambda tables: _head_row(tables, job))
        return read_head(job, bytes(row["document"]), bytes(row["signature"]))

    # Proving ----------------------------------------------------------------------------------

    def verify_job(self, job: str, known: Sequence[Head] = ()) -> Verified:
        """Compute the whole chain of a job again, and compare all that is kept beside it.

        Args:
            job: the job.
            known: heads of it kept elsewhere; only these show an end that was cut off together
                with its head (see `appliance.records.chain`).

        Raises:
            ChainBroken: anything was changed, cut off or put in; names the first event.
            JobNotThere: there is no such job.
        """

        def work(tables: Tables) -> tuple[list[dict[str, Any]], dict[str, Any], JobView]:
            return _rows(tables, job, 0, -1), _head_row(tables, job), _view(tables, job)

        rows, head_row, view = self.store.run(work)
        head = read_head(job, bytes(head_row["document"]), bytes(head_row["signature"]))
        pairs = ((bytes(row["document"]), bytes(row["signature"])) for row in rows)
        verified = verify_chain(job, pairs, head, self.signers, known)
        for row, event in zip(rows, verified.events, strict=True):
            if row != _row(event):
                raise ChainBroken(job, event.seq, "the table's columns say other than the event")
        if view != _view_of(verified.events):
            raise ChainBroken(job, 0, "the list shows other than the events say")
        return verified

    def rebuild_views(self) -> int:
        """Make every job's view again from its events; returns how many there are."""

        def work(tables: Tables) -> int:
            jobs = [row["job"] for row in tables.events.select(tables.events.job).distinct()]
            tables.jobs.delete().execute()
            tables.subjects.delete().execute()
            for job in jobs:
                view: JobView | None = None
                for row in _rows(tables, job, 0, -1):
                    event = read_event(job, row["seq"], row["document"], row["signature"])
                    view = advance(view, event)
                    _put_subject(tables, event)
                if view is not None:
                    _put_view(tables, view)
            return len(jobs)

        return self.store.run(work)


# Rows ---------------------------------------------------------------------------------------------


def _row(event: Event) -> dict[str, Any]:
    body = event.body
    run = body.run if isinstance(body, HwEvent | WriteStarted | WriteEnded) else ""
    return {
        "job": event.job,
        "seq": event.seq,
        "kind": event.kind,
        "run": run,
        "run_seq": body.seq if isinstance(body, HwEvent) else 0,
        "hash": event.hash,
        "document": event.document,
        "signature": event.signature,
    }


def _rows(tables: Tables, job: str, after: int, limit: int) -> list[dict[str, Any]]:
    table = tables.events
    query = table.select().where((table.job == job) & (table.seq > after))
    return list(query.order_by(table.seq).limit(limit))


def _head_row(tables: Tables, job: str) -> dict[str, Any]:
    rows = list(tables.heads.select().where(tables.heads.job == job))
    if not rows:
        raise _not_there(job)
    row: dict[str, Any] = rows[0]
    return row


def _view(tables: Tables, job: str) -> JobView:
    rows = list(tables.jobs.select(tables.jobs.view).where(tables.jobs.job == job))
    if not rows:
        raise _not_there(job)
    return _decode_view(bytes(rows[0]["view"]))


def _decode_view(raw: bytes) -> JobView:
    try:
        return msgspec.json.decode(raw, type=JobView)
    except UNDECODABLE as error:
        raise ChainBroken("in a list", 0, f"its entry cannot be read: {error}") from error


def _view_of(events: Sequence[Event]) -> JobView | None:
    view: JobView | None = None
    for event in events:
        view = advance(view, event)
    return view


def _put_view(tables: Tables, view: JobView) -> None:
    row = {
        "job": view.job,
        "state": view.state,
        "vin": view.vehicle.vin,
        "made": view.made,
        "search": search_text(view),
        "view": msgspec.json.encode(view),
    }
    tables.jobs.insert(row).on_conflict_replace().execute()


def _jobs_of(tables: Tables, kind: str, subject: str) -> list[str]:
    table = tables.subjects
    query = table.select(table.job).where((table.kind == kind) & (table.subject == subject))
    return [str(row["job"]) for row in query.order_by(table.job)]


def _put_subject(tables: Tables, event: Event) -> None:
    match event.body:
        case BackupMade(backup=subject):
            kind = "backup"
        case PlanCompiled(plan_digest=subject):
            kind = "plan"
        case WriteStarted(run=subject) | HwEvent(run=subject, seq=1):
            kind = "run"
        case OrderTaken(order=subject):
            kind = "order"
        case _:
            return
    row = {"kind": kind, "subject": subject, "job": event.job}
    tables.subjects.insert(row).on_conflict_ignore().execute()


def _conditions(tables: Tables, asked: JobFilter) -> Iterator[Any]:
    jobs = tables.jobs
    for word in folded(asked.words).split():
        # contains() escapes % and _ of the word itself.
        yield jobs.search.contains(word)
    if asked.states:
        yield jobs.state.in_(asked.states)
    if asked.vin:
        yield jobs.vin == asked.vin
    if asked.before:
        yield jobs.job < asked.before


# Runs of hw ---------------------------------------------------------------------------------------


def _last_seq(tables: Tables, run: str) -> int:
    table = tables.events
    query = table.select(table.run_seq).where((table.run == run) & (table.run_seq > 0))
    rows = list(query.order_by(table.run_seq.desc()).limit(1))
    return int(rows[0]["run_seq"]) if rows else 0


def _has_outcome(tables: Tables, run: str) -> bool:
    table = tables.events
    ended = (table.run == run) & (table.kind == "write_ended")
    return bool(list(table.select(table.seq).where(ended).limit(1)))


def _fresh(
    tables: Tables, run: str, events: Sequence[tuple[int, EventBody]]
) -> Iterator[HwEvent | WriteEnded]:
    """Events that are not recorded yet; after an outcome the job's own word for it."""
    table = tables.events
    numbers = [seq for seq, _ in events if seq > 0]
    there = table.select(table.run_seq).where((table.run == run) & table.run_seq.in_(numbers))
    known = {int(row["run_seq"]) for row in there}
    ended = _has_outcome(tables, run)
    for seq, event in events:
        if seq in known or (seq == 0 and ended):
            continue
        known |= {seq} if seq else set()
        yield HwEvent(run=run, seq=seq, event=event)
        if isinstance(event, Outcome):
            ended = True
            yield _ended(run, event)


def _ended(run: str, outcome: Outcome) -> WriteEnded:
    return WriteEnded(
        run=run,
        outcome=outcome.outcome,
        code=outcome.code,
        what=outcome.what,
        next_step=outcome.next_step,
        step=outcome.step,
        not_restored=list(outcome.not_restored),
    )


def _not_there(word: str) -> JobNotThere:
    return JobNotThere(f"There is no job '{word}' on this kit.", "Look at the list of jobs.")
