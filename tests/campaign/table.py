"""The table of a campaign: how the runs with each fault ended."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from tests.campaign.judge import DEFECTS, Verdict

OUTCOMES = ("verified", "recovered", "refused", "defect")


def show(seed: int, verdicts: Sequence[Verdict], seconds: float) -> str:
    """Text for a terminal: one line per fault, one for all runs, one per kind of defect."""
    by_fault: dict[str, Counter[str]] = {}
    for verdict in verdicts:
        for name in verdict.faults or ["(none)"]:
            by_fault.setdefault(name, Counter())[verdict.outcome] += 1
    total = Counter(verdict.outcome for verdict in verdicts)
    width = max((len(name) for name in by_fault), default=0)
    lines = [f"seed {seed}, {len(verdicts)} runs in {seconds:.0f} s", ""]
    lines.append(f"{'fault':{width}}  " + "".join(f"{name:>11}" for name in OUTCOMES))
    lines += [_line(name, by_fault[name], width) for name in sorted(by_fault)]
    lines += [_line("all runs", total, width), ""]
    kinds = Counter(kind for verdict in verdicts for kind in verdict.defects)
    lines += [f"{kind}: {kinds[kind]}" for kind in (*DEFECTS, *sorted(set(kinds) - set(DEFECTS)))]
    return "\n".join(lines) + "\n"


def _line(name: str, outcomes: Counter[str], width: int) -> str:
    return f"{name:{width}}  " + "".join(f"{outcomes[each]:>11}" for each in OUTCOMES)
