"""Processes of the bench, forked from the one that runs the tests and has imported everything.

In the VM, Python and what the kit imports take seconds to start, and the tests start a dozen
processes. A fork is a process of its own all the same: it can be killed, and the kernel then puts
away what it had.
"""

from __future__ import annotations

import os
import select
import signal
import sys
import threading
import traceback
import warnings
from collections.abc import Callable


class Forked:
    """A program's `main` in a process of its own.

    To be made while no other thread runs: a lock that one holds would be held for ever in the fork.

    Args:
        main: takes nothing and gives the exit status.

    Attributes:
        output: what it prints.
    """

    def __init__(self, main: Callable[[], int]) -> None:
        out, into = os.pipe()
        self._pid = os.fork()
        if self._pid == 0:
            _run(main, into)
        os.close(into)
        self.output = os.fdopen(out)

    def signal(self, number: int) -> None:
        """Send it a signal."""
        os.kill(self._pid, number)

    def kill(self) -> None:
        """End it, however long the kernel takes to put it away; `wait` waits for that."""
        self.signal(signal.SIGKILL)
        self.output.close()

    def wait(self, limit_s: float = 60.0) -> int:
        """Wait for the end; gives the exit status, or of a signal its number below zero."""
        ended = os.pidfd_open(self._pid)
        try:
            assert select.select([ended], [], [], limit_s)[0], f"not ended within {limit_s} s"
        finally:
            os.close(ended)
            self.output.close()
        return os.waitstatus_to_exitcode(os.waitpid(self._pid, 0)[1])


def _run(main: Callable[[], int], stdout: int) -> None:
    status = 70
    try:
        os.dup2(stdout, 1)
        # pytest has put its own in their place; here are none of its tests.
        sys.stdout = os.fdopen(1, "w", closefd=False)
        sys.excepthook, threading.excepthook = sys.__excepthook__, threading.__excepthook__
        warnings.resetwarnings()
        status = main()
    except BaseException:  # noqa: BLE001 - as a process that ends by an exception would
        traceback.print_exc()
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(status)
