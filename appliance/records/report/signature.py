"""A customer's signature as their finger drew it."""

from __future__ import annotations

from collections.abc import Sequence

from reportlab.graphics.shapes import Circle, Drawing, PolyLine
from reportlab.lib.units import mm

from appliance.records.report.layout import INK
from hw.statements import PAD_WIDTH, Point

WIDTH: float = 80 * mm
_PEN = 1.1
_SCALE = WIDTH / PAD_WIDTH


def signature_drawing(strokes: Sequence[Sequence[Point]]) -> Drawing:
    """Draw the strokes, cut off above and below what was drawn."""
    top = min(y for stroke in strokes for _, y, _ in stroke)
    bottom = max(y for stroke in strokes for _, y, _ in stroke)
    drawing = Drawing(WIDTH, (bottom - top) * _SCALE + 4 * _PEN)
    for stroke in strokes:
        places = [(x * _SCALE, (bottom - y) * _SCALE + 2 * _PEN) for x, y, _ in stroke]
        if len(places) == 1:
            drawing.add(Circle(*places[0], _PEN, fillColor=INK, strokeWidth=0))
        else:
            flat = [value for place in places for value in place]
            drawing.add(PolyLine(flat, strokeColor=INK, strokeWidth=_PEN))
    return drawing
