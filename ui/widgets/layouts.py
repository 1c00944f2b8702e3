"""Key layouts of the on-screen keyboard, as data.

A key is the text that it types, or one of the names in `NAMED`. The screen holds eight keys of
20 mm in a row and four rows, so letters stand in the order of the alphabet and everything else is
on a page of its own. Each row fills the width; `WIDE` says which keys take more than one cell.
"""

from __future__ import annotations

ERASE = "erase"
DONE = "done"
SHIFT = "shift"
SPACE = "space"
NAMED = frozenset({ERASE, DONE, SHIFT, SPACE})

Page = tuple[tuple[str, ...], ...]


def _rows(*rows: str) -> Page:
    """Rows told as text: keys with a space between; `page:NAME` turns to another page."""
    return tuple(tuple(row.split()) for row in rows)


PAGES: dict[str, Page] = {
    "letters": _rows(
        "a b c d e f g h",
        "i j k l m n o p",
        "q r s t u v w x",
        "y z shift page:symbols space erase done",
    ),
    "symbols": _rows(
        "1 2 3 4 5 6 7 8",
        "9 0 - . , / : '",
        "@ # & ( ) + ? !",
        "_ % page:letters page:further space erase done",
    ),
    "further": _rows(
        '* = " ; < > [ ]',
        "{ } \\ | ~ ^ ` $",
        "€ ä ö ü ß ê ë ï",
        "ô é page:letters page:symbols space erase done",
    ),
    # ISO 3779: a VIN has neither I nor O nor Q.
    "vin": _rows(
        "A B C D E F G H",
        "J K L M N P R S",
        "T U V W X Y Z",
        "page:vin_digits erase done",
    ),
    "vin_digits": _rows(
        "1 2 3 4 5",
        "6 7 8 9 0",
        "page:vin erase done",
    ),
    "numbers": _rows(
        "1 2 3 erase",
        "4 5 6 -",
        "7 8 9 .",
        ", 0 done",
    ),
}
WIDE = {SPACE: 2, ("numbers", DONE): 2}
PAGE_NAMES = {
    "letters": "abc",
    "symbols": "123",
    "further": "#+=",
    "vin": "ABC",
    "vin_digits": "123",
}


def cells(page: str, key: str) -> int:
    """How many cells of its row a key takes."""
    return WIDE.get((page, key)) or WIDE.get(key, 1)
