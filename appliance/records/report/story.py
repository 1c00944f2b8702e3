"""The PDF report of a job: what was done to which car, on what evidence, with what result.

It is made from the event chain (and the plans that it names) alone, and is the same, byte for byte,
for the same chain.
"""

from __future__ import annotations

import io
from collections.abc import Iterable, Mapping, Sequence

from reportlab.graphics.barcode.qr import QrCodeWidget
from reportlab.graphics.shapes import Drawing
from reportlab.lib.pagesizes import A4
from reportlab.lib.units import mm
from reportlab.platypus import (
    BaseDocTemplate,
    Flowable,
    Frame,
    KeepTogether,
    PageTemplate,
    Spacer,
)

from appliance.records import events as e
from appliance.records import reading
from appliance.records.report import layout as look
from appliance.records.report.chart import voltage_charts
from appliance.records.report.signature import signature_drawing
from appliance.vin import check_digit_fits
from hw.sshsig import fingerprint, public_key_of
from hw.statements import Moment

_OUTCOMES = {
    "verified": ("VERIFIED", look.GOOD),
    "refused": ("REFUSED: nothing was written", look.WARN),
    "aborted_recoverable": ("ABORTED, RECOVERABLE", look.BAD),
}
_QR: float = 32 * mm


def report_pdf(chain: Sequence[e.Event], plans: Mapping[str, bytes] | None = None) -> bytes:
    """The report of a job.

    Args:
        chain: all events of the job, in order, already verified.
        plans: documents of its plans by digest, for the limits in the voltage chart; those that
            are missing cost only these lines.

    Returns:
        A PDF of A4 pages.
    """
    look.load_fonts()
    out = io.BytesIO()
    job, simulated = chain[0].job, reading.simulated(chain)
    document = BaseDocTemplate(
        out,
        pagesize=A4,
        title=f"Job report {job}",
        author="fieldkit",
        subject=reading.created(chain).vehicle.vin,
        invariant=1,
    )
    frame = Frame(
        look.MARGIN, look.MARGIN + look.FOOT, look.WIDTH, look.HEIGHT - look.FOOT, 0, 0, 0, 0
    )
    document.addPageTemplates(PageTemplate(frames=[frame]))
    foot = "SIMULATED: not the record of a real car" if simulated else ""
    story = list(_story(chain, plans or {}, simulated))
    document.build(story, canvasmaker=look.page_canvas(f"fieldkit job {job}", foot))
    return out.getvalue()


def _story(
    chain: Sequence[e.Event], plans: Mapping[str, bytes], simulated: Sequence[str]
) -> Iterable[Flowable]:
    yield from _heading(chain, simulated)
    yield from _car(chain)
    yield from _ecus(chain)
    yield from _plans(chain)
    yield from _agreements(chain)
    yield from _gates(chain)
    yield from _voltage(chain, plans)
    yield from _backups(chain)
    yield from _timeline(chain)
    yield _seal(chain)


# Sections -----------------------------------------------------------------------------------------


def _heading(chain: Sequence[e.Event], simulated: Sequence[str]) -> Iterable[Flowable]:
    created = reading.created(chain)
    right = [
        look.paragraph(f"Job {chain[0].job}", look.RIGHT),
        look.paragraph(f"opened {_when(chain[0].at)}", look.RIGHT),
        look.paragraph(f"last entry {_when(chain[-1].at)}", look.RIGHT),
    ]
    left = [
        look.paragraph("Job report", look.TITLE),
        look.paragraph(created.vehicle.name, look.BODY),
    ]
    yield look.side_by_side(left, right, 78 * mm)
    yield Spacer(1, 7)
    if simulated:
        words = f"Simulated here: {', '.join(simulated)}. This is not the record of a real car."
        yield look.banner("SIMULATED", [words], look.WARN)
        yield Spacer(1, 4)
    yield _outcome(chain)
    yield Spacer(1, 4)


