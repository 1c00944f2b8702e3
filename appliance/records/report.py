"""The PDF report of a job: what was done to which car, on what evidence, with what result.

It is made from the event chain alone and is the same, byte for byte, for the same chain. Text is
set in Bitstream Vera, which reportlab brings: it covers Latin scripts; a letter outside of them is
shown as an empty box, and stands in `job.json` as it was typed.
"""

from __future__ import annotations

import io
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any, TypeVar
from xml.sax.saxutils import escape

import reportlab
from reportlab.graphics.barcode.qr import QrCodeWidget
from reportlab.graphics.shapes import Drawing, Line, PolyLine, String
from reportlab.lib import colors
from reportlab.lib.pagesizes import A4
from reportlab.lib.styles import ParagraphStyle
from reportlab.lib.units import mm
from reportlab.pdfbase import pdfmetrics
from reportlab.pdfbase.ttfonts import TTFont
from reportlab.pdfgen.canvas import Canvas
from reportlab.platypus import (
    BaseDocTemplate,
    Flowable,
    Frame,
    KeepTogether,
    PageTemplate,
    Paragraph,
    Spacer,
    Table,
    TableStyle,
)

from appliance.records import events as e
from hw.messages import GateChanged, Voltage, VoltageTrace

B = TypeVar("B")
MARGIN: float = 18 * mm
WIDTH: float = A4[0] - 2 * MARGIN
INK, FAINT, LINE = (
    colors.HexColor("#111111"),
    colors.HexColor("#555555"),
    colors.HexColor("#BBBBBB"),
)
GOOD, BAD, WARN = colors.HexColor("#0B6E3A"), colors.HexColor("#A31515"), colors.HexColor("#9A5B00")
MAX_POINTS = 2000
_REGULAR, _BOLD = "Vera", "VeraBd"

_BODY = ParagraphStyle("body", fontName=_REGULAR, fontSize=8.5, leading=11.5, textColor=INK)
_SMALL = ParagraphStyle("small", parent=_BODY, fontSize=7, leading=9.5, textColor=FAINT)
_HEAD = ParagraphStyle(
    "head", parent=_BODY, fontName=_BOLD, fontSize=11, leading=14, spaceBefore=12, spaceAfter=4
)
_TITLE = ParagraphStyle("title", parent=_BODY, fontName=_BOLD, fontSize=17, leading=21)


def report_pdf(chain: Sequence[e.Event]) -> bytes:
    """The report of a job.

    Args:
        chain: all events of the job, in order, already verified.

    Returns:
        A PDF of A4 pages.
    """
    _load_fonts()
    out = io.BytesIO()
    job = chain[0].job
    document = BaseDocTemplate(
        out,
        pagesize=A4,
        leftMargin=MARGIN,
        rightMargin=MARGIN,
        topMargin=MARGIN,
        bottomMargin=MARGIN,
        title=f"fieldkit job {job}",
        author="fieldkit",
        invariant=1,
    )
    frame = Frame(MARGIN, MARGIN + 6 * mm, WIDTH, A4[1] - 2 * MARGIN - 6 * mm, 0, 0, 0, 0)
    document.addPageTemplates(
        PageTemplate(frames=[frame], onPage=lambda canvas, _: _footer(canvas, job))
    )
    document.build(list(_story(chain)))
    return out.getvalue()


def _story(chain: Sequence[e.Event]) -> Iterable[Flowable]:
    yield from _heading(chain)
    yield from _ecus(chain)
    yield from _plan(chain)
    yield from _gates(chain)
    yield from _voltage(chain)
    yield from _backups(chain)
    yield from _timeline(chain)
    yield _seal(chain)


def _heading(chain: Sequence[e.Event]) -> Iterable[Flowable]:
    created = next(_bodies(chain, e.JobCreated))
    outcome = _last(chain, e.WriteEnded)
    yield Paragraph("Job report", _TITLE)
    yield Paragraph(_text(f"{created.vehicle.name} · opened {chain[0].at.wall}"), _SMALL)
    yield Spacer(1, 6)
    if simulated := _simulated(chain):
        yield _banner(
            f"SIMULATED: {', '.join(simulated)}. This is not the record of a real car.", WARN
        )
        yield Spacer(1, 4)
    if outcome is None:
        yield _banner("No write was made on this job.", FAINT)
    else:
        good = outcome.outcome == "verified"
        word = outcome.outcome.replace("_", ", ").upper()
        yield _banner(f"{word}: {outcome.what} {outcome.next_step}", GOOD if good else BAD)
    yield Spacer(1, 6)
    customer = " · ".join(
        part
        for part in (created.customer.name, created.customer.phone, created.customer.email)
        if part
    )
    rows = [
        ("Customer", customer),
        ("Vehicle", created.vehicle.description),
        ("VIN", created.vehicle.vin or "not recorded"),
        ("Plate", created.vehicle.plate),
        ("Complaint", created.complaint),
        ("Technician", created.technician),
        ("Job", chain[0].job),
    ]
    yield _facts([(name, value) for name, value in rows if value])


