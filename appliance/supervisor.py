"""Starts the kit's processes on a desk, waits until they answer, and takes them down again.

On a kit systemd does this (systemd/*.service). Here one process starts the simulated car, hw and
the appliance, each with its log file in the run folder, and ends them when it ends: in order where
it can, by the kernel (PR_SET_PDEATHSIG) where it is killed itself.
"""

from __future__ import annotations

import ctypes
import json
import os
import selectors
import signal
import socket
import struct
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from types import FrameType, TracebackType
from typing import Any

from hw.errors import UnavailableError

READY_WITHIN_S = 20.0
STOP_WITHIN_S = 10.0
BACK_OFF_S = (0.2, 1.0, 5.0)
POLL_S = 0.1
STEADY_S = 30.0
"""A process that ran this long is restarted without back-off when it ends."""

_PR_SET_PDEATHSIG = 1
_libc = ctypes.CDLL(None, use_errno=True)

Tell = Callable[[str], None]


@dataclass(frozen=True)
class Program:
    """One process: its name, its command line and how it shows that it is ready.

    `ready_socket`: a Unix socket that accepts connections; without it the first line that the
    program prints says so, and is kept as its `announcement`.
    """

    name: str
    arguments: Sequence[str]
    ready_socket: Path | None = None
    socket_kind: int = socket.SOCK_STREAM
    environment: Mapping[str, str] = field(default_factory=dict)


@dataclass
class _Running:
    program: Program
    process: subprocess.Popen[bytes]
    started_at: float
    announcement: str = ""
    failures: int = 0
    restart_at: float | None = None


class Supervisor:
    """A handful of processes that live and die together. A context manager.

    Args:
        run: folder of the sockets; each program's log is `run/NAME.log`.
        tell: takes one sentence about each start, end and restart.
    """

    def __init__(self, run: Path, tell: Tell) -> None:
        self._run = run
        self._tell = tell
        self._running: dict[str, _Running] = {}
        self._stop = False

    def __enter__(self) -> Supervisor:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def start(self, program: Program) -> str:
        """Start a program and wait until it is ready.

        Returns:
            The line that it announced itself with, empty where readiness is its socket.

        Raises:
            UnavailableError: it ended, or was not ready in time; the sentence has its last words.
        """
        running = _Running(program, self._spawn(program), time.monotonic())
        self._running[program.name] = running
        self._wait_ready(running)
        return running.announcement

    def pid(self, name: str) -> int:
        """Process number of a program that was started."""
        return self._running[name].process.pid

    def kill(self, name: str) -> None:
        """SIGKILL a program and wait for its end, as a power cut or a defect would."""
        process = self._running[name].process
        process.kill()
        process.wait(timeout=STOP_WITHIN_S)
        _close_pipe(process)

    def watch(self) -> None:
        """Keep everything running until SIGINT or SIGTERM; what ends is started again."""
        previous = {
            number: signal.signal(number, self._on_signal)
            for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
        }
        try:
            while not self._stop:
                for running in list(self._running.values()):
                    self._look_after(running)
                time.sleep(POLL_S)
        finally:
            for number, handler in previous.items():
                signal.signal(number, handler)

    def close(self) -> None:
        """End everything, the last started first, so that hw outlives the appliance."""
        for running in reversed(list(self._running.values())):
            process = running.process
            if process.poll() is None:
                process.terminate()
            try:
                process.wait(timeout=STOP_WITHIN_S)
            except subprocess.TimeoutExpired:
                self._tell(f"{running.program.name} did not stop and is killed.")
                process.kill()
                process.wait()
            _close_pipe(process)
        self._running.clear()

    # Inside -----------------------------------------------------------------------------------

    def _on_signal(self, _number: int, _frame: FrameType | None) -> None:
        self._stop = True

    def _look_after(self, running: _Running) -> None:
        now = time.monotonic()
        if running.restart_at is None:
            if (status := running.process.poll()) is None:
                return
            _close_pipe(running.process)
            steady = now - running.started_at > STEADY_S
            running.failures = 0 if steady else running.failures
            wait_s = BACK_OFF_S[min(running.failures, len(BACK_OFF_S) - 1)]
            running.failures += 1
            running.restart_at = now + wait_s
            name = running.program.name
            self._tell(
                f"{name} ended ({_ending(status)}); it is started again in {wait_s:g} s. "
                f"Its log: {self._log_path(name)}."
            )
        elif now >= running.restart_at:
            running.restart_at = None
            running.process = self._spawn(running.program)
            running.started_at = now
            try:
                self._wait_ready(running)
            except UnavailableError as error:
                self._tell(f"{error.what} {error.next_step}")
            else:
                self._tell(f"{running.program.name} runs again.")

    def _spawn(self, program: Program) -> subprocess.Popen[bytes]:
        parent = os.getpid()
        announces = program.ready_socket is None
        with self._log_path(program.name).open("ab") as log:
            return subprocess.Popen(
                program.arguments,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE if announces else log,
                stderr=log,
                env={**os.environ, **program.environment},
                # Ctrl-C on the terminal is for the supervisor, which ends its children in order.
                start_new_session=True,
                preexec_fn=lambda: _die_with(parent),  # noqa: PLW1509 - no other thread forks here
            )

    def _wait_ready(self, running: _Running) -> None:
        until = time.monotonic() + READY_WITHIN_S
        if running.program.ready_socket is None:
            running.announcement = _first_line(running.process, until)
            ready = bool(running.announcement)
        else:
            ready = _answers(running, running.program.ready_socket, until)
        if not ready:
            name = running.program.name
            last = self._last_words(name)
            raise UnavailableError(
                f"{name} did not start{': ' + last if last else '.'}",
                f"Read its log: {self._log_path(name)}.",
            )

    def _log_path(self, name: str) -> Path:
        return self._run / f"{name}.log"

    def _last_words(self, name: str) -> str:
        lines = self._log_path(name).read_text(errors="replace").strip().splitlines()
        return " ".join(lines[-2:])


