"""From arguments to exit code: nothing leaves here as a traceback."""

from __future__ import annotations

import os
import sys
import traceback
from collections.abc import Sequence
from pathlib import Path

import msgspec
import typer

from appliance.api.messages import Problem
from appliance.cli.commands import app
from hw.config import run_dir
from hw.errors import FieldKitError

EX_USAGE = 64
EX_SOFTWARE = 70
INTERRUPTED = 130
PIPE_CLOSED = 141
_COMMANDS = {"locked": "fieldkit unlock TECHNICIAN"}
"""What does the next step of an error here; its sentences serve the screen, too."""
_HELP = "Run 'fieldkit --help', or the command with --help."


def run_command(arguments: Sequence[str] | None) -> int:
    """Run one command, `sys.argv` by default, and tell its error if it has one."""
    words = list(sys.argv[1:] if arguments is None else arguments)
    as_json = "--json" in words
    try:
        status = app(args=words, prog_name="fieldkit", standalone_mode=False)
        sys.stdout.flush()
    except FieldKitError as error:
        return _tell(_problem(error), as_json=as_json)
    except typer.TyperException as error:
        what = error.format_message().strip()
        what = what if what.endswith((".", "?")) else f"{what}."
        problem = Problem(code="usage", what=what, next_step=_HELP, exit_status=EX_USAGE)
        return _tell(problem, as_json=as_json)
    except (KeyboardInterrupt, typer.Abort):
        status = INTERRUPTED
    except BrokenPipeError:
        # Whoever read our output has gone; Python must not complain about it at its end either.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return PIPE_CLOSED
    except Exception as error:  # noqa: BLE001 - the last line of defence: a person gets a sentence
        return _tell(_defect(error), as_json=as_json)
    if status == INTERRUPTED:  # typer turns Ctrl-C into this status.
        print("\nInterrupted. A write that runs goes on by itself.", file=sys.stderr)
    return status if isinstance(status, int) else 0


def _problem(error: FieldKitError) -> Problem:
    return Problem(
        code=error.code,
        what=error.what,
        next_step=error.next_step,
        exit_status=error.exit_status,
        gate=getattr(error, "gate", ""),
    )


def _tell(problem: Problem, *, as_json: bool) -> int:
    if as_json:
        print(msgspec.json.encode({"error": problem}).decode(), flush=True)
    gate = f"{problem.gate}: " if problem.gate else ""
    command = f" ('{_COMMANDS[problem.code]}')" if problem.code in _COMMANDS else ""
    print(f"{gate}{problem.what}\n{problem.next_step}{command}".rstrip(), file=sys.stderr)
    return problem.exit_status


def _defect(error: Exception) -> Problem:
    """Keep the traceback in a file, because a person can do nothing with it."""
    path: Path = run_dir() / "fieldkit-defect.log"
    try:
        with path.open("a", encoding="utf-8") as file:
            file.write("".join(traceback.format_exception(error)))
    except OSError:
        where = "It could not be written down"
    else:
        where = f"It is written down in {path}"
    return Problem(
        code="internal",
        what="This program has a defect and stopped.",
        next_step=f"{where}; send it to the workshop. A write that runs goes on by itself.",
        exit_status=EX_SOFTWARE,
    )
