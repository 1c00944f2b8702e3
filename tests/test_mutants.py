"""`make mutants` finds what tests do not notice: shown on a module that is made for it.

In no folder of its own package, because a change there means that everything is proven anew.
"""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from tests.mutants.mutate import mutants

MODULE = '''"""Says whether a voltage will do."""


def enough(volts: float) -> bool:
    """Is it?"""
    return volts >= 12.0
'''
BAD_TESTS = """from hw.sample import enough


def test_it() -> None:
    assert enough(13.0)
"""
GOOD_TESTS = """from hw.sample import enough


def test_it() -> None:
    assert enough(12.0) is True
    assert enough(11.9) is False
    assert enough(12.5) is True
"""
SURVIVOR = "enough: return volts >= 12.0 -> return volts > 12.0"
# A module of its own instead of the gate's, and a shorter wait for what hangs.
TOOL = """
import sys
from pathlib import Path

import tests.mutants.__main__ as tool
import tests.mutants.suite

tests.mutants.suite.SHORTEST_LIMIT_S = 3.0
tool.SUITES = {Path("hw/sample.py"): [Path("hw/test_sample.py")]}
tool.HELPERS.clear()
sys.exit(tool.main())
"""


class Project:
    """A folder with one module, its tests and what the tool reads and writes."""

    def __init__(self, folder: Path, module: str = MODULE, tests: str = GOOD_TESTS) -> None:
        self.folder = folder
        (folder / "hw").mkdir(parents=True)
        (folder / "tests" / "mutants").mkdir(parents=True)
        self.write("hw/__init__.py", "")
        self.write("hw/sample.py", module)
        self.write("hw/test_sample.py", tests)
        self.write("pytest.ini", "[pytest]\naddopts = --import-mode=importlib\npythonpath = .\n")
        self.write("tests/mutants/proven.json", "{}")
        self.write("tests/mutants/survivors.toml", "")

    def write(self, name: str, text: str) -> None:
        """Write a file of it."""
        (self.folder / name).write_text(text)

    def allow(self, *keys: str) -> None:
        """Say of these mutants that they may survive."""
        entries = "".join(f'{json.dumps(key)} = "For a test."\n' for key in keys)
        self.write("tests/mutants/survivors.toml", f'["hw/sample.py"]\n{entries}')

    def prove(self, *options: str) -> tuple[int, str]:
        """Run the tool: its exit status, and what it prints."""
        root = str(Path(__file__).parents[1])
        done = subprocess.run(
            [sys.executable, "-c", TOOL, "--jobs", "2", *options],
            cwd=self.folder,
            env={"PATH": "/usr/bin:/bin", "PYTHONPATH": f"{self.folder}:{root}"},
            capture_output=True,
            text=True,
            timeout=100,
            check=False,
        )
        return done.returncode, done.stdout + done.stderr

    def proven(self) -> str | None:
        """The digest that is noted of the module; None where it is not proven."""
        noted = json.loads((self.folder / "tests/mutants/proven.json").read_text())
        digest: str | None = noted.get("hw/sample.py", {}).get("digest")
        return digest


# What makes it fail -------------------------------------------------------------------------------


def test_a_module_whose_tests_notice_every_mistake_is_proven(tmp_path: Path) -> None:
    project = Project(tmp_path)
    status, said = project.prove()
    assert status == 0, said
    assert ", 0 listed as equivalent, 0 survived;" in said
    assert project.proven()


def test_a_mistake_that_no_test_notices_fails_and_is_named(tmp_path: Path) -> None:
    project = Project(tmp_path, tests=BAD_TESTS)
    status, said = project.prove()
    assert status == 1
    assert f"SURVIVED {SURVIVOR}\n" in said
    assert project.proven() is None


def test_a_mistake_outside_functions_that_no_test_notices_fails(tmp_path: Path) -> None:
    module = f"LIMIT_V = 12.0\nUNUSED = 4\n\n\n{MODULE[MODULE.index('def') :]}"
    module = module.replace("volts >= 12.0", "volts >= LIMIT_V")
    status, said = Project(tmp_path, module).prove()
    assert status == 1
    assert "SURVIVED module: UNUSED = 4 -> UNUSED = 5\n" in said
    assert "SURVIVED module: LIMIT_V" not in said


@pytest.mark.parametrize(
    "module",
    [
        f"{MODULE}\n\ndef never() -> None:\n    return\n",
        MODULE.replace("    return", "    for _ in [volts]:\n        return"),
    ],
    ids=["line", "branch"],
)
def test_a_line_or_branch_without_a_test_fails_though_no_mutant_survives(
    tmp_path: Path, module: str
) -> None:
    project = Project(tmp_path, module)
    status, said = project.prove()
    assert status == 1
    assert ", 0 survived;" in said
    assert "Coverage is not complete" in said
    assert project.proven() is None


