"""A figure of the benchmark, the file that keeps them and the table that shows them."""

from __future__ import annotations

import json
import statistics
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Literal

from rich.table import Table

BUILD = Path("build")
RESULT = BUILD / "bench.json"

Better = Literal["higher", "lower"]


@dataclass
class Figure:
    """One row. `value` None: not measured here, `name` says why. `ratio` is ours to the peer's."""

    name: str
    value: float | None
    unit: str
    better: Better
    goal: float
    peer: str = ""
    peer_value: float | None = None
    ratio: float | None = None

    @property
    def met(self) -> bool | None:
        """Is the goal met? None where nothing was measured."""
        if self.value is None:
            return None
        return self.value >= self.goal if self.better == "higher" else self.value <= self.goal


def figure(name: str, values: Sequence[float], unit: str, better: Better, goal: float) -> Figure:
    """The median of some runs, with no peer."""
    return Figure(name, rounded(statistics.median(values)), unit, better, rounded(goal))


def compared(
    name: str,
    ours: Sequence[float],
    unit: str,
    better: Better,
    peer: str,
    theirs: Sequence[float],
    *,
    goal: float | None = None,
    goal_ratio: float = 1.0,
) -> Figure:
    """Median beside median; without `goal` it is `goal_ratio` times the peer's."""
    value, other = statistics.median(ours), statistics.median(theirs)
    wanted = other * goal_ratio if goal is None else goal
    row = Figure(name, rounded(value), unit, better, rounded(wanted), peer)
    row.peer_value, row.ratio = rounded(other), rounded(value / other)
    return row


def rounded(value: float) -> float:
    """Four digits: more is noise."""
    return float(f"{value:.4g}")


def save(figures: Sequence[Figure], path: Path = RESULT) -> None:
    """Write the file of all figures."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps([asdict(row) for row in figures], indent=1) + "\n")


def load(path: Path) -> list[Figure]:
    """Read a file of figures."""
    return [Figure(**row) for row in json.loads(path.read_text())]


def table(figures: Sequence[Figure]) -> Table:
    """All figures; a goal that was missed is marked."""
    shown = Table("", "value", "unit", "goal", "figure", "peer", "peer's", "ratio")
    for row in figures:
        sign = ">=" if row.better == "higher" else "<="
        mark = {True: "ok", False: "MISSED", None: "-"}[row.met]
        shown.add_row(
            mark,
            *(_number(row.value), row.unit, f"{sign} {row.goal:g}", row.name),
            *(row.peer, _number(row.peer_value), _number(row.ratio)),
        )
    return shown


def verdict(figures: Sequence[Figure]) -> str:
    """How many goals were met, missed and not measured."""
    met = sum(row.met is True for row in figures)
    missed = [row.name for row in figures if row.met is False]
    absent = sum(row.met is None for row in figures)
    words = f"{met} of {len(figures)} goals met, {len(missed)} missed, {absent} not measured."
    return "\n".join([words, *(f"missed: {name}" for name in missed)])


def _number(value: float | None) -> str:
    return "" if value is None else f"{value:g}"
