"""How the report looks: fonts, colours, page frame, and the pieces that sections are made of."""

from __future__ import annotations

import unicodedata
from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import Any, TypeAlias
from xml.sax.saxutils import escape

import reportlab
from reportlab.lib import colors
from reportlab.lib.enums import TA_RIGHT
from reportlab.lib.pagesizes import A4
from reportlab.lib.styles import ParagraphStyle
from reportlab.lib.units import mm
from reportlab.pdfbase import pdfmetrics
from reportlab.pdfbase.ttfonts import TTFont
from reportlab.pdfgen.canvas import Canvas
from reportlab.platypus import Flowable, Paragraph, Table, TableStyle

MARGIN: float = 18 * mm
WIDTH: float = A4[0] - 2 * MARGIN
HEIGHT: float = A4[1] - 2 * MARGIN
FOOT: float = 8 * mm

INK = colors.HexColor("#16202A")
FAINT = colors.HexColor("#5B6875")
LINE = colors.HexColor("#CBD2D9")
PALE = colors.HexColor("#F2F5F7")
ACCENT = colors.HexColor("#0B4F8A")
GOOD = colors.HexColor("#0B6E3A")
BAD = colors.HexColor("#A31515")
WARN = colors.HexColor("#9A5B00")

REGULAR, BOLD, FIXED = "Vera", "VeraBd", "Courier"
_LOST = "\N{WHITE SQUARE}"
_PAD = 5
_LONGEST = 4000

BODY = ParagraphStyle("body", fontName=REGULAR, fontSize=8.2, leading=11, textColor=INK)
SMALL = ParagraphStyle("small", parent=BODY, fontSize=6.8, leading=9, textColor=FAINT)
NOTE = ParagraphStyle("note", parent=SMALL, spaceBefore=3)
STRONG = ParagraphStyle("strong", parent=BODY, fontName=BOLD)
CODE = ParagraphStyle("code", parent=BODY, fontName=FIXED, fontSize=7.4, leading=10)
HEAD = ParagraphStyle(
    "head", parent=BODY, fontName=BOLD, fontSize=11, leading=14, spaceBefore=11, spaceAfter=4,
    textColor=ACCENT, keepWithNext=1,
)  # fmt: skip
TITLE = ParagraphStyle("title", parent=BODY, fontName=BOLD, fontSize=19, leading=23)
RIGHT = ParagraphStyle("right", parent=SMALL, alignment=TA_RIGHT)
PASSED = ParagraphStyle("passed", parent=STRONG, textColor=GOOD)
REFUSED = ParagraphStyle("refused", parent=STRONG, textColor=BAD)
_ON_COLOUR = ParagraphStyle("on", parent=BODY, textColor=colors.white)
_BIG_ON_COLOUR = ParagraphStyle("big", parent=_ON_COLOUR, fontName=BOLD, fontSize=13, leading=17)

Cell: TypeAlias = "Flowable | list[Flowable] | str"


def load_fonts() -> None:
    """Register the report's fonts; they come with reportlab."""
    folder = Path(reportlab.__file__).parent / "fonts"
    for name in (REGULAR, BOLD):
        if name not in pdfmetrics.getRegisteredFontNames():
            pdfmetrics.registerFont(TTFont(name, str(folder / f"{name}.ttf")))


@cache
def _letters() -> frozenset[int]:
    """Every letter that both fonts have."""
    load_fonts()
    faces = (pdfmetrics.getFont(name).face.charToGlyph for name in (REGULAR, BOLD))
    first, second = (frozenset(face) for face in faces)
    return first & second


def printable(text: str) -> str:
    """Text in the letters that the fonts have.

    Vera covers West European scripts. A letter beyond them loses its accent (Polish 'ń' is set as
    'n'), one of another script is set as an empty box; `is_exact` tells, and the report says that
    the exact text is in the record.
    """
    return "".join(letter if _is_set(letter) else _nearest(letter) for letter in text)


def is_exact(text: str) -> bool:
    """Whether the report shows this text letter by letter."""
    return all(_is_set(letter) for letter in text)


def _is_set(letter: str) -> bool:
    return letter in "\n\t" or ord(letter) in _letters()


def _nearest(letter: str) -> str:
    plain = [part for part in unicodedata.normalize("NFKD", letter) if _is_set(part)]
    plain = [part for part in plain if not unicodedata.combining(part)]
    return "".join(plain) or (_LOST if ord(_LOST) in _letters() else "?")


def paragraph(text: str, style: ParagraphStyle = BODY) -> Paragraph:
    """A paragraph of plain text; nothing in it is taken for markup, and it is never endless."""
    if len(text) > _LONGEST:
        text = f"{text[:_LONGEST]} ... (cut here; the whole text is in job.json)"
    return Paragraph(escape(printable(text)).replace("\n", "<br/>"), style)