def _outcome(chain: Sequence[e.Event]) -> Flowable:
    """The end of the last write; without one, the last refusal or that nothing was written."""
    ended, refused = reading.last(chain, e.WriteEnded), reading.last_refusal(chain)
    if ended is not None:
        title, colour = _OUTCOMES[ended.outcome]
        restored = ", ".join(ended.not_restored)
        lines = [
            ended.what,
            f"Next: {ended.next_step}" if ended.next_step else "",
            f"Not restored: {restored}" if restored else "",
        ]
        return look.banner(title, lines, colour)
    if any(isinstance(event.body, e.WriteStarted | e.HwEvent) for event in chain):
        line = "The write had begun and its end was not recorded yet when this report was made."
        return look.banner("WRITING", [line], look.BAD)
    if refused is not None:
        what, next_step = refused
        return look.banner("REFUSED: nothing was written", [what, f"Next: {next_step}"], look.WARN)
    return look.banner("NO WRITE", ["Nothing was written on this job."], look.FAINT)


def _car(chain: Sequence[e.Event]) -> Iterable[Flowable]:
    created = reading.created(chain)
    customer, vehicle = created.customer, created.vehicle
    contact = ", ".join(part for part in (customer.phone, customer.email) if part)
    rows: list[tuple[str, look.Cell]] = [
        ("Customer", customer.name),
        ("Contact", contact),
        ("Vehicle", vehicle.description),
        ("VIN", _vin(vehicle.vin, reading.vins_read(reading.bodies(chain, e.Identified)))),
        ("Plate", vehicle.plate),
        ("Odometer", "" if vehicle.odometer_km is None else f"{vehicle.odometer_km} km"),
        ("Complaint", created.complaint),
        ("Technician", created.technician),
    ]
    yield look.paragraph("Vehicle and customer", look.HEAD)
    yield look.facts([(name, value) for name, value in rows if value])
    texts = [customer.name, vehicle.description, vehicle.plate, created.complaint]
    if not all(look.is_exact(text) for text in texts):
        note = "Letters that this report cannot set are replaced; job.json has the exact text."
        yield look.paragraph(note, look.NOTE)


def _vin(vin: str, read: Sequence[str]) -> str:
    """The VIN as it was entered, and what the ECUs say where they say something else."""
    parts = [vin or "not entered"]
    # Most of the world uses position 9 freely: a misfit is a note for the eye, not an error.
    if vin and not check_digit_fits(vin):
        parts.append("position 9 is not a North American check digit")
    parts += [f"an ECU of this job says {one}" for one in read if one != vin]
    return "; ".join(parts)


def _ecus(chain: Sequence[e.Event]) -> Iterable[Flowable]:
    before, after = reading.before_and_after(chain)
    first = before or after
    if first is None:
        return
    yield look.paragraph("ECU identity, before and after" if after else "ECU identity", look.HEAD)
    yield look.paragraph(f"{first.ecu}, profile {first.profile}, over {first.link}", look.SMALL)
    rows: list[list[look.Cell]] = [
        ["DID", "", "before", "after"] if after else ["DID", "", "value"]
    ]
    for value in reading.compared(before, after):
        style = look.STRONG if value.changed else look.BODY
        code = look.paragraph(f"0x{value.did:04X}", look.CODE)
        later = [look.paragraph(value.now, style)] if after else []
        rows.append([code, value.label, look.paragraph(value.was), *later])
    yield look.grid(rows, (17, 53, 52, 52) if after else (17, 53, 104))
    if after is None:
        yield look.paragraph("The ECU was not identified again after a write.", look.NOTE)


def _plans(chain: Sequence[e.Event]) -> Iterable[Flowable]:
    """Each plan that was written; when none was, the last one that was made."""
    plans = {body.plan_digest: body for body in reading.bodies(chain, e.PlanCompiled)}
    written = [body.plan_digest for body in reading.bodies(chain, e.WriteStarted)]
    written += [body.plan_digest for body in reading.bodies(chain, e.GatesChecked) if body.permit]
    shown = [digest for digest in dict.fromkeys(written) if digest in plans]
    for digest in shown or list(plans)[-1:]:
        yield from _plan(plans[digest])


