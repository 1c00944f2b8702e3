"""Runs tests in a process of its own: on a module as it is, or with one mistake in it.

What is not this project's is imported once; everything after that happens in forks. For a mistake
inside a function, tests are collected once and each mutant is a fork in which the function's code
is exchanged. For one outside (a table, a limit, a default), a fork imports everything anew.
"""

from __future__ import annotations

import contextlib
import gc
import importlib
import importlib.machinery
import importlib.util
import io
import multiprocessing
import os
import resource
import signal
import sys
import tempfile
import time
import traceback
from collections import deque
from collections.abc import Callable, Generator, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from multiprocessing.connection import Connection, wait
from multiprocessing.process import BaseProcess
from pathlib import Path
from types import CodeType, FunctionType, ModuleType
from typing import Any, Self

import coverage
import pytest

from tests.mutants.mutate import Mutant

OWN = ("hw", "appliance", "ui", "tests")
FORK = multiprocessing.get_context("fork")
BASELINE_LIMIT_S = 120.0
SHORTEST_LIMIT_S = 8.0
SLOWER = 8.0
"""How much slower than as it is a test may be before it is held to hang: this machine is busy."""
MEMORY = "/dev/shm"  # noqa: S108 - a folder with a name of its own is made in it
RAM = MEMORY if os.access(MEMORY, os.W_OK) else None
"""Nothing that a mutant writes needs to last."""
MEMORY_BYTES = 2 << 30
TOOL_FAILED = 99


@dataclass(frozen=True)
class Baseline:
    """What the tests do with the module as it is.

    Attributes:
        seconds: how long each test takes, by its id.
        tests_at: the tests that run through a line.
        at_import: lines that run when the module is imported.
        uncovered: lines and branches that no test runs through, for people; "" for none.
    """

    seconds: dict[str, float]
    tests_at: dict[int, set[str]]
    at_import: set[int]
    uncovered: str

    @property
    def test_limit_s(self) -> float:
        """A test that takes longer hangs."""
        return max(SHORTEST_LIMIT_S, SLOWER * max(self.seconds.values()))

    @property
    def run_limit_s(self) -> float:
        """A run that takes longer hangs, and where its tests cannot be stopped."""
        return 30.0 + SLOWER * sum(self.seconds.values())

    def tests_of(self, lines: tuple[int, int]) -> list[str]:
        """The tests that a mistake in these lines can make fail, the quickest first."""
        span = set(range(lines[0], lines[1] + 1))
        chosen = {test for line in span for test in self.tests_at.get(line, ())}
        if span & self.at_import or not chosen:
            chosen = set(self.seconds)
        return sorted(chosen, key=lambda test: (self.seconds[test], test))


def preload(tests: Sequence[Path]) -> None:
    """Import what the tests import, and keep of it what is not this project's."""
    for path in tests:
        importlib.import_module(".".join(path.with_suffix("").parts))
    for name in list(sys.modules):
        ours = name.partition(".")[0] in OWN
        if ours and name != "tests" and not name.startswith("tests.mutants"):
            del sys.modules[name]


def measure(module: Path, tests: Sequence[Path]) -> Baseline:
    """Run all tests on the module as it is, with coverage.

    Raises:
        RuntimeError: they do not pass.
    """
    baseline: Baseline | None = _answer(lambda sender: _measure(module, tests, sender))
    if baseline is None:
        raise RuntimeError(f"The tests of {module} do not pass on it as it is: run pytest on them.")
    return baseline


def survivors(
    module: Path,
    mutants: Sequence[Mutant],
    tests: Sequence[Path],
    baseline: Baseline,
    jobs: int,
) -> set[str]:
    """Keys of the mutants on which all tests pass that could fail. One that hangs fails them."""
    exchangeable = _outline(module.read_text())
    inside = [m for m in mutants if m.in_function and _outline(m.code) == exchangeable]
    chosen = {mutant.key: baseline.tests_of(mutant.lines) for mutant in mutants}
    import_anew = partial(_import_anew, module, baseline.test_limit_s)
    anew = [
        _Task(m.key, partial(import_anew, m.code, chosen[m.key]), baseline.run_limit_s)
        for m in mutants
        if m not in inside
    ]
    found = {key for key, status in _race(anew, jobs) if _passed(key, status)}
    server = _Server(module, [(m, chosen[m.key]) for m in inside], baseline, jobs)
    names = [str(path) for path in tests]
    served, failure = _answer(
        lambda sender: _pytest(names, server.telling(sender), baseline.test_limit_s)
    )
    if failure:
        raise RuntimeError(failure)
    return found.union(served)


# Each in its own process --------------------------------------------------------------------------


