"""What a person reads when it goes wrong: two sentences, an exit code, never a traceback."""

from __future__ import annotations

import contextlib
import json
import os
import pty
import signal
import subprocess
import sys
from pathlib import Path

import pytest

FIELDKIT = [sys.executable, "-m", "appliance.cli"]


def fieldkit(
    *words: str, run: Path, stdin: str | None = None, **environment: str
) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [*FIELDKIT, *words],
        input=stdin if stdin is not None else "",
        env={**os.environ, "FIELDKIT_RUN": str(run), "FIELDKIT_STATE": str(run), **environment},
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )


def test_an_appliance_that_does_not_run_is_said_with_how_to_start_it(short_tmp: Path) -> None:
    ended = fieldkit("status", run=short_tmp)
    assert ended.returncode == 69
    assert ended.stdout == ""
    first, second = ended.stderr.splitlines()
    assert first.startswith("The appliance does not answer on ")
    assert "Errno" not in first
    assert second == "Start it with 'fieldkit up'."


def test_json_carries_code_and_both_sentences(short_tmp: Path) -> None:
    ended = fieldkit("status", "--json", run=short_tmp)
    error = json.loads(ended.stdout)["error"]
    assert error["code"] == "not_running"
    assert f"{error['what']}\n{error['next_step']}\n" == ended.stderr
    assert error["exit_status"] == ended.returncode == 69


@pytest.mark.parametrize(
    "words",
    [
        ["nonsense"],
        ["job", "run"],
        ["job", "run", "--nonsense"],
        ["plan", "flash", "file.hex"],
        ["identify", "--link", "can://virtual/x?tx=0x7E0&rx=0x7E8"],
        ["read", "--link", "x", "--profile", "y"],
        ["read", "--link", "x", "--profile", "y", "--did", "zzz"],
        ["job", "run", "PLAN", "--yes"],
    ],
)
def test_usage_errors_exit_64_and_name_the_help(short_tmp: Path, words: list[str]) -> None:
    ended = fieldkit(*words, run=short_tmp)
    assert ended.returncode == 64
    assert "Traceback" not in ended.stderr
    assert len(ended.stderr.splitlines()) == 2


def test_a_file_that_is_not_there_exits_65(short_tmp: Path) -> None:
    ended = fieldkit("job", "run", str(short_tmp / "no.plan"), run=short_tmp)
    assert ended.returncode == 65
    assert "cannot be read: No such file or directory." in ended.stderr


def test_a_passphrase_file_that_others_may_read_is_refused(short_tmp: Path) -> None:
    file = short_tmp / "passphrase"
    file.write_text("correct horse battery\n")
    file.chmod(0o644)
    ended = fieldkit("unlock", "maria", "--passphrase-file", str(file), run=short_tmp)
    assert ended.returncode == 65
    assert f"chmod 600 {file}" in ended.stderr
    assert "correct horse" not in ended.stderr + ended.stdout


def test_a_passphrase_without_a_terminal_is_never_waited_for(short_tmp: Path) -> None:
    ended = fieldkit("unlock", "maria", run=short_tmp)
    assert ended.returncode == 64
    assert "--passphrase-file" in ended.stderr


def test_a_passphrase_typed_on_a_terminal_is_not_echoed(short_tmp: Path) -> None:
    leader, follower = pty.openpty()
    with subprocess.Popen(
        [*FIELDKIT, "unlock", "maria"],
        stdin=follower,
        stdout=follower,
        stderr=follower,
        env={**os.environ, "FIELDKIT_RUN": str(short_tmp)},
        start_new_session=True,
    ) as process:
        os.close(follower)
        shown = b""
        while b"Passphrase: " not in shown:
            shown += os.read(leader, 4096)
        os.write(leader, b"correct horse battery\n")
        with contextlib.suppress(OSError):  # How Linux says that nobody has the other end now.
            while part := os.read(leader, 4096):
                shown += part
        os.close(leader)
        assert process.wait(timeout=30) == 69
    assert b"The appliance does not answer" in shown
    assert b"correct horse" not in shown


def test_a_reader_that_goes_away_is_no_error_message(short_tmp: Path) -> None:
    script = " ".join([*FIELDKIT, "--help", "|", "true"])
    ended = subprocess.run(
        ["bash", "-c", f"set -o pipefail; for i in 1 2 3; do {script}; done"],
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert ended.stderr == ""


def test_ctrl_c_says_that_a_write_goes_on(short_tmp: Path) -> None:
    fifo = short_tmp / "fifo"
    os.mkfifo(fifo)
    with subprocess.Popen(
        [*FIELDKIT, "unlock", "maria", "--passphrase-file", str(fifo)],
        stderr=subprocess.PIPE,
        env={**os.environ, "FIELDKIT_RUN": str(short_tmp)},
    ) as process:
        descriptor = os.open(fifo, os.O_WRONLY)  # Returns once the program waits on the other end.
        process.send_signal(signal.SIGINT)
        assert process.wait(timeout=30) == 130
        os.close(descriptor)
        assert process.stderr is not None
        assert process.stderr.read().split() == (
            b"Interrupted. A write that runs goes on by itself.".split()
        )


def test_a_kit_is_not_made_without_a_technician_or_recipients(short_tmp: Path) -> None:
    state = short_tmp / "state"
    ended = fieldkit("init", run=short_tmp, FIELDKIT_STATE=str(state))
    assert ended.returncode == 64
    assert "--technician" in ended.stderr
    assert not state.exists()


def test_up_before_init_says_what_to_do_first(short_tmp: Path) -> None:
    ended = fieldkit("up", run=short_tmp, FIELDKIT_STATE=str(short_tmp / "state"))
    assert ended.returncode == 65
    assert "Run 'fieldkit init' first." in ended.stderr
