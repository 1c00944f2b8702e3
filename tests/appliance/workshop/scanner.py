"""A scanner for QR codes on paper and screens; what others wrote (ZXing) reads them."""

from __future__ import annotations

import io
import subprocess
from pathlib import Path

import zxingcpp
from PIL import Image

PRINTED_DPI = 150
"""Coarser than any printer."""
LIMIT_S = 60


def scanned(picture: bytes) -> str:
    """What the one code in a picture says."""
    with Image.open(io.BytesIO(picture)) as opened:
        found = zxingcpp.read_barcodes(opened.convert("L"))
    assert len(found) == 1, f"{len(found)} codes were found"
    return str(found[0].text)


def scanned_page(pdf: Path) -> str:
    """What the one code on the first page of a PDF says, as the page is printed."""
    words = ["pdftoppm", "-r", str(PRINTED_DPI), "-png", "-singlefile", str(pdf)]
    return scanned(subprocess.run(words, check=True, capture_output=True, timeout=LIMIT_S).stdout)