def _plan(plan: e.PlanCompiled) -> Iterable[Flowable]:
    yield look.paragraph(f"Plan: {plan.title}", look.HEAD)
    rows: list[tuple[str, look.Cell]] = [
        ("Plan SHA-256", look.paragraph(plan.plan_digest, look.CODE)),
        ("Risk accepted", f"{plan.risk_class}: {plan.risk_text}"),
        ("Source", plan.container),
        ("Source SHA-256", look.paragraph(plan.container_sha256, look.CODE)),
        ("Checked before", "; ".join(plan.checks)),
        ("Finishes", look.paragraph(plan.recovers, look.CODE) if plan.recovers else ""),
    ]
    yield look.facts([(name, value) for name, value in rows if _has_text(value)])
    if plan.description:
        yield Spacer(1, 4)
        lines: list[list[look.Cell]] = [["what the plan does, step by step"]]
        yield look.grid(lines + [[line] for line in plan.description], (174,))


def _has_text(value: look.Cell) -> bool:
    if isinstance(value, str | list):
        return bool(value)
    return bool(value.getPlainText().strip())


def _agreements(chain: Sequence[e.Event]) -> Iterable[Flowable]:
    """What the customer agreed to: the words, and the signature as it was drawn."""
    for body in reading.bodies(chain, e.AgreementSigned):
        agreed = body.agreed
        title, *paragraphs = filter(None, body.text.split("\n"))
        rows: list[tuple[str, look.Cell]] = [
            ("Signed by", agreed.customer),
            ("Witness", f"{agreed.technician} ({agreed.role})"),
            ("When", _when(agreed.made)),
            ("VIN", agreed.vin),
            ("Text", f"{agreed.text}, version {agreed.version}, {agreed.language}"),
            ("Text SHA-256", look.paragraph(agreed.text_sha256, look.CODE)),
            ("Signature", [signature_drawing(agreed.strokes)]),
        ]
        yield look.paragraph(f"Agreement of the customer: {title}", look.HEAD)
        yield from (look.paragraph(words) for words in paragraphs)
        yield Spacer(1, 4)
        yield KeepTogether([look.facts(rows)])


def _gates(chain: Sequence[e.Event]) -> Iterable[Flowable]:
    final = reading.gates_that_counted(chain)
    if not final:
        return
    yield look.paragraph("The gates", look.HEAD)
    rows: list[list[look.Cell]] = [["gate", "", "what it said and looked at", "at (UTC)"]]
    for event, body in final:
        for result in body.results:
            facts = ", ".join(f"{key}: {value}" for key, value in sorted(result.facts.items()))
            said = [look.paragraph(result.reason)] if result.reason else []
            said += [look.paragraph(result.next_step)] if not result.passed else []
            said += [look.paragraph(facts, look.SMALL)] if facts else []
            rows.append(
                [
                    result.gate,
                    _verdict(passed=result.passed),
                    said,
                    event.at.wall[11:19],
                ]
            )
    yield look.grid(rows, (45, 19, 90, 20))
    if all(body.dry for _, body in final):
        yield look.paragraph("A dry run: no permit was asked for.", look.NOTE)
    for given in reading.bodies(chain, e.Acknowledged):
        words = f"Acknowledged for plan {given.plan_digest}; the signed statement is in the record."
        yield look.paragraph(words, look.NOTE)


def _verdict(*, passed: bool) -> look.Cell:
    if passed:
        return look.paragraph("passed", look.PASSED)
    return look.paragraph("refused", look.REFUSED)


def _voltage(chain: Sequence[e.Event], plans: Mapping[str, bytes]) -> Iterable[Flowable]:
    """One chart to a run."""
    for run, trace, chart in voltage_charts(chain, plans):
        words = (
            f"Run {run}. Lowest {trace.lowest:.2f} V, highest {trace.highest:.2f} V, "
            f"{len(trace.samples)} samples; full rate around each change of the gate. "
            "A red mark at the foot is a moment without a valid sample."
        )
        yield KeepTogether(
            [
                look.paragraph("Supply voltage during the write", look.HEAD),
                chart,
                look.paragraph(words, look.SMALL),
            ]
        )