def banner(title: str, lines: Sequence[str], colour: colors.Color) -> Table:
    """A coloured band with one large word and the sentences that belong to it."""
    cells = [[paragraph(title, _BIG_ON_COLOUR)]]
    cells += [[paragraph(line, _ON_COLOUR)] for line in lines if line]
    last = len(cells) - 1
    style: list[Any] = [
        ("BACKGROUND", (0, 0), (-1, -1), colour),
        ("LEFTPADDING", (0, 0), (-1, -1), 9),
        ("RIGHTPADDING", (0, 0), (-1, -1), 9),
        ("TOPPADDING", (0, 0), (-1, -1), 1),
        ("BOTTOMPADDING", (0, 0), (-1, -1), 1),
        ("TOPPADDING", (0, 0), (-1, 0), 7),
        ("BOTTOMPADDING", (0, last), (-1, last), 8),
    ]
    return Table(cells, colWidths=[WIDTH], style=TableStyle(style), splitInRow=1)


def facts(rows: Sequence[tuple[str, Cell]], width: float = WIDTH, name_mm: float = 34) -> Table:
    """Names and values, one pair to a row."""
    cells = [[paragraph(name, SMALL), _cell(value)] for name, value in rows]
    name_width = name_mm * mm
    return _ruled(Table(cells, colWidths=[name_width, width - name_width], splitInRow=1))


def grid(rows: Sequence[Sequence[Cell]], widths_mm: Sequence[float]) -> Table:
    """A table whose first row names the columns and is repeated on every page."""
    head = [[paragraph(cell, SMALL) if isinstance(cell, str) else cell for cell in rows[0]]]
    body = [[_cell(cell) for cell in row] for row in rows[1:]]
    widths = [one * mm for one in widths_mm]
    # A row may be taller than a page: somebody wrote a long note.
    table = _ruled(Table(head + body, colWidths=widths, repeatRows=1, splitInRow=1))
    table.setStyle(TableStyle([("BACKGROUND", (0, 0), (-1, 0), PALE)]))
    return table


def side_by_side(left: Sequence[Flowable], right: Sequence[Flowable], right_width: float) -> Table:
    """Two columns without any frame."""
    table = Table([[list(left), list(right)]], colWidths=[WIDTH - right_width, right_width])
    plain = [(f"{side}PADDING", (0, 0), (-1, -1), 0) for side in ("LEFT", "RIGHT", "TOP", "BOTTOM")]
    table.setStyle(TableStyle([*plain, ("VALIGN", (0, 0), (-1, -1), "TOP")]))
    return table


def _cell(cell: Cell) -> Flowable | list[Flowable]:
    return paragraph(cell) if isinstance(cell, str) else cell


def _ruled(table: Table) -> Table:
    commands: list[Any] = [
        ("LINEBELOW", (0, 0), (-1, -1), 0.4, LINE),
        ("VALIGN", (0, 0), (-1, -1), "TOP"),
        ("LEFTPADDING", (0, 0), (-1, -1), _PAD),
        ("RIGHTPADDING", (0, 0), (-1, -1), _PAD),
        ("TOPPADDING", (0, 0), (-1, -1), 2.5),
        ("BOTTOMPADDING", (0, 0), (-1, -1), 3.5),
    ]
    table.setStyle(TableStyle(commands))
    return table


class PageCanvas(Canvas):  # type: ignore[misc]  # reportlab has no types, so Canvas is Any
    """Draws the foot of each page at the end, when it is known how many pages there are."""

    foot_left = ""
    foot_middle = ""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._done: list[dict[str, Any]] = []

    def showPage(self) -> None:  # noqa: N802 - reportlab's name
        """Keep the page until the last one is drawn."""
        self._done.append(dict(self.__dict__))
        self._startPage()

    def save(self) -> None:
        """Draw the feet and write the file."""
        pages = self._done
        for page in pages:
            self.__dict__.update(page)
            self._foot(len(pages))
            super().showPage()
        super().save()

    def _foot(self, pages: int) -> None:
        base = MARGIN - 5 * mm
        self.setStrokeColor(LINE)
        self.setLineWidth(0.4)
        self.line(MARGIN, base + 9, A4[0] - MARGIN, base + 9)
        self.setFont(REGULAR, 6.8)
        self.setFillColor(FAINT)
        self.drawString(MARGIN, base, self.foot_left)
        self.setFillColor(WARN)
        self.drawRightString(A4[0] - MARGIN - 22 * mm, base, self.foot_middle)
        self.setFillColor(FAINT)
        self.drawRightString(A4[0] - MARGIN, base, f"page {self._pageNumber} of {pages}")


def page_canvas(left: str, middle: str) -> type[PageCanvas]:
    """A canvas whose pages carry these words at their foot."""
    return type("JobCanvas", (PageCanvas,), {"foot_left": left, "foot_middle": middle})
