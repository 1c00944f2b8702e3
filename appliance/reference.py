"""References of work orders: what people say, type and scan, such as `W-7K3F2`."""

from __future__ import annotations

ALPHABET = "0123456789ABCDEFGHJKMNPQRSTVXYZ"
"""Letters and digits that no two people read differently (Crockford's base 32), without the W that
all begin with: so it may be left out.
"""
LETTERS = 5
PATTERN = f"^W-[{ALPHABET}]{{{LETTERS}}}$"
_MISREAD = str.maketrans("OIL", "011")


def reference_of(text: str) -> str:
    """A reference as it is written, from what a person typed or a scanner read.

    Case, blanks and dashes do not matter, nor does O for 0 or I and L for 1. Some scanners type
    another mark where their keyboard has no dash: every mark but letters and digits is left out.
    """
    letters = "".join(one for one in text if one.isascii() and one.isalnum()).upper()
    return f"W-{letters.removeprefix('W').translate(_MISREAD)}"