def _backups(chain: Sequence[e.Event]) -> Iterable[Flowable]:
    verified = {body.backup: body for body in reading.bodies(chain, e.BackupVerified)}
    for event, backup in reading.with_bodies(chain, e.BackupMade):
        rows: list[tuple[str, look.Cell]] = [
            ("Backup", look.paragraph(backup.backup, look.CODE)),
            ("Made", f"{_when(event.at)}, of {backup.ecu}"),
            ("Manifest SHA-256", look.paragraph(backup.manifest_sha256, look.CODE)),
        ]
        rows += [
            (f"{one.kind}, {one.size} bytes", look.paragraph(one.sha256, look.CODE))
            for one in backup.objects
        ]
        rows += [
            (f"{one.region} not read", f"{one.request} was answered {one.response}")
            for one in backup.refused
        ]
        rows += [
            (f"Medium {letter}", folder)
            for letter, folder in zip("ABCDEF", backup.folders, strict=False)
        ]
        if (later := verified.get(backup.backup)) is not None:
            copies = ", ".join(f"{copy.folder}: {copy.state}" for copy in later.copies)
            rows.append(("Read again", copies))
        if backup.simulated:
            rows.append(("Media", look.paragraph("SIMULATED MEDIA", look.REFUSED)))
        head = look.paragraph("Backup on two media", look.HEAD)
        yield KeepTogether([head, look.facts(rows)])
    if any(reading.bodies(chain, e.BackupMade)):
        yield look.paragraph(
            "Hashes of a backup's parts are those of the encrypted files.", look.NOTE
        )


def _timeline(chain: Sequence[e.Event]) -> Iterable[Flowable]:
    yield look.paragraph("What happened", look.HEAD)
    rows: list[list[look.Cell]] = [["no.", "when (UTC)", "", ""]]
    rows += [
        [str(event.seq), event.at.wall[:19].replace("T", " "), *line]
        for event in chain
        if (line := reading.told(event)) is not None
    ]
    yield look.grid(rows, (12, 36, 36, 90))
    if any(event.at.wall_quality == "unsynchronised" for event in chain):
        yield look.paragraph(
            "The kit's clock was not synchronised for some entries: their times may be wrong, "
            "their order is not.",
            look.NOTE,
        )


def _seal(chain: Sequence[e.Event]) -> Flowable:
    head = chain[-1]
    code = QrCodeWidget(f"fieldkit:{head.job}:{head.seq}:{head.hash}", barLevel="M")
    x0, y0, x1, y1 = code.getBounds()
    drawing = Drawing(_QR, _QR, transform=[_QR / (x1 - x0), 0, 0, _QR / (y1 - y0), 0, 0])
    drawing.add(code)
    rows: list[tuple[str, look.Cell]] = [
        ("Events", str(head.seq)),
        ("Head of the chain", look.paragraph(head.hash, look.CODE)),
        ("Signed by", look.paragraph(fingerprint(public_key_of(head.signature)), look.CODE)),
    ]
    text = [
        look.facts(rows, look.WIDTH - _QR - 5 * mm, 28),
        Spacer(1, 3),
        look.paragraph(
            "Every event holds the hash of the one before it, and the kit signed each of them "
            "(SSHSIG, Ed25519). The files beside this report hold the whole chain; README.txt "
            "says how to prove it with stock tools. This page, kept on paper, shows if the end "
            "of the chain is ever cut off.",
            look.SMALL,
        ),
    ]
    return KeepTogether(
        [look.paragraph("Seal of the record", look.HEAD), look.side_by_side(text, [drawing], _QR)]
    )


def _when(at: Moment) -> str:
    unsure = "" if at.wall_quality == "synchronised" else " (clock not synchronised)"
    return f"{at.wall[:19].replace('T', ' ')} UTC{unsure}"
