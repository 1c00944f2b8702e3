"""Processes of the bench, forked from the one that runs the tests and has imported everything.

In the VM, Python and what the kit imports take seconds to start, and the tests start a dozen
processes. A fork is a process of its own all the same: it can be killed, and the kernel then puts
away what it had.
"""

from __future__ import annotations

import multiprocessing
import os
import sys
import threading
import warnings
from collections.abc import Callable

# Each test forks while no other thread runs, so that no lock is held by one that is not there.
_CONTEXT = multiprocessing.get_context("fork")


class Forked:
    """A program's `main` in a process of its own.

    Args:
        main: takes nothing and gives the exit status.

    Attributes:
        pid: of the process.
        output: what it prints.
    """

    def __init__(self, main: Callable[[], int]) -> None:
        out, into = os.pipe()
        # A daemon ends with the tests, however they end.
        self._process = _CONTEXT.Process(target=_run, args=(main, into), daemon=True)
        self._process.start()
        os.close(into)
        assert self._process.pid is not None
        self.pid = self._process.pid
        self.output = os.fdopen(out)

    def signal(self, number: int) -> None:
        """Send it a signal."""
        os.kill(self.pid, number)

    def wait(self, limit_s: float = 60.0) -> int:
        """Wait for the end; gives the exit status."""
        self._process.join(limit_s)
        assert self._process.exitcode is not None, f"it has not ended within {limit_s} s"
        self.output.close()
        return self._process.exitcode


def _run(main: Callable[[], int], stdout: int) -> None:
    os.dup2(stdout, 1)
    # pytest has put its own in their place; here are none of its tests.
    sys.stdout = os.fdopen(1, "w", closefd=False)
    sys.excepthook, threading.excepthook = sys.__excepthook__, threading.__excepthook__
    warnings.resetwarnings()
    sys.exit(main())