def run_along(arguments: Sequence[str], environment: Mapping[str, str]) -> int:
    """Run a program until it ends by itself; it ends with this process, too, however that ends.

    Returns:
        Its exit status.
    """
    parent = os.getpid()
    return subprocess.run(
        arguments,
        env={**os.environ, **environment},
        preexec_fn=lambda: _die_with(parent),
        check=False,
    ).returncode


def _die_with(parent: int) -> None:
    """In the child: end when the supervisor ends, however that happens."""
    _libc.prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)
    if os.getppid() != parent:
        os._exit(1)


def _first_line(process: subprocess.Popen[bytes], until: float) -> str:
    pipe, line = process.stdout, b""
    if pipe is None:
        return ""
    with selectors.DefaultSelector() as selector:
        selector.register(pipe, selectors.EVENT_READ)
        while not line.endswith(b"\n"):
            if not selector.select(max(until - time.monotonic(), 0)):
                return ""
            if not (part := os.read(pipe.fileno(), 65536)):
                return ""
            line += part
    return line.decode(errors="replace").splitlines()[0]


def _answers(running: _Running, path: Path, until: float) -> bool:
    while time.monotonic() < until and running.process.poll() is None:
        if listener_of(path, running.program.socket_kind) == running.process.pid:
            return True
        time.sleep(POLL_S / 5)
    return False


def listener_of(path: Path, kind: int = socket.SOCK_STREAM) -> int:
    """Process number of who listens on a Unix socket, 0 for nobody."""
    with socket.socket(socket.AF_UNIX, kind) as probe:
        try:
            probe.connect(str(path))
        except (FileNotFoundError, ConnectionRefusedError):
            return 0
        raw = probe.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, struct.calcsize("3i"))
    return int(struct.unpack("3i", raw)[0])


def _close_pipe(process: subprocess.Popen[bytes]) -> None:
    if process.stdout is not None:
        process.stdout.close()


def _ending(status: int) -> str:
    if status < 0:
        return signal.Signals(-status).name
    return f"status {status}"


# The kit's own programs ---------------------------------------------------------------------------


def simulator(*options: str) -> Program:
    """The simulated car; announces its links as JSON."""
    return Program("sim", [sys.executable, "-m", "hw.sim", *options])


def hw_program(run: Path) -> Program:
    """The process that reaches the car."""
    return Program(
        "hw", [sys.executable, "-m", "hw"], run / "hw.sock", socket_kind=socket.SOCK_SEQPACKET
    )


def appliance_program(run: Path) -> Program:
    """The process that knows the job."""
    return Program("appliance", [sys.executable, "-m", "appliance"], run / "appliance.sock")


def refuse_second_kit(run: Path) -> None:
    """See that no kit runs in this run folder yet.

    Raises:
        UnavailableError: one does.
    """
    for program in (hw_program(run), appliance_program(run)):
        path = program.ready_socket
        if path is not None and (pid := listener_of(path, program.socket_kind)):
            raise UnavailableError(
                f"A kit is up already: {program.name} (process {pid}) answers on {path}.",
                "Use that one, stop it first, or name another folder in $FIELDKIT_RUN.",
            )


def in_environment(program: Program, environment: Mapping[str, str]) -> Program:
    """The same program with further environment variables."""
    return replace(program, environment={**program.environment, **environment})


def car_of(announcement: str) -> dict[str, Any]:
    """The links of the simulated car, from the line that it announced itself with.

    Raises:
        UnavailableError: the line is not what the simulated car says.
    """
    try:
        car = json.loads(announcement)
        if isinstance(car, dict):
            return car
    except ValueError:
        pass
    raise UnavailableError(
        "The simulated car announced itself in a way that is not understood.",
        "Install the same version of all parts.",
    )
