"""The parts of the benchmark, each measured in a process of its own."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from tests.benchmark import (
    backups,
    bench_vm,
    cut,
    growth,
    processes,
    rates,
    screen,
    workshop,
    workshop_search,
)
from tests.benchmark.figures import Figure


@dataclass(frozen=True)
class Part:
    """One subject: what measures it and how often it does, in a whole run and in a quick one."""

    measure: Callable[[int], list[Figure]]
    times: int
    quick_times: int


PARTS = {
    "processes": Part(processes.measure, 5, 3),
    "doip": Part(rates.doip, 5, 3),
    "can": Part(rates.can, 5, 3),
    "gate": Part(rates.gate_cost, 5, 3),
    "bench-vm": Part(bench_vm.measure, 1, 1),
    "cut-idle": Part(cut.cut_idle, 1000, 100),
    "cut-loaded": Part(cut.cut_loaded, 1000, 100),
    "screen": Part(screen.measure, 4, 2),
    "backups": Part(backups.measure, 5, 3),
    "growth": Part(growth.measure, 100_000, 1_000),
    "workshop": Part(workshop.measure, 200, 10),
    "workshop-search-sqlite": Part(workshop_search.on_sqlite, 1_000_000, 20_000),
    "workshop-search-postgresql": Part(workshop_search.on_postgresql, 1_000_000, 20_000),
}