@dataclass(frozen=True)
class _Task:
    key: str
    run: Callable[[], int]
    limit_s: float


def _race(tasks: Sequence[_Task], jobs: int) -> Iterator[tuple[str, int]]:
    """Run each task in a fork, `jobs` at a time; give its key and exit status, -9 for killed."""
    waiting = deque(tasks)
    running: dict[int, tuple[_Task, BaseProcess, float]] = {}
    while waiting or running:
        while waiting and len(running) < jobs:
            task = waiting.popleft()
            process: BaseProcess = FORK.Process(target=_alone, args=(task.run,))
            process.start()
            running[process.sentinel] = task, process, time.monotonic() + task.limit_s
        wait(list(running), timeout=0.5)
        for sentinel, (task, process, until) in list(running.items()):
            if process.is_alive() and time.monotonic() > until and process.pid is not None:
                with contextlib.suppress(ProcessLookupError):  # It has just ended by itself.
                    os.killpg(process.pid, signal.SIGKILL)
                process.join()
            if not process.is_alive():
                del running[sentinel]
                yield task.key, process.exitcode if process.exitcode is not None else -1


def _answer(run: Callable[[Connection], object]) -> Any:
    """What a fork sends back.

    Raises:
        RuntimeError: it ended without an answer.
    """
    receiver, sender = FORK.Pipe(duplex=False)
    process = FORK.Process(target=_quietly, args=(partial(run, sender),))
    process.start()
    sender.close()
    try:
        return receiver.recv()
    except EOFError as error:
        raise RuntimeError("A process with tests ended without a word.") from error
    finally:
        process.join()


def _alone(run: Callable[[], int]) -> None:
    os.setsid()  # What the tests start ends with them.
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY_BYTES, MEMORY_BYTES))
    os._exit(_quietly(run))


def _quietly(run: Callable[[], int]) -> int:
    with tempfile.TemporaryDirectory(prefix="mutant", dir=RAM) as folder:
        os.environ["PYTEST_DEBUG_TEMPROOT"] = folder
        with open(Path(folder) / "output", "w", encoding="utf-8") as stream:
            os.dup2(stream.fileno(), 1)
            os.dup2(stream.fileno(), 2)
            try:
                return run()
            except Exception:  # noqa: BLE001 - any failure here is told as one
                return TOOL_FAILED
            finally:
                sys.stdout.flush()


def _passed(key: str, status: int) -> bool:
    if status in (TOOL_FAILED, pytest.ExitCode.NO_TESTS_COLLECTED):
        raise RuntimeError(f"The tool itself failed ({status}) at: {key}")
    return status == pytest.ExitCode.OK


def _pytest(arguments: Sequence[str], plugin: object, test_limit_s: float) -> int:
    options = [
        "-q",
        "-x",
        "--capture=sys",
        "--assert=plain",
        "-W",
        "error",
        "-p",
        "no:cacheprovider",
    ]
    limit = f"--timeout={test_limit_s:.1f}"
    return int(pytest.main([*options, "-p", "no:xdist", limit, *arguments], plugins=[plugin]))


# As it is, with coverage --------------------------------------------------------------------------


def _measure(module: Path, tests: Sequence[Path], sender: Connection) -> int:
    measured = coverage.Coverage(
        data_file=None, branch=True, include=[str(module.resolve())], config_file=False
    )
    watch = _Watch(measured)
    measured.start()
    status = _pytest([str(path) for path in tests], watch, BASELINE_LIMIT_S)
    measured.stop()
    passed = status == pytest.ExitCode.OK
    sender.send(_baseline(module, measured, watch.seconds) if passed else None)
    return status


def _baseline(module: Path, measured: coverage.Coverage, seconds: dict[str, float]) -> Baseline:
    contexts = measured.get_data().contexts_by_lineno(str(module.resolve()))
    report = io.StringIO()
    complete = measured.report(file=report, show_missing=True) == 100
    return Baseline(
        seconds=seconds,
        tests_at={line: {name for name in names if name} for line, names in contexts.items()},
        at_import={line for line, names in contexts.items() if "" in names},
        uncovered="" if complete else report.getvalue(),
    )


class _Watch:
    """Notes for each test how long it takes, and tells coverage which one runs."""

    def __init__(self, measured: coverage.Coverage) -> None:
        self._measured = measured
        self.seconds: dict[str, float] = {}

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_protocol(self, item: pytest.Item) -> Generator[None, object, object]:
        self._measured.switch_context(item.nodeid)
        self.seconds[item.nodeid] = 0.0
        result = yield
        self._measured.switch_context("")
        return result

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        self.seconds[report.nodeid] += report.duration


# A mistake outside functions: everything is imported anew -----------------------------------------


