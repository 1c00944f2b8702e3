"""QR codes on paper."""

from __future__ import annotations

import segno
from reportlab.pdfgen.canvas import Canvas

BORDER = 4
"""Modules around a code that stay empty (ISO/IEC 18004, 9.1)."""


def draw_code(page: Canvas, code: segno.QRCode, left: float, bottom: float, side: float) -> None:
    """Draw a code with its border into a square; positions in points."""
    rows = [list(row) for row in code.matrix_iter(border=BORDER)]
    width = side / len(rows)
    for down, row in enumerate(rows, start=1):
        for across, dark in enumerate(row):
            if dark:
                x, y = left + across * width, bottom + side - down * width
                page.rect(x, y, width, width, stroke=0, fill=1)