def _ecus(chain: Sequence[e.Event]) -> Iterable[Flowable]:
    before, after = _before_and_after(chain)
    if before is None:
        return
    yield Paragraph("ECU identity", _HEAD)
    yield Paragraph(_text(f"{before.ecu} · profile {before.profile} · {before.link}"), _SMALL)
    later = {value.did: value for value in after.values} if after is not None else {}
    rows = [["", "", "before", "after"]]
    for value in before.values:
        new = later.get(value.did)
        rows.append([f"0x{value.did:04X}", value.label, _shown(value), _shown(new) if new else ""])
    yield _grid(rows, (16, 52, 53, 53))


def _plan(chain: Sequence[e.Event]) -> Iterable[Flowable]:
    plans = {body.plan_digest: body for body in _bodies(chain, e.PlanCompiled)}
    started = list(_bodies(chain, e.WriteStarted))
    for digest in dict.fromkeys(body.plan_digest for body in started):
        plan = plans.get(digest)
        if plan is None:
            continue
        yield Paragraph(_text(f"Plan: {plan.title}"), _HEAD)
        yield Paragraph(_text(f"{plan.risk_class} · {plan.container} · digest {digest}"), _SMALL)
        for line in plan.description:
            yield Paragraph(_text(line), _BODY)


def _gates(chain: Sequence[e.Event]) -> Iterable[Flowable]:
    checked = [event for event in chain if isinstance(event.body, e.GatesChecked)]
    final = [event for event in checked if not _gates_of(event).dry] or checked[-1:]
    if not final:
        return
    yield Paragraph("The four gates", _HEAD)
    rows = [["gate", "", "reason", "at"]]
    for event in final:
        for result in _gates_of(event).results:
            facts = ", ".join(f"{key} {value}" for key, value in result.facts.items())
            reason = result.reason if not result.passed else facts or result.reason
            verdict = "passed" if result.passed else "refused"
            rows.append([result.gate, verdict, reason, event.at.wall[11:19]])
    yield _grid(rows, (46, 18, 92, 18))


def _gates_of(event: e.Event) -> e.GatesChecked:
    if not isinstance(event.body, e.GatesChecked):
        raise TypeError(event.kind)
    return event.body


def _voltage(chain: Sequence[e.Event]) -> Iterable[Flowable]:
    points, changes = _samples(chain)
    if len(points) < 2:
        return
    yield KeepTogether(
        [
            Paragraph("Vehicle voltage during the write", _HEAD),
            _chart(points, changes),
            Paragraph(
                _text("Seconds since the first sample; dashed lines are changes of the gate."),
                _SMALL,
            ),
        ]
    )