def _import_anew(module: Path, test_limit_s: float, code: str, tests: Sequence[str]) -> int:
    sys.meta_path.insert(0, _Mutated(module, code))
    files = sorted({test.partition("::")[0] for test in tests})
    return _pytest(files, _Chosen(tests), test_limit_s)


class _Chosen:
    """Runs only the chosen tests, in their order."""

    def __init__(self, tests: Sequence[str]) -> None:
        self._rank = {test: rank for rank, test in enumerate(tests)}

    @pytest.hookimpl(trylast=True)
    def pytest_collection_modifyitems(self, items: list[pytest.Item]) -> None:
        chosen = [item for item in items if item.nodeid in self._rank]
        items[:] = sorted(chosen, key=lambda item: self._rank[item.nodeid])


class _Mutated(importlib.machinery.SourceFileLoader):
    """Finds and loads one module from a text instead of its file; keeps no bytecode of it."""

    def __init__(self, module: Path, code: str) -> None:
        super().__init__(".".join(module.with_suffix("").parts), str(module.resolve()))
        self._text = code.encode()

    def find_spec(
        self, name: str, _path: object = None, _target: ModuleType | None = None
    ) -> importlib.machinery.ModuleSpec | None:
        if name != self.name:
            return None
        return importlib.util.spec_from_file_location(name, self.path, loader=self)

    def get_data(self, path: str) -> bytes:
        if path != self.path:
            raise OSError("no bytecode of a mutant")
        return self._text

    def path_stats(self, path: str) -> dict[str, float]:
        raise OSError("no bytecode of a mutant")


# A mistake inside a function: its code is exchanged in what has been imported --------------------


class _Server:
    """In place of pytest's loop over the collected tests: one fork of this process per mutant."""

    def __init__(
        self,
        module: Path,
        tasks: Sequence[tuple[Mutant, list[str]]],
        baseline: Baseline,
        jobs: int,
    ) -> None:
        self._module, self._tasks, self._jobs = module, tasks, jobs
        self._limit_s = baseline.run_limit_s
        self._sender: Connection | None = None

    def telling(self, sender: Connection) -> Self:
        """This server, whose answer goes there."""
        self._sender = sender
        return self

    def pytest_runtestloop(self, session: pytest.Session) -> bool:
        assert self._sender is not None
        try:
            self._sender.send((self._survivors(session), ""))
        except Exception:  # noqa: BLE001 - whatever it is, it is told where it is read
            self._sender.send((set(), traceback.format_exc()))
        return True

    def _survivors(self, session: pytest.Session) -> set[str]:
        functions = _functions_of(self._module)
        items = {item.nodeid: item for item in session.items}
        tasks = [
            _Task(
                mutant.key,
                partial(self._try, mutant, functions, session, [items[test] for test in tests]),
                self._limit_s,
            )
            for mutant, tests in self._tasks
        ]
        return {key for key, status in _race(tasks, self._jobs) if _passed(key, status)}

    def _try(
        self,
        mutant: Mutant,
        functions: Sequence[FunctionType],
        session: pytest.Session,
        items: Sequence[pytest.Item],
    ) -> int:
        _exchange(functions, compile(mutant.code, str(self._module.resolve()), "exec"))
        for item in items:
            try:
                item.config.hook.pytest_runtest_protocol(item=item, nextitem=None)
            except Exception:  # noqa: BLE001 - an error that nobody could catch, told by a hook
                return int(pytest.ExitCode.TESTS_FAILED)
            if session.testsfailed:
                return int(pytest.ExitCode.TESTS_FAILED)
        return int(pytest.ExitCode.OK)


def _functions_of(module: Path) -> list[FunctionType]:
    """Every function that this file defines, however it is wrapped, but not those inside others."""
    path = str(module.resolve())
    return [
        thing
        for thing in gc.get_objects()
        if isinstance(thing, FunctionType)
        and thing.__code__.co_filename == path
        and "<locals>" not in thing.__qualname__
    ]


def _exchange(functions: Sequence[FunctionType], code: CodeType) -> None:
    new = {inner.co_qualname: inner for inner in _codes(code)}
    for function in functions:
        function.__code__ = new[function.__code__.co_qualname]


def _codes(code: CodeType) -> Iterator[CodeType]:
    """The code of a module and of its classes and functions, but not of what is inside these."""
    yield code
    for constant in code.co_consts:
        if isinstance(constant, CodeType) and "<locals>" not in constant.co_qualname:
            yield from _codes(constant)


def _outline(source: str) -> list[tuple[str, tuple[str, ...]]]:
    """What must be the same for an exchange: the functions, and what they take from around them."""
    return [(code.co_qualname, code.co_freevars) for code in _codes(compile(source, "", "exec"))]
