"""The table of a campaign: how the runs with each fault ended."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence

from tests.campaign.judge import BRICKED, DEFECTS, SILENTLY_WRONG, Verdict

BAD = (BRICKED, SILENTLY_WRONG)
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


def show_beside(verdicts: Sequence[Verdict], baselines: Mapping[str, Sequence[Verdict]]) -> str:
    """The kit beside flashers without a gate: how many cars each left bricked or wrong."""
    if not any(baselines.values()):
        return ""
    lines = ["", f"{'with the same faults':24}{'runs':>8}{'bricked':>10}{'silently wrong':>16}"]
    kit = [list(verdict.defects) for verdict in verdicts]
    lines.append(_rates("field kit", len(kit), *(sum(name in one for one in kit) for name in BAD)))
    for tool, runs in baselines.items():
        counts = Counter(verdict.outcome for verdict in runs)
        lines.append(_rates(tool, len(runs), *(counts[name] for name in BAD)))
    return "\n".join(lines) + "\n"


def _rates(name: str, runs: int, bricked: int, wrong: int) -> str:
    def share(count: int) -> str:
        return f"{count} ({100 * count / max(runs, 1):.1f} %)"

    return f"{name:24}{runs:>8}{share(bricked):>14}{share(wrong):>14}"
