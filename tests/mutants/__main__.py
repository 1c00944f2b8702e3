"""Prove the gate: 100 % coverage of its modules, and no mistake in them that no test notices.

    python -m tests.mutants             all modules; this is `make mutants`
    python -m tests.mutants --changed   modules that changed since they were proven; this is CI
    python -m tests.mutants hw/journal.py

A module is changed when its text, its tests or this tool are not those that `proven.json` names
by digest. What it cannot see is a change elsewhere that makes a test of these weaker: for that
the whole is run before a release. Exit status 1 for a line or branch without a test, for a
surviving mutant that `survivors.toml` does not list, and for an entry there that survives no more.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import sys
import time
import tomllib
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path

from tests.mutants.mutate import Mutant, mutants
from tests.mutants.suite import measure, preload, survivors

HERE = Path("tests/mutants")
PROVEN = HERE / "proven.json"
SURVIVORS = HERE / "survivors.toml"
GATE = Path("tests/hw/gate")
HW = Path("tests/hw")
SUITES = {
    Path("hw/gate/errors.py"): [GATE / "test_errors.py"],
    Path("hw/gate/gate.py"): [
        GATE / "test_gate.py",
        GATE / "test_machine.py",
        GATE / "test_reads.py",
    ],
    Path("hw/gate/reads.py"): [GATE / "test_reads.py"],
    Path("hw/executor.py"): [HW / "test_executor.py", HW / "test_executor_properties.py"],
    Path("hw/cursor.py"): [HW / "test_cursor.py"],
    Path("hw/journal.py"): [HW / "test_journal.py"],
    Path("hw/evidence.py"): [HW / "test_evidence.py"],
    Path("hw/agreement.py"): [HW / "test_agreement.py"],
    Path("hw/texts.py"): [HW / "test_texts.py"],
}
"""Each module and the tests that must notice every mistake in it."""
HELPERS = [
    *(HW / name for name in ("agreements.py", "conftest.py", "test_cursor.py", "test_executor.py")),
    *(GATE / "rig.py", Path("tests/kit.py"), Path("tests/conftest.py")),
]
"""What those tests import of each other."""


@dataclass(frozen=True)
class Verdict:
    """What became of one module's mutants."""

    mutants: int
    unlisted: list[str]
    listed: int
    vanished: list[str]
    uncovered: str

    @property
    def proven(self) -> bool:
        """Is every line and branch tested, and every mistake noticed or explained?"""
        return not (self.unlisted or self.vanished or self.uncovered)


def prove(module: Path, jobs: int) -> Verdict:
    """Run the tests on every mutant of a module.

    Raises:
        RuntimeError: the tests do not pass on the module as it is.
    """
    source, tests = module.read_text(), SUITES[module]
    baseline = measure(module, tests)
    found = mutants(source)
    controls = {
        Mutant(f"nothing changed, {kind}", source, (1, len(source.splitlines())), kind == "inside")
        for kind in ("inside", "outside")
    }
    survived = survivors(module, [*controls, *found], tests, baseline, jobs)
    if not {control.key for control in controls} <= survived:
        raise RuntimeError(f"{module}: its tests fail where nothing was changed.")
    survived -= {control.key for control in controls}
    listed = set(_survivors_of(module))
    return Verdict(
        mutants=len(found),
        unlisted=sorted(survived - listed),
        listed=len(survived & listed),
        vanished=sorted(listed - survived),
        uncovered=baseline.uncovered,
    )


def _survivors_of(module: Path) -> dict[str, str]:
    """The mutants of a module that may survive, each with the reason."""
    entries: dict[str, dict[str, str]] = tomllib.loads(SURVIVORS.read_text())
    return entries.get(str(module), {})


def _digest(module: Path) -> str:
    """Names a module's text together with everything here that decides what is proven of it."""
    files = {module, *HELPERS, *HERE.glob("*.py")}
    files |= set(SUITES[module])
    digest = hashlib.sha256(version("mutmut").encode())
    digest.update(json.dumps(_survivors_of(module), sort_keys=True).encode())
    for file in sorted(files):
        digest.update(f"{file} {hashlib.sha256(file.read_bytes()).hexdigest()}\n".encode())
    return digest.hexdigest()


def _report(module: Path, verdict: Verdict, seconds: float) -> None:
    killed = verdict.mutants - len(verdict.unlisted) - verdict.listed
    print(
        f"{module}: {verdict.mutants} mutants, {killed} killed, {verdict.listed} listed as "
        f"equivalent, {len(verdict.unlisted)} survived; {seconds:.0f} s",
        flush=True,
    )
    if verdict.uncovered:
        print(f"  Coverage is not complete:\n{verdict.uncovered}")
    for key in verdict.unlisted:
        print(f"  SURVIVED {key}")
    for key in verdict.vanished:
        print(f"  LISTED AND NOT SURVIVING {key}")


def main() -> int:
    """Prove the modules that are asked for; 0 when all are."""
    parser = argparse.ArgumentParser(prog="tests.mutants", description=__doc__.split("\n", 1)[0])
    parser.add_argument("modules", nargs="*", type=Path)
    parser.add_argument("--changed", action="store_true", help="only what is not proven as it is")
    parser.add_argument("--jobs", type=int, default=os.cpu_count() or 1)
    asked = parser.parse_args()
    proven = json.loads(PROVEN.read_text())
    wanted = asked.modules or list(SUITES)
    if asked.changed:
        wanted = [m for m in wanted if proven.get(str(m), {}).get("digest") != _digest(m)]
        print(f"mutants: {len(wanted)} of {len(SUITES)} modules changed since they were proven")
    os.environ["HYPOTHESIS_PROFILE"] = "mutants"
    preload([path for module in wanted for path in SUITES[module]])
    failed = False
    for module in wanted:
        began, digest = time.monotonic(), _digest(module)
        verdict = prove(module, asked.jobs)
        _report(module, verdict, time.monotonic() - began)
        proven.pop(str(module), None)
        if verdict.proven:
            proven[str(module)] = {
                "digest": digest,
                "mutants": verdict.mutants,
                "equivalent": verdict.listed,
            }
        PROVEN.write_text(json.dumps(proven, indent=2, sort_keys=True) + "\n")
        failed |= not verdict.proven
    return int(failed)


if __name__ == "__main__":
    sys.exit(main())
