"""Asking the technician: passphrases without echo, and the risk text before a write."""

from __future__ import annotations

import getpass
import stat
import sys
from pathlib import Path

from appliance.cli.output import console, say
from hw.errors import BadInputError, RefusedError, UsageError

MAX_PASSPHRASE = 4096


def passphrase(file: Path | None, prompt: str = "Passphrase: ") -> str:
    """The passphrase: first line of `file` (`-`: standard input), or asked for on the terminal.

    Raises:
        BadInputError: others may read the file, or it is empty or missing.
        UsageError: no file is named and there is no terminal.
    """
    if file is not None:
        return _from_file(file)
    if not sys.stdin.isatty():
        raise UsageError(
            "A passphrase is needed and there is no terminal to ask on.",
            "Name a file with --passphrase-file.",
        )
    try:
        return getpass.getpass(prompt)
    except EOFError:
        raise KeyboardInterrupt from None


def new_passphrase(file: Path | None, name: str) -> str:
    """A passphrase that is being chosen: on a terminal it is asked for twice."""
    first = passphrase(file, f"New passphrase of {name} (at least 10 characters): ")
    if file is None and getpass.getpass("The same once more: ") != first:
        raise UsageError("The two passphrases differ.", "Try again.")
    return first


def _from_file(path: Path) -> str:
    try:
        if str(path) == "-":
            text = sys.stdin.readline(MAX_PASSPHRASE)
        else:
            with path.open(encoding="utf-8") as file:
                text = file.readline(MAX_PASSPHRASE)
                mode = path.stat().st_mode
                if stat.S_ISREG(mode) and mode & 0o077:
                    raise BadInputError(
                        f"Others may read the passphrase file {path}.",
                        f"Close it first: chmod 600 {path}. Then consider the passphrase known.",
                    )
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is not text"
        raise BadInputError(
            f"The passphrase file {path} cannot be read: {reason}.", "Check its name and try again."
        ) from error
    if not (line := text.rstrip("\r\n")):
        raise BadInputError(
            f"The first line of the passphrase file {path} is empty.", "Write the passphrase there."
        )
    return line


def acceptance(risk_text: str, risk_digest: str, accepted: str) -> None:
    """Make sure that the technician read exactly this risk text.

    With `accepted` that is its digest. Without, it is shown and the first eight characters of the
    digest are asked for, which stand below the text.

    Raises:
        RefusedError: another text was accepted, or none.
    """
    if accepted:
        if accepted != risk_digest:
            raise RefusedError(
                "USER_ACKNOWLEDGMENT",
                "The risk that was accepted is not the risk of this plan.",
                f"Read the risk text ('fieldkit plan show PLAN'); its digest is {risk_digest}.",
            )
        return
    if not sys.stdin.isatty():
        raise RefusedError(
            "USER_ACKNOWLEDGMENT",
            "Nobody has acknowledged the risk, and there is no terminal to ask on.",
            f"Read the risk text, then add --yes-i-accept {risk_digest}.",
        )
    console.rule("What can go wrong", style="yellow")
    say(risk_text)
    console.rule(style="yellow")
    wanted = risk_digest[:8]
    say(f"To accept, type {wanted} and then your passphrase. Anything else refuses.")
    if console.input("> ").strip() != wanted:
        raise RefusedError(
            "USER_ACKNOWLEDGMENT",
            "The risk was not accepted; nothing was sent.",
            "Run the job again when you are sure.",
        )
