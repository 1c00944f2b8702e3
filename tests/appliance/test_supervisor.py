"""Processes that live and die together, watched from outside."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

import pytest

from appliance.supervisor import Program, Supervisor, car_of
from hw.errors import UnavailableError

T = TypeVar("T")
WAIT_S = 20.0
SAYS_READY = "print('ready', flush=True); import time; time.sleep(60)"


def program(code: str, name: str = "one") -> Program:
    return Program(name, [sys.executable, "-c", code])


def eventually(true: Callable[[], T], within_s: float = WAIT_S) -> T:
    until = time.monotonic() + within_s
    while not (found := true()):
        assert time.monotonic() < until
        time.sleep(0.02)
    return found


def alive(pid: int) -> bool:
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except FileNotFoundError:
        return False
    return state != "Z"


def test_a_program_is_ready_when_it_says_so_and_ends_with_the_supervisor(tmp_path: Path) -> None:
    with Supervisor(tmp_path, print) as programs:
        assert programs.start(program(SAYS_READY)) == "ready"
        pid = programs.pid("one")
        assert alive(pid)
    assert not alive(pid)


def test_a_program_that_ends_at_once_is_told_with_its_last_words(tmp_path: Path) -> None:
    code = "import sys; sys.exit('The sensor is not there. Connect it.')"
    with Supervisor(tmp_path, print) as programs, pytest.raises(UnavailableError) as told:
        programs.start(program(code))
    assert told.value.what == "one did not start: The sensor is not there. Connect it."
    assert str(tmp_path / "one.log") in told.value.next_step


def test_what_the_car_announces_must_be_its_links() -> None:
    assert car_of('{"ecus": {}}') == {"ecus": {}}
    with pytest.raises(UnavailableError):
        car_of("hello")


UP = """
import sys
from pathlib import Path
from appliance.supervisor import Program, Supervisor
said = "print('ready', flush=True); import time; time.sleep(60)"
def tell(text):
    print(text, flush=True)
with Supervisor(Path(sys.argv[1]), tell) as programs:
    programs.start(Program("one", [sys.executable, "-c", said]))
    tell(f"pid {programs.pid('one')}")
    programs.watch()
"""


@pytest.fixture
def up(tmp_path: Path) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-c", UP, str(tmp_path)], stdout=subprocess.PIPE, text=True
    )


def pid_told(up: subprocess.Popen[str]) -> int:
    assert up.stdout is not None
    return int(up.stdout.readline().removeprefix("pid "))


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_ends_the_supervisor_and_its_children_in_order(
    up: subprocess.Popen[str], number: signal.Signals
) -> None:
    with up:
        pid = pid_told(up)
        # The handlers are there a moment after the line; before, Python's own end the program too.
        up.send_signal(number)
        up.wait(timeout=WAIT_S)
    eventually(lambda: not alive(pid))


def test_a_killed_supervisor_takes_its_children_with_it(up: subprocess.Popen[str]) -> None:
    with up:
        pid = pid_told(up)
        up.kill()
        up.wait(timeout=WAIT_S)
    eventually(lambda: not alive(pid))


def test_what_dies_is_started_again_and_that_is_said(up: subprocess.Popen[str]) -> None:
    with up:
        assert up.stdout is not None
        os.kill(pid_told(up), signal.SIGKILL)
        assert up.stdout.readline().startswith("one ended (SIGKILL); it is started again in 0.2 s.")
        assert up.stdout.readline() == "one runs again.\n"
        up.terminate()
        assert up.wait(timeout=WAIT_S) == 0
