"""The packing slip of a work order: a page that goes into the parcel, with a code to scan."""

from __future__ import annotations

import io

import segno
from reportlab.lib.pagesizes import A4
from reportlab.lib.styles import ParagraphStyle
from reportlab.lib.units import mm
from reportlab.pdfgen.canvas import Canvas
from reportlab.platypus import Flowable, SimpleDocTemplate, Spacer

from appliance.records.report import layout as look
from appliance.sync.order import Order
from appliance.workshop.qr import draw_code
from appliance.workshop.settings import Settings

QR_SIDE = 46 * mm
_LARGE = ParagraphStyle("large", parent=look.BODY, fontSize=11, leading=15)
_REFERENCE = ParagraphStyle("reference", parent=look.TITLE, fontSize=34, leading=42)
_SHOWN = 600
"""Letters of a long text that are set on the slip; the workshop has all of it."""


def packing_slip(order: Order, workshop: Settings) -> bytes:
    """The slip as PDF.

    Its QR code is the reference alone: whoever finds the slip learns nothing from it that does not
    stand there, and a scanner at the bench types it as a person would.
    """
    look.load_fonts()
    code = segno.make(order.reference, error="q", micro=False)

    def draw(page: Canvas, _document: SimpleDocTemplate) -> None:
        left, top = A4[0] - look.MARGIN - QR_SIDE, A4[1] - look.MARGIN - QR_SIDE
        draw_code(page, code, left, top, QR_SIDE)

    out = io.BytesIO()
    document = SimpleDocTemplate(
        out,
        pagesize=A4,
        leftMargin=look.MARGIN,
        rightMargin=look.MARGIN,
        topMargin=look.MARGIN,
        bottomMargin=look.MARGIN,
        title=f"Packing slip {order.reference}",
        author=look.printable(workshop.name),
        invariant=1,
    )
    document.build(_story(order, workshop), onFirstPage=draw)
    return out.getvalue()


def _story(order: Order, workshop: Settings) -> list[Flowable]:
    to = "\n".join(part for part in (workshop.name, workshop.address, workshop.phone) if part)
    back = "\n".join(part for part in (order.customer, order.address, order.phone) if part)
    rows: list[tuple[str, look.Cell]] = [
        (name, text if len(text) <= _SHOWN else f"{text[:_SHOWN]} …")
        for name, text in (
            ("Car", order.car),
            ("VIN", order.vin or order.no_vin),
            ("Fault codes", order.fault_codes),
            ("What is wrong", order.symptoms),
            ("Tried so far", order.tried),
            ("Photos", f"{len(order.photos)} at the workshop" if order.photos else ""),
            ("Booked", order.made[:16].replace("T", " ")),
        )
        if text
    ]
    return [
        look.paragraph("Packing slip", look.TITLE),
        Spacer(1, 6 * mm),
        look.paragraph(order.reference, _REFERENCE),
        Spacer(1, 20 * mm),
        look.side_by_side(
            [look.paragraph("To", look.HEAD), look.paragraph(to, _LARGE)],
            [look.paragraph("Back to", look.HEAD), look.paragraph(back, _LARGE)],
            look.WIDTH / 2,
        ),
        Spacer(1, 4 * mm),
        look.paragraph("What it is about", look.HEAD),
        look.facts(rows),
        look.paragraph("Before you send it", look.HEAD),
        look.paragraph(
            f"1. Put this page into the parcel with the part, and nothing else that you need.\n"
            f"2. Write {order.reference} on the outside.\n"
            "3. Wrap electronics so that nothing can press on their plugs or bend their pins.",
            _LARGE,
        ),
    ]