def _samples(chain: Sequence[e.Event]) -> tuple[list[tuple[float, float]], list[tuple[float, str]]]:
    """All valid samples (boottime, volts) in order, and the gate's changes."""
    found: dict[float, float] = {}
    changes: list[tuple[float, str]] = []
    for body in _bodies(chain, e.HwEvent):
        event = body.event
        samples: Sequence[tuple[float, float | None]] = ()
        if isinstance(event, Voltage):
            samples = [(event.at, event.volts)]
        elif isinstance(event, VoltageTrace):
            samples = event.samples
        elif isinstance(event, GateChanged):
            samples = event.trace
            changes.append((event.at, event.state))
        found.update({at: volts for at, volts in samples if volts is not None})
    points = sorted(found.items())
    step = max(1, len(points) // MAX_POINTS)
    kept = points[::step]
    # Thinning must never hide how low it went.
    lowest = min(points, key=lambda point: point[1], default=None)
    return (sorted({*kept, lowest}) if lowest is not None else kept), changes


def _chart(points: list[tuple[float, float]], changes: list[tuple[float, str]]) -> Drawing:
    height, left, bottom = 52 * mm, 12 * mm, 8 * mm
    drawing = Drawing(WIDTH, height)
    start, end = points[0][0], max(points[-1][0], points[0][0] + 0.1)
    low = min(volts for _, volts in points) - 0.3
    high = max(volts for _, volts in points) + 0.3

    def x(at: float) -> float:
        return float(left + (WIDTH - left) * (at - start) / (end - start))

    def y(volts: float) -> float:
        return float(bottom + (height - bottom - 5 * mm) * (volts - low) / (high - low))

    for index in range(5):
        volts = low + (high - low) * index / 4
        drawing.add(Line(left, y(volts), WIDTH, y(volts), strokeColor=LINE, strokeWidth=0.4))
        drawing.add(_label(0, y(volts) - 2, f"{volts:.1f} V"))
        at = start + (end - start) * index / 4
        drawing.add(_label(x(at) - (10 if index else 0), 2, f"{at - start:.1f} s"))
    for at, state in changes:
        if start <= at <= end:
            drawing.add(
                Line(
                    x(at),
                    bottom,
                    x(at),
                    height - 4 * mm,
                    strokeColor=FAINT,
                    strokeWidth=0.6,
                    strokeDashArray=[2, 2],
                )
            )
            drawing.add(_label(x(at) + 1.5, height - 4 * mm, state))
    flat = [value for at, volts in points for value in (x(at), y(volts))]
    drawing.add(PolyLine(flat, strokeColor=INK, strokeWidth=0.9))
    return drawing


def _label(x: float, y: float, text: str) -> String:
    return String(x, y, text, fontName=_REGULAR, fontSize=6.5, fillColor=FAINT)


def _backups(chain: Sequence[e.Event]) -> Iterable[Flowable]:
    for backup in _bodies(chain, e.BackupMade):
        yield Paragraph("Backup on two media", _HEAD)
        rows = [("Backup", backup.backup), ("Manifest SHA-256", backup.manifest_sha256)]
        rows += [
            (f"{item.kind}, {item.size} bytes", f"{item.sha256} (ciphertext)")
            for item in backup.objects
        ]
        rows += [
            (f"{refused.region} not read", f"{refused.request} answered {refused.response}")
            for refused in backup.refused
        ]
        rows += [("Copy", folder) for folder in backup.folders]
        yield _facts(rows)


def _timeline(chain: Sequence[e.Event]) -> Iterable[Flowable]:
    yield Paragraph("Events", _HEAD)
    rows = [["", "at", "event", ""]]
    rows += [
        [str(event.seq), event.at.wall[:19].replace("T", " "), *line]
        for event in chain
        if (line := _told(event)) is not None
    ]
    yield _grid(rows, (10, 36, 34, 94))
    unsynchronised = any(event.at.wall_quality == "unsynchronised" for event in chain)
    if unsynchronised:
        yield Paragraph(
            _text("The kit's clock was not synchronised for some events: times may be wrong."),
            _SMALL,
        )


def _told(event: e.Event) -> tuple[str, str] | None:
    """One line of the timeline; None for the samples and progress between."""
    body, kind = event.body, event.kind.replace("_", " ")
    if isinstance(body, e.HwEvent):
        change = body.event
        return (f"gate {change.state}", change.reason) if isinstance(change, GateChanged) else None
    if isinstance(body, e.Refused):
        return f"refused: {body.doing}", f"{body.gate} {body.what}".strip()
    return kind, _DETAILS.get(type(body), "").format(body=body)


# What a line of the timeline says besides the kind of the event.
_DETAILS: dict[type, str] = {
    e.WriteEnded: "{body.outcome}: {body.what}",
    e.PlanCompiled: "{body.title}",
    e.Note: "{body.author}: {body.text}",
    e.WrongPassphrase: "{body.tries} for {body.technician}",
}


def _seal(chain: Sequence[e.Event]) -> Flowable:
    head = chain[-1]
    code = QrCodeWidget(f"fieldkit:{head.job}:{head.seq}:{head.hash}", barLevel="M")
    x0, y0, x1, y1 = code.getBounds()
    size = 30 * mm
    drawing = Drawing(size, size, transform=[size / (x1 - x0), 0, 0, size / (y1 - y0), 0, 0])
    drawing.add(code)
    text = [
        Paragraph("Seal of the record", _HEAD),
        Paragraph(_text(f"{head.seq} events; the head of the chain is"), _BODY),
        Paragraph(_text(head.hash), _BODY),
        Paragraph(
            _text(
                "The kit signed this head (SSHSIG, Ed25519). The files beside this report hold "
                "the whole chain and say how to verify it with stock tools."
            ),
            _SMALL,
        ),
    ]
    table = Table([[text, drawing]], colWidths=[WIDTH - size - 4 * mm, size + 4 * mm])
    table.setStyle(TableStyle([("VALIGN", (0, 0), (-1, -1), "TOP")]))
    return KeepTogether([Spacer(1, 8), table])


# Pieces -------------------------------------------------------------------------------------------


def _bodies(chain: Sequence[e.Event], kind: type[B]) -> Iterator[B]:
    return (event.body for event in chain if isinstance(event.body, kind))


def _last(chain: Sequence[e.Event], kind: type[B]) -> B | None:
    return next((body for body in reversed(list(_bodies(chain, kind)))), None)


def _simulated(chain: Sequence[e.Event]) -> list[str]:
    named = [name for body in _bodies(chain, e.WriteStarted) for name in body.simulated]
    if any(body.simulated for body in _bodies(chain, e.BackupMade)):
        named.append("media")
    return list(dict.fromkeys(named))


def _before_and_after(chain: Sequence[e.Event]) -> tuple[e.Identified | None, e.Identified | None]:
    """The last identification before the first write, and the last one after it."""
    before, after, written = None, None, False
    for event in chain:
        if isinstance(event.body, e.WriteStarted):
            written = True
        elif isinstance(event.body, e.Identified):
            if written:
                after = event.body
            else:
                before = event.body
    return before, after


def _shown(value: e.DidValue) -> str:
    return value.refused or value.text or value.value


def _text(text: str) -> str:
    return escape(text).replace("\n", "<br/>")


def _banner(text: str, color: colors.Color) -> Table:
    style = ParagraphStyle("banner", parent=_BODY, fontName=_BOLD, textColor=colors.white)
    table = Table([[Paragraph(_text(text), style)]], colWidths=[WIDTH])
    padding = [
        (f"{side}PADDING", (0, 0), (-1, -1), 6) for side in ("LEFT", "RIGHT", "TOP", "BOTTOM")
    ]
    table.setStyle(TableStyle([("BACKGROUND", (0, 0), (-1, -1), color), *padding]))
    return table


def _facts(rows: Sequence[tuple[str, str]]) -> Table:
    cells = [
        [Paragraph(_text(name), _SMALL), Paragraph(_text(value), _BODY)] for name, value in rows
    ]
    return _ruled(Table(cells, colWidths=[38 * mm, WIDTH - 38 * mm]))


def _grid(rows: Sequence[Sequence[str]], widths_mm: Sequence[float]) -> Table:
    cells = [
        [Paragraph(_text(cell), _SMALL if index == 0 else _BODY) for cell in row]
        for index, row in enumerate(rows)
    ]
    return _ruled(Table(cells, colWidths=[width * mm for width in widths_mm], repeatRows=1))


def _ruled(table: Table) -> Table:
    commands: list[Any] = [
        ("LINEBELOW", (0, 0), (-1, -1), 0.4, LINE),
        ("VALIGN", (0, 0), (-1, -1), "TOP"),
        ("LEFTPADDING", (0, 0), (-1, -1), 0),
        ("TOPPADDING", (0, 0), (-1, -1), 2),
        ("BOTTOMPADDING", (0, 0), (-1, -1), 3),
    ]
    table.setStyle(TableStyle(commands))
    return table


def _footer(canvas: Canvas, job: str) -> None:
    canvas.setFont(_REGULAR, 7)
    canvas.setFillColor(FAINT)
    canvas.drawString(MARGIN, MARGIN - 2 * mm, f"fieldkit · job {job}")
    canvas.drawRightString(A4[0] - MARGIN, MARGIN - 2 * mm, f"page {canvas.getPageNumber()}")


def _load_fonts() -> None:
    folder = Path(reportlab.__file__).parent / "fonts"
    for name in (_REGULAR, _BOLD):
        if name not in pdfmetrics.getRegisteredFontNames():
            pdfmetrics.registerFont(TTFont(name, str(folder / f"{name}.ttf")))
