"""How the command line speaks: tables and sentences for a person, one JSON object for a program."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import msgspec
from msgspec import Struct
from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

from appliance.api.messages import File
from hw.errors import BadInputError, UsageError
from hw.messages import GateResult

PLAIN_WIDTH = 120

console = Console(highlight=False, soft_wrap=False)
notes = Console(stderr=True, highlight=False)
if not console.is_terminal:
    # A file or a pipe has no width; folding at 80 columns would break digests.
    console = Console(highlight=False, width=PLAIN_WIDTH, no_color=True)


def say(text: str, style: str = "") -> None:
    """Print a sentence as it is: no markup, no folding of long words."""
    console.print(Text(text, style=style), soft_wrap=True)


def say_json(value: Struct | dict[str, Any]) -> None:
    """Print one object on one line; bytes become base64."""
    console.file.write(msgspec.json.encode(value).decode() + "\n")
    console.file.flush()


def plain(value: Struct, *, without: Sequence[str] = ()) -> dict[str, Any]:
    """The fields of a message by name, but for some."""
    fields: dict[str, Any] = msgspec.to_builtins(value)
    return {name: value for name, value in fields.items() if name not in without}


def table(
    headings: Sequence[str],
    rows: Iterable[Sequence[str]],
    title: str = "",
    to: Console | None = None,
) -> None:
    """Print a table; long values are folded, never cut."""
    shown = Table(box=box.SIMPLE_HEAD, title=title or None, title_justify="left", pad_edge=False)
    for heading in headings:
        shown.add_column(heading, overflow="fold")
    for row in rows:
        shown.add_row(*(Text(cell) for cell in row))
    (to or console).print(shown if shown.row_count else Text("There is none."))


def facts(rows: Iterable[tuple[str, str]]) -> None:
    """Print names and values, one to a line."""
    shown = Table(box=None, show_header=False, pad_edge=False)
    shown.add_column(style="bold")
    shown.add_column(overflow="fold")
    for name, value in rows:
        shown.add_row(name, Text(value))
    console.print(shown)


def gates(results: Sequence[GateResult], to: Console | None = None) -> None:
    """Print the gates: passed with what they looked at, or refused with the next step."""
    for result in results:
        mark, style = ("passed ", "green") if result.passed else ("refused", "bold red")
        shown = ", ".join(f"{name} {value}" for name, value in result.facts.items())
        reason = shown if result.passed else f"{result.reason} {result.next_step}"
        line = Text.assemble((mark, style), f"  {result.gate:<20} {reason}".rstrip())
        (to or console).print(line, soft_wrap=True)


def counted(count: int, what: str) -> str:
    """So many of something: '1 record', '2 records'."""
    return f"{count} {what}" if count == 1 else f"{count} {what}s"


def shown_id(number: int) -> str:
    """A DID as people write it."""
    return f"0x{number:04X}"


def read_file(path: Path, what: str) -> bytes:
    """Read a file that the person named.

    Raises:
        BadInputError: it is not there or cannot be read.
    """
    try:
        return path.read_bytes()
    except OSError as error:
        raise BadInputError(
            f"The {what} {path} cannot be read: {error.strerror}.", "Check its name and try again."
        ) from error


def write_new(path: Path, content: bytes, mode: int = 0o600) -> None:
    """Write a file that does not exist yet, readable by its owner only.

    Raises:
        BadInputError: it exists already, or the folder cannot be written.
    """
    try:
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode)
        try:
            with os.fdopen(descriptor, "wb") as file:
                file.write(content)
        except BaseException:
            path.unlink(missing_ok=True)  # Half a file would pass for a whole one.
            raise
    except FileExistsError as error:
        raise BadInputError(
            f"{path} exists already and is left as it is.", "Name another file."
        ) from error
    except OSError as error:
        raise BadInputError(
            f"{path} cannot be written: {error.strerror}.", "Name a folder that you may write to."
        ) from error


def write_folder(folder: Path, files: Sequence[File]) -> None:
    """Write files below a folder that is new or empty.

    Raises:
        BadInputError: the folder holds something already, or cannot be written.
    """
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        occupied = any(folder.iterdir())
    except OSError as error:
        raise BadInputError(
            f"The folder {folder} cannot be made: {error.strerror}.", "Name another folder."
        ) from error
    if occupied:
        raise BadInputError(f"The folder {folder} is not empty.", "Name a new folder.")
    for item in files:
        path = folder / item.name
        if not path.resolve().is_relative_to(folder.resolve()):
            raise BadInputError(f"{item.name} lies outside its folder.", "Tell the workshop.")
        path.parent.mkdir(parents=True, exist_ok=True)
        write_new(path, item.content)


def number(text: str) -> int:
    """A number as people write it: `0xF190` or `61840`.

    Raises:
        UsageError: it is neither.
    """
    if re.fullmatch(r"0[xX][0-9a-fA-F]+|[0-9]+", text) is None:
        raise UsageError(f"{text!r} is not a number.", "Write it as in 0xF190.")
    return int(text, 0)
