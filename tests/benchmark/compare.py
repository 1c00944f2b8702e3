"""`make bench-compare BASE=FILE`: `build/bench.json` against an earlier one, row by row.

The ratio is the later value to the earlier one; a row that got worse by more than a tenth is named,
as is one that only one of the files has. Exit status 1 where any got worse.
"""

from __future__ import annotations

import argparse
import sys
from dataclasses import dataclass
from pathlib import Path

from rich.console import Console
from rich.table import Table

from tests.benchmark.figures import RESULT, Figure, load

WORSE_BY = 0.10
WIDTH = 150


@dataclass(frozen=True)
class Change:
    """One row of both files."""

    before: Figure
    after: Figure

    @property
    def ratio(self) -> float | None:
        """Later to earlier; None where one was not measured or the earlier was zero."""
        if self.before.value is None or self.after.value is None or not self.before.value:
            return None
        return self.after.value / self.before.value

    @property
    def worse(self) -> bool:
        """Did it get worse by more than a tenth?"""
        ratio = self.ratio
        if ratio is None:
            return False
        if self.after.better == "higher":
            return ratio < 1 - WORSE_BY
        return ratio > 1 + WORSE_BY


def changes(before: list[Figure], after: list[Figure]) -> list[Change]:
    """Rows that both files have, in the order of the later one."""
    known = {row.name: row for row in before}
    return [Change(known[row.name], row) for row in after if row.name in known]


def lonely(before: list[Figure], after: list[Figure]) -> list[str]:
    """Rows that only one of the files has."""
    old, new = ({row.name for row in rows} for rows in (before, after))
    return [
        *(f"only in the earlier one: {name}" for name in sorted(old - new)),
        *(f"only in the later one: {name}" for name in sorted(new - old)),
    ]


def main() -> int:
    """Print the comparison."""
    parser = argparse.ArgumentParser(prog="make bench-compare", description=__doc__)
    parser.add_argument("base", type=Path, help="an earlier build/bench.json")
    base = parser.parse_args().base
    for path in (base, RESULT):
        if not path.is_file():
            print(f"There is no {path}. 'make bench' writes build/bench.json.", file=sys.stderr)
            return 66
    before, after = load(base), load(RESULT)
    found = changes(before, after)
    Console(width=WIDTH).print(_table(found))
    for line in lonely(before, after):
        print(line)
    worse = [change.after.name for change in found if change.worse]
    print(f"{len(found)} rows compared, {len(worse)} worse by more than {WORSE_BY:.0%}.")
    for name in worse:
        print(f"worse: {name}")
    return 1 if worse else 0


def _table(found: list[Change]) -> Table:
    shown = Table("", "earlier", "later", "unit", "ratio", "better", "figure")
    for change in found:
        values = [_number(change.before.value), _number(change.after.value)]
        words = [change.after.unit, _number(change.ratio), change.after.better, change.after.name]
        shown.add_row("WORSE" if change.worse else "", *values, *words)
    return shown


def _number(value: float | None) -> str:
    return "" if value is None else f"{value:.4g}"


if __name__ == "__main__":
    sys.exit(main())
