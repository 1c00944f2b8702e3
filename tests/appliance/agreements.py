"""Signatures as fingers draw them, for tests."""

from __future__ import annotations

from hw.statements import Point

SIGNATURE: list[list[Point]] = [
    [(100 + 20 * n, 200 + 15 * (n % 3), 30 * n) for n in range(20)],
    [(520, 180, 900), (640, 260, 1000)],
]