def test_a_mutant_that_is_listed_may_survive_and_must(tmp_path: Path) -> None:
    tests = GOOD_TESTS.replace("    assert enough(12.0) is True\n", "")
    project = Project(tmp_path, tests=tests)
    project.allow(SURVIVOR)
    status, said = project.prove()
    assert status == 0, said
    assert ", 1 listed as equivalent, 0 survived;" in said
    project.write("hw/test_sample.py", GOOD_TESTS)
    status, said = project.prove()
    assert status == 1
    assert f"LISTED AND NOT SURVIVING {SURVIVOR}\n" in said
    assert project.proven() is None


def test_tests_that_fail_without_a_mistake_prove_nothing(tmp_path: Path) -> None:
    project = Project(tmp_path, tests=GOOD_TESTS.replace("11.9", "12.9"))
    status, said = project.prove()
    assert status == 1
    assert "do not pass" in said
    assert project.proven() is None


def test_tests_that_fail_only_when_they_run_again_prove_nothing(tmp_path: Path) -> None:
    once = '    open("ran", "x").close()\n'
    project = Project(tmp_path, tests=GOOD_TESTS + once)
    status, said = project.prove()
    assert status == 1
    assert "fail where nothing was changed" in said
    assert project.proven() is None


def test_a_mistake_that_hangs_is_noticed(tmp_path: Path) -> None:
    module = MODULE.replace(
        "    return", "    while volts > 20.0:\n        volts /= 2.0\n    return"
    )
    tests = GOOD_TESTS + "    assert enough(25.0) is True\n    assert enough(20.0) is True\n"
    tests += "    assert enough(21.0) is False\n    assert enough(20.5) is False\n"
    tests += "    assert enough(42.0) is False\n"
    status, said = Project(tmp_path, module, tests).prove()
    assert "volts *= 2.0" not in said
    assert status == 0, said


# What is run again --------------------------------------------------------------------------------


def test_only_what_changed_since_it_was_proven_is_run_again(tmp_path: Path) -> None:
    project = Project(tmp_path)
    assert project.prove("--changed")[0] == 0
    status, said = project.prove("--changed")
    assert (status, said) == (0, "mutants: 0 of 1 modules changed since they were proven\n")
    project.write("hw/test_sample.py", BAD_TESTS)
    status, said = project.prove("--changed")
    assert status == 1
    assert "mutants: 1 of 1 modules changed" in said
    assert SURVIVOR in said
    project.write("hw/test_sample.py", GOOD_TESTS)
    project.write("hw/sample.py", MODULE.replace("12.0", "12.1"))
    assert project.prove("--changed")[0] == 1
    project.write("hw/sample.py", MODULE)
    project.allow("gone")
    assert project.prove("--changed")[0] == 1


def test_what_is_proven_does_not_depend_on_where_the_files_are(tmp_path: Path) -> None:
    projects = Project(tmp_path / "one"), Project(tmp_path / "another place")
    digests = set()
    for project in projects:
        assert project.prove()[0] == 0
        digests.add(project.proven())
    assert len(digests) == 1


# The mistakes -------------------------------------------------------------------------------------


def mistakes(source: str) -> set[str]:
    """What becomes of the line that is mutated."""
    return {mutant.key.rpartition(" -> ")[2] for mutant in mutants(source)}


@pytest.mark.parametrize(
    ("line", "wanted"),
    [
        ("return volts < 3", {"return", "return volts <= 3", "return volts < 4"}),
        ("return a and b", {"return", "return a or b", "return (a)", "return (b)"}),
        ("check(a)", {"pass", "check(None)"}),
        ("raise Held", {"pass"}),
        ("x = -1", {"x = None", "x = +1", "x = -2"}),
        ('x = "OPEN"', {"x = None", 'x = "XXOPENXX"'}),
        ('x = "A sentence."', {"x = None"}),
        ("x = [n for n in y if n]", {"x = None", "x = [n for n in y if not (n)]"}),
    ],
)
def test_the_mistakes_that_are_put_into_a_line(line: str, wanted: set[str]) -> None:
    assert mistakes(f"def f(volts, a, b, y):\n    {line}\n") == wanted


@pytest.mark.parametrize("keyword", ["if", "while"])
def test_a_condition_is_turned_round(keyword: str) -> None:
    assert mistakes(f"def f(a):\n    {keyword} a:\n        return\n") == {f"{keyword} not (a):"}


@pytest.mark.parametrize(
    "source",
    [
        "import os\nfrom os import path\n",
        '"""A docstring."""\n\n\ndef f() -> None:\n    """Another."""\n',
        "x: dict[str, int | None]\n",
        "Move = int | str\n",
        "@wraps(f, 1)\ndef f() -> None: ...\n",
    ],
)
def test_what_is_not_mutated(source: str) -> None:
    assert mutants(source) == []


def test_each_mutant_of_the_gate_is_a_module_with_a_name_of_its_own() -> None:
    source = Path("hw/gate/gate.py").read_text()
    found = mutants(source)
    assert len({mutant.key for mutant in found}) == len(found) > 300
    assert len({mutant.code for mutant in found} | {source}) == len(found) + 1
    for mutant in found:
        compile(mutant.code, "gate.py", "exec")
