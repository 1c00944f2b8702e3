"""The PDF report of a job: fetched and drawn page by page on the backend's thread."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Protocol, TypeVar

from msgspec import Struct, structs

from appliance.client import Client, FieldKitError
from ui.i18n import _

if TYPE_CHECKING:
    from pypdfium2 import PdfPage

LARGER = 2
MARGIN = 0.08
"""At most so much of a page's width is left out at each empty edge: letters become larger."""
AIR = 6.0
"""Points of paper that stay around the ink."""
LIMIT_PX = 4096
"""Longest side of a picture: what the graphics chip of a Raspberry Pi holds."""

R = TypeVar("R")


class ReportDamaged(FieldKitError):
    """A report that cannot be drawn."""

    code = "report_damaged"


class Picture(Struct, frozen=True):
    """A drawn page: rows of RGB bytes from the top, without gaps."""

    width: int
    height: int
    pixels: bytes


class ReportState(Struct, frozen=True, kw_only=True):
    """Attributes:
    page: which one is shown, from 1; 0 while the report is not looked at.
    pages: how many there are.
    larger: the page is drawn larger than the screen is wide.
    picture: the page; None while it is not looked at.
    """

    page: int = 0
    pages: int = 0
    larger: bool = False
    picture: Picture | None = None


def draw(pdf: bytes, page: int, width_px: int) -> tuple[int, Picture]:
    """Draw a page so that it is as wide as asked for.

    Args:
        pdf: the document.
        page: from 1.
        width_px: pixels; less for a page that would become higher than `LIMIT_PX`.

    Returns:
        The number of pages, and the picture.

    Raises:
        ReportDamaged: it is no PDF, has no such page, or one that cannot be drawn.
    """
    # Loaded with the first report: time and 8 MB that the start of the screen need not bear.
    import pypdfium2 as pdfium  # noqa: PLC0415 - as said

    try:
        with pdfium.PdfDocument(pdf) as document:
            sheet = document[page - 1]
            wide, high = sheet.get_size()
            trim = _trim(sheet, wide, high)
            scale = min(width_px / (wide - trim[0] - trim[2]), LIMIT_PX / high)
            bitmap = sheet.render(scale=scale, crop=trim, rev_byteorder=True)
            rows = bytes(bitmap.buffer)
            return len(document), _picture(bitmap.width, bitmap.height, bitmap.stride, rows)
    except (pdfium.PdfiumError, IndexError, ZeroDivisionError) as error:
        raise ReportDamaged(
            _("The report cannot be shown."),
            _("Export the record and open its report on a computer."),
        ) from error


def _trim(sheet: PdfPage, wide: float, high: float) -> tuple[float, float, float, float]:
    """What of the margins is left out, in points: left, lower, right, upper; never any ink."""
    bounds = [one.get_bounds() for one in sheet.get_objects()]
    if not bounds:
        return 0.0, 0.0, 0.0, 0.0
    left, lower, right, upper = zip(*bounds, strict=True)
    empty = min(left), min(lower), wide - max(right), high - max(upper)
    most = MARGIN * wide
    edges = [min(max(edge - AIR, 0.0), most) for edge in empty]
    return edges[0], edges[1], edges[2], edges[3]


def _picture(width: int, height: int, stride: int, rows: bytes) -> Picture:
    if stride != width * 3:
        rows = b"".join(rows[at : at + width * 3] for at in range(0, stride * height, stride))
    return Picture(width, height, rows)


class Ask(Protocol):
    """`Asking._ask`."""

    def __call__(self, action: Callable[[Client], R], done: Callable[[R], None]) -> None:
        """Ask the appliance; only the newest question counts."""


class ReportReader:
    """Leafs through a report, for the model of a screen that shows one.

    Args:
        ask: asks the appliance and draws, off the screen's thread.
        show: takes each new state.
    """

    def __init__(self, ask: Ask, show: Callable[[ReportState], None]) -> None:
        self._ask, self._show = ask, show
        self._pdf = b""
        self._width_px = 0
        self._wanted = ReportState()

    def open(self, job: str, width_px: int) -> None:
        """Fetch a job's report and show its first page.

        Args:
            job: whose.
            width_px: so wide is the place for it.
        """
        self.close()
        self._width_px = width_px
        wanted = self._wanted

        def fetch(client: Client) -> tuple[bytes, int, Picture]:
            pdf = client.job_report(job).content
            return pdf, *draw(pdf, 1, width_px)

        self._ask(fetch, lambda reply: self._opened(wanted, *reply))

    def turn(self, pages: int) -> None:
        """Turn so many pages on, or back where it is negative."""
        wanted = self._wanted
        page = min(max(wanted.page + pages, 1), wanted.pages)
        if wanted.page and page != wanted.page:
            self._draw(structs.replace(wanted, page=page))

    def resize(self) -> None:
        """Show the page larger, or again as wide as its place."""
        wanted = self._wanted
        if wanted.page:
            self._draw(structs.replace(wanted, larger=not wanted.larger))

    def close(self) -> None:
        """Look at it no more."""
        self._pdf, self._wanted = b"", ReportState()
        self._show(self._wanted)

    def _opened(self, wanted: ReportState, pdf: bytes, pages: int, picture: Picture) -> None:
        if wanted is self._wanted:  # It may have been closed before it came.
            self._pdf, self._wanted = pdf, ReportState(page=1, pages=pages)
            self._drawn(self._wanted, picture)

    def _draw(self, wanted: ReportState) -> None:
        self._wanted = wanted
        pdf = self._pdf
        width_px = self._width_px * (LARGER if wanted.larger else 1)
        self._ask(
            lambda _client: draw(pdf, wanted.page, width_px)[1],
            lambda picture: self._drawn(wanted, picture),
        )

    def _drawn(self, wanted: ReportState, picture: Picture) -> None:
        if wanted is self._wanted:
            self._show(structs.replace(wanted, picture=picture))
