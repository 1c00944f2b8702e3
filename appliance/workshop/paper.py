"""The paper for the safe: the recovery identity as letters and as a QR code, and how it is used."""

from __future__ import annotations

import io
from datetime import date

import segno
from reportlab.lib.pagesizes import A4
from reportlab.lib.units import mm
from reportlab.pdfgen.canvas import Canvas

from appliance.age import parse_identity
from appliance.records.report.layout import BOLD, FIXED, MARGIN, REGULAR, load_fonts
from appliance.workshop.qr import draw_code

QR_SIDE = 70 * mm
_LETTERS_A_LINE = 37

_ABOVE = """\
This paper opens every backup of this workshop when all else is lost. Keep it in a safe, where fire
and thieves do not reach it; make no photo of it. There is no other copy: the workshop's machine
does not keep it. Delete the file that it was printed from, and empty the printer's memory."""
_BELOW = """\
How it is used, on any machine with age (age-encryption.org/v1):
1. Scan the code, or type the letters, into a file named identity.txt.
2. age-keygen -y identity.txt      must print the recipient below
3. age -d -i identity.txt FILE.age | tar -x -f -
Each folder of a backup, and each export of the workshop, has OPEN-ME.txt with all commands.
Then delete identity.txt."""


def recovery_code(identity: str) -> segno.QRCode:
    """The QR code of a recovery identity."""
    return segno.make(identity.strip(), error="m", micro=False)


def recovery_paper(identity: str, made: date) -> bytes:
    """The page as PDF.

    Args:
        identity: `AGE-SECRET-KEY-1…`.
        made: the day that stands on it.

    Raises:
        BadInputError: it is no identity.
    """
    recipient = str(parse_identity(identity).to_public())
    load_fonts()
    file = io.BytesIO()
    page = Canvas(file, pagesize=A4, invariant=1)
    page.setTitle("Recovery identity")
    at = A4[1] - MARGIN - 10 * mm
    page.setFont(BOLD, 18)
    page.drawString(MARGIN, at, "Recovery identity of the workshop")
    at = _lines(page, at - 12 * mm, f"Made {made.isoformat()}.\n\n{_ABOVE}")
    at -= QR_SIDE
    draw_code(page, recovery_code(identity), MARGIN, at, QR_SIDE)
    letters = identity.strip()
    halves = f"{letters[:_LETTERS_A_LINE]}\n{letters[_LETTERS_A_LINE:]}"
    at = _lines(page, at - 8 * mm, halves, FIXED, 13)
    at = _lines(page, at - 6 * mm, f"{_BELOW}\n\nIts recipient:")
    at = _lines(page, at, recipient, FIXED, 9)
    _lines(page, at - 6 * mm, "The workshop's signing key, as 'fieldkit workshop init' showed it:")
    page.showPage()
    page.save()
    return file.getvalue()


def _lines(page: Canvas, at: float, text: str, font: str = REGULAR, size: int = 9) -> float:
    """Write lines downwards; returns where the next one would be."""
    page.setFont(font, size)
    for line in text.splitlines():
        page.drawString(MARGIN, at, line)
        at -= 1.5 * size
    return at
