"""The page of one job: what was done to which car, on what evidence, with what result."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from urllib.parse import quote

from reportlab.graphics import renderSVG
from reportlab.graphics.shapes import Drawing
from starlette.responses import RedirectResponse, Response
from starlette.routing import Route

from appliance.records import events as e
from appliance.records import reading
from appliance.records.report import report_pdf
from appliance.records.report.chart import voltage_charts
from appliance.records.report.layout import REGULAR
from appliance.records.report.signature import signature_drawing
from appliance.records.view import JobView, advance
from appliance.workshop.archive import events_of, plans_of
from appliance.workshop.conflicts import conflicts_of_job
from appliance.workshop.errors import NotThere
from appliance.workshop.listedbackups import backups_of_job
from appliance.workshop.notes import LONGEST, add_note, notes_of_job
from appliance.workshop.office.pages import Office, Visit
from hw.errors import FieldKitError, UsageError
from hw.sshsig import fingerprint, public_key_of
from hw.statements import AgreementStatement


@dataclass(frozen=True)
class Line:
    """A line of the timeline."""

    number: int
    when: str
    what: str
    said: str


@dataclass(frozen=True)
class Gate:
    """What a gate said, and what it looked at."""

    name: str
    passed: bool
    reason: str
    next_step: str
    facts: Sequence[tuple[str, str]]
    when: str
    dry: bool


@dataclass(frozen=True)
class Run:
    """A write whose voltage was measured: its name, where its chart is, the extremes in volts."""

    name: str
    chart: str
    lowest: float
    highest: float
    samples: int


@dataclass(frozen=True)
class Agreement:
    """What a customer signed: the title of the text, and where the signature's drawing is."""

    title: str
    signature: str
    statement: AgreementStatement
    when: str


def routes(office: Office) -> Sequence[Route]:
    """The pages."""
    pages = _Job(office)
    return (
        office.route("/jobs/{job}", pages.show),
        office.route("/jobs/{job}/notes", pages.write_down, methods=("POST",)),
        office.route("/jobs/{job}/report.pdf", pages.report),
        office.route("/jobs/{job}/voltage.svg", pages.voltage),
        office.route("/jobs/{job}/signature.svg", pages.signature),
    )


class _Job:
    def __init__(self, office: Office) -> None:
        self._office = office

    def show(self, visit: Visit) -> Response:
        return self._show(visit)

    def _show(
        self, visit: Visit, error: FieldKitError | None = None, *, unwritten: str = ""
    ) -> Response:
        hub, job = self._office.hub, visit.part("job")
        chain = events_of(hub, job)
        view = _view(chain)
        before, after = reading.before_and_after(chain)
        kits = {kit["id"]: kit["name"] for kit in hub.kits()}
        refused = conflicts_of_job(hub.database, job)
        return self._office.page(
            visit,
            "job.html",
            400 if error else 200,
            error=error,
            unwritten=unwritten,
            view=view,
            kit=kits.get(fingerprint(public_key_of(chain[-1].signature)), "unknown"),
            simulated=reading.simulated(chain),
            restored=_not_restored(chain),
            before=before,
            after=after,
            values=list(reading.compared(before, after)),
            gates=list(_gates(chain)),
            runs=list(_runs(job, chain, plans_of(hub, chain))),
            backups=backups_of_job(hub.database, job),
            conflicts=refused,
            unsettled=sum(not one.settled for one in refused),
            timeline=list(_timeline(chain)),
            unsure=any(event.at.wall_quality == "unsynchronised" for event in chain),
            agreements=list(_agreements(job, chain)),
            order=hub.orders.of_job(job),
            notes=notes_of_job(hub.database, job),
            longest_note=LONGEST,
        )

    def write_down(self, visit: Visit) -> Response:
        """A note; one that is refused stays in its form."""
        hub, job, text = self._office.hub, visit.part("job"), visit.field("text")
        try:
            add_note(hub.database, job, text, visit.who.name, hub.now())
        except UsageError as refused:
            return self._show(visit, refused, unwritten=text)
        return RedirectResponse(f"/jobs/{job}#notes", 303)

    def report(self, visit: Visit) -> Response:
        """The same report that the kit makes of the same events."""
        job = visit.part("job")
        chain = events_of(self._office.hub, job)
        name = f"job-{job}.pdf"
        return Response(
            report_pdf(chain, plans_of(self._office.hub, chain)),
            media_type="application/pdf",
            headers={"Content-Disposition": f'attachment; filename="{name}"'},
        )

    def voltage(self, visit: Visit) -> Response:
        chain = events_of(self._office.hub, visit.part("job"))
        for run, _, drawing in voltage_charts(chain, plans_of(self._office.hub, chain)):
            if run == visit.asked("run"):
                return _drawn(drawing)
        raise NotThere("There is no chart of this run.", "Go back to the job.")

    def signature(self, visit: Visit) -> Response:
        chain = events_of(self._office.hub, visit.part("job"))
        for event, body in reading.with_bodies(chain, e.AgreementSigned):
            if event.seq == visit.number("event"):
                return _drawn(signature_drawing(body.agreed.strokes))
        raise NotThere("There is no such signature.", "Go back to the job.")


def _drawn(drawing: Drawing) -> Response:
    # A browser has not the report's font, and would take one with serifs.
    text = renderSVG.drawToString(drawing).replace(REGULAR, "sans-serif")
    return Response(text, media_type="image/svg+xml")


def _view(chain: Sequence[e.Event]) -> JobView:
    view: JobView | None = None
    for event in chain:
        view = advance(view, event)
    if view is None:
        raise NotThere("There is no such job.", "Look at the list of jobs.")
    return view


def _not_restored(chain: Sequence[e.Event]) -> Sequence[str]:
    ended = reading.last(chain, e.WriteEnded)
    return ended.not_restored if ended is not None else ()


def _gates(chain: Sequence[e.Event]) -> Iterator[Gate]:
    for event, body in reading.gates_that_counted(chain):
        for result in body.results:
            yield Gate(
                name=result.gate,
                passed=result.passed,
                reason=result.reason,
                next_step="" if result.passed else result.next_step,
                facts=sorted((key, str(value)) for key, value in result.facts.items()),
                when=event.at.wall,
                dry=body.dry,
            )


def _runs(job: str, chain: Sequence[e.Event], plans: Mapping[str, bytes]) -> Iterator[Run]:
    for name, trace, _ in voltage_charts(chain, plans):
        chart = f"/jobs/{job}/voltage.svg?run={quote(name)}"
        lowest, highest = trace.lowest or 0.0, trace.highest or 0.0
        yield Run(name, chart, lowest, highest, len(trace.samples))


def _agreements(job: str, chain: Sequence[e.Event]) -> Iterator[Agreement]:
    for event, body in reading.with_bodies(chain, e.AgreementSigned):
        statement = body.agreed
        title = next((line for line in body.text.split("\n") if line.strip()), statement.text)
        address = f"/jobs/{job}/signature.svg?event={event.seq}"
        yield Agreement(title, address, statement, statement.made.wall)


def _timeline(chain: Sequence[e.Event]) -> Iterator[Line]:
    for event in chain:
        if (line := reading.told(event)) is not None:
            yield Line(event.seq, event.at.wall, *line)
